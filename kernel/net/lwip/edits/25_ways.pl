# A segment to where the last one went takes that one's headers: kernel/net/lwip_way.c.  Whatever these
# depend on says when it changes.
in_file('include/lwip/tcp.h');
before("/** Function prototype for tcp accept callback functions", "#include \"kernel/net/lwip/way.h\"\n\n");
replace("  u8_t dupacks;\n", "  u8_t dupacks;\n  struct net_way net_way;\n");

in_file('core/tcp_out.c');
replace("  err = ip_output_if(seg->p, &pcb->local_ip, &pcb->remote_ip, pcb->ttl,\n" .
        "                     pcb->tos, IP_PROTO_TCP, netif);\n",
        "  err = net_lwip_way_output(pcb, seg->p, netif);\n");
replace("  err = ip_output_if(p, src, dst, ttl, tos, IP_PROTO_TCP, netif);\n", <<'EOC');
  if (pcb != NULL && src == &pcb->local_ip && dst == &pcb->remote_ip) {
    err = net_lwip_way_output(LWIP_CONST_CAST(struct tcp_pcb *, pcb), p, netif);
  } else {
    err = ip_output_if(p, src, dst, ttl, tos, IP_PROTO_TCP, netif);
  }
EOC

in_file('core/ipv4/ip4.c');
replace("static u16_t ip_id;\n", "u16_t net_lwip_ip4_id;\n#define ip_id net_lwip_ip4_id\n");

in_file('core/ipv4/etharp.c');
before("  /* recycle entry for re-use */\n", "  net_lwip_way_changed();\n");
before("  /* update address */\n  SMEMCPY(&arp_table[i].ethaddr", "  net_lwip_way_changed();\n");
1;
