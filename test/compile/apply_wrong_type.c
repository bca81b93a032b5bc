/* A status is applied with a number. */
/* error: incompatible type for argument | passing 'int' to parameter of incompatible type */
#include "test/compile/program.h"

void wrong(heap h, struct operation *o)
{
    (void)h, (void)o;
    apply(&o->landed, 5);
}
