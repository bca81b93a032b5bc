# Hands what ICMP says of packets of ours to their endpoints; lwIP would only count it.
in_file('core/ipv4/icmp.c');
after("      if (type == ICMP_DUR) {\n        MIB2_STATS_INC(mib2.icmpindestunreachs);\n",
      "        net_lwip_icmp_error(p, 0);\n");

in_file('core/ipv6/icmp6.c');
before("  switch (icmp6hdr->type) {\n  case ICMP6_TYPE_NA:", <<'EOC');
  if (icmp6hdr->type == ICMP6_TYPE_DUR || icmp6hdr->type == ICMP6_TYPE_PTB) {
    net_lwip_icmp_error(p, 1);
  }

EOC
1;
