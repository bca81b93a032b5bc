/* A completion is applied without its status. */
/* error: too few arguments */
#include "test/compile/program.h"

void wrong(heap h, struct operation *o)
{
    (void)h, (void)o;
    apply(&o->landed);
}
