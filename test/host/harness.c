/* The hosted tests' harness: see test/host/harness.h. */
#include "test/host/harness.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static u64 test_count;
static u64 test_failures;
static struct list counting_heaps = {&counting_heaps, &counting_heaps};

/* --- TAP -------------------------------------------------------------------------------------- */

static bool test_result(bool passed, const char *file, int line, const char *format, va_list list)
{
    printf("%s %llu - ", passed ? "ok" : "not ok", (unsigned long long)++test_count);
    vprintf(format, list);
    putchar('\n');
    if (!passed) {
        test_failures++;
        printf("#   failed at %s:%d\n", file, line);
    }
    fflush(stdout);
    return passed;
}

bool test_ok(bool passed, const char *file, int line, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    test_result(passed, file, line, format, list);
    va_end(list);
    return passed;
}

bool test_is(u64 got, u64 expected, const char *file, int line, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    bool passed = test_result(got == expected, file, line, format, list);
    va_end(list);
    if (!passed)
        note("  got %llu (0x%llx), expected %llu (0x%llx)", (unsigned long long)got,
             (unsigned long long)got, (unsigned long long)expected, (unsigned long long)expected);
    return passed;
}

bool test_is_string(const char *got, const char *expected, const char *file, int line,
                    const char *format, ...)
{
    va_list list;
    va_start(list, format);
    bool passed = test_result(got && strcmp(got, expected) == 0, file, line, format, list);
    va_end(list);
    if (!passed)
        note("  got \"%s\", expected \"%s\"", got ? got : "(NULL)", expected);
    return passed;
}

void test_must_failed(const char *file, int line, const char *condition)
{
    test_ok(false, file, line, "must hold: %s", condition);
    done_testing();
    /* abort and not exit: the sanitizers then show where it was. */
    abort();
}

void note(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    printf("# ");
    vprintf(format, list);
    putchar('\n');
    fflush(stdout);
    va_end(list);
}

void skip_all(const char *why)
{
    printf("1..0 # SKIP %s\n", why);
    exit(0);
}

/* The harness may be built without the checks, for programs that are measured. */
#ifdef CLOSURE_CHECKS

closure_function(closure_site_handler, site_note, (), const struct closure_site *site)
{
    if (site->on_heap)
        note("  %u of %s, made at %s:%u", site->count, site->info->name, site->file, site->line);
}

static void completions_check(void)
{
    u64 owed = closure_owed();
    if (owed == 0)
        return;
    ok(false, "%llu completions were made but never applied", (unsigned long long)owed);
    closure_census(stack_closure(site_note));
}

#else

static void completions_check(void)
{
}

#define closure_memory_freed(p) ((void)0)

#endif

int done_testing(void)
{
    completions_check();
    list_for_each_safe (&counting_heaps, element)
        counting_heap_close(container_of(element, struct counting_heap, link));
    printf("1..%llu\n", (unsigned long long)test_count);
    fflush(stdout);
    return test_failures ? 1 : 0;
}

u64 test_seed(void)
{
    const char *given = getenv("TEST_SEED");
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    u64 seed = given ? strtoull(given, NULL, 0)
                     : (u64)now.tv_sec * NS_PER_SECOND + (u64)now.tv_nsec + (u64)getpid();
    note("seed %llu (TEST_SEED=%llu repeats this run)", (unsigned long long)seed,
         (unsigned long long)seed);
    return seed;
}

void panic_at(const char *file, int line, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    fflush(stdout);
    fprintf(stderr, "# panic at %s:%d: ", file, line);
    vfprintf(stderr, format, list);
    fputc('\n', stderr);
    va_end(list);
    abort();
}

bool panics(thunk body)
{
    fflush(stdout);
    fflush(stderr);
    pid_t child = fork();
    if (child < 0)
        panic("fork failed");
    if (child == 0) {
        /* The child's messages are what is expected: they would only look like failures. */
        if (!freopen("/dev/null", "w", stderr) || !freopen("/dev/null", "w", stdout))
            _exit(2);
        apply(body);
        _exit(0);
    }
    int child_status;
    if (waitpid(child, &child_status, 0) != child)
        panic("waitpid failed");
    return !(WIFEXITED(child_status) && WEXITSTATUS(child_status) == 0);
}

/* --- heaps ------------------------------------------------------------------------------------ */

/* What runtime/heap.h promises of a block of that size. */
static u64 block_alignment(u64 bytes)
{
    u64 divides = bytes & -bytes;
    return min(max(divides, 16ull), 4096ull);
}

static void *host_allocate(__attribute__((unused)) heap h, u64 bytes)
{
    void *p;
    return posix_memalign(&p, block_alignment(bytes), bytes) == 0 ? p : NULL;
}

static void host_deallocate(__attribute__((unused)) heap h, void *p,
                            __attribute__((unused)) u64 bytes)
{
    free(p);
}

static struct heap host_heap_struct = {host_allocate, host_deallocate, "host"};
heap host_heap = &host_heap_struct;

struct counted_block {
    struct list link;
    void *p;
    u64 bytes;
};

static struct list *counting_bucket(struct counting_heap *c, const void *p)
{
    return &c->blocks[((u64)p >> 4) * 0x9e3779b97f4a7c15ull >> 54];
}

static void *counting_allocate(heap h, u64 bytes)
{
    struct counting_heap *c = container_of(h, struct counting_heap, h);
    c->calls++;
    if (c->calls == c->fail_at || (c->bytes_most && c->live_bytes + bytes > c->bytes_most)) {
        c->failed++;
        return NULL;
    }
    struct counted_block *block = malloc(sizeof(*block));
    void *p = allocate(host_heap, bytes);
    if (!block || !p)
        panic("the host is out of memory");
    memset(p, 0xa5, bytes);
    *block = (struct counted_block){.p = p, .bytes = bytes};
    list_push_back(counting_bucket(c, p), &block->link);
    c->live++;
    c->live_bytes += bytes;
    return p;
}

static void counting_deallocate(heap h, void *p, u64 bytes)
{
    struct counting_heap *c = container_of(h, struct counting_heap, h);
    list_for_each (counting_bucket(c, p), element) {
        struct counted_block *block = container_of(element, struct counted_block, link);
        if (block->p != p)
            continue;
        if (block->bytes != bytes)
            panic("heap %s: %p was allocated with %llu bytes and is given back with %llu", h->name,
                  p, (unsigned long long)block->bytes, (unsigned long long)bytes);
        c->live--;
        c->live_bytes -= bytes;
        list_remove(&block->link);
        free(block);
        closure_memory_freed(p);
        deallocate(host_heap, p, bytes);
        return;
    }
    panic("heap %s: %p is given back but was not allocated here", h->name, p);
}

void counting_heap_init(struct counting_heap *c, const char *name)
{
    *c = (struct counting_heap){.h = {counting_allocate, counting_deallocate, name}};
    for (u32 i = 0; i < COUNTING_BUCKETS; i++)
        list_init(&c->blocks[i]);
    list_push_back(&counting_heaps, &c->link);
}

static void counting_forget(struct counting_heap *c)
{
    for (u32 i = 0; i < COUNTING_BUCKETS; i++) {
        list_for_each_safe (&c->blocks[i], element)
            free(container_of(element, struct counted_block, link));
        list_init(&c->blocks[i]);
    }
    list_remove(&c->link);
}

void counting_heap_close(struct counting_heap *c)
{
    if (c->live)
        ok(false, "heap %s: %llu blocks, %llu bytes were not given back", c->h.name,
           (unsigned long long)c->live, (unsigned long long)c->live_bytes);
    counting_forget(c);
}

/* True when there is nothing more to try. */
static bool fail_one_allocation(const char *what, allocation_test body, u64 n, bool *good)
{
    static struct counting_heap c;
    counting_heap_init(&c, what);
    c.fail_at = n;
    bool succeeded = apply(body, &c.h);
    bool last = c.failed == 0;
    *good = c.live == 0 && (succeeded || !last);
    if (!*good)
        note("%s: with allocation %llu failing: %llu blocks leaked, %s", what,
             (unsigned long long)n, (unsigned long long)c.live,
             succeeded ? "succeeded" : "failed without being refused memory");
    counting_forget(&c);
    return last;
}

u64 fail_each_allocation(const char *what, allocation_test body)
{
    const u64 runs_most = 100000;
    bool good = true, last = false;
    u64 n = 0;
    while (good && !last && n < runs_most)
        last = fail_one_allocation(what, body, ++n, &good);
    ok(good && last, "%s: every allocation failed in turn (%llu runs)", what,
       (unsigned long long)n);
    return n;
}

/* --- the run queue ---------------------------------------------------------------------------- */

static struct closure_header *queue_first, **queue_end = &queue_first;
static u64 queue_length;
static u64 shuffle_state;

static void queue_add(struct closure_header *header)
{
    header->next = NULL;
    *queue_end = header;
    queue_end = &header->next;
    queue_length++;
}

void host_run_later(thunk t)
{
    queue_add(thunk_deferred(t));
}

void host_run_later_status(status_handler done, status s)
{
    queue_add(status_deferred(done, s));
}

void host_run_later_deferred(struct closure_header *deferred)
{
    queue_add(deferred);
}

void host_run_shuffle(u64 seed)
{
    shuffle_state = seed;
}

/* Knuth's 64-bit linear congruential generator; its high bits are good enough to mix a queue. */
static u64 shuffle_next(u64 bound_value)
{
    shuffle_state = shuffle_state * 6364136223846793005ull + 1442695040888963407ull;
    return (shuffle_state >> 33) % bound_value;
}

static struct closure_header *queue_take(void)
{
    struct closure_header **at = &queue_first;
    for (u64 skip = shuffle_state ? shuffle_next(queue_length) : 0; skip; skip--)
        at = &(*at)->next;
    struct closure_header *taken = *at;
    *at = taken->next;
    if (!*at)
        queue_end = at;
    queue_length--;
    return taken;
}

u64 host_run(void)
{
    u64 applied = 0;
    for (; queue_first; applied++) {
        if (applied == HOST_RUN_MOST)
            panic("host_run: still not empty after %llu closures", HOST_RUN_MOST);
        closure_run_deferred(queue_take());
    }
    return applied;
}

closure_method(status_handler, host_result_done, struct host_result, done, status s)
{
    struct host_result *r = owner();
    r->applied++;
    r->s = s;
}

status_handler host_result_init(struct host_result *r)
{
    r->applied = 0;
    r->s = STATUS_OK;
    init_method(&r->done, host_result_done);
    return &r->done;
}
