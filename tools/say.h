/* What the command says, and how it ends: one line each on stderr, prefixed "thunk: ".  Also the
   few helpers for text and memory that every file of tools/ uses; a command that is out of memory
   says so and ends, so callers need not check.  Single-threaded. */
#pragma once

#include "runtime/heap.h"
#include "runtime/status.h"

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_NOT_RUNNABLE = 126, EXIT_MISSING = 127 };

/* Says one line and ends with that exit status; what atexit() was given is done first. */
void die(int exit_status, const char *format, ...) __attribute__((noreturn, format(printf, 2, 3)));
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Only with -v. */
void say_more(const char *format, ...) __attribute__((format(printf, 1, 2)));
extern bool say_verbose;

/* Work that takes more than a second shows what it is at, when stderr is a terminal. */
void progress(const char *format, ...) __attribute__((format(printf, 1, 2)));
void progress_end(void);

/* The result is the caller's to free. */
char *text_of(const char *format, ...) __attribute__((format(printf, 1, 2)));
char *text_copy(const char *s);
void *must_allocate(size_t bytes); /* cleared */
void *must_grow(void *p, size_t bytes);

bool text_begins(const char *s, const char *with);

/* A list of texts that grows; `items` ends with NULL. */
struct text_list {
    char **items;
    u32 count;
    u32 room;
};
void text_list_add(struct text_list *l, const char *s); /* copies */

/* The C library's memory as a heap, for runtime/ and fs/. */
extern struct heap malloc_heap;
/* 4 KiB pages, aligned. */
extern struct heap malloc_pages;

u64 now_ns(void); /* monotonic */
