/* What was not captured is not bound. */
/* error: no member named .other */
#include "test/compile/program.h"

closure_function(thunk, run_bound, (struct operation * o))
{
    struct operation *o = bound(other);
    closure_finish();
    o->count++;
}

void wrong(heap h, struct operation *o)
{
    take_thunk(closure(h, run_bound, o));
}
