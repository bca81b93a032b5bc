/* A cancel_handler takes a status too, but is no completion. */
/* error: incompatible.pointer.type */
#include "runtime/scope.h"

status_handler wrong(struct scope *s, struct operation *o, cancel_handler cancel);

status_handler wrong(struct scope *s, struct operation *o, cancel_handler cancel)
{
    return operation_start(s, o, cancel, cancel);
}
