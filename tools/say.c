/* Messages, endings, text and memory: see say.h.  Also what runtime/ asks of its surroundings
   when it is hosted in this command: panic_at. */
#include "tools/say.h"
#include "runtime/assert.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

bool say_verbose;
static bool progress_shown;

static void say_list(const char *format, va_list arguments)
{
    progress_end();
    fputs("thunk: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
}

void die(int exit_status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say_list(format, arguments);
    va_end(arguments);
    exit(exit_status);
}

void say(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say_list(format, arguments);
    va_end(arguments);
}

void say_more(const char *format, ...)
{
    if (!say_verbose)
        return;
    va_list arguments;
    va_start(arguments, format);
    say_list(format, arguments);
    va_end(arguments);
}

u64 now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (u64)t.tv_sec * NS_PER_SECOND + (u64)t.tv_nsec;
}

void progress(const char *format, ...)
{
    static u64 began_ns, shown_ns;
    u64 now = now_ns();
    if (!began_ns)
        began_ns = now;
    if (now - began_ns < NS_PER_SECOND || now - shown_ns < 100 * NS_PER_MS || !isatty(2))
        return;
    shown_ns = now;
    va_list arguments;
    va_start(arguments, format);
    fputs("\r\033[Kthunk: ", stderr);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fflush(stderr);
    progress_shown = true;
}

void progress_end(void)
{
    if (progress_shown)
        fputs("\r\033[K", stderr);
    progress_shown = false;
}

char *text_of(const char *format, ...)
{
    char *s;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&s, format, arguments);
    va_end(arguments);
    if (length < 0)
        die(EXIT_FAILED, "out of memory");
    return s;
}

char *text_copy(const char *s)
{
    return text_of("%s", s);
}

void *must_allocate(size_t bytes)
{
    void *p = calloc(1, bytes ? bytes : 1);
    if (!p)
        die(EXIT_FAILED, "out of memory");
    return p;
}

void *must_grow(void *p, size_t bytes)
{
    void *grown = realloc(p, bytes);
    if (!grown)
        die(EXIT_FAILED, "out of memory");
    return grown;
}

bool text_begins(const char *s, const char *with)
{
    return strncmp(s, with, strlen(with)) == 0;
}

void text_list_add(struct text_list *l, const char *s)
{
    if (l->count + 2 > l->room) {
        l->room = l->room ? l->room * 2 : 8;
        l->items = must_grow(l->items, l->room * sizeof(*l->items));
    }
    l->items[l->count++] = text_copy(s);
    l->items[l->count] = NULL;
}

static void *malloc_allocate(struct heap *h, u64 bytes)
{
    (void)h;
    return malloc(bytes);
}

static void *malloc_allocate_page(struct heap *h, u64 bytes)
{
    (void)h;
    return aligned_alloc(4 * KiB, align_up(bytes, 4 * KiB));
}

static void malloc_deallocate(struct heap *h, void *p, u64 bytes)
{
    (void)h, (void)bytes;
    free(p);
}

struct heap malloc_heap = {malloc_allocate, malloc_deallocate, "malloc"};
struct heap malloc_pages = {malloc_allocate_page, malloc_deallocate, "pages"};

void panic_at(const char *file, int line, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "thunk: a mistake of ours at %s:%d: ", file, line);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    abort();
}
