/* epoll: a set of watched files, and those of them that became ready.

   An item is the waiter of one descriptor in one set.  It stays on its file's queue for as long as
   it is watched (its wake handler puts it back at once), and a wake puts it on the set's list of
   ready items; so waiting costs what is ready, not what is watched.  Whoever collects asks each
   listed file again: level-triggered items that are still ready stay on the list, others leave it.

   As on Linux an item belongs to the open file, not to the descriptor, and does not hold it: the
   last release of the file removes it.  A set is itself a file that can be watched; sets nest
   EPOLL_NESTS_MOST deep and never in a circle.

   Bounds: EPOLL_ITEMS_MOST items in all sets together (ENOSPC).  Callers: the system calls; wakers
   of watched files.  The surface lock serialises everything. */
#include "unix/epoll.h"
#include "kernel/user_copy.h"
#include "runtime/table.h"
#include "unix/descriptor.h"
#include "unix/file_poll.h"
#include "unix/wait.h"

#define EPOLL_NESTS_MOST 4      /* as Linux's EP_MAX_NESTS */
#define EPOLL_ITEMS_MOST 400000 /* some 64 MiB; Linux: 4 % of low memory */

enum { /* linux/eventpoll.h */
       EPOLL_CTL_ADD = 1,
       EPOLL_CTL_DEL = 2,
       EPOLL_CTL_MOD = 3,
};
#define EPOLLEXCLUSIVE (1u << 28)
#define EPOLLWAKEUP    (1u << 29) /* about suspending, which does not happen here */
#define EPOLLONESHOT   (1u << 30)
#define EPOLLET        (1u << 31)
#define EPOLL_PRIVATE  (EPOLLEXCLUSIVE | EPOLLWAKEUP | EPOLLONESHOT | EPOLLET)
#define EPOLLEXCLUSIVE_OK                                                                          \
    (POLLIN | POLLOUT | POLLERR | POLLHUP | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE)

struct epoll_event { /* packed on x86-64 */
    u32 events;
    u64 data;
} __attribute__((packed));

_Static_assert(sizeof(struct epoll_event) == 12, "linux/eventpoll.h: EPOLL_PACKED");

struct epoll {
    struct file file;
    struct table items;      /* by file and descriptor */
    struct list ready;       /* items that may be ready */
    u64 ready_count;         /* on it */
    struct wait_queue queue; /* epoll_wait, and sets that watch this one */
};

struct epoll_item {
    struct table_number entry; /* first: the sets' table holds these */
    struct waiter waiter;
    struct wake_handler woken;
    struct epoll *epoll;
    struct file *file; /* not held */
    s32 fd;
    bool ready; /* on the set's list */
    bool fired; /* a one-shot that was told: nothing more until it is modified */
    u32 events; /* as asked */
    u64 data;
    struct list ready_link;
    struct list watcher; /* with the file's others */
};

static u64 items_of_all;

static const struct file_operations file_epoll;

static struct epoll *epoll_of(struct file *f)
{
    return container_of(f, struct epoll, file);
}

/* --- items ------------------------------------------------------------------------------------ */

static u64 item_key(const struct file *f, s32 fd)
{
    return (u64)f ^ (u64)(u32)fd << 48;
}

static struct epoll_item *item_find(const struct epoll *e, const struct file *f, s32 fd)
{
    struct table_number *n = table_number_find(&e->items, item_key(f, fd));
    return n ? container_of(n, struct epoll_item, entry) : NULL;
}

/* What the program asked of it; errors are always told. */
static u32 item_wants(const struct epoll_item *i)
{
    return i->fired ? 0 : (i->events & ~EPOLL_PRIVATE) | POLLERR | POLLHUP;
}

static u32 item_holds(const struct epoll_item *i)
{
    u32 wants = item_wants(i);
    return wants ? file_ready(i->file) & wants : 0;
}

static void item_list(struct epoll_item *i)
{
    if (i->ready)
        return;
    i->ready = true;
    list_push_back(&i->epoll->ready, &i->ready_link);
    i->epoll->ready_count++;
}

static void item_unlist(struct epoll_item *i)
{
    if (!i->ready)
        return;
    i->ready = false;
    list_remove(&i->ready_link);
    i->epoll->ready_count--;
}

static void epoll_tell(struct epoll *e)
{
    wait_queue_wake(&e->queue, POLLIN | POLLRDNORM);
}

/* In the waker's context: the file is asked when somebody collects. */
closure_method(wake_handler, item_woken, struct epoll_item, woken, struct waiter *w)
{
    struct epoll_item *i = owner();
    wait_queue_add(i->file->operations->queue(i->file), w);
    if (!item_wants(i))
        return;
    item_list(i);
    epoll_tell(i->epoll);
}

static void item_watch(struct epoll_item *i)
{
    init_method(&i->woken, item_woken);
    i->waiter = (struct waiter){
        .wake = &i->woken,
        .events = item_wants(i),
        .exclusive = i->events & EPOLLEXCLUSIVE,
    };
    wait_queue_add(i->file->operations->queue(i->file), &i->waiter);
    if (item_holds(i)) {
        item_list(i);
        epoll_tell(i->epoll);
    }
}

static void item_remove(struct epoll_item *i)
{
    waiter_remove(&i->waiter);
    item_unlist(i);
    list_remove(&i->watcher);
    table_remove(&i->epoll->items, &i->entry.entry);
    items_of_all--;
    deallocate(general_heap, i, sizeof(*i));
}

void epoll_file_closed(struct file *f)
{
    struct list *link;
    while ((link = f->watchers.next) != &f->watchers)
        item_remove(container_of(link, struct epoll_item, watcher));
}

/* --- the file --------------------------------------------------------------------------------- */

/* Drops what is listed and not ready any more from the front; true when something is. */
static bool epoll_has_ready(struct epoll *e)
{
    while (!list_empty(&e->ready)) {
        struct epoll_item *i = container_of(e->ready.next, struct epoll_item, ready_link);
        if (item_holds(i))
            return true;
        item_unlist(i);
    }
    return false;
}

static u32 epoll_poll(struct file *f)
{
    return epoll_has_ready(epoll_of(f)) ? POLLIN | POLLRDNORM : 0;
}

static struct wait_queue *epoll_queue(struct file *f)
{
    return &epoll_of(f)->queue;
}

static void epoll_attributes(struct file *f, struct file_attributes *to)
{
    *to = (struct file_attributes){
        .number = f->number, .mode = 0600, .links = 1, .block_bytes = PAGE_BYTES};
}

static void epoll_close(struct file *f)
{
    struct epoll *e = epoll_of(f);
    struct table_entry *entry;
    while ((entry = table_next(&e->items, NULL)))
        item_remove(container_of(entry, struct epoll_item, entry.entry));
    table_clear(&e->items);
}

static const struct file_operations file_epoll = {
    .name = "anon_inode:[eventpoll]",
    .bytes = sizeof(struct epoll),
    .seek_does_nothing = true,
    .attributes = epoll_attributes,
    .poll = epoll_poll,
    .queue = epoll_queue,
    .close = epoll_close,
};

static s64 epoll_create(struct thread *t, bool close_on_exec)
{
    struct file *f = file_create(&file_epoll, O_RDWR, NULL, NULL);
    if (!f)
        return -ENOMEM;
    struct epoll *e = epoll_of(f);
    table_number_init(&e->items, general_heap);
    list_init(&e->ready);
    wait_queue_init(&e->queue);
    return descriptor_install(t->process, f, 0, close_on_exec);
}

s64 sys_epoll_create1(struct thread *t, u32 flags)
{
    return flags & ~(u32)O_CLOEXEC ? -EINVAL : epoll_create(t, flags & O_CLOEXEC);
}

s64 sys_epoll_create(struct thread *t, s32 size)
{
    return size <= 0 ? -EINVAL : epoll_create(t, false);
}

/* --- changing a set --------------------------------------------------------------------------- */

/* How deep sets nest below e; more than EPOLL_NESTS_MOST when `target` is among them.  Bounded by
   the depth, which every addition keeps. */
static u32 epoll_depth(const struct epoll *e, const struct epoll *target, u32 level)
{
    u32 deepest = 0;
    if (e == target || level > EPOLL_NESTS_MOST)
        return EPOLL_NESTS_MOST + 1;
    for (struct table_entry *n = NULL; (n = table_next(&e->items, n));) {
        const struct epoll_item *i = container_of(n, struct epoll_item, entry.entry);
        if (i->file->operations == &file_epoll)
            deepest = max(deepest, 1 + epoll_depth(epoll_of(i->file), target, level + 1));
    }
    return deepest;
}

/* How many sets lie above e. */
static u32 epoll_height(const struct epoll *e, u32 level)
{
    u32 highest = 0;
    if (!e->file.watchers.next || level > EPOLL_NESTS_MOST)
        return 0;
    list_for_each (&e->file.watchers, link) {
        const struct epoll_item *i = container_of(link, struct epoll_item, watcher);
        highest = max(highest, 1 + epoll_height(i->epoll, level + 1));
    }
    return highest;
}

static s64 epoll_nest_check(const struct epoll *e, struct file *f)
{
    if (f->operations != &file_epoll)
        return 0;
    u32 depth = epoll_depth(epoll_of(f), e, 0) + 1 + epoll_height(e, 0);
    return depth > EPOLL_NESTS_MOST ? -ELOOP : 0;
}

static s64 epoll_add(struct epoll *e, struct file *f, s32 fd, const struct epoll_event *event)
{
    s64 r = epoll_nest_check(e, f);
    if (r)
        return r;
    if (items_of_all >= EPOLL_ITEMS_MOST)
        return -ENOSPC;
    struct epoll_item *i = allocate_zero(general_heap, sizeof(*i));
    if (!i)
        return -ENOMEM;
    items_of_all++;
    if (!f->watchers.next)
        list_init(&f->watchers);
    i->epoll = e;
    i->file = f;
    i->fd = fd;
    i->events = event->events;
    i->data = event->data;
    i->entry.key = item_key(f, fd);
    table_number_add(&e->items, &i->entry);
    list_push_back(&f->watchers, &i->watcher);
    item_watch(i);
    return 0;
}

static s64 epoll_modify(struct epoll_item *i, const struct epoll_event *event)
{
    if (i->events & EPOLLEXCLUSIVE)
        return -EINVAL;
    waiter_remove(&i->waiter);
    i->events = event->events;
    i->data = event->data;
    i->fired = false;
    item_watch(i);
    return 0;
}

static s64 epoll_change(struct epoll *e, s32 operation, struct file *f, s32 fd,
                        const struct epoll_event *event)
{
    struct epoll_item *i = item_find(e, f, fd);
    switch (operation) {
    case EPOLL_CTL_ADD:
        return i ? -EEXIST : epoll_add(e, f, fd, event);
    case EPOLL_CTL_MOD:
        return i ? epoll_modify(i, event) : -ENOENT;
    case EPOLL_CTL_DEL:
        if (!i)
            return -ENOENT;
        item_remove(i);
        return 0;
    default:
        return -EINVAL;
    }
}

static s64 epoll_event_check(s32 operation, const struct file *f, const struct epoll_event *event)
{
    if (!(event->events & EPOLLEXCLUSIVE) || operation == EPOLL_CTL_DEL)
        return 0;
    bool fits = operation == EPOLL_CTL_ADD && !(event->events & ~EPOLLEXCLUSIVE_OK);
    return fits && f->operations != &file_epoll ? 0 : -EINVAL;
}

/* In Linux's order of checks: the event's memory, the descriptors, whether it can be watched. */
s64 sys_epoll_ctl(struct thread *t, s32 set, s32 operation, s32 fd, u64 address)
{
    struct epoll_event event = {0, 0};
    if (operation != EPOLL_CTL_DEL) {
        s64 r = user_prepare(t, address, sizeof(event), USER_READ);
        if (r)
            return r;
        if (copy_in(&event, address, sizeof(event)))
            return -EFAULT;
    }
    struct file *e = descriptor_get(t->process, set), *f = descriptor_get(t->process, fd);
    if (!e || !f)
        return -EBADF;
    if (!f->operations->queue)
        return -EPERM;
    if (e == f || e->operations != &file_epoll)
        return -EINVAL;
    s64 r = epoll_event_check(operation, f, &event);
    return r ? r : epoll_change(epoll_of(e), operation, f, fd, &event);
}

/* --- waiting ---------------------------------------------------------------------------------- */

struct epoll_operation {
    struct thread *thread;
    struct epoll *epoll; /* held while it waits */
    u64 user;
    u32 most;
    u64 deadline_ns; /* monotonic; 0: none */
    struct waiter waiter;
    struct wake_handler woken;
    status_handler landed;
    struct cancel_handler cancel;
    struct status_handler waited;
};

/* What becomes of an item of which the program was told: level-triggered ones stay listed, at the
   end, since the others come first next time. */
static void item_told(struct epoll_item *i)
{
    if (i->events & EPOLLONESHOT) {
        i->fired = true;
        i->waiter.events = 0;
    } else if (!(i->events & EPOLLET)) {
        if (i->ready_link.next != i->ready_link.previous)
            list_move_back(&i->epoll->ready, &i->ready_link);
        return;
    }
    item_unlist(i);
}

/* Called when nothing was told yet: the call may start again.  0, -EFAULT or SYSCALL_LATER. */
static __attribute__((noinline)) s64 event_fetch_out(struct thread *t, u64 to,
                                                     const struct epoll_event *event)
{
    s64 r = user_prepare(t, to, sizeof(*event), USER_WRITE);
    return r ? r : copy_out(to, event, sizeof(*event)) ? -EFAULT : 0;
}

/* How many events were told, or -errno; SYSCALL_LATER: the call starts again. */
static s64 epoll_collect(struct thread *t, struct epoll *e, u64 user, u32 most)
{
    s64 count = 0;
    for (u64 listed = e->ready_count; listed && count < most && !list_empty(&e->ready); listed--) {
        struct epoll_item *i = container_of(e->ready.next, struct epoll_item, ready_link);
        struct epoll_event event = {item_holds(i), i->data};
        if (!event.events) {
            item_unlist(i);
            continue;
        }
        u64 to = user + (u64)count * sizeof(event);
        if (unlikely(copy_out(to, &event, sizeof(event)))) {
            s64 r = count ? count : event_fetch_out(t, to, &event);
            if (r)
                return r;
        }
        item_told(i);
        count++;
    }
    return count;
}

/* Of several who wait one is woken, and wakes the next if it left something. */
static void epoll_pass_on(struct epoll *e)
{
    if (!list_empty(&e->ready) && !list_empty(&e->queue.waiters))
        epoll_tell(e);
}

static s64 epoll_wait(struct epoll_operation *op);

static void epoll_end(struct epoll_operation *op, s64 result)
{
    struct thread *t = op->thread;
    file_release(&op->epoll->file);
    if (result != SYSCALL_LATER)
        syscall_return(t, result);
}

closure_method(status_handler, epoll_waited, struct epoll_operation, waited, status s)
{
    struct epoll_operation *op = owner();
    struct thread *t = op->thread;
    thread_activate(t);
    s64 r = epoll_collect(t, op->epoll, op->user, op->most);
    epoll_pass_on(op->epoll);
    if (!r && is_ok(s))
        r = epoll_wait(op);
    else if (!r)
        r = status_errno(s) == ETIMEDOUT ? 0 : -EINTR;
    epoll_end(op, r);
}

/* Deferred, for the waker is in the middle of a call of its own. */
closure_method(wake_handler, epoll_woken, struct epoll_operation, woken, struct waiter *w)
{
    (void)w;
    run_later_status(owner()->landed, STATUS_OK);
}

closure_method(cancel_handler, epoll_cancel, struct epoll_operation, cancel, status why)
{
    struct epoll_operation *op = owner();
    if (waiter_waits(&op->waiter)) {
        waiter_remove(&op->waiter);
        run_later_status(op->landed, why);
    }
}

static s64 epoll_wait(struct epoll_operation *op)
{
    init_method(&op->woken, epoll_woken);
    init_method(&op->cancel, epoll_cancel);
    init_method(&op->waited, epoll_waited);
    op->landed = thread_wait(op->thread, &op->cancel, op->deadline_ns, &op->waited);
    if (!op->landed)
        return -EINTR;
    file_hold(&op->epoll->file);
    op->waiter = (struct waiter){.wake = &op->woken, .events = POLLIN, .exclusive = true};
    wait_queue_add(&op->epoll->queue, &op->waiter);
    thread_wait_started(op->thread);
    return SYSCALL_LATER;
}

/* timeout_ns: negative for none. */
static s64 epoll_begin(struct thread *t, s32 set, u64 user, s32 most, s64 timeout_ns)
{
    struct epoll_operation *op = thread_operation(t, struct epoll_operation);
    struct file *f = descriptor_get(t->process, set);
    if (most <= 0 || (u32)most > ~0u / 2 / sizeof(struct epoll_event))
        return -EINVAL;
    if (!f)
        return -EBADF;
    if (f->operations != &file_epoll)
        return -EINVAL;
    struct epoll *e = epoll_of(f);
    s64 r = list_empty(&e->ready) ? 0 : epoll_collect(t, e, user, (u32)most);
    if (r || timeout_ns == 0)
        return r;
    op->thread = t;
    op->epoll = e;
    op->user = user;
    op->most = (u32)most;
    if (timeout_ns < 0 ||
        __builtin_add_overflow(clock_monotonic_ns(), (u64)timeout_ns, &op->deadline_ns))
        op->deadline_ns = 0;
    return epoll_wait(op);
}

static s64 milliseconds(s32 timeout_ms)
{
    return timeout_ms < 0 ? -1 : timeout_ms * (s64)NS_PER_MS;
}

s64 sys_epoll_wait(struct thread *t, s32 set, u64 events, s32 most, s32 timeout_ms)
{
    return epoll_begin(t, set, events, most, milliseconds(timeout_ms));
}

/* The memory of the events is fetched before the mask changes, so that starting again finds the
   old one. */
static s64 epoll_begin_masked(struct thread *t, s32 set, u64 events, s32 most, s64 timeout_ns,
                              u64 mask, u64 mask_bytes)
{
    if (likely(!mask))
        return epoll_begin(t, set, events, most, timeout_ns);
    u64 bytes = (u64)max(most, 0) * sizeof(struct epoll_event);
    s64 r = bytes ? user_prepare(t, events, min(bytes, PAGE_BYTES), USER_WRITE) : 0;
    if (!r)
        r = poll_mask_set(t, mask, mask_bytes);
    return r ? r : epoll_begin(t, set, events, most, timeout_ns);
}

s64 sys_epoll_pwait(struct thread *t, s32 set, u64 events, s32 most, s32 timeout_ms, u64 mask,
                    u64 mask_bytes)
{
    return epoll_begin_masked(t, set, events, most, milliseconds(timeout_ms), mask, mask_bytes);
}

s64 sys_epoll_pwait2(struct thread *t, s32 set, u64 events, s32 most, u64 timeout, u64 mask,
                     u64 mask_bytes)
{
    s64 ns;
    s64 r = poll_timeout_get(t, timeout, 1, &ns);
    return r ? r : epoll_begin_masked(t, set, events, most, ns, mask, mask_bytes);
}
