/* Futexes: wait, wake, requeue, and what a thread's end does with its words (clear_tid, the robust
   list).

   A waiter is on its bucket's list, in the order of arrival, and its state is in its thread's
   operation.  Words are private to a process or in its own shared memory, which nobody else maps:
   so a word is named by process and address.  Look-up and comparison happen under the surface lock,
   as waking does: they are one step for every other thread. */
#include "unix/futex.h"

#include "kernel/run_loop.h"
#include "kernel/user_copy.h"
#include "unix/signal_delivery.h"
#include "unix/syscall.h"
#include "unix/time_spec.h"
#include "unix/wait.h"

enum futex_operation {
    FUTEX_WAIT = 0,
    FUTEX_WAKE = 1,
    FUTEX_REQUEUE = 3,
    FUTEX_CMP_REQUEUE = 4,
    FUTEX_WAKE_OP = 5,
    FUTEX_WAIT_BITSET = 9,
    FUTEX_WAKE_BITSET = 10,
    FUTEX_PRIVATE = 128,
    FUTEX_CLOCK_REALTIME = 256,
};

#define BUCKETS    64
#define SWAPS_MOST 128 /* tries to change a word that other CPUs keep changing */

struct futex_wait {
    struct list link; /* the bucket's */
    struct thread *thread;
    u64 word;
    u32 bits;
    status_handler landed;
    struct cancel_handler cancel;
    struct status_handler done;
};

static struct list buckets[BUCKETS]; /* ready when next is not NULL */

static struct list *bucket_of(u64 word)
{
    struct list *b = &buckets[(word >> 2) * 0x9e3779b97f4a7c15ull >> 58];
    if (!b->next)
        list_init(b);
    return b;
}

/* --- waiting ---------------------------------------------------------------------------------- */

static void waiter_end(struct futex_wait *w, status s)
{
    list_remove(&w->link);
    apply(w->landed, s);
}

closure_method(cancel_handler, futex_cancel, struct futex_wait, cancel, status why)
{
    struct futex_wait *w = owner();
    if (!list_empty(&w->link)) /* else it was woken, and its end is under way */
        waiter_end(w, why);
}

closure_method(status_handler, futex_done, struct futex_wait, done, status s)
{
    syscall_return(owner()->thread, syscall_status(s));
}

/* The absolute monotonic time of a timeout; 0: none. */
static s64 timeout_of(u64 address, s32 operation, u64 *expires_ns)
{
    struct time_spec spec;
    u64 ns, now;
    *expires_ns = 0;
    if (!address)
        return 0;
    now = clock_monotonic_ns();
    if (copy_in(&spec, address, sizeof(spec)))
        return -EFAULT;
    if (!time_spec_ns(&spec, &ns))
        return -EINVAL;
    if ((operation & 127) == FUTEX_WAIT) {
        *expires_ns = now + ns;
    } else {
        u64 clock_now = operation & FUTEX_CLOCK_REALTIME ? clock_realtime_ns() : now;
        *expires_ns = now + (ns > clock_now ? ns - clock_now : 0);
    }
    return 0;
}

static __attribute__((noinline)) s64 word_read_absent(struct thread *t, u64 word, u32 *found)
{
    s64 result = user_prepare(t, word, sizeof(*found), USER_READ);
    if (result)
        return result;
    return word_load(word, found) ? -EFAULT : 0;
}

/* The word is there nearly always: its page is made ready only when it is not. */
static inline s64 word_read(struct thread *t, u64 word, u32 *found)
{
    return likely(word_load(word, found) == 0) ? 0 : word_read_absent(t, word, found);
}

static __attribute__((noinline)) s64 futex_wait(struct thread *t, u64 word, u32 value, u32 bits,
                                                u64 expires_ns)
{
    u32 found;
    s64 result = word_read(t, word, &found);
    if (result)
        return result;
    if (found != value)
        return -EAGAIN;
    if (signal_is_pending(t))
        return -EINTR;
    if (expires_ns && expires_ns <= clock_monotonic_ns())
        return -ETIMEDOUT;
    struct futex_wait *w = thread_operation(t, struct futex_wait);
    w->thread = t;
    w->word = word;
    w->bits = bits;
    init_method(&w->cancel, futex_cancel);
    init_method(&w->done, futex_done);
    w->landed = thread_wait(t, &w->cancel, expires_ns, &w->done);
    if (!w->landed)
        return -EINTR;
    list_push_back(bucket_of(word), &w->link);
    thread_wait_started(t);
    return SYSCALL_LATER;
}

/* --- waking ----------------------------------------------------------------------------------- */

static bool waits_for(const struct futex_wait *w, const struct process *p, u64 word, u32 bits)
{
    return w->word == word && w->thread->process == p && (w->bits & bits);
}

static __attribute__((noinline)) u32 bucket_wake(const struct list *bucket, const struct process *p,
                                                 u64 word, u32 most, u32 bits)
{
    u32 woken = 0;
    for (struct list *l = bucket->next, *next; l != bucket && woken < most; l = next) {
        struct futex_wait *w = container_of(l, struct futex_wait, link);
        next = l->next;
        if (!waits_for(w, p, word, bits))
            continue;
        waiter_end(w, STATUS_OK);
        woken++;
    }
    return woken;
}

/* Nearly always nobody waits, or one thread. */
static inline u32 futex_wake(const struct process *p, u64 word, u32 most, u32 bits)
{
    const struct list *bucket = bucket_of(word);
    return list_empty(bucket) ? 0 : bucket_wake(bucket, p, word, most, bits);
}

static u32 futex_requeue(struct process *p, u64 word, u64 to, u32 most)
{
    u32 moved = 0;
    list_for_each_safe (bucket_of(word), l) {
        struct futex_wait *w = container_of(l, struct futex_wait, link);
        if (moved == most)
            break;
        if (!waits_for(w, p, word, ~0u))
            continue;
        list_remove(&w->link);
        w->word = to;
        list_push_back(bucket_of(to), &w->link);
        moved++;
    }
    return moved;
}

/* What the operation makes of the word; false: there is no such operation. */
static bool operation_change(u32 code, struct word_change *change)
{
    u32 argument = (u32)((s32)(code << 8) >> 20);
    if (code >> 31)
        argument = 1u << (argument & 31);
    switch (code >> 28 & 7) {
    case 0:
        *change = (struct word_change){.add = argument};
        break;
    case 1:
        *change = (struct word_change){.keep = ~0u, .add = argument};
        break;
    case 2:
        *change = (struct word_change){.keep = ~argument, .flip = argument};
        break;
    case 3:
        *change = (struct word_change){.keep = ~argument};
        break;
    case 4:
        *change = (struct word_change){.keep = ~0u, .flip = argument};
        break;
    default:
        return false;
    }
    return true;
}

/* FUTEX_WAKE_OP's little program (futex(2)): bits 28-30 the operation, 31: argument is a shift,
   24-27 the comparison, 12-23 and 0-11 two signed arguments. */
static s64 wake_operation(struct thread *t, u64 word, u32 code, bool *wakes)
{
    u32 old;
    s32 compared = (s32)(code << 20) >> 20;
    struct word_change change;
    if (!operation_change(code, &change))
        return -ENOSYS;
    s64 failed = word_change(word, change, &old);
    if (failed > 0) { /* others have their turn, and then it is tried again */
        syscall_restart(t);
        return SYSCALL_LATER;
    }
    if (failed)
        return -EFAULT;
    s32 was = (s32)old;
    switch (code >> 24 & 15) {
    case 0:
        *wakes = was == compared;
        break;
    case 1:
        *wakes = was != compared;
        break;
    case 2:
        *wakes = was < compared;
        break;
    case 3:
        *wakes = was <= compared;
        break;
    case 4:
        *wakes = was > compared;
        break;
    case 5:
        *wakes = was >= compared;
        break;
    default:
        return -ENOSYS;
    }
    return 0;
}

static s64 futex_wake_op(struct thread *t, u64 word, u32 most, u64 word2, u32 most2, u32 code)
{
    bool second = false;
    s64 result = user_prepare(t, word2, sizeof(u32), USER_WRITE);
    if (result == 0)
        result = wake_operation(t, word2, code, &second);
    if (result)
        return result;
    u32 woken = futex_wake(t->process, word, most, ~0u);
    if (second)
        woken += futex_wake(t->process, word2, most2, ~0u);
    return woken;
}

static s64 futex_compare_requeue(struct thread *t, u64 word, u32 wake, u64 word2, u32 most)
{
    s64 woken = futex_wake(t->process, word, wake, ~0u);
    return woken + futex_requeue(t->process, word, word2, most);
}

/* What is not called all the time. */
static __attribute__((noinline)) s64 futex_other(struct thread *t, u64 word, s32 operation,
                                                 u32 value, u64 timeout, u64 word2, u32 value3)
{
    u32 command = (u32)operation & 127, found;
    u64 expires_ns;
    s64 result;
    switch (command) {
    case FUTEX_WAIT:
    case FUTEX_WAIT_BITSET:
        if (command == FUTEX_WAIT)
            value3 = ~0u;
        result = value3 ? timeout_of(timeout, operation, &expires_ns) : -EINVAL;
        return result ? result : futex_wait(t, word, value, value3, expires_ns);
    case FUTEX_WAKE_BITSET:
        return value3 ? (s64)futex_wake(t->process, word, value, value3) : -EINVAL;
    case FUTEX_WAKE_OP:
        return futex_wake_op(t, word, value, word2, (u32)timeout, value3);
    case FUTEX_CMP_REQUEUE:
        result = word_read(t, word, &found);
        if (result)
            return result;
        if (found != value3)
            return -EAGAIN;
        return futex_compare_requeue(t, word, value, word2, (u32)timeout);
    case FUTEX_REQUEUE:
        return futex_compare_requeue(t, word, value, word2, (u32)timeout);
    default:
        return -ENOSYS; /* priority inheritance among them: the C library reports it */
    }
}

s64 sys_futex(struct thread *t, u64 word, s32 operation, u32 value, u64 timeout, u64 word2,
              u32 value3)
{
    u32 command = (u32)operation & 127;
    if (word & 3)
        return -EINVAL;
    if (word >= USER_END)
        return -EFAULT;
    if (command == FUTEX_WAKE)
        return futex_wake(t->process, word, value, ~0u);
    if (command == FUTEX_WAIT && !timeout)
        return futex_wait(t, word, value, ~0u, 0);
    return futex_other(t, word, operation, value, timeout, word2, value3);
}

/* --- the end of a thread ------------------------------------------------------------------------
 */

#define ROBUST_MOST      2048 /* entries walked, as on Linux */
#define WORD_TID         0x3fffffffu
#define WORD_OWNER_DIED  0x40000000u
#define WORD_HAS_WAITERS 0x80000000u

static void owner_died(struct thread *t, u64 word)
{
    u32 value;
    s64 failed = 1;
    if ((word & 3) || word_load(word, &value))
        return;
    for (u32 i = 0; i < SWAPS_MOST && failed == 1 && (value & WORD_TID) == t->tid; i++)
        failed = word_swap(word, &value, (value & WORD_HAS_WAITERS) | WORD_OWNER_DIED);
    if (!failed)
        futex_wake(t->process, word, 1, ~0u);
}

/* struct robust_list_head: the first entry, the distance from an entry to its word, and the one
   that was being taken or given up. */
static void robust_list_end(struct thread *t)
{
    u64 head[3], entry;
    if (!t->robust_list || copy_in(head, t->robust_list, sizeof(head)))
        return;
    entry = head[0] & ~1ull; /* bit 0 marks priority inheritance */
    for (u32 i = 0; i < ROBUST_MOST && entry != t->robust_list; i++) {
        u64 next;
        bool more = copy_in(&next, entry, sizeof(next)) == 0;
        if (entry != (head[2] & ~1ull))
            owner_died(t, entry + head[1]);
        if (!more)
            return;
        entry = next & ~1ull;
    }
    if (head[2])
        owner_died(t, (head[2] & ~1ull) + head[1]);
}

void futex_thread_ended(struct thread *t)
{
    u32 zero = 0;
    robust_list_end(t);
    if (t->clear_tid && copy_out(t->clear_tid, &zero, sizeof(zero)) == 0)
        futex_wake(t->process, t->clear_tid, 1, ~0u);
}
