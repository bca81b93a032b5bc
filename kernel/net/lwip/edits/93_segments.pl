# Large segments, which a device cuts (kernel/net/lwip_segments.c).  pcb->mss stays what goes on the
# wire, and all of congestion control counts in it; what tcp_write makes may be longer, and is split
# when a part of it may be sent.
in_file('include/lwip/tcp.h');
after("  u16_t mss;   /* maximum segment size */\n",
      "  u16_t net_segment_most; /* what tcp_write makes, at least mss; options count, as for mss */\n");

in_file('core/tcp_out.c');
replace("  mss_local = LWIP_MIN(pcb->mss, TCPWND_MIN16(pcb->snd_wnd_max / 2));\n",
        "  mss_local = LWIP_MIN(LWIP_MAX(pcb->mss, pcb->net_segment_most), TCPWND_MIN16(pcb->snd_wnd_max / 2));\n");
# The limit may be lower than when that segment was made.
replace("    LWIP_ASSERT(\"mss_local is too small\", mss_local >= last_unsent->len + unsent_optlen);\n" .
        "    space = mss_local - (last_unsent->len + unsent_optlen);\n",
        "    space = (u16_t)LWIP_MAX((s32_t)mss_local - (last_unsent->len + unsent_optlen), 0);\n");
replace("    if ((pos < len) && (space > 0) && (last_unsent->len > 0)) {\n",
        "    if ((pos < len) && (space > 0) && (last_unsent->len > 0) &&\n" .
        "        (TCPH_FLAGS(last_unsent->tcphdr) & (TCP_SYN | TCP_FIN)) == 0) {\n");

# Splitting refers to the same memory, and takes the flags of the last byte along: lwIP copies, and
# leaves FIN on the first part, too.
replace_from("err_t\ntcp_split_unsent_seg(struct tcp_pcb *pcb, u16_t split)\n",
             "/**\n * Called by tcp_close() to send a segment including FIN", <<'EOC');
err_t
tcp_split_unsent_seg(struct tcp_pcb *pcb, u16_t split)
{
  struct tcp_seg *first = pcb->unsent, *rest;
  struct pbuf *p;
  u8_t moved;

  if (first == NULL || split == 0) {
    return ERR_MEM;
  }
  if (first->len <= split) {
    return ERR_OK;
  }
  p = net_lwip_segment_slice(first, split, (u16_t)(first->len - split),
                             LWIP_TCP_OPT_LENGTH_SEGMENT(first->flags, pcb));
  if (p == NULL) {
    TCP_STATS_INC(tcp.memerr);
    return ERR_MEM;
  }
  moved = TCPH_FLAGS(first->tcphdr) & (TCP_PSH | TCP_FIN);
  rest = tcp_create_segment(pcb, p, moved, lwip_ntohl(first->tcphdr->seqno) + split, first->flags);
  if (rest == NULL) {
    TCP_STATS_INC(tcp.memerr);
    return ERR_MEM;
  }
  pcb->snd_queuelen -= pbuf_clen(first->p);
  pbuf_realloc(first->p, (u16_t)(first->p->tot_len - rest->len));
  first->len = split;
  TCPH_FLAGS_SET(first->tcphdr, TCPH_FLAGS(first->tcphdr) & ~moved);
  pcb->snd_queuelen += pbuf_clen(first->p) + pbuf_clen(rest->p);
  rest->next = first->next;
  first->next = rest;
  if (rest->next == NULL) {
    pcb->net_unsent_tail = rest;
  }
  return ERR_OK;
}

EOC

# What does not fit is split, before it is looked at.
replace("  /* Handle the current segment not fitting within the window */\n",
        "  net_lwip_segment_fit(pcb, wnd);\n\n  /* Handle the current segment not fitting within the window */\n");
replace("    seg = pcb->unsent;\n  }\n#if TCP_OVERSIZE\n",
        "    net_lwip_segment_fit(pcb, wnd);\n    seg = pcb->unsent;\n  }\n#if TCP_OVERSIZE\n");

# Of a large segment a part may be acknowledged: it goes, or what is sent again would begin with it.
in_file('core/tcp_in.c');
replace("                  seg_list != NULL || dbg_other_seg_list != NULL);\n    }\n  }\n  return seg_list;\n", <<'EOC');
                  seg_list != NULL || dbg_other_seg_list != NULL);
    }
  }
  if (seg_list != NULL) {
    recv_acked += net_lwip_segment_trim(pcb, seg_list, ackno);
  }
  return seg_list;
EOC

# A packet of TCP's that is longer than the MTU is the device's to cut, not IP's.
in_file('core/ipv4/ip4.c');
replace("  if (netif->mtu && (p->tot_len > netif->mtu)) {\n    return ip4_frag(p, netif, dest);\n",
        "  if (netif->mtu && (p->tot_len > netif->mtu) &&\n" .
        "      (proto != IP_PROTO_TCP || !net_lwip_device_cuts(netif, 0))) {\n    return ip4_frag(p, netif, dest);\n");

in_file('core/ipv6/ip6.c');
replace("  if (netif_mtu6(netif) && (p->tot_len > nd6_get_destination_mtu(dest, netif))) {\n",
        "  if (netif_mtu6(netif) && (p->tot_len > nd6_get_destination_mtu(dest, netif)) &&\n" .
        "      (nexth != IP6_NEXTH_TCP || !net_lwip_device_cuts(netif, 1))) {\n");
1;
