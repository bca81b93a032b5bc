/* A number is captured where a pointer is, on a heap. */
/* error: makes pointer from integer | integer to pointer */
#include "test/compile/program.h"

void wrong(heap h, struct operation *o)
{
    (void)h, (void)o;
    take_status_handler(closure(h, finish, o->count));
}
