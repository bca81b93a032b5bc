# SYN cookies (RFC 4987): when a listener has no room for another handshake, nothing is kept of it, and
# the last packet of the handshake brings back what there is to know (kernel/net/lwip_cookies.c).
in_file('core/tcp_in.c');
before("static void tcp_listen_input(struct tcp_pcb_listen *pcb);\n",
       "static struct tcp_pcb *net_lwip_cookie_input(struct tcp_pcb_listen *lpcb, int *no_room);\n" .
       "static void net_lwip_cookie_answer(struct tcp_pcb_listen *lpcb);\n");
replace("      LWIP_DEBUGF(TCP_DEBUG, (\"tcp_listen_input: listen backlog exceeded for port %\"U16_F\"\\n\", tcphdr->dest));\n      return;\n",
        "      net_lwip_cookie_answer(pcb);\n      return;\n");
replace("      LWIP_DEBUGF(TCP_DEBUG, (\"tcp_listen_input: could not allocate PCB\\n\"));\n",
        "      net_lwip_cookie_answer(pcb);\n");
before("/**\n * Called by tcp_input() when a segment arrives for a listening\n", <<'EOC');
/* SYN|ACK for a handshake of which nothing is kept. */
static void
net_lwip_cookie_answer(struct tcp_pcb_listen *lpcb)
{
  static struct tcp_pcb syn;
  memset(&syn, 0, sizeof(syn));
  syn.mss = 536; /* RFC 9293, 3.7.1 */
  syn.rcv_wnd = syn.rcv_ann_wnd = TCPWND_MIN16(TCP_WND);
  tcp_parseopt(&syn);
#if TCP_CALCULATE_EFF_SEND_MSS
  syn.mss = tcp_eff_send_mss(syn.mss, ip_current_dest_addr(), ip_current_src_addr());
#endif
  net_lwip_cookie_send(lpcb, &syn, tcphdr, seqno);
}

/* The connection that an acknowledgement of a cookie makes; NULL: it makes none, for want of room when
 * that is so. */
static struct tcp_pcb *
net_lwip_cookie_input(struct tcp_pcb_listen *lpcb, int *no_room)
{
  struct tcp_pcb *npcb;
  u16_t mss;

  *no_room = 0;
  if ((flags & (TCP_SYN | TCP_ACK | TCP_RST)) != TCP_ACK ||
      (mss = net_lwip_cookie_check(tcphdr, seqno, ackno)) == 0) {
    return NULL;
  }
  npcb = net_lwip_accept_is_full(lpcb->callback_arg) ? NULL : tcp_alloc(lpcb->prio);
  if (npcb == NULL) {
    *no_room = 1;
    return NULL;
  }
#if TCP_LISTEN_BACKLOG
  lpcb->accepts_pending++;
  tcp_set_flags(npcb, TF_BACKLOGPEND);
#endif
  ip_addr_copy(npcb->local_ip, *ip_current_dest_addr());
  ip_addr_copy(npcb->remote_ip, *ip_current_src_addr());
  npcb->local_port = lpcb->local_port;
  npcb->remote_port = tcphdr->src;
  npcb->state = SYN_RCVD;
  npcb->rcv_nxt = seqno;
  npcb->rcv_ann_right_edge = npcb->rcv_nxt;
  npcb->snd_wl2 = npcb->lastack = ackno - 1;
  npcb->snd_nxt = npcb->snd_lbb = ackno;
  npcb->snd_wl1 = seqno - 1;
  npcb->snd_wnd = npcb->snd_wnd_max = tcphdr->wnd;
  npcb->mss = mss;
  npcb->callback_arg = lpcb->callback_arg;
  npcb->listener = lpcb;
  npcb->so_options = lpcb->so_options & SOF_INHERITED;
  npcb->netif_idx = lpcb->netif_idx;
  tcp_set_flags(npcb, TF_TIMESTAMP); /* so that its echo is looked at */
  tcp_parseopt(npcb);
  net_lwip_cookie_options(npcb);
  TCP_REG_ACTIVE(npcb);
  MIB2_STATS_INC(mib2.tcppassiveopens);
  return npcb;
}

EOC
replace("  if (lpcb != NULL) {\n    tcp_listen_input(lpcb);\n    pbuf_free(p);\n    return;\n  }\n", <<'EOC');
  if (lpcb != NULL) {
    int no_room;
    pcb = net_lwip_cookie_input(lpcb, &no_room);
    if (pcb == NULL) {
      /* Without room nothing is said: the other side sends it again, as with Linux. */
      if (!no_room) {
        tcp_listen_input(lpcb);
      }
      pbuf_free(p);
      return;
    }
  }
EOC
in_file('core/tcp_out.c');
before("/**\n * Send an ACK without data.\n", <<'EOC');
err_t
net_lwip_output_reply(struct pbuf *p)
{
  return tcp_output_control_segment_netif(NULL, p, ip_current_dest_addr(), ip_current_src_addr(),
                                          ip_data.current_input_netif);
}

EOC
1;
