# A neighbour that does not answer: after three questions, a second apart, those who sent packets to it
# are told, as Linux tells them; lwIP would drop the packets and say nothing.  A router that does not
# answer is left in peace until there is a packet for it.
in_file('core/ipv4/etharp.c');
replace("#define ARP_MAXPENDING 5\n", "#define ARP_MAXPENDING 3\n");
before("/**\n * Clears expired entries in the ARP table.\n", <<'EOC');
static void
etharp_neighbour_failed(int i)
{
  struct etharp_q_entry *q = arp_table[i].q, *next;
  struct netif *netif = arp_table[i].netif;
  arp_table[i].q = NULL;
  etharp_free_entry(i);
  for (; q != NULL; q = next) {
    next = q->next;
    q->next = NULL;
    net_lwip_unreachable(q->p, netif, 0);
    free_etharp_q(q);
  }
}

EOC
replace("        /* clean up entries that have just been expired */\n        etharp_free_entry(i);\n",
        "        /* clean up entries that have just been expired */\n        etharp_neighbour_failed(i);\n");

in_file('core/ipv6/nd6.c');
replace("    case ND6_INCOMPLETE:\n      if ((neighbor_cache[i].counter.probes_sent >= LWIP_ND6_MAX_MULTICAST_SOLICIT) &&\n          (!neighbor_cache[i].isrouter)) {\n        /* Retries exceeded. */\n        nd6_free_neighbor_cache_entry(i);\n",
        "    case ND6_INCOMPLETE:\n      if (neighbor_cache[i].counter.probes_sent >= LWIP_ND6_MAX_MULTICAST_SOLICIT) {\n        nd6_neighbour_failed(i);\n");
replace("    case ND6_PROBE:\n      if ((neighbor_cache[i].counter.probes_sent >= LWIP_ND6_MAX_MULTICAST_SOLICIT) &&\n          (!neighbor_cache[i].isrouter)) {\n        /* Retries exceeded. */\n        nd6_free_neighbor_cache_entry(i);\n",
        "    case ND6_PROBE:\n      if (neighbor_cache[i].counter.probes_sent >= LWIP_ND6_MAX_MULTICAST_SOLICIT) {\n        nd6_neighbour_failed(i);\n");
replace("        /* queue did not exist, first item in queue */\n        neighbor_cache[neighbor_index].q = new_entry;\n", <<'EOC');
        /* queue did not exist, first item in queue */
        neighbor_cache[neighbor_index].q = new_entry;
        if (neighbor_cache[neighbor_index].state == ND6_INCOMPLETE &&
            neighbor_cache[neighbor_index].counter.probes_sent >= LWIP_ND6_MAX_MULTICAST_SOLICIT) {
          neighbor_cache[neighbor_index].counter.probes_sent = 1;
          nd6_send_neighbor_cache_probe(&neighbor_cache[neighbor_index], ND6_SEND_FLAG_MULTICAST_DEST);
        }
EOC
replace("static void nd6_send_q(s8_t i);\n", "static void nd6_send_q(s8_t i);\nstatic void nd6_neighbour_failed(s8_t i);\n");
replace("/* A router that needs no advertisement. */\n", <<'EOC');
static void
nd6_neighbour_failed(s8_t i)
{
  struct nd6_q_entry *q = neighbor_cache[i].q, *next;
  struct netif *netif = neighbor_cache[i].netif;
  neighbor_cache[i].q = NULL;
  if (neighbor_cache[i].isrouter) {
    neighbor_cache[i].state = ND6_INCOMPLETE;
    neighbor_cache[i].counter.probes_sent = LWIP_ND6_MAX_MULTICAST_SOLICIT;
  } else {
    nd6_free_neighbor_cache_entry(i);
  }
  for (; q != NULL; q = next) {
    next = q->next;
    q->next = NULL;
    net_lwip_unreachable(q->p, netif, 1);
    nd6_free_q(q);
  }
}

/* A router that needs no advertisement. */
EOC
1;
