/* What the programs share that print every result, so that the output in the machine can be
   compared with the output on Linux.  Included after the C library's headers that they want. */
#pragma once

#include <errno.h>
#include <stdio.h>

/* Prints what a call gave: a number, or the error's. */
__attribute__((unused)) static long tell(const char *what, long result)
{
    if (result < 0)
        printf("%-76s E%d\n", what, errno);
    else
        printf("%-76s %ld\n", what, result);
    fflush(stdout);
    return result;
}
