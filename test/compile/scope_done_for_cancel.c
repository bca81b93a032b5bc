/* What gets the result is not what is asked to end. */
/* error: incompatible.pointer.type */
#include "runtime/scope.h"

status_handler wrong(struct scope *s, struct operation *o, status_handler done);

status_handler wrong(struct scope *s, struct operation *o, status_handler done)
{
    return operation_start(s, o, done, done);
}
