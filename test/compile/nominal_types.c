/* Closure types with equal arguments are different types. */
/* error: incompatible pointer type */
#include "test/compile/program.h"

void wrong(heap h, struct operation *o)
{
    (void)h, (void)o;
    u64 total = 0;
    other_handler other = stack_closure(sum_number, &total);
    apply(other, 5);
}
