/* A capture too much. */
/* error: wrong number of captures|excess elements */
#include "test/compile/program.h"

void wrong(heap h, struct operation *o)
{
    (void)h, (void)o;
    take_status_handler(closure(h, finish, o, o));
}
