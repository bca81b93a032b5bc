/* timerfd: a timer as a file that is readable when the timer has expired.

   The timer is a piece of its own, since its thunk may be on its way on another CPU when the file
   is closed: then the thunk gives it back. */
#include "kernel/user_copy.h"
#include "unix/descriptor.h"
#include "unix/time_spec.h"

enum { /* linux/timerfd.h; the other flags are open's */
       TFD_TIMER_ABSTIME = 1,
       TFD_TIMER_CANCEL_ON_SET = 2, /* nobody sets the clock here */
};

struct file_timer {
    struct timer timer;
    struct thunk expired;
    bool armed; /* the thunk is owed */
    bool closed;
    u64 due_ns; /* monotonic; 0: never */
    u64 interval_ns;
    u64 count; /* expirations nobody has read */
    struct wait_queue queue;
};

struct timer_file {
    struct file file;
    struct file_timer *timer;
    bool realtime;
};

static struct file_timer *timer_of(struct file *f)
{
    return container_of(f, struct timer_file, file)->timer;
}

static void file_timer_arm(struct file_timer *ft);

/* It may come for a time that is no longer the one. */
closure_method(thunk, file_timer_expired, struct file_timer, expired)
{
    struct file_timer *ft = owner();
    u64 now = clock_monotonic_ns();
    ft->armed = false;
    if (ft->closed) {
        deallocate(general_heap, ft, sizeof(*ft));
        return;
    }
    if (ft->due_ns && ft->due_ns <= now) {
        u64 more = ft->interval_ns ? (now - ft->due_ns) / ft->interval_ns : 0;
        ft->count += 1 + more;
        ft->due_ns = ft->interval_ns ? ft->due_ns + (1 + more) * ft->interval_ns : 0;
        wait_queue_wake(&ft->queue, POLLIN | POLLRDNORM);
    }
    file_timer_arm(ft);
}

static void file_timer_arm(struct file_timer *ft)
{
    if (!ft->due_ns || ft->armed)
        return;
    ft->armed = true;
    init_method(&ft->expired, file_timer_expired);
    timer_set(&ft->timer, ft->due_ns, &ft->expired);
}

static void file_timer_set(struct file_timer *ft, u64 due_ns, u64 interval_ns)
{
    if (ft->armed && timer_cancel(&ft->timer))
        ft->armed = false;
    ft->due_ns = due_ns;
    ft->interval_ns = interval_ns;
    ft->count = 0;
    file_timer_arm(ft);
}

/* --- the file --------------------------------------------------------------------------------- */

static s64 timer_file_read(struct file *f, struct transfer *x)
{
    struct file_timer *ft = timer_of(f);
    u64 copied;
    if (x->done + x->left < sizeof(ft->count))
        return transfer_stop(x, -EINVAL);
    if (!ft->count)
        return transfer_wait(x);
    /* Memory that has to be fetched first may cut the number in two. */
    while (x->done < sizeof(ft->count)) {
        s64 error =
            transfer_out(x, (const u8 *)&ft->count + x->done, sizeof(ft->count) - x->done, &copied);
        if (error)
            return transfer_stop(x, error);
    }
    ft->count = 0;
    return (s64)x->done;
}

static u32 timer_file_poll(struct file *f)
{
    return timer_of(f)->count ? POLLIN | POLLRDNORM : 0;
}

static struct wait_queue *timer_file_queue(struct file *f)
{
    return &timer_of(f)->queue;
}

static void timer_file_attributes(struct file *f, struct file_attributes *to)
{
    *to = (struct file_attributes){
        .number = f->number, .mode = 0600, .links = 1, .block_bytes = PAGE_BYTES};
}

static void timer_file_close(struct file *f)
{
    struct file_timer *ft = timer_of(f);
    if (!ft->armed || timer_cancel(&ft->timer))
        deallocate(general_heap, ft, sizeof(*ft));
    else
        ft->closed = true;
}

static const struct file_operations file_timer_operations = {
    .name = "anon_inode:[timerfd]",
    .bytes = sizeof(struct timer_file),
    .read = timer_file_read,
    .seek_does_nothing = true,
    .attributes = timer_file_attributes,
    .poll = timer_file_poll,
    .queue = timer_file_queue,
    .close = timer_file_close,
};

/* --- system calls ----------------------------------------------------------------------------- */

s64 sys_timerfd_create(struct thread *t, s32 clock, u32 flags)
{
    u32 known = 1u << CLOCK_REALTIME | 1u << CLOCK_MONOTONIC | 1u << CLOCK_BOOTTIME |
                1u << CLOCK_REALTIME_ALARM | 1u << CLOCK_BOOTTIME_ALARM;
    if (flags & ~(u32)(O_CLOEXEC | O_NONBLOCK) || !(clock_bit(clock) & known))
        return -EINVAL;
    struct file_timer *ft = allocate_zero(general_heap, sizeof(*ft));
    struct file *f =
        ft ? file_create(&file_timer_operations, O_RDWR | (flags & O_NONBLOCK), NULL, NULL) : NULL;
    if (!f) {
        deallocate(general_heap, ft, sizeof(*ft));
        return -ENOMEM;
    }
    wait_queue_init(&ft->queue);
    struct timer_file *file = container_of(f, struct timer_file, file);
    file->timer = ft;
    file->realtime = clock_bit(clock) & CLOCKS_REALTIME;
    return descriptor_install(t->process, f, 0, flags & O_CLOEXEC);
}

static s64 timer_file_get(struct thread *t, s32 fd, struct timer_file **to)
{
    struct file *f = descriptor_get(t->process, fd);
    if (!f)
        return -EBADF;
    if (f->operations != &file_timer_operations)
        return -EINVAL;
    *to = container_of(f, struct timer_file, file);
    return 0;
}

struct timer_spec { /* struct itimerspec */
    struct time_spec interval, value;
};

static s64 timer_show(struct thread *t, const struct file_timer *ft, u64 address)
{
    u64 now = clock_monotonic_ns();
    u64 left = !ft->due_ns ? 0 : ft->due_ns > now ? ft->due_ns - now : 1;
    struct timer_spec spec = {time_spec_of(ft->interval_ns), time_spec_of(left)};
    s64 r = user_prepare(t, address, sizeof(spec), USER_WRITE);
    return r ? r : copy_out(address, &spec, sizeof(spec)) ? -EFAULT : 0;
}

s64 sys_timerfd_gettime(struct thread *t, s32 fd, u64 to)
{
    struct timer_file *file;
    s64 r = timer_file_get(t, fd, &file);
    return r ? r : timer_show(t, file->timer, to);
}

/* When that is, on the clock of timers; 0 is kept for never. */
static u64 timer_due(const struct timer_file *file, u64 value_ns, bool absolute)
{
    u64 now = clock_monotonic_ns();
    if (!absolute)
        return now + value_ns;
    if (!file->realtime)
        return max(value_ns, 1ull);
    u64 today = clock_realtime_ns();
    return value_ns > today ? now + (value_ns - today) : max(now, 1ull);
}

s64 sys_timerfd_settime(struct thread *t, s32 fd, u32 flags, u64 new, u64 old)
{
    struct timer_file *file;
    struct timer_spec spec;
    u64 value, interval;
    if (flags & ~(u32)(TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET))
        return -EINVAL;
    s64 r = user_prepare(t, new, sizeof(spec), USER_READ);
    if (r)
        return r;
    if (copy_in(&spec, new, sizeof(spec)))
        return -EFAULT;
    if (!time_spec_ns(&spec.value, &value) || !time_spec_ns(&spec.interval, &interval))
        return -EINVAL;
    r = timer_file_get(t, fd, &file);
    if (!r && old)
        r = timer_show(t, file->timer, old);
    if (!r)
        file_timer_set(file->timer, value ? timer_due(file, value, flags & TFD_TIMER_ABSTIME) : 0,
                       interval);
    return r;
}
