/* Inside kernel/net/ only: TCP's deadlines, between kernel/net/timers.c and lwip_timers.c. */
#pragma once

#include "runtime/types.h"

/* Before lwIP begins. */
void net_lwip_timers_init(void);
/* Does what is due; when the next deadline is (TIMER_QUEUE_NONE: there is none). */
u64 net_lwip_timers_run(u64 now_ns);
/* timers.c: there is one earlier than all others. */
void net_timers_tcp(u64 due_ns);
