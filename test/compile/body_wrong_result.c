/* A body returns what its type does not. */
/* error: return.* with a value|should not return a value */
#include "test/compile/program.h"

closure_function(number_handler, sum_returning, (u64 * total), u64 number)
{
    return *bound(total) + number;
}

void wrong(heap h, struct operation *o)
{
    (void)h;
    apply(stack_closure(sum_returning, &o->count), 5);
}
