/* A merge is handed over where its branch is meant. */
/* error: incompatible pointer type */
#include "test/compile/program.h"

void wrong(heap h, struct operation *o)
{
    (void)h, (void)o;
    merge m = allocate_merge(h, &o->landed);
    take_status_handler(m);
}
