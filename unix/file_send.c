/* sendfile and copy_file_range: pages of the cache are written to another file, in runs of those
   that follow each other in memory, held while they are.  The receiving side is a transfer whose
   memory is theirs; so whatever it waits for (a full pipe, the console, room on the disk) comes
   back here.  A TCP socket takes the pages themselves, with holds of its own (unix/socket_tcp.c).
   Only files of the image can be sent. */
#include "kernel/user_copy.h"
#include "unix/descriptor.h"
#include "unix/wait.h"

/* Where one of the two files is read or written: a variable of the program's, or the file's own. */
struct send_place {
    u64 address; /* of the variable; 0: the file's own position */
    u64 position;
};

struct send {
    struct transfer x; /* to `to`, of the current page */
    struct thread *thread;
    struct file *from, *to; /* held while it waits */
    bool held;
    struct send_place source, target; /* the target's without an address: the transfer keeps it */
    u64 left, sent;
    struct page_run run; /* held; of no pages between two steps */
    struct status_handler came;
};

static s64 send_steps(struct send *s);

static void send_hold(struct send *s)
{
    if (!s->held) {
        file_hold(s->from);
        file_hold(s->to);
    }
    s->held = true;
}

static bool place_out(const struct send_place *p)
{
    return !p->address || !copy_out(p->address, &p->position, sizeof(p->position));
}

static void send_run_release(struct send *s)
{
    if (s->run.count)
        page_run_release(&s->run);
    s->run.count = 0;
}

/* The call is over: the new positions are told, and the count or the error returned. */
static s64 send_finish(struct send *s, s64 error)
{
    send_run_release(s);
    if (!s->source.address)
        s->from->position = s->source.position;
    if (s->held) {
        file_release(s->from);
        file_release(s->to);
    }
    if (!place_out(&s->source) || !place_out(&s->target))
        return -EFAULT;
    return s->sent ? (s64)s->sent : error;
}

/* A run of pages was written, whole or in part. */
static s64 send_count(struct send *s, s64 result)
{
    send_run_release(s);
    if (result <= 0)
        return send_finish(s, result);
    s->sent += (u64)result;
    s->source.position += (u64)result;
    s->target.position += (u64)result;
    s->left -= (u64)result;
    return SYSCALL_LATER; /* there may be more */
}

static void send_return(struct send *s, s64 result)
{
    if (result != SYSCALL_LATER)
        syscall_return(s->thread, result);
}

static void send_written(struct transfer *x, s64 result)
{
    struct send *s = container_of(x, struct send, x);
    s64 r = send_count(s, result);
    send_return(s, r == SYSCALL_LATER ? send_steps(s) : r);
}

closure_method(status_handler, send_came, struct send, came, status st)
{
    struct send *s = owner();
    thread_activate(s->thread);
    send_return(s, is_ok(st) ? send_steps(s) : send_finish(s, syscall_status(st)));
}

static s64 send_miss(struct send *s, u64 index, u64 pages)
{
    struct inode *i = s->from->node.inode;
    send_hold(s);
    init_method(&s->came, send_came);
    thread_fetch(s->thread, i, index, pages_read_ahead(i, index, pages), &s->came);
    return SYSCALL_LATER;
}

/* Writes what the pages hold of the rest.  SYSCALL_LATER: send_written gets the result. */
static s64 send_run(struct send *s, u64 rest)
{
    u64 offset = s->source.position & (PAGE_BYTES - 1), there = s->run.count * PAGE_BYTES - offset;
    transfer_init(&s->x, s->thread, s->to);
    s->x.writing = true;
    s->x.from_kernel = true;
    s->x.run = &s->run;
    s->x.more = rest > there;
    s->x.finished = send_written;
    if (s->target.address) {
        s->x.keep_position = true;
        s->x.position = s->target.position;
    }
    s->x.at = (u64)s->run.memory + offset;
    s->x.left = s->x.chunk = min(rest, there);
    return transfer_attempt(&s->x);
}

static s64 send_steps(struct send *s)
{
    struct inode *i = s->from->node.inode;
    u64 size = inode_bytes(i);
    while (s->left && s->source.position < size) {
        u64 rest = min(s->left, size - s->source.position),
            first = s->source.position >> PAGE_ORDER;
        u64 pages = ((s->source.position + rest - 1) >> PAGE_ORDER) - first + 1;
        if (!pages_find(i, first, pages, &s->run)) {
            s->run.count = 0;
            return send_miss(s, first, pages);
        }
        send_hold(s);
        s64 r = send_run(s, rest);
        if (r == SYSCALL_LATER)
            return r;
        r = send_count(s, r);
        if (r != SYSCALL_LATER)
            return r;
    }
    return send_finish(s, 0);
}

static s64 send_begin(struct send *s, struct thread *t, struct file *from, struct file *to,
                      u64 bytes)
{
    s->thread = t;
    s->from = from;
    s->to = to;
    s->held = false;
    s->left = min(bytes, (u64)LINUX_IO_MOST);
    s->sent = 0;
    s->run.count = 0;
    if (!s->source.address)
        s->source.position = from->position;
    return send_steps(s);
}

/* The program's variable, which has to be writable before anything is copied. */
static s64 place_in(struct thread *t, struct send_place *p)
{
    p->position = 0;
    if (!p->address)
        return 0;
    s64 r = user_prepare(t, p->address, sizeof(p->position), USER_WRITE);
    if (r)
        return r;
    return copy_in(&p->position, p->address, sizeof(p->position)) ? -EFAULT : 0;
}

static s64 send_check(const struct file *to, const struct file *from)
{
    if (!from || !file_readable(from) || !to || !file_writable(to))
        return -EBADF;
    if (from->operations != &file_regular || !to->operations->write || to->flags & O_APPEND)
        return -EINVAL;
    return 0;
}

s64 sys_sendfile(struct thread *t, s32 to, s32 from, u64 offset_address, u64 bytes)
{
    struct send *s = thread_operation(t, struct send);
    struct file *f = descriptor_get(t->process, from), *g = descriptor_get(t->process, to);
    s->source = (struct send_place){.address = offset_address};
    s->target = (struct send_place){.address = 0};
    s64 r = place_in(t, &s->source);
    if (!r)
        r = send_check(g, f);
    if (!r && (s64)s->source.position < 0)
        r = -EINVAL;
    return r ? r : send_begin(s, t, f, g, bytes);
}

/* --- copy_file_range -------------------------------------------------------------------------- */

static s64 copy_check(const struct file *from, const struct file *to)
{
    if (!from || !to)
        return -EBADF;
    if (node_is_directory(&from->node) || node_is_directory(&to->node))
        return -EISDIR;
    if (from->operations != &file_regular || to->operations != &file_regular)
        return -EINVAL;
    if (!file_readable(from) || !file_writable(to) || to->flags & O_APPEND)
        return -EBADF;
    return 0;
}

static s64 copy_places_check(const struct send *s, const struct file *from, const struct file *to,
                             u64 bytes)
{
    u64 source = s->source.address ? s->source.position : from->position;
    u64 target = s->target.address ? s->target.position : to->position;
    if ((s64)source < 0 || (s64)target < 0)
        return -EINVAL;
    if (source + bytes < source || target + bytes < target || source + bytes > LINUX_FILE_MOST ||
        target + bytes > LINUX_FILE_MOST)
        return -EOVERFLOW;
    u64 size = inode_bytes(from->node.inode);
    u64 copied = source < size ? min(bytes, size - source) : 0;
    bool overlap = source < target + copied && target < source + copied;
    return from->node.inode == to->node.inode && overlap ? -EINVAL : 0;
}

s64 sys_copy_file_range(struct thread *t, s32 from, u64 from_offset, s32 to, u64 to_offset,
                        u64 bytes, u32 flags)
{
    struct send *s = thread_operation(t, struct send);
    struct file *f = descriptor_get(t->process, from), *g = descriptor_get(t->process, to);
    if (!f || !g)
        return -EBADF;
    s->source = (struct send_place){.address = from_offset};
    s->target = (struct send_place){.address = to_offset};
    s64 r = place_in(t, &s->source);
    if (!r)
        r = place_in(t, &s->target);
    if (!r)
        r = flags ? -EINVAL : copy_check(f, g);
    if (!r)
        r = copy_places_check(s, f, g, bytes);
    return r ? r : send_begin(s, t, f, g, bytes);
}
