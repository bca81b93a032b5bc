/* A thunk is handed over where a completion is wanted. */
/* error: incompatible pointer type */
#include "test/compile/program.h"

void wrong(heap h, struct operation *o)
{
    (void)h, (void)o;
    take_status_handler(closure(h, run));
}
