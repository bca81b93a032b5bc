/* Says so, and computes for ever. */
#include <stdio.h>

int main(void)
{
    puts("spinning");
    fflush(stdout);
    for (volatile unsigned long n = 0;; n++)
        ;
}
