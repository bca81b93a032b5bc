/* A capture is missing, on the stack. */
/* error: wrong number of captures */
#include "test/compile/program.h"

void wrong(heap h, struct operation *o)
{
    (void)h, (void)o;
    apply(stack_closure(sum_number), 5);
}
