/* The switch of the trace points, and the way to the recorder.  See runtime/trace.h. */
#include "runtime/trace.h"

bool trace_on;
trace_recorder *trace_record_with;

void trace_record(enum trace_event event, u64 a, u64 b, u64 c)
{
    trace_record_with(event, a, b, c);
}
