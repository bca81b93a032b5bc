/* What a census says of the run loops: what is queued for each CPU.  See kernel/run_queues.h; the
   queues may be changing while they are read, so lengths are what was seen, and bounded. */
#include "kernel/census.h"

#include "kernel/run_queues.h"
#include "runtime/format.h"

#define LENGTH_MOST 1000 /* counted of one queue */
#define NAMES_MOST  6    /* shown of one */
#define TEXT_BYTES  240

struct queue_seen {
    char text[TEXT_BYTES];
    u64 used;
    u32 length;
};

static void chain_see(struct queue_seen *s, const struct closure_header *h)
{
    for (; h && s->length < LENGTH_MOST; h = h->next, s->length++) {
        if (s->length >= NAMES_MOST || s->used >= TEXT_BYTES - 1)
            continue;
        s->used += format_text(s->text + s->used, TEXT_BYTES - s->used, "%s%s",
                               s->length ? ", " : ": ", h->info->name);
    }
}

static void queue_write(u32 number, const char *name, const struct closure_queue *q)
{
    struct queue_seen s = {.used = 0};
    chain_see(&s, __atomic_load_n(&q->ready, __ATOMIC_ACQUIRE));
    chain_see(&s, __atomic_load_n(&q->added, __ATOMIC_ACQUIRE));
    if (s.length)
        census_line("  CPU %u: %u %s%s%s", number, s.length, name, s.text,
                    s.length > NAMES_MOST ? ", ..." : "");
}

static u64 places_taken(const struct thunk_queue *q)
{
    return __atomic_load_n(&q->add_position, __ATOMIC_RELAXED) -
           __atomic_load_n(&q->take_position, __ATOMIC_RELAXED) +
           __atomic_load_n(&q->spill_count, __ATOMIC_RELAXED);
}

static void cpu_queues_write(u32 number)
{
    const struct cpu_queues *q = queues_of(number);
    queue_write(number, "thunks", &q->own);
    queue_write(number, "bottom halves", &q->bottom_halves);
    u64 threads = places_taken(&q->threads);
    if (threads)
        census_line("  CPU %u: %llu threads are ready", number, (unsigned long long)threads);
}

void run_queues_census(void)
{
    u64 serving = __atomic_load_n(&cpus_serving, __ATOMIC_RELAXED);
    for (u32 i = 0; i < CPUS_MOST; i++)
        if (serving >> i & 1)
            cpu_queues_write(i);
    u64 shared = cpus_shared ? places_taken(&queue_shared) : 0;
    if (shared)
        census_line("  %llu thunks for any CPU", (unsigned long long)shared);
}

bool run_loop_serves_user(u32 number)
{
    u64 serving = __atomic_load_n(&cpus_serving, __ATOMIC_RELAXED);
    return serving >> number & 1 &&
           __atomic_load_n(&queues_of(number)->mode, __ATOMIC_RELAXED) == CPU_IN_USER;
}
