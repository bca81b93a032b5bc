/* A method's owner is taken for another struct. */
/* error: incompatible pointer type */
#include "test/compile/program.h"

struct unrelated {
    u64 count;
};

closure_method(status_handler, operation_failed, struct operation, failed, status s)
{
    struct unrelated *u = owner();
    u->count += !is_ok(s);
}

void wrong(heap h, struct operation *o)
{
    (void)h;
    init_method(&o->failed, operation_failed);
}
