# Where connections are found: by a table, not by a walk over all of them, and lists from which one is
# taken out without a walk (kernel/net/lwip_lists.c).  A connection in TIME-WAIT gives way to a new
# one between the same two, as RFC 6191 allows.
in_file('include/lwip/tcp.h');
replace("  type *next; /* for the linked list */ \\\n",
        "  type *next; /* for the linked list */ \\\n" .
        "  struct tcp_pcb **net_at; /* what points to this one in its list; NULL: in none */ \\\n" .
        "  struct tcp_pcb *net_hash_next, **net_hash_at; /* of its bucket */ \\\n");

in_file('include/lwip/priv/tcp_priv.h');
replace_from("#else /* LWIP_DEBUG */\n\n#define TCP_REG(pcbs, npcb)", "#define TCP_REG_ACTIVE(npcb)", <<'EOC');
#else /* LWIP_DEBUG */

#define TCP_REG(pcbs, npcb) net_lwip_list_add(pcbs, npcb)
#define TCP_RMV(pcbs, npcb) net_lwip_list_remove(pcbs, npcb)

#endif /* LWIP_DEBUG */

EOC

in_file('core/tcp.c');
replace("  lpcb->callback_arg = pcb->callback_arg;\n",
        "  lpcb->net_at = NULL;\n  lpcb->net_hash_at = NULL;\n  lpcb->callback_arg = pcb->callback_arg;\n");
replace_from("#if SO_REUSE\n    if (ip_get_option(pcb, SOF_REUSEADDR)) {\n      /* Since SOF_REUSEADDR allows reusing a local address, we have to make sure\n",
             "  }\n\n  iss = tcp_next_iss(pcb);", <<'EOC');
    if (net_lwip_find(&pcb->local_ip, pcb->local_port, ipaddr, port, NETIF_NO_INDEX) != NULL) {
      return ERR_USE;
    }
EOC

in_file('core/tcp_in.c');
replace("  struct tcp_pcb *pcb, *prev;\n  struct tcp_pcb_listen *lpcb;\n#if SO_REUSE\n" .
        "  struct tcp_pcb *lpcb_prev = NULL;\n  struct tcp_pcb_listen *lpcb_any = NULL;\n#endif /* SO_REUSE */\n",
        "  struct tcp_pcb *pcb;\n  struct tcp_pcb_listen *lpcb;\n");
replace_from("  /* Demultiplex an incoming segment. First, we check if it is destined\n",
             "#if TCP_INPUT_DEBUG\n  LWIP_DEBUGF(TCP_INPUT_DEBUG, (\"+-+-+-", <<'EOC');
  pcb = net_lwip_find(ip_current_dest_addr(), tcphdr->dest, ip_current_src_addr(), tcphdr->src,
                      netif_get_index(ip_data.current_input_netif));
  lpcb = NULL;
  if (pcb == NULL || pcb->state == TIME_WAIT) {
    lpcb = net_lwip_find_listener(ip_current_dest_addr(), tcphdr->dest,
                                  netif_get_index(ip_data.current_input_netif));
  }
  if (pcb != NULL && pcb->state == TIME_WAIT) {
    if (lpcb != NULL && (flags & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_SYN &&
        TCP_SEQ_GT(seqno, pcb->rcv_nxt)) {
      tcp_pcb_remove(&tcp_tw_pcbs, pcb);
      tcp_free(pcb);
      pcb = NULL;
    } else {
      tcp_timewait_input(pcb);
      pbuf_free(p);
      return;
    }
  }
  if (lpcb != NULL) {
    tcp_listen_input(lpcb);
    pbuf_free(p);
    return;
  }

EOC
1;
