/* A pointer is applied where a number is taken. */
/* error: makes integer from pointer | incompatible pointer to integer */
#include "test/compile/program.h"

void wrong(heap h, struct operation *o)
{
    (void)h, (void)o;
    u64 total = 0;
    apply(stack_closure(sum_number, &total), &total);
}
