/* Inside kernel/net/ only: between kernel/net/lwip_recovery.c, lwip_cubic.c and lwip_timers.c. What
   lwIP itself calls is in kernel/net/lwip/hooks.h. */
#pragma once

#include "lwip/tcp.h"
#include "runtime/types.h"

/* --- lwip_recovery.c --- */
/* The retransmission time-out is over; something is unacknowledged. */
void net_lwip_recovery_timeout(struct tcp_pcb *pcb);
/* When something has to happen because nothing came: tcp_ticks.  The retransmission timer runs. */
u32 net_lwip_recovery_deadline(const struct tcp_pcb *pcb);
/* Then: does what comes before the retransmission time-out.  False: it is that. */
bool net_lwip_recovery_tick(struct tcp_pcb *pcb);

/* --- lwip_cubic.c --- */
/* So much more has arrived, while `flight` bytes had been on their way. */
void net_lwip_cubic_grow(struct tcp_pcb *pcb, u32 acknowledged, u32 flight);
void net_lwip_cubic_rtt(struct tcp_pcb *pcb, u32 rtt_ms);
/* The window after a loss. */
u32 net_lwip_cubic_reduced(struct tcp_pcb *pcb);
