# Routes: one interface alone is not the way to everywhere (it may be lo), and a router may be known
# from the boot option; and the network of a static address is as long as its prefix says, not /64.
in_file('core/ipv6/ip6.c');
replace("  if ((netif_list != NULL) && (netif_list->next == NULL)) {\n", "  if (0) {\n");

replace("          ip6_addr_net_eq(dest, netif_ip6_addr(netif, i)) &&\n          (netif_ip6_addr_isstatic(netif, i) ||\n          ip6_addr_nethost_eq(dest, netif_ip6_addr(netif, i)))) {\n",
        "          (netif_ip6_addr_isstatic(netif, i) ? net_lwip_is_on_link(netif, i, dest) :\n          ip6_addr_eq(dest, netif_ip6_addr(netif, i)))) {\n");

in_file('core/ipv6/nd6.c');
replace("        netif_ip6_addr_isstatic(netif, i) &&\n        ip6_addr_net_eq(ip6addr, netif_ip6_addr(netif, i))) {\n",
        "        netif_ip6_addr_isstatic(netif, i) &&\n        net_lwip_is_on_link(netif, i, ip6addr)) {\n");
# What asks for a neighbour is from an address in its network, or from the link's own.
replace("            ip6_addr_net_eq(target_addr, netif_ip6_addr(netif, i))) {\n        src_addr",
        "            net_lwip_is_on_link(netif, i, target_addr)) {\n        src_addr");
replace("    if (i == LWIP_IPV6_NUM_ADDRESSES) {\n",
        "    if (i == LWIP_IPV6_NUM_ADDRESSES && ip6_addr_isvalid(netif_ip6_addr_state(netif, 0))) {\n" .
        "      src_addr = netif_ip6_addr(netif, 0);\n" .
        "    } else if (i == LWIP_IPV6_NUM_ADDRESSES) {\n");
replace("#endif /* LWIP_IPV6 */\n", <<'EOC');
/* A router that needs no advertisement. */
int
net_lwip_router_add(const ip6_addr_t *address, struct netif *netif)
{
  s8_t i = nd6_new_router(address, netif);
  if (i < 0) {
    return 0;
  }
  default_router_list[i].invalidation_timer = 0xffffffffUL;
  return 1;
}

#endif /* LWIP_IPV6 */
EOC
1;
