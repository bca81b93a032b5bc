/* A status's text is a literal: it has to live for ever. */
/* error: expected .*before .text.|expected .}. | expected '}' */
#include "test/compile/program.h"

void wrong(heap h, struct operation *o)
{
    (void)h, (void)o;
    const char *text = "made up";
    apply(&o->landed, status_error(EIO, text, 0));
}
