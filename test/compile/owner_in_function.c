/* A closure with captures has no owner. */
/* error: no member named .owner_type */
#include "test/compile/program.h"

closure_function(thunk, run_owned, ())
{
    owner();
}

void wrong(heap h, struct operation *o)
{
    (void)o;
    take_thunk(closure(h, run_owned));
}
