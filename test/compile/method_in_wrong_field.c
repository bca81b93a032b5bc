/* A method is put into another field of the same type. */
/* error: closure_wrong_field.*another field */
#include "test/compile/program.h"

void wrong(heap h, struct operation *o)
{
    (void)h, (void)o;
    init_method(&o->failed, operation_landed);
}
