# Old segments of a connection are known by their timestamps (PAWS, RFC 7323, 5): lwIP believes any.
# kernel/net/lwip_stamps.c.  And the segments of a connection are counted, for TCP_INFO.
in_file('include/lwip/tcp.h');
replace("  u32_t ts_recent;\n", "  u32_t ts_recent;\n  u32_t net_stamp_s; /* when that came */\n");

in_file('core/tcp_in.c');
replace("  net_lwip_options.has_echo = 0;\n", "  net_lwip_options.has_echo = 0;\n  net_lwip_options.has_stamp = 0;\n");
replace("          if (flags & TCP_SYN) {\n            pcb->ts_recent = lwip_ntohl(tsval);\n",
        "          if (flags & TCP_SYN) {\n            net_lwip_stamp_take(pcb, lwip_ntohl(tsval));\n");
replace("          } else if (TCP_SEQ_BETWEEN(pcb->ts_lastacksent, seqno, seqno + tcplen)) {\n            pcb->ts_recent = lwip_ntohl(tsval);\n          }\n", <<'EOC');
          } else {
            net_lwip_stamp_note(pcb, lwip_ntohl(tsval));
          }
EOC
replace("  if (TCP_SEQ_BETWEEN(pcb->ts_lastacksent, seqno, seqno + tcplen)) {\n    pcb->ts_recent = lwip_ntohl(words[1]);\n  }\n",
        "  net_lwip_stamp_note(pcb, lwip_ntohl(words[1]));\n");
before("static u32_t\nnet_lwip_option_word(void)\n", <<'EOC');
static void
net_lwip_stamp_note(struct tcp_pcb *pcb, u32_t stamp)
{
  net_lwip_options.stamp = stamp;
  net_lwip_options.has_stamp = 1;
  if (TCP_SEQ_BETWEEN(pcb->ts_lastacksent, seqno, seqno + tcplen) && !net_lwip_stamp_is_old(pcb)) {
    net_lwip_stamp_take(pcb, stamp);
  }
}

EOC
# Only what holds something is answered: two sides that find each other's answers old would go on
# for ever.
replace("  if (flags & TCP_SYN) {\n    /* accept SYN only in 2 states: */\n", <<'EOC');
  if (net_lwip_segment_is_old(pcb, seqno, ackno, tcplen)) {
    if (tcplen > 0) {
      tcp_ack_now(pcb);
    }
    TCP_STATS_INC(tcp.drop);
    return ERR_OK;
  }

  if (flags & TCP_SYN) {
    /* accept SYN only in 2 states: */
EOC
replace("  LWIP_ASSERT(\"tcp_process: invalid pcb\", pcb != NULL);\n", <<'EOC');
  LWIP_ASSERT("tcp_process: invalid pcb", pcb != NULL);
  net_segments_count(&pcb->net_recovery.segments_in, inseg.len, pcb->mss);
EOC

in_file('core/tcp_out.c');
# With timestamps each acknowledgement measures the round trip: lwIP's own way would count some twice.
replace("  if (pcb->rttest == 0) {\n    pcb->rttest = tcp_ticks;\n",
        "  if (pcb->rttest == 0 && (pcb->state < ESTABLISHED || !(pcb->flags & TF_TIMESTAMP))) {\n    pcb->rttest = tcp_ticks;\n");
replace("  len = (u16_t)((u8_t *)seg->tcphdr - (u8_t *)seg->p->payload);\n  if (len == 0) {\n",
        "  net_segments_count(&pcb->net_recovery.segments_out, seg->len, pcb->mss);\n" .
        "  len = (u16_t)((u8_t *)seg->tcphdr - (u8_t *)seg->p->payload);\n  if (len == 0) {\n");
replace("  err = tcp_output_control_segment(pcb, p, &pcb->local_ip, &pcb->remote_ip);\n",
        "  net_segments_count(&pcb->net_recovery.segments_out, 0, pcb->mss);\n" .
        "  err = tcp_output_control_segment(pcb, p, &pcb->local_ip, &pcb->remote_ip);\n", 3);
replace("net_lwip_output_packet(struct tcp_pcb *pcb, struct pbuf *p)\n{\n", <<'EOC');
net_lwip_output_packet(struct tcp_pcb *pcb, struct pbuf *p)
{
  net_segments_count(&pcb->net_recovery.segments_out,
                     p->tot_len - TCPH_HDRLEN_BYTES((struct tcp_hdr *)p->payload), pcb->mss);
EOC
1;
