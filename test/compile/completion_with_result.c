/* Nobody is there to take what a completion returns. */
/* error: a completion returns nothing */
#include "runtime/closure.h"

completion_type(asking_handler, int, status s);
