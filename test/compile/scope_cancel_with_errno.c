/* A reason is a status, not a number. */
/* error: incompatible type for argument | passing 'int' to parameter of incompatible type */
#include "runtime/scope.h"

void wrong(struct scope *s);

void wrong(struct scope *s)
{
    scope_cancel(s, EINTR);
}
