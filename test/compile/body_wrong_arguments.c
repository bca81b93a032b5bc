/* A body takes other arguments than its type. */
/* error: incompatible (function )?pointer types? */
#include "test/compile/program.h"

closure_function(number_handler, sum_wrong, (u64 * total), u64 *number)
{
    *bound(total) += *number;
}

void wrong(heap h, struct operation *o)
{
    (void)h;
    apply(stack_closure(sum_wrong, &o->count), 5);
}
