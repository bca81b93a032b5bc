/* What all the others would be if they were right. */
/* compiles */
#include "test/compile/program.h"

void right(heap h, struct operation *o)
{
    u64 total = 0;
    apply(stack_closure(sum_number, &total), 5);
    status_handler done = closure(h, finish, o);
    if (done)
        apply(done, STATUS_OK);
    init_method(&o->landed, operation_landed);
    init_method(&o->inner.again, operation_again);
    apply(&o->landed, STATUS_OK);
    thunk t = closure(h, run);
    if (t)
        apply(t);
    take_status_handler(&o->landed);
    take_thunk(&o->inner.again);
}
