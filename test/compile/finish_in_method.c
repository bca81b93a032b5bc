/* A method has no memory of its own to finish. */
/* error: no member named .captured */
#include "test/compile/program.h"

closure_method(status_handler, operation_failed, struct operation, failed, status s)
{
    owner()->count += !is_ok(s);
    closure_finish();
}

void wrong(heap h, struct operation *o)
{
    (void)h;
    init_method(&o->failed, operation_failed);
}
