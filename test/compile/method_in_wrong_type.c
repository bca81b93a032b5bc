/* A method is put into a field of another closure type. */
/* error: incompatible pointer type */
#include "test/compile/program.h"

void wrong(heap h, struct operation *o)
{
    (void)h, (void)o;
    init_method(&o->inner.again, operation_landed);
}
