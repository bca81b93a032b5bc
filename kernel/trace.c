/* Recording and sending the trace.  See kernel/trace.h. */
#include "kernel/trace.h"

#include "kernel/clock.h"
#include "kernel/cpus.h"
#include "kernel/log.h"
#include "kernel/machine.h"
#include "kernel/memory.h"
#include "kernel/run_loop.h"
#include "kernel/x86/cpu.h"
#include "kernel/x86/msr.h"
#include "runtime/memory.h"
#include "runtime/trace_stream.h"

#define RING_KIB_DEFAULT 1024ull
#define RING_SHARE       16
#define RING_KIB_LEAST   64ull
#define RING_KIB_MOST    (1024 * 1024ull)
#define TRACE_BATCH      512                 /* records after which they are sent */
#define TRACE_PERIOD_NS  (200 * NS_PER_MS)   /* after which they are sent in any case */
#define TRACE_RETRY_NS   NS_PER_MS           /* when there was no room */
#define TRACE_PATIENCE   (5 * NS_PER_SECOND) /* until somebody takes the trace */
#define FINISH_NS        NS_PER_SECOND
#define NAMES_SEEN       1024 /* a power of two; beyond it, names are sent more than once */
#define NAME_BYTES       256
#define NAME_PROBES      8

struct trace_ring {
    struct trace_record *records; /* [I] NULL: none */
    u64 size;                     /* [I] of the ring, a power of two */
    u64 head;                     /* [a] records written; this CPU's */
    u64 tail;                     /* [a] records sent; the sender's */
    u64 lost;                     /* [a] records dropped; this CPU's */
    u64 lost_told;                /* of them, those that a LOST record tells; this CPU's */
    u64 asked;                    /* `head` when the sender was asked for last; this CPU's */
};

static struct tracing {
    struct trace_ring rings[CPUS_MOST];
    trace_output output; /* NULL: none yet */
    struct thunk send;   /* queued at most once: `send_queued` */
    bool send_queued;    /* [a] */
    bool sending;        /* [a] a CPU reads the rings */
    bool clock_sent;
    struct timer period;
    struct thunk period_ended;
    u64 started_ns;
    u64 seen[NAMES_SEEN]; /* addresses whose names were sent */
} tracing;

/* What the values of each event are. */
static const char *const values[TRACE_EVENTS] = {
#define TRACE_EVENT(name, letters) letters,
#include "runtime/trace_events.def"
#undef TRACE_EVENT
};

/* --- recording -------------------------------------------------------------------------------- */

static void ring_put(struct trace_ring *r, enum trace_event event, u64 a, u64 b, u64 c)
{
    r->records[r->head & (r->size - 1)] = (struct trace_record){
        .stamp = rdtsc() << TRACE_STAMP_SHIFT | event,
        .values = {a, b, c},
    };
    __atomic_store_n(&r->head, r->head + 1, __ATOMIC_RELEASE);
}

static u64 ring_room(const struct trace_ring *r)
{
    return r->size - (r->head - __atomic_load_n(&r->tail, __ATOMIC_ACQUIRE));
}

/* A record of what was lost goes before the next one that is not. */
static void ring_write(struct trace_ring *r, enum trace_event event, u64 a, u64 b, u64 c)
{
    u64 lost = r->lost - r->lost_told;
    if (!r->records || ring_room(r) < (lost ? 2 : 1)) {
        __atomic_store_n(&r->lost, r->lost + 1, __ATOMIC_RELAXED);
        return;
    }
    if (lost) {
        ring_put(r, TRACE_LOST, lost, 0, 0);
        r->lost_told = r->lost;
    }
    ring_put(r, event, a, b, c);
}

static void trace_recorded(enum trace_event event, u64 a, u64 b, u64 c)
{
    struct trace_ring *r = &tracing.rings[this_cpu()->id];
    ring_write(r, event, a, b, c);
    /* A CPU that is about to halt has looked for work already. */
    if (event == TRACE_IDLE_BEGIN || r->head - r->asked < TRACE_BATCH)
        return;
    r->asked = r->head;
    if (!__atomic_exchange_n(&tracing.send_queued, true, __ATOMIC_ACQ_REL))
        run_bottom_half(&tracing.send);
}

/* --- names ------------------------------------------------------------------------------------ */

/* True when it was there already, or has its place now. */
static bool name_seen(u64 address)
{
    u64 at = address * 0x9e3779b97f4a7c15ull >> 32;
    for (u32 i = 0; i < NAME_PROBES; i++) {
        u64 *place = &tracing.seen[(at + i) & (NAMES_SEEN - 1)];
        if (*place == address)
            return true;
        if (!*place) {
            *place = address;
            return false;
        }
    }
    return false;
}

static void name_forget(u64 address)
{
    for (u32 i = 0; i < NAMES_SEEN; i++)
        if (tracing.seen[i] == address)
            tracing.seen[i] = 0;
}

struct name_chunk {
    struct trace_chunk chunk;
    struct trace_name name;
    char text[NAME_BYTES];
};

/* A text that is too long is cut, at its end. */
static void name_add(struct name_chunk *n, const char *text)
{
    u64 used = n->chunk.bytes - sizeof(n->name);
    u64 length = min((u64)strlen(text), NAME_BYTES / 2 - 1ull);
    memcpy(n->text + used, text, length);
    n->text[used + length] = 0;
    n->chunk.bytes += (u32)length + 1;
}

static bool name_send(char letter, u64 address)
{
    const struct closure_info *info = (const struct closure_info *)address;
    struct name_chunk n = {
        .chunk = {.magic = TRACE_CHUNK_MAGIC,
                  .kind = letter == 'c' ? TRACE_CHUNK_CLOSURE : TRACE_CHUNK_TEXT,
                  .bytes = sizeof(n.name)},
        .name = {.address = address, .line = letter == 'c' ? info->line : 0},
    };
    if (!address || name_seen(address))
        return true;
    name_add(&n, letter == 'c' ? info->name : (const char *)address);
    if (letter == 'c')
        name_add(&n, info->file);
    bool sent = apply(tracing.output, &n.chunk, sizeof(n.chunk), &n.name, n.chunk.bytes);
    if (!sent)
        name_forget(address);
    return sent;
}

static bool names_send(const struct trace_record *record)
{
    u8 event = (u8)record->stamp;
    const char *letters = event < TRACE_EVENTS ? values[event] : "";
    for (u32 i = 0; letters[i]; i++)
        if ((letters[i] == 'c' || letters[i] == 't') && !name_send(letters[i], record->values[i]))
            return false;
    return true;
}

/* --- sending ---------------------------------------------------------------------------------- */

static bool chunk_send(enum trace_chunk_kind kind, u32 cpu, const void *body, u64 bytes)
{
    struct trace_chunk chunk = {
        .magic = TRACE_CHUNK_MAGIC,
        .kind = (u16)kind,
        .cpu = (u16)cpu,
        .bytes = (u32)bytes,
        .lost = __atomic_load_n(&tracing.rings[cpu].lost, __ATOMIC_RELAXED),
    };
    return apply(tracing.output, &chunk, sizeof(chunk), body, bytes);
}

static bool clock_send(void)
{
    struct clock_scale scale = clock_scale();
    struct trace_clock c = {scale.tsc_begin, scale.ns_a_tick};
    if (!tracing.clock_sent)
        tracing.clock_sent = chunk_send(TRACE_CHUNK_CLOCK, 0, &c, sizeof(c));
    return tracing.clock_sent;
}

/* Sends what was there at the beginning; false: there was no room for all of it. */
static bool ring_send(u32 cpu)
{
    struct trace_ring *r = &tracing.rings[cpu];
    u64 head = __atomic_load_n(&r->head, __ATOMIC_ACQUIRE);
    while (r->tail < head) {
        u64 start = r->tail & (r->size - 1);
        u64 together = min(head - r->tail, r->size - start);
        u64 count = min(together, (u64)TRACE_BATCH);
        const struct trace_record *records = &r->records[start];
        for (u64 i = 0; i < count; i++)
            if (!names_send(&records[i]))
                return false;
        if (!chunk_send(TRACE_CHUNK_RECORDS, cpu, records, count * sizeof(*records)))
            return false;
        __atomic_store_n(&r->tail, r->tail + count, __ATOMIC_RELEASE);
    }
    return true;
}

/* The caller has tracing.sending. */
static bool rings_send(void)
{
    bool all = tracing.output && clock_send();
    for (u32 cpu = 0; cpu < CPUS_MOST && all; cpu++)
        if (tracing.rings[cpu].records)
            all = ring_send(cpu);
    return all;
}

static bool sending_begin(void)
{
    return !__atomic_exchange_n(&tracing.sending, true, __ATOMIC_ACQUIRE);
}

static void sending_end(void)
{
    __atomic_store_n(&tracing.sending, false, __ATOMIC_RELEASE);
}

static void trace_give_up(void)
{
    trace_on = false;
    log_warning("the option trace: nobody takes the trace (a virtio-console port thunk.trace); "
                "it is off");
}

static void trace_send_now(void)
{
    u64 now = clock_monotonic_ns();
    if (!sending_begin())
        return;
    bool all = rings_send();
    sending_end();
    if (!tracing.output && now - tracing.started_ns > TRACE_PATIENCE)
        trace_give_up();
    else
        timer_set(&tracing.period,
                  now + (all || !tracing.output ? TRACE_PERIOD_NS : TRACE_RETRY_NS),
                  &tracing.period_ended);
}

closure_method(thunk, trace_send, struct tracing, send)
{
    __atomic_store_n(&owner()->send_queued, false, __ATOMIC_RELEASE);
    if (trace_on)
        trace_send_now();
}

closure_method(thunk, trace_period, struct tracing, period_ended)
{
    (void)owner();
    if (trace_on)
        trace_send_now();
}

/* --- beginning and end ------------------------------------------------------------------------ */

/* By itself, all rings together take a sixteenth of what is free at most. */
static u64 ring_kib(void)
{
    u64 kib = boot_option_number("trace");
    if (!kib)
        kib = min(memory_statistics().free_bytes / KiB / cpus_online() / RING_SHARE,
                  RING_KIB_DEFAULT);
    return max(min(kib, RING_KIB_MOST), RING_KIB_LEAST);
}

/* Out of memory: the CPU's records count as dropped. */
static void ring_make(struct trace_ring *r, u32 number, u64 kib)
{
    r->size = 1ull << (63 - __builtin_clzll(kib * KiB / sizeof(struct trace_record)));
    r->records = allocate(page_heap, r->size * sizeof(struct trace_record));
    if (!r->records)
        log_warning("the option trace: no memory for CPU %u's ring of %llu KiB", number,
                    (unsigned long long)kib);
}

void trace_start(void)
{
    if (!boot_option("trace"))
        return;
    init_method(&tracing.send, trace_send);
    init_method(&tracing.period_ended, trace_period);
    tracing.started_ns = clock_monotonic_ns();
    trace_record_with = trace_recorded;
    u64 kib = ring_kib();
    for (u32 cpu = 0; cpu < cpus_online(); cpu++)
        ring_make(&tracing.rings[cpu], cpu, kib);
    trace_on = true;
    timer_set(&tracing.period, tracing.started_ns + TRACE_PERIOD_NS, &tracing.period_ended);
}

void trace_set_output(trace_output output)
{
    tracing.output = output;
}

static bool finish_try(void)
{
    /* What a CPU without a ring has lost is told, too. */
    for (u32 cpu = 0; cpu < CPUS_MOST; cpu++)
        if (!tracing.rings[cpu].records && tracing.rings[cpu].lost &&
            !chunk_send(TRACE_CHUNK_RECORDS, cpu, NULL, 0))
            return false;
    return rings_send() && chunk_send(TRACE_CHUNK_END, 0, NULL, 0);
}

void trace_finish(void)
{
    if (!trace_on)
        return;
    trace_on = false;
    u64 until = clock_monotonic_ns() + FINISH_NS;
    /* Another CPU that was sending may have been stopped by a panic; it keeps the rings then. */
    while (!sending_begin())
        if (clock_monotonic_ns() > until)
            return;
    if (!tracing.output)
        return;
    while (!finish_try() && clock_monotonic_ns() <= until)
        cpu_pause();
    while (!apply(tracing.output, NULL, 0, NULL, 0) && clock_monotonic_ns() <= until)
        cpu_pause();
}
