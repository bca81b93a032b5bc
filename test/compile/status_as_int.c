/* A status is not a number. */
/* error: incompatible types when | incompatible type */
#include "test/compile/program.h"

void wrong(heap h, struct operation *o)
{
    (void)h, (void)o;
    int result = STATUS_OK;
    o->count = (u64)result;
}
