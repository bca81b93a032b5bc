/* A completion outlives the block that would hold it. */
/* error: a completion cannot live on the stack */
#include "test/compile/program.h"

void wrong(heap h, struct operation *o)
{
    (void)h, (void)o;
    take_status_handler(stack_closure(finish, o));
}
