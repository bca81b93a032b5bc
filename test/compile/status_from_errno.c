/* An errno is not a status. */
/* error: incompatible types when|invalid initializer | incompatible type */
#include "test/compile/program.h"

void wrong(heap h, struct operation *o)
{
    (void)h, (void)o;
    status s = -EIO;
    apply(&o->landed, s);
}
