# What malformed packets made lwIP read, write or assert; each was found by test/unit/net_mutate_test.c.
in_file('core/tcp_in.c');
# Options that end in the middle of one: there are no more bytes than the header says.
replace("  u16_t optidx = tcp_optidx++;\n", <<'EOC');
  u16_t optidx = tcp_optidx++;
  if (optidx >= tcphdr_optlen) {
    return 0;
  }
EOC
replace("(tcp_get_next_optbyte() << 24)", "((u32_t)tcp_get_next_optbyte() << 24)");

in_file('core/ipv4/ip4.c');
# A datagram that ends before its ports.
replace("    if (IPH_PROTO(iphdr) == IP_PROTO_UDP) {\n      const struct udp_hdr *udphdr",
        "    if (IPH_PROTO(iphdr) == IP_PROTO_UDP && p->len >= iphdr_hlen + UDP_HLEN) {\n      const struct udp_hdr *udphdr");

in_file('core/ipv6/nd6.c');
# A path that is said to carry less than IPv6 demands, or more than before (RFC 8201, 4): with less
# than a header's worth a packet would be cut into fragments for ever.
replace("    destination_cache[dest_idx].pmtu = (u16_t)LWIP_MIN(pmtu, 0xFFFF);\n", <<'EOC');
    if (pmtu >= IP6_MIN_MTU_LENGTH && pmtu < destination_cache[dest_idx].pmtu) {
      destination_cache[dest_idx].pmtu = (u16_t)pmtu;
    }
EOC
1;
