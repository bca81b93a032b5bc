/* The recorder behind the trace points (runtime/trace.h): a ring of records for each CPU, and the
   thunk that sends them to `thunk`.

   On with the boot option trace (or trace=KIB: of each CPU's ring); without it nothing here costs
   memory.  A record that finds its ring full is dropped and counted, and the count is sent.

   A CPU writes its own ring only, with interrupts off, so a record takes no lock.  Rings are read
   by one CPU at a time, `tracing.sending` says which.  The sender is a bottom half that is queued
   by every TRACE_BATCH-th record, and by a timer, so that a machine that hangs or is ended has sent
   what it did; it leaves no records of its own but those of being run. */
#pragma once

#include "runtime/closure.h"
#include "runtime/trace.h"

/* Takes all of head and body, in that order, or nothing and returns false: there is no room now.
   With no head: whether all that it took has left the machine.  Never waits.  Applied under the
   surface lock, or at the machine's end by the last CPU that runs. */
closure_type(trace_output, bool, const void *head, u64 head_bytes, const void *body,
             u64 body_bytes);

/* Begins, if the boot options say so, on the CPUs that are online.  Once, on the boot CPU. */
void trace_start(void);

/* Where the trace goes; until then it stays in the rings. */
void trace_set_output(trace_output output);

/* Sends what is left and ends the trace; bounded to a second.  On any CPU, in a panic too. */
void trace_finish(void);
