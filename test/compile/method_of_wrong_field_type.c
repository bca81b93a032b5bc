/* A method is written for a field of another closure type. */
/* error: the field is of another closure type */
#include "test/compile/program.h"

closure_method(status_handler, operation_wrong, struct operation, inner.again, status s)
{
    owner()->count += !is_ok(s);
}

void wrong(heap h, struct operation *o)
{
    (void)h, (void)o;
    (void)operation_wrong;
}
