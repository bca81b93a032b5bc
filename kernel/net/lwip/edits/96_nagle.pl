# Nagle's rule as Minshall mended it, and as Linux has it: a segment that is not full waits while
# another such one is on its way, not while any is.  Otherwise the end of each long answer waits for
# the acknowledgement of what came before, which the other side may delay.  A segment of half the
# other side's window is full, too: lwIP makes no longer ones.
in_file('include/lwip/tcp.h');
after("  struct net_recovery net_recovery;\n",
      "  u32_t net_small_end; /* the last segment sent that was not full ended here */\n" .
      "  u8_t net_small;      /* there was one */\n");

in_file('include/lwip/priv/tcp_priv.h');
before("#define tcp_do_output_nagle(tpcb)",
       "#define net_full_segment(tpcb) \\\n" .
       "  LWIP_MIN((tpcb)->mss, LWIP_MAX((tpcb)->snd_wnd_max / 2, 1))\n");
replace("#define tcp_do_output_nagle(tpcb) ((((tpcb)->unacked == NULL) || \\\n",
        "#define tcp_do_output_nagle(tpcb) ((((tpcb)->unacked == NULL) || !(tpcb)->net_small || \\\n" .
        "                            !TCP_SEQ_GT((tpcb)->net_small_end, (tpcb)->lastack) || \\\n");
replace("LWIP_TCP_OPT_LENGTH_SEGMENT((tpcb)->unsent->flags, tpcb) >= (tpcb)->mss)",
        "LWIP_TCP_OPT_LENGTH_SEGMENT((tpcb)->unsent->flags, tpcb) >= net_full_segment(tpcb))");

in_file('core/tcp_out.c');
after("    snd_nxt = lwip_ntohl(seg->tcphdr->seqno) + TCP_TCPLEN(seg);\n", <<'EOC');
    if (seg->len > 0) {
      u32_t net_options = LWIP_TCP_OPT_LENGTH_SEGMENT(seg->flags, pcb);
      u32_t net_full = net_full_segment(pcb);
      if (net_full <= net_options || seg->len % (net_full - net_options) != 0) {
        pcb->net_small_end = snd_nxt;
        pcb->net_small = 1;
      }
    }
EOC
1;
