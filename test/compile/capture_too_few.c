/* A capture is missing. */
/* error: wrong number of captures */
#include "test/compile/program.h"

void wrong(heap h, struct operation *o)
{
    (void)h, (void)o;
    take_status_handler(closure(h, finish));
}
