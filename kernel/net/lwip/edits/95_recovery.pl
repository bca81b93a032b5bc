# Loss recovery and congestion control of the sender: kernel/net/lwip_recovery.c instead of lwIP's
# Reno, which knows of no SACK that comes, and moves segments between its queues.
in_file('include/lwip/tcp.h');
before("/** Function prototype for tcp accept callback functions", "#include \"kernel/net/lwip/recovery.h\"\n\n");
replace("  u8_t dupacks;\n", "  u8_t dupacks;\n  struct net_recovery net_recovery;\n");

# A segment is full when its options leave no more room.
in_file('include/lwip/priv/tcp_priv.h');
replace("((tpcb)->unsent->len >= (tpcb)->mss)",
        "((tpcb)->unsent->len + LWIP_TCP_OPT_LENGTH_SEGMENT((tpcb)->unsent->flags, tpcb) >= (tpcb)->mss)");

in_file('core/tcp.c');
replace("  net_lwip_timer_end(pcb);\n", "  net_lwip_timer_end(pcb);\n  net_lwip_recovery_end(pcb);\n");

in_file('core/tcp_in.c');
# RFC 6928.
replace("#define LWIP_TCP_CALC_INITIAL_CWND(mss) ((tcpwnd_size_t)LWIP_MIN((4U * (mss)), LWIP_MAX((2U * (mss)), 4380U)))",
        "#define LWIP_TCP_CALC_INITIAL_CWND(mss) ((tcpwnd_size_t)LWIP_MIN((10U * (mss)), LWIP_MAX((2U * (mss)), 14600U)))");
replace("  u32_t right_wnd_edge;\n", "  u32_t right_wnd_edge, net_before = pcb->lastack;\n  int net_duplicate = 0;\n");
replace_from("              if ((u8_t)(pcb->dupacks + 1) > pcb->dupacks) {\n", "            }\n          }\n        }\n      }\n    } else if (TCP_SEQ_BETWEEN(",
             "              net_duplicate = 1;\n");
replace_from("      /* Reset the \"IN Fast Retransmit\" flag", "      /* Reset the number of retransmissions. */", "");
replace_from("      /* Update the congestion control variables (cwnd and\n", "      LWIP_DEBUGF(TCP_INPUT_DEBUG, (\"tcp_receive: ACK for", "");
replace_from("      /* check if this ACK ends our retransmission of in-flight data */", "      /* End of ACK for new data processing. */",
             "      tcp_clear_flags(pcb, TF_RTO);\n");
replace("      net_lwip_rtt_measured(pcb, (s32_t)(tcp_ticks - pcb->rttest));\n\n      pcb->rttest = 0;\n    }\n",
        "      net_lwip_rtt_measured(pcb, (s32_t)(tcp_ticks - pcb->rttest));\n\n      pcb->rttest = 0;\n    }\n" .
        "    net_lwip_acknowledged(pcb, net_before, net_duplicate);\n");

replace("  /* Parse the TCP MSS option, if present. */\n",
        "  net_lwip_options.has_echo = 0;\n  net_lwip_options.sack_count = 0;\n" .
        "  if (net_lwip_parse_timestamp(pcb)) {\n    return;\n  }\n" .
        "  /* Parse the TCP MSS option, if present. */\n");
replace_from("          tsval = tcp_get_next_optbyte();\n", "          if (flags & TCP_SYN) {\n            pcb->ts_recent",
             "          tsval = lwip_htonl(net_lwip_option_word());\n");
replace("          /* Advance to next option (6 bytes already read) */\n          tcp_optidx += LWIP_TCP_OPT_LEN_TS - 6;\n", <<'EOC');
          net_lwip_options.echo = net_lwip_option_word();
          net_lwip_options.has_echo = (flags & TCP_ACK) && (pcb->flags & TF_TIMESTAMP);
EOC
replace("        default:\n          LWIP_DEBUGF(TCP_INPUT_DEBUG, (\"tcp_parseopt: other\\n\"));\n", <<'EOC');
        case 5: /* SACK, RFC 2018 */
          data = tcp_get_next_optbyte();
          if (data < 10 || (data - 2) % 8 || tcp_optidx - 2 + data > tcphdr_optlen) {
            return;
          }
          for (data = (u8_t)((data - 2) / 8); data; data--) {
            u32_t begin = net_lwip_option_word(), end = net_lwip_option_word();
            if (net_lwip_options.sack_count < 4) {
              net_lwip_options.sacks[net_lwip_options.sack_count].begin = begin;
              net_lwip_options.sacks[net_lwip_options.sack_count++].end = end;
            }
          }
          break;
        default:
          LWIP_DEBUGF(TCP_INPUT_DEBUG, ("tcp_parseopt: other\n"));
EOC
before("/**\n * Parses the options contained in the incoming segment.\n", <<'EOC');
static u32_t
net_lwip_option_word(void)
{
  u32_t word = (u32_t)tcp_get_next_optbyte() << 24;
  word |= (u32_t)tcp_get_next_optbyte() << 16;
  word |= (u32_t)tcp_get_next_optbyte() << 8;
  return word | tcp_get_next_optbyte();
}

/* What nearly every segment carries, a timestamp alone, as all that we know of arrange it (RFC 7323,
 * appendix A).  0: it has to be read byte by byte. */
static int
net_lwip_parse_timestamp(struct tcp_pcb *pcb)
{
  u32_t words[3];
  if (tcphdr_optlen != sizeof(words) || tcphdr_opt2 != NULL || (flags & TCP_SYN)) {
    return 0;
  }
  memcpy(words, (u8_t *)tcphdr + TCP_HLEN, sizeof(words));
  if (words[0] != PP_HTONL(0x0101080aUL)) {
    return 0;
  }
  if (TCP_SEQ_BETWEEN(pcb->ts_lastacksent, seqno, seqno + tcplen)) {
    pcb->ts_recent = lwip_ntohl(words[1]);
  }
  net_lwip_options.echo = lwip_ntohl(words[2]);
  net_lwip_options.has_echo = (flags & TCP_ACK) && (pcb->flags & TF_TIMESTAMP);
  return 1;
}

EOC

in_file('core/tcp_out.c');
replace("  wnd = LWIP_MIN(pcb->snd_wnd, pcb->cwnd);\n", "  net_lwip_resend_lost(pcb);\n  wnd = net_lwip_send_window(pcb);\n");
before("/**\n * Send an ACK without data.\n", <<'EOC');
err_t
net_lwip_output_packet(struct tcp_pcb *pcb, struct pbuf *p)
{
  return tcp_output_control_segment(pcb, p, &pcb->local_ip, &pcb->remote_ip);
}

EOC
1;
