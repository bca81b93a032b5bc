/* Dies of SIGSEGV, after a line of output that must not be lost. */
#include <stdio.h>

int main(void)
{
    puts("about to write to address 16");
    fflush(stdout);
    volatile int *volatile nowhere = (volatile int *)16;
    *nowhere = 1;
    return 0;
}
