/* A thunk is applied with an argument. */
/* error: too many arguments */
#include "test/compile/program.h"

void wrong(heap h, struct operation *o)
{
    (void)h, (void)o;
    apply(&o->inner.again, 1);
}
