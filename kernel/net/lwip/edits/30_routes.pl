# Routes: one interface alone is not the way to everywhere (it may be lo), and a router may be known
# from the boot option.
in_file('core/ipv6/ip6.c');
replace("  if ((netif_list != NULL) && (netif_list->next == NULL)) {\n", "  if (0) {\n");

in_file('core/ipv6/nd6.c');
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
