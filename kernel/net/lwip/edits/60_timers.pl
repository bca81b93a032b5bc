# The timers of TCP.  lwIP walks all connections at each tick; here each connection has one deadline
# in a queue, and nothing happens in between (kernel/net/lwip_timers.c, which has what was
# tcp_tmr, tcp_fasttmr and tcp_slowtmr).  A tick is a millisecond, and is read from the clock.
in_file('core/init.c');
replace("((TCP_MAXRTX > 12) || (TCP_SYNMAXRTX > 12))", "((TCP_MAXRTX > 15) || (TCP_SYNMAXRTX > 12))");

in_file('include/lwip/priv/tcp_priv.h');
replace("extern u32_t tcp_ticks;\n", "u32_t net_lwip_ticks(void);\n#define tcp_ticks net_lwip_ticks()\n");
replace_from("#ifndef TCP_SLOW_INTERVAL\n", "#define TCP_OOSEQ_TIMEOUT", <<'EOC');
#define TCP_SLOW_INTERVAL 1 /* milliseconds of a tick */

EOC
replace("      tcp_set_flags(pcb, TF_ACK_DELAY);            \\\n",
        "      tcp_set_flags(pcb, TF_ACK_DELAY);            \\\n" .
        "      (pcb)->ack_since = tcp_ticks;                \\\n");
replace("void             tcp_tmr     (void);  /* Must be called every\n" .
        "                                         TCP_TMR_INTERVAL\n" .
        "                                         ms. (Typically 250 ms). */\n", "");
replace_from("/* It is also possible to call these two functions", "/* Call this from a netif driver", "");
before("err_t tcp_keepalive(", "err_t tcp_close_shutdown_fin(struct tcp_pcb *pcb);\n");

in_file('include/lwip/tcp.h');
replace("  u8_t polltmr, pollinterval;\n  u8_t last_timer;\n  u32_t tmr;\n", <<'EOC');
  /* kernel/net/lwip_timers.c; times are ticks, modulo 2^32 */
  u8_t pollinterval;    /* ticks; 0 or 255: never */
  u32_t tmr;            /* of the last segment that came */
  u32_t poll_since;     /* of the last poll, or progress */
  u32_t rtime_since;    /* while rtime is 0: the retransmission timer's beginning */
  u32_t persist_since;
  u32_t ack_since;      /* while TF_ACK_DELAY is set */
  u64_t net_timer[9];   /* a struct timer */
EOC
replace("  s16_t rtime;\n", "  s32_t rtime; /* -1: not running */\n");
replace("  s16_t sa, sv;", "  s32_t sa, sv;");
replace("  s16_t rto; ", "  s32_t rto; ");
replace("  u8_t persist_cnt;\n", "");

in_file('core/tcp.c');
replace("u32_t tcp_ticks;\n", "");
replace_from("static const u8_t tcp_backoff[13]", "/* The TCP PCB lists. */", "");
replace("/** Timer counter to handle calling slow-timer from tcp_tmr() */\n" .
        "static u8_t tcp_timer;\nstatic u8_t tcp_timer_ctr;\n", "");
replace("static err_t tcp_close_shutdown_fin(struct tcp_pcb *pcb);\n", "");
replace("static err_t\ntcp_close_shutdown_fin(", "err_t\ntcp_close_shutdown_fin(");
replace_from("/**\n * Called periodically to dispatch TCP timers.\n", "#if LWIP_CALLBACK_API || TCP_LISTEN_BACKLOG\n", "");
replace_from("/**\n * Called every 500 ms and implements the retransmission timer",
             "/** Call tcp_output for all active pcbs that have TF_NAGLEMEMERR set */", "");
replace("    tcp_set_flags(pcb, TF_CLOSEPEND);\n", "    tcp_set_flags(pcb, TF_CLOSEPEND);\n    net_lwip_timer_update(pcb);\n");
replace("    tcp_set_flags(pcb, TF_RXCLOSED);\n  }\n  /* ... and close */\n",
        "    tcp_set_flags(pcb, TF_RXCLOSED);\n    net_lwip_timer_update(pcb);\n  }\n  /* ... and close */\n");
replace("    pcb->last_timer = tcp_timer_ctr;\n", "    net_lwip_timer_init(pcb);\n");
replace("  memp_free(MEMP_TCP_PCB, pcb);\n", "  net_lwip_timer_end(pcb);\n  memp_free(MEMP_TCP_PCB, pcb);\n");
replace("  pcb->pollinterval = interval;\n", "  pcb->pollinterval = interval;\n  pcb->poll_since = tcp_ticks;\n  net_lwip_timer_update(pcb);\n");

in_file('core/tcp_in.c');
replace("pcb->rtime = 0;", "pcb->rtime = 0, pcb->rtime_since = tcp_ticks;", 3);
replace("  s16_t m;\n", "");
replace("      pcb->rto = (s16_t)((pcb->sa >> 3) + pcb->sv);\n\n      /* Record how much data",
        "      pcb->rto = net_lwip_rto(pcb);\n\n      /* Record how much data");
replace_from("      /* diff between this shouldn't exceed 32K", "      pcb->rttest = 0;\n",
             "      net_lwip_rtt_measured(pcb, (s32_t)(tcp_ticks - pcb->rttest));\n\n");
replace("      pcb->polltmr = 0;\n", "      pcb->poll_since = tcp_ticks;\n");
replace("          pcb->state = TIME_WAIT;\n", "          pcb->state = TIME_WAIT;\n          pcb->tmr = tcp_ticks;\n");
replace("\n        pcb->state = TIME_WAIT;\n", "\n        pcb->state = TIME_WAIT;\n        pcb->tmr = tcp_ticks;\n", 2);

in_file('core/tcp_out.c');
replace("pcb->rtime = 0;", "pcb->rtime = 0, pcb->rtime_since = tcp_ticks;", 2);
replace("      pcb->persist_cnt = 0;\n", "      pcb->persist_since = tcp_ticks;\n");
replace("err_t\ntcp_output(struct tcp_pcb *pcb)\n{\n", <<'EOC');
static err_t tcp_output_now(struct tcp_pcb *pcb);

err_t
tcp_output(struct tcp_pcb *pcb)
{
  err_t err = ERR_OK;
  /* The end of tcp_input does both. */
  if (tcp_input_pcb == pcb) {
    return ERR_OK;
  }
  /* Mostly something has only come. */
  if (pcb->unsent == NULL && !(pcb->flags & TF_ACK_NOW) && pcb->net_recovery.state == NET_RECOVERY_OPEN) {
    tcp_clear_flags(pcb, TF_NAGLEMEMERR);
  } else {
    err = tcp_output_now(pcb);
  }
  net_lwip_timer_touch(pcb);
  return err;
}

static err_t
tcp_output_now(struct tcp_pcb *pcb)
{
EOC
1;
