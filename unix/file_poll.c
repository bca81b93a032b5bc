/* poll, ppoll, select and pselect6: one operation that scans descriptors and, when nothing is
   ready, waits on all of their queues at once.

   The first wake takes it off every queue again, and then it scans anew; so it is on all queues or
   on none.  Files that are waited for are held. */
#include "unix/file_poll.h"
#include "kernel/run_loop.h"
#include "kernel/user_copy.h"
#include "unix/descriptor.h"
#include "unix/signal_delivery.h"
#include "unix/wait.h"

#define POLL_EMBEDDED 8
#define SELECT_MOST   1024u /* FD_SETSIZE: glibc's sets are never longer */

struct poll_entry { /* struct pollfd */
    s32 fd;
    u16 events;
    u16 ready;
};

struct poll_slot {
    struct waiter waiter;
    struct file *file; /* held */
};

struct poll_operation {
    struct thread *thread;
    u32 count;
    bool select;
    bool timed;
    u64 deadline_ns; /* monotonic */
    u64 user;        /* poll: the array; select: the timeout that is updated, or 0 */
    u64 sets[3];     /* select: read, write, except; 0: none */
    u32 most;        /* select: the number of descriptors */
    bool timeout_is_timespec;
    struct poll_entry *entries;
    struct poll_slot *slots; /* NULL while it does not wait */
    struct poll_entry embedded_entries[POLL_EMBEDDED];
    struct poll_slot embedded_slots[POLL_EMBEDDED];
    struct wake_handler woken;
    status_handler landed;
    struct cancel_handler cancel;
    struct status_handler waited;
};

static s64 poll_wait(struct poll_operation *op);
static s64 poll_finish(struct poll_operation *op, s64 result);

/* --- scanning --------------------------------------------------------------------------------- */

static u16 entry_ready(struct process *p, const struct poll_entry *e)
{
    if (e->fd < 0)
        return 0;
    struct file *f = descriptor_get(p, e->fd);
    if (!f)
        return POLLNVAL;
    return (u16)(file_ready(f) & (e->events | POLLERR | POLLHUP));
}

static s64 poll_scan(struct poll_operation *op)
{
    s64 count = 0;
    for (u32 i = 0; i < op->count; i++) {
        op->entries[i].ready = entry_ready(op->thread->process, &op->entries[i]);
        count += op->entries[i].ready != 0;
    }
    return count;
}

/* --- waiting ---------------------------------------------------------------------------------- */

static void poll_slots_free(struct poll_operation *op)
{
    if (op->slots != op->embedded_slots)
        deallocate(general_heap, op->slots, op->count * sizeof(*op->slots));
    op->slots = NULL;
}

static void poll_unwait(struct poll_operation *op)
{
    for (u32 i = 0; i < op->count; i++) {
        if (!op->slots[i].file)
            continue;
        waiter_remove(&op->slots[i].waiter);
        file_release(op->slots[i].file);
    }
    poll_slots_free(op);
}

static void poll_end(struct poll_operation *op, s64 result)
{
    struct thread *t = op->thread;
    thread_activate(t);
    s64 r = poll_finish(op, result);
    if (r != SYSCALL_LATER)
        syscall_return(t, r);
}

static void poll_again(struct poll_operation *op)
{
    s64 r = poll_scan(op);
    if (!r)
        r = poll_wait(op);
    if (r != SYSCALL_LATER)
        poll_end(op, r);
}

closure_method(status_handler, poll_waited, struct poll_operation, waited, status s)
{
    struct poll_operation *op = owner();
    if (is_ok(s))
        poll_again(op);
    else
        poll_end(op, status_errno(s) == ETIMEDOUT ? poll_scan(op) : -EINTR);
}

/* Deferred, for the waker is in the middle of a call of its own. */
closure_method(wake_handler, poll_woken, struct poll_operation, woken, struct waiter *w)
{
    struct poll_operation *op = owner();
    (void)w;
    poll_unwait(op);
    run_later_status(op->landed, STATUS_OK);
}

closure_method(cancel_handler, poll_cancel, struct poll_operation, cancel, status why)
{
    struct poll_operation *op = owner();
    if (op->slots) {
        poll_unwait(op);
        run_later_status(op->landed, why);
    }
}

static void poll_queue(struct poll_operation *op)
{
    for (u32 i = 0; i < op->count; i++) {
        struct file *f =
            op->entries[i].fd < 0 ? NULL : descriptor_get(op->thread->process, op->entries[i].fd);
        op->slots[i].file = f && f->operations->queue ? f : NULL;
        if (!op->slots[i].file)
            continue;
        file_hold(f);
        op->slots[i].waiter = (struct waiter){.wake = &op->woken, .events = op->entries[i].events};
        wait_queue_add(f->operations->queue(f), &op->slots[i].waiter);
    }
}

static s64 poll_wait(struct poll_operation *op)
{
    struct thread *t = op->thread;
    op->slots = op->count <= POLL_EMBEDDED ? op->embedded_slots
                                           : allocate(general_heap, op->count * sizeof(*op->slots));
    if (!op->slots)
        return -ENOMEM;
    init_method(&op->woken, poll_woken);
    init_method(&op->cancel, poll_cancel);
    init_method(&op->waited, poll_waited);
    op->landed = thread_wait(t, &op->cancel, op->timed ? op->deadline_ns : 0, &op->waited);
    if (!op->landed) {
        poll_slots_free(op);
        return -EINTR;
    }
    poll_queue(op);
    thread_wait_started(t);
    return SYSCALL_LATER;
}

/* --- beginning and ending --------------------------------------------------------------------- */

static s64 poll_allocate(struct poll_operation *op, struct thread *t, u32 count)
{
    op->thread = t;
    op->count = count;
    op->slots = NULL;
    op->entries = count <= POLL_EMBEDDED ? op->embedded_entries
                                         : allocate(general_heap, count * sizeof(*op->entries));
    return op->entries ? 0 : -ENOMEM;
}

static void poll_free(struct poll_operation *op)
{
    if (op->entries != op->embedded_entries)
        deallocate(general_heap, op->entries, op->count * sizeof(*op->entries));
}

/* timeout_ns: negative for none. */
static s64 poll_start(struct poll_operation *op, s64 timeout_ns)
{
    op->timed = timeout_ns >= 0;
    if (op->timed &&
        __builtin_add_overflow(clock_monotonic_ns(), (u64)timeout_ns, &op->deadline_ns))
        op->timed = false;
    s64 ready = poll_scan(op);
    if (ready || timeout_ns == 0)
        return poll_finish(op, ready);
    s64 r = poll_wait(op);
    return r == SYSCALL_LATER ? r : poll_finish(op, r);
}

static s64 poll_finish_select(struct poll_operation *op, s64 result);

/* Tells the program; the operation is over. */
static s64 poll_finish(struct poll_operation *op, s64 result)
{
    if (op->select)
        return poll_finish_select(op, result);
    u64 bytes = op->count * sizeof(*op->entries);
    if (result >= 0 && bytes && copy_out(op->user, op->entries, bytes)) {
        s64 r = user_prepare(op->thread, op->user, bytes, USER_WRITE);
        if (r)
            result = r;
        else if (copy_out(op->user, op->entries, bytes))
            result = -EFAULT;
    }
    poll_free(op);
    return result;
}

static s64 poll_begin(struct thread *t, u64 user, u32 count, s64 timeout_ns)
{
    struct poll_operation *op = thread_operation(t, struct poll_operation);
    if (count > t->process->files->limits[LIMIT_NOFILE].soft)
        return -EINVAL;
    u64 bytes = count * sizeof(struct poll_entry);
    s64 r = count ? user_prepare(t, user, bytes, USER_WRITE) : 0;
    if (!r)
        r = poll_allocate(op, t, count);
    if (r)
        return r;
    op->select = false;
    op->user = user;
    if (count && copy_in(op->entries, user, bytes)) {
        poll_free(op);
        return -EFAULT;
    }
    return poll_start(op, timeout_ns);
}

s64 sys_poll(struct thread *t, u64 user, u32 count, s32 timeout_ms)
{
    return poll_begin(t, user, count, timeout_ms < 0 ? -1 : timeout_ms * (s64)NS_PER_MS);
}

/* --- times and masks -------------------------------------------------------------------------- */

struct user_time { /* struct timespec, or struct timeval with microseconds */
    s64 seconds, fraction;
};

s64 poll_timeout_get(struct thread *t, u64 address, u64 unit_ns, s64 *ns)
{
    struct user_time time;
    *ns = -1;
    if (!address)
        return 0;
    s64 r = user_prepare(t, address, sizeof(time), USER_READ);
    if (r)
        return r;
    if (copy_in(&time, address, sizeof(time)))
        return -EFAULT;
    if (time.seconds < 0 || time.fraction < 0)
        return -EINVAL;
    if (unit_ns == 1 && time.fraction >= (s64)NS_PER_SECOND)
        return -EINVAL;
    u64 total;
    if (__builtin_mul_overflow((u64)time.seconds, NS_PER_SECOND, &total) ||
        __builtin_add_overflow(total, (u64)time.fraction * unit_ns, &total) || (s64)total < 0)
        return 0; /* beyond what the clock will ever show */
    *ns = (s64)total;
    return 0;
}

s64 poll_mask_set(struct thread *t, u64 address, u64 bytes)
{
    u64 mask;
    if (!address)
        return 0;
    if (bytes != sizeof(mask))
        return -EINVAL;
    s64 r = user_prepare(t, address, sizeof(mask), USER_READ);
    if (r)
        return r;
    if (copy_in(&mask, address, sizeof(mask)))
        return -EFAULT;
    t->saved_mask = t->signal_mask;
    t->restore_mask = true;
    t->attention = true;
    signal_set_mask(t, mask);
    return signal_is_pending(t) ? -EINTR : 0;
}

s64 sys_ppoll(struct thread *t, u64 user, u32 count, u64 timeout, u64 mask, u64 mask_bytes)
{
    s64 ns;
    u64 bytes = count * sizeof(struct poll_entry);
    s64 r = poll_timeout_get(t, timeout, 1, &ns);
    /* Before the mask changes, so that starting again finds the old one. */
    if (!r && count && count <= t->process->files->limits[LIMIT_NOFILE].soft)
        r = user_prepare(t, user, bytes, USER_WRITE);
    if (!r)
        r = poll_mask_set(t, mask, mask_bytes);
    return r ? r : poll_begin(t, user, count, ns);
}

/* --- select ----------------------------------------------------------------------------------- */

static const u16 select_events[3] = {
    POLLRDNORM | POLLRDBAND | POLLIN | POLLHUP | POLLERR,
    POLLWRBAND | POLLWRNORM | POLLOUT | POLLERR,
    POLLPRI,
};

struct select_sets {
    u64 bits[3][SELECT_MOST / 64];
};

static u64 select_bytes(u32 most)
{
    return align_up(most, 64) / 8;
}

static bool set_has(const struct select_sets *s, u32 set, u32 fd)
{
    return s->bits[set][fd / 64] >> (fd % 64) & 1;
}

static s64 sets_get(struct thread *t, const u64 sets[3], u32 most, struct select_sets *s)
{
    memset(s, 0, sizeof(*s));
    for (u32 i = 0; i < 3; i++) {
        s64 r = sets[i] && most ? user_prepare(t, sets[i], select_bytes(most), USER_WRITE) : 0;
        if (r)
            return r;
        if (sets[i] && copy_in(s->bits[i], sets[i], select_bytes(most)))
            return -EFAULT;
    }
    return 0;
}

/* How many descriptors are in any set; -EBADF when one of them is not open. */
static s64 sets_count(struct process *p, const struct select_sets *s, u32 most)
{
    s64 count = 0;
    for (u32 fd = 0; fd < most; fd++) {
        if (!set_has(s, 0, fd) && !set_has(s, 1, fd) && !set_has(s, 2, fd))
            continue;
        if (!descriptor_get(p, (s32)fd))
            return -EBADF;
        count++;
    }
    return count;
}

static void sets_to_entries(const struct select_sets *s, u32 most, struct poll_entry *e)
{
    for (u32 fd = 0; fd < most; fd++) {
        u16 events = 0;
        for (u32 i = 0; i < 3; i++)
            events |= set_has(s, i, fd) ? select_events[i] : 0;
        /* Hang-ups and errors are always told, so which sets asked is kept in the low events. */
        if (events)
            *e++ = (struct poll_entry){(s32)fd, events, 0};
    }
}

static s64 entries_to_sets(const struct poll_operation *op, struct select_sets *s)
{
    s64 count = 0;
    memset(s, 0, sizeof(*s));
    for (u32 i = 0; i < op->count; i++) {
        const struct poll_entry *e = &op->entries[i];
        for (u32 set = 0; set < 3; set++) {
            bool asked = (e->events & select_events[set]) == select_events[set];
            if (!asked || !(e->ready & select_events[set]))
                continue;
            s->bits[set][(u32)e->fd / 64] |= 1ull << ((u32)e->fd % 64);
            count++;
        }
    }
    return count;
}

/* What is left of the timeout, as Linux's select leaves it; not important enough to fail for. */
static void select_remaining(struct poll_operation *op)
{
    if (!op->user || !op->timed)
        return;
    u64 now = clock_monotonic_ns();
    u64 left = op->deadline_ns > now ? op->deadline_ns - now : 0;
    u64 unit_ns = op->timeout_is_timespec ? 1 : NS_PER_US;
    struct user_time time = {(s64)(left / NS_PER_SECOND), (s64)(left % NS_PER_SECOND / unit_ns)};
    (void)copy_out(op->user, &time, sizeof(time));
}

static s64 poll_finish_select(struct poll_operation *op, s64 result)
{
    struct select_sets s;
    if (result >= 0)
        result = entries_to_sets(op, &s);
    for (u32 i = 0; i < 3 && result >= 0; i++)
        if (op->sets[i] && copy_out(op->sets[i], s.bits[i], select_bytes(op->most)))
            result = -EFAULT;
    select_remaining(op);
    poll_free(op);
    return result;
}

static s64 select_begin(struct thread *t, u32 most, const u64 sets[3], s64 timeout_ns, u64 timeout,
                        bool timespec)
{
    struct poll_operation *op = thread_operation(t, struct poll_operation);
    struct select_sets s;
    s64 r = sets_get(t, sets, most, &s);
    s64 count = r ? r : sets_count(t->process, &s, most);
    if (count < 0)
        return count;
    r = poll_allocate(op, t, (u32)count);
    if (r)
        return r;
    op->select = true;
    op->user = timeout;
    op->timeout_is_timespec = timespec;
    op->most = most;
    memcpy(op->sets, sets, sizeof(op->sets));
    sets_to_entries(&s, most, op->entries);
    return poll_start(op, timeout_ns);
}

s64 sys_select(struct thread *t, s32 most, u64 in, u64 out, u64 except, u64 timeout)
{
    s64 ns;
    if (most < 0)
        return -EINVAL;
    s64 r = poll_timeout_get(t, timeout, NS_PER_US, &ns);
    return r ? r
             : select_begin(t, min((u32)most, SELECT_MOST), (u64[]){in, out, except}, ns, timeout,
                            false);
}

struct user_mask {
    u64 address, bytes;
};

s64 sys_pselect6(struct thread *t, s32 most, u64 in, u64 out, u64 except, u64 timeout, u64 mask)
{
    s64 ns;
    struct user_mask m = {0, 0};
    if (most < 0)
        return -EINVAL;
    s64 r = poll_timeout_get(t, timeout, 1, &ns);
    if (!r && mask)
        r = user_prepare(t, mask, sizeof(m), USER_READ);
    if (!r && mask && copy_in(&m, mask, sizeof(m)))
        r = -EFAULT;
    struct select_sets s;
    if (!r)
        r = sets_get(t, (u64[]){in, out, except}, min((u32)most, SELECT_MOST), &s);
    if (!r)
        r = poll_mask_set(t, m.address, m.bytes);
    return r ? r
             : select_begin(t, min((u32)most, SELECT_MOST), (u64[]){in, out, except}, ns, timeout,
                            true);
}
