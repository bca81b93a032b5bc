/* Futexes: threads that wait for a word of user memory to change. */
#pragma once

#include "unix/thread.h"

/* Wakes whoever joins the thread (clear_tid), and ends its own wait. */
void futex_thread_ended(struct thread *t);
