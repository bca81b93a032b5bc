/* Bytes: the four functions that the compiler itself calls, and the two of strings that we use.
   In the kernel they come from kernel/x86/, hosted from the C library. */
#pragma once

#include "runtime/types.h"

void *memcpy(void *restrict to, const void *restrict from, size_t bytes);
void *memmove(void *to, const void *from, size_t bytes);
void *memset(void *to, int byte, size_t bytes);
int memcmp(const void *a, const void *b, size_t bytes);
size_t strlen(const char *s);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t most);
