/* A method has captured nothing. */
/* error: no member named .captured */
#include "test/compile/program.h"

closure_method(status_handler, operation_failed, struct operation, failed, status s)
{
    bound(count) += !is_ok(s);
}

void wrong(heap h, struct operation *o)
{
    (void)h;
    init_method(&o->failed, operation_failed);
}
