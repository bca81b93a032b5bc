/* A status is not a condition: success would read as false. */
/* error: used struct type value | requires expression of scalar type */
#include "test/compile/program.h"

void wrong(heap h, struct operation *o)
{
    (void)h, (void)o;
    status s = STATUS_OK;
    if (s)
        o->count++;
}
