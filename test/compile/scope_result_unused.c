/* An operation is begun without asking whether the scope took it. */
/* error: ignoring return value */
#include "runtime/scope.h"

void wrong(struct scope *s, struct operation *o, cancel_handler cancel, status_handler done);

void wrong(struct scope *s, struct operation *o, cancel_handler cancel, status_handler done)
{
    operation_start(s, o, cancel, done);
    operation_started(o);
}
