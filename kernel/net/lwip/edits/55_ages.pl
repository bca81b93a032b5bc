# When the tables that lwIP ages each second have something to do next: an idle machine does not tick
# (kernel/net/timers.c).  Seconds; NET_LWIP_NEVER: nothing is due.
in_file('core/ipv4/etharp.c');
before("/**\n * Search the ARP table for a matching or new entry.\n", <<'EOC');
u32_t
net_lwip_arp_due(void)
{
  u32_t due = NET_LWIP_NEVER;
  int i;
  for (i = 0; i < ARP_TABLE_SIZE; ++i) {
    if (arp_table[i].state == ETHARP_STATE_STABLE && arp_table[i].ctime < ARP_MAXAGE) {
      due = LWIP_MIN(due, (u32_t)(ARP_MAXAGE - arp_table[i].ctime));
    } else if (arp_table[i].state != ETHARP_STATE_EMPTY) {
      return 1;
    }
  }
  return due;
}

EOC

in_file('core/ipv6/nd6.c');
before("/** Send a neighbor solicitation message for a specific neighbor cache entry\n", <<'EOC');
static u32_t
net_neighbour_due(const struct nd6_neighbor_cache_entry *n)
{
  switch (n->state) {
  case ND6_INCOMPLETE: /* a router that did not answer waits for a packet */
    return n->isrouter && n->q == NULL &&
           n->counter.probes_sent >= LWIP_ND6_MAX_MULTICAST_SOLICIT ? NET_LWIP_NEVER : 1;
  case ND6_REACHABLE:
    return n->q != NULL ? 1 : LWIP_MAX(1, n->counter.reachable_time / ND6_TMR_INTERVAL);
  case ND6_DELAY:
  case ND6_PROBE:
    return 1;
  default:
    return NET_LWIP_NEVER;
  }
}

static u32_t
net_life_due(u32_t seconds)
{
  return seconds > 0x7fffffffUL ? NET_LWIP_NEVER : LWIP_MAX(1, seconds);
}

static u32_t
net_address_due(struct netif *netif, s8_t i)
{
  u8_t state = netif_ip6_addr_state(netif, i);
  u32_t due = NET_LWIP_NEVER;
  if (ip6_addr_isinvalid(state)) {
    return due;
  }
  if (ip6_addr_istentative(state) && netif_is_up(netif) && netif_is_link_up(netif)) {
    return 1;
  }
  if (!netif_ip6_addr_isstatic(netif, i)) {
    due = net_life_due(netif_ip6_addr_valid_life(netif, i));
    if (netif_ip6_addr_pref_life(netif, i) > 0) {
      due = LWIP_MIN(due, net_life_due(netif_ip6_addr_pref_life(netif, i)));
    }
  }
  return due;
}

u32_t
net_lwip_nd6_due(void)
{
  u32_t due = NET_LWIP_NEVER;
  struct netif *netif;
  s8_t i;
  for (i = 0; i < LWIP_ND6_NUM_NEIGHBORS; i++) {
    due = LWIP_MIN(due, net_neighbour_due(&neighbor_cache[i]));
  }
  for (i = 0; i < LWIP_ND6_NUM_ROUTERS; i++) {
    if (default_router_list[i].neighbor_entry != NULL) {
      due = LWIP_MIN(due, net_life_due(default_router_list[i].invalidation_timer));
    }
  }
  for (i = 0; i < LWIP_ND6_NUM_PREFIXES; i++) {
    if (prefix_list[i].netif != NULL) {
      due = LWIP_MIN(due, net_life_due(prefix_list[i].invalidation_timer));
    }
  }
  NETIF_FOREACH(netif) {
    if (netif->rs_count > 0 && netif_is_up(netif) && netif_is_link_up(netif) &&
        !ip6_addr_isinvalid(netif_ip6_addr_state(netif, 0)) &&
        !ip6_addr_isduplicated(netif_ip6_addr_state(netif, 0))) {
      return 1;
    }
    for (i = 0; i < LWIP_IPV6_NUM_ADDRESSES; i++) {
      due = LWIP_MIN(due, net_address_due(netif, i));
    }
  }
  return due;
}

EOC

in_file('core/ipv4/ip4_frag.c');
replace("#endif /* IP_REASSEMBLY */\n\n#if IP_FRAG\n",
        "int\nnet_lwip_fragments4_wait(void)\n{\n  return reassdatagrams != NULL;\n}\n#endif /* IP_REASSEMBLY */\n\n#if IP_FRAG\n");
in_file('core/ipv6/ip6_frag.c');
replace("#endif /* LWIP_IPV6 && LWIP_IPV6_REASS */\n\n#if LWIP_IPV6 && LWIP_IPV6_FRAG\n",
        "int\nnet_lwip_fragments6_wait(void)\n{\n  return reassdatagrams != NULL;\n}\n#endif /* LWIP_IPV6 && LWIP_IPV6_REASS */\n\n#if LWIP_IPV6 && LWIP_IPV6_FRAG\n");
1;
