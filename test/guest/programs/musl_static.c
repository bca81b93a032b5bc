/* A static program against musl: its arguments, environment, heap, formatting and clock. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int compare_numbers(const void *a, const void *b)
{
    const double *x = a;
    const double *y = b;
    return (*x > *y) - (*x < *y);
}

int main(int argc, char **argv)
{
    for (int i = 0; i < argc; i++)
        printf("argument %d: %s\n", i, argv[i]);
    const char *colour = getenv("COLOUR");
    printf("COLOUR is %s\n", colour ? colour : "not set");

    enum { COUNT = 100000 };
    double *numbers = malloc(COUNT * sizeof(*numbers));
    if (!numbers)
        return 3;
    unsigned long state = 42;
    for (int i = 0; i < COUNT; i++) {
        state = state * 6364136223846793005ul + 1442695040888963407ul;
        numbers[i] = (double)(state >> 11) / 9007199254740992.0;
    }
    qsort(numbers, COUNT, sizeof(*numbers), compare_numbers);
    double sum = 0;
    for (int i = 0; i < COUNT; i++)
        sum += sqrt(numbers[i]);
    printf("median %.12f, sum of roots %.9f\n", numbers[COUNT / 2], sum);

    struct timespec before, after;
    clock_gettime(CLOCK_MONOTONIC, &before);
    usleep(2000);
    clock_gettime(CLOCK_MONOTONIC, &after);
    long slept_us =
        (after.tv_sec - before.tv_sec) * 1000000 + (after.tv_nsec - before.tv_nsec) / 1000;
    printf("slept at least 2 ms: %s\n", slept_us >= 2000 ? "yes" : "no");
    fprintf(stderr, "this line goes to standard error\n");
    free(numbers);
    return 7;
}
