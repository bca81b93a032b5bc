/* sendfile: pages of the cache are written to another file, one at a time, held while they are.
   The receiving side is a transfer whose memory is the page; so whatever it waits for (a full
   pipe, the console) comes back here.  Only files of the image can be sent. */
#include "kernel/user_copy.h"
#include "unix/descriptor.h"
#include "unix/wait.h"

struct send {
    struct transfer x; /* to `to`, of the current page */
    struct thread *thread;
    struct file *from, *to; /* held while it waits */
    bool held;
    bool own_offset; /* the position is the program's variable, not the file's */
    u64 offset_address;
    u64 position;
    u64 left, sent;
    struct page *page; /* held; NULL between pages */
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

/* The call is over: the new position is told, and the count or the error returned. */
static s64 send_finish(struct send *s, s64 error)
{
    if (s->page)
        page_release(s->page);
    s->page = NULL;
    if (!s->own_offset)
        s->from->position = s->position;
    if (s->held) {
        file_release(s->from);
        file_release(s->to);
    }
    if (s->own_offset && copy_out(s->offset_address, &s->position, sizeof(s->position)))
        return -EFAULT;
    return s->sent ? (s64)s->sent : error;
}

/* One page was written, whole or in part. */
static s64 send_count(struct send *s, s64 result)
{
    page_release(s->page);
    s->page = NULL;
    if (result <= 0)
        return send_finish(s, result);
    s->sent += (u64)result;
    s->position += (u64)result;
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

/* Writes what the page holds of the rest.  SYSCALL_LATER: send_written gets the result. */
static s64 send_page(struct send *s, u64 bytes)
{
    transfer_begin(&s->x, s->thread, s->to);
    s->x.writing = true;
    s->x.from_kernel = true;
    s->x.finished = send_written;
    s->x.at = (u64)page_memory(s->page) + (s->position & (PAGE_BYTES - 1));
    s->x.left = s->x.chunk = bytes;
    return transfer_attempt(&s->x);
}

static s64 send_steps(struct send *s)
{
    u64 size = inode_bytes(s->from->node.inode);
    while (s->left && s->position < size) {
        u64 index = s->position >> PAGE_ORDER, rest = min(s->left, size - s->position);
        u64 room = PAGE_BYTES - (s->position & (PAGE_BYTES - 1));
        s->page = page_find(s->from->node.inode, index);
        if (!s->page)
            return send_miss(s, index, (rest + PAGE_BYTES - 1) >> PAGE_ORDER);
        send_hold(s);
        s64 r = send_page(s, min(rest, room));
        if (r == SYSCALL_LATER)
            return r;
        r = send_count(s, r);
        if (r != SYSCALL_LATER)
            return r;
    }
    return send_finish(s, 0);
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
    s64 offset = 0;
    struct file *f = descriptor_get(t->process, from), *g = descriptor_get(t->process, to);
    s64 r = offset_address ? user_prepare(t, offset_address, sizeof(offset), USER_WRITE) : 0;
    if (r)
        return r;
    if (offset_address && copy_in(&offset, offset_address, sizeof(offset)))
        return -EFAULT;
    r = send_check(g, f);
    if (r || offset < 0)
        return r ? r : -EINVAL;
    s->thread = t;
    s->from = f;
    s->to = g;
    s->held = false;
    s->own_offset = offset_address != 0;
    s->offset_address = offset_address;
    s->position = offset_address ? (u64)offset : f->position;
    s->left = min(bytes, (u64)LINUX_IO_MOST);
    s->sent = 0;
    s->page = NULL;
    return send_steps(s);
}
