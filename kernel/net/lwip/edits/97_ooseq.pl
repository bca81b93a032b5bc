# What comes out of order mostly belongs at the end of what came out of order before: there it goes at
# once, where lwIP walks the list from its head for each segment.  The list is bounded in segments, too:
# beyond that the other side has to send again.  And wherever a segment belongs, what lies beyond the
# window is cut off: lwIP does so at the end of the list alone, and what is beyond makes the window that is
# left a negative number when the gap before it closes.
in_file('include/lwip/tcp.h');
after("  struct tcp_seg *ooseq;    /* Received out of sequence segments. */\n", <<'EOC');
  struct tcp_seg *net_ooseq_tail; /* its last one; NULL: not known */
  u32_t net_ooseq_run;      /* where the bytes begin that end there without a gap */
  u32_t net_ooseq_count;    /* at most so many segments; right when the tail is known */
EOC

in_file('core/tcp_in.c');
before("/**\n * Called by tcp_process. Checks if the given segment is an ACK for outstanding\n", <<'EOC');
#define NET_OOSEQ_MOST 8192 /* segments of a connection */

/* Finds the tail by a walk. */
static void
net_lwip_ooseq_walk(struct tcp_pcb *pcb)
{
  struct tcp_seg *seg, *last = NULL;
  pcb->net_ooseq_count = 0;
  for (seg = pcb->ooseq; seg != NULL; seg = seg->next) {
    if (last == NULL || last->tcphdr->seqno + last->len != seg->tcphdr->seqno) {
      pcb->net_ooseq_run = seg->tcphdr->seqno;
    }
    last = seg;
    pcb->net_ooseq_count++;
  }
  pcb->net_ooseq_tail = last;
}

/* The incoming segment begins within the window, and is to end there. */
static void
net_lwip_ooseq_trim(struct tcp_pcb *pcb)
{
  u32_t room = pcb->rcv_nxt + pcb->rcv_wnd - seqno;

  if (tcplen <= room) {
    return;
  }
  TCPH_UNSET_FLAG(inseg.tcphdr, TCP_FIN);
  if (inseg.len > room) {
    inseg.len = (u16_t)room;
    pbuf_realloc(inseg.p, inseg.len);
  }
  tcplen = TCP_TCPLEN(&inseg);
}

/* The incoming segment goes to the end of ooseq, or nowhere.  0: it belongs in between. */
static int
net_lwip_ooseq_append(struct tcp_pcb *pcb)
{
  struct tcp_seg *tail, *copy;
  u32_t end;

  net_lwip_ooseq_trim(pcb);
  if (pcb->ooseq == NULL) {
    pcb->net_ooseq_tail = NULL;
    return 0;
  }
  if (pcb->net_ooseq_tail == NULL) {
    net_lwip_ooseq_walk(pcb);
  }
  tail = pcb->net_ooseq_tail;
  end = tail->tcphdr->seqno + tail->len;
  if (pcb->net_ooseq_count >= NET_OOSEQ_MOST) {
    return 1;
  }
  if (TCP_SEQ_LT(seqno, end) || (TCPH_FLAGS(tail->tcphdr) & TCP_FIN) ||
      (TCPH_FLAGS(inseg.tcphdr) & TCP_SYN)) {
    pcb->net_ooseq_tail = NULL;
    return 0;
  }
  copy = tcp_seg_copy(&inseg);
  if (copy == NULL) {
    return 1;
  }
  tail->next = copy;
  pcb->net_ooseq_tail = copy;
  pcb->net_ooseq_count++;
  if (seqno != end) {
    pcb->net_ooseq_run = seqno;
  }
  tcp_add_sack(pcb, pcb->net_ooseq_run, seqno + inseg.len);
  return 1;
}

EOC
replace("        /* We queue the segment on the ->ooseq queue. */\n        if (pcb->ooseq == NULL) {\n",
        "        /* We queue the segment on the ->ooseq queue. */\n        if (net_lwip_ooseq_append(pcb)) {\n        } else if (pcb->ooseq == NULL) {\n");
1;
