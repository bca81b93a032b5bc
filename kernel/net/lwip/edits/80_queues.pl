# The tails of the queues of segments, which lwIP looks for from their heads.  A tail that is not NULL
# is right whenever its queue is not empty; one that is NULL is looked for.
in_file('include/lwip/tcp.h');
after("  struct tcp_seg *unacked;  /* Sent but unacknowledged segments. */\n",
      "  struct tcp_seg *net_unsent_tail, *net_unacked_tail;\n");

in_file('core/tcp_out.c');
replace("    for (; useg->next != NULL; useg = useg->next);\n", <<'EOC');
    if (pcb->net_unacked_tail != NULL) {
      useg = pcb->net_unacked_tail;
    }
    for (; useg->next != NULL; useg = useg->next);
EOC
replace("        pcb->unacked = seg;\n        useg = seg;\n",
        "        pcb->unacked = seg;\n        useg = seg;\n        pcb->net_unacked_tail = seg;\n");
replace("          useg->next = seg;\n          useg = useg->next;\n",
        "          useg->next = seg;\n          useg = useg->next;\n          pcb->net_unacked_tail = seg;\n");

# One of the unsent queue need not be its last: from there it is not far.  It is forgotten when its
# segment leaves the queue.
replace("    for (last_unsent = pcb->unsent; last_unsent->next != NULL;\n         last_unsent = last_unsent->next);\n", <<'EOC', 2);
    last_unsent = pcb->net_unsent_tail != NULL ? pcb->net_unsent_tail : pcb->unsent;
    for (; last_unsent->next != NULL; last_unsent = last_unsent->next);
    pcb->net_unsent_tail = last_unsent;
EOC
replace("    last_unsent->next = queue;\n  }\n", <<'EOC');
    last_unsent->next = queue;
  }
  if (queue != NULL) {
    pcb->net_unsent_tail = queue;
  }
EOC
replace("    for (useg = pcb->unsent; useg->next != NULL; useg = useg->next);\n", <<'EOC');
    useg = pcb->net_unsent_tail != NULL ? pcb->net_unsent_tail : pcb->unsent;
    for (; useg->next != NULL; useg = useg->next);
EOC
replace("    pcb->unsent = seg->next;\n    if (pcb->state != SYN_SENT) {\n", <<'EOC');
    pcb->unsent = seg->next;
    if (pcb->net_unsent_tail == seg) {
      pcb->net_unsent_tail = NULL;
    }
    if (pcb->state != SYN_SENT) {
EOC

in_file('core/tcp_in.c');
replace("          pcb->unsent = rseg->next;\n", "          pcb->unsent = rseg->next;\n          pcb->net_unsent_tail = NULL;\n");
replace("      pcb->unsent = tcp_free_acked_segments(pcb, pcb->unsent, \"unsent\", pcb->unacked);\n", <<'EOC');
      {
        struct tcp_seg *first = pcb->unsent;
        pcb->unsent = tcp_free_acked_segments(pcb, pcb->unsent, "unsent", pcb->unacked);
        if (pcb->unsent != first) {
          pcb->net_unsent_tail = NULL;
        }
      }
EOC

in_file('core/tcp.c');
replace("    pcb->unacked = pcb->unsent = NULL;\n", "    pcb->unacked = pcb->unsent = NULL;\n    pcb->net_unacked_tail = pcb->net_unsent_tail = NULL;\n");
1;
