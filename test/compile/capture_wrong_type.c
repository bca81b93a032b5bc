/* A pointer to another type is captured. */
/* error: incompatible pointer type | incompatible pointer types */
#include "test/compile/program.h"

void wrong(heap h, struct operation *o)
{
    (void)h, (void)o;
    u32 total = 0;
    apply(stack_closure(sum_number, &total), 5);
}
