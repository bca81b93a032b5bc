# What the output has to know of a packet: the segment that a connection agreed on (for devices that
# cut segments), and which datagrams need their checksum before they are cut into fragments.
in_file('include/lwip/netif.h');
replace("   u8_t addr_hint;\n", "   u8_t addr_hint;\n   u16_t segment_bytes; /* 0: what the MTU leaves */\n");

in_file('core/udp.c');
replace("IF__NETIF_CHECKSUM_ENABLED(netif, NETIF_CHECKSUM_GEN_UDP) {",
        "if (NETIF_CHECKSUM_ENABLED(netif, NETIF_CHECKSUM_GEN_UDP) ||\n" .
        "        q->tot_len + IP6_HLEN > netif->mtu) {", 2);
1;
