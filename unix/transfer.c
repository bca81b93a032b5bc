/* Transfers: how one read or write moves its bytes, waits, and ends.  unix/file.h has the rules. */
#include "kernel/run_loop.h"
#include "kernel/user_copy.h"
#include "unix/descriptor.h"
#include "unix/wait.h"

/* A page that was brought in may be evicted before the copy reaches it; that many times in a row
   it is not, and the address is taken for a bad one. */
#define TRANSFER_RETRIES 64
/* Room that others took each time: then the disk counts as full. */
#define ROOM_TRIES_MOST 4096

/* --- one transfer ----------------------------------------------------------------------------- */

void transfer_next_vector(struct transfer *x)
{
    while (!x->chunk && x->vectors_left) {
        x->at = x->next->base;
        x->chunk = min(x->next->bytes, x->left);
        x->next++;
        x->vectors_left--;
    }
}

static void transfer_hold(struct transfer *x)
{
    if (!(x->owes & OWES_HOLD))
        file_hold(x->file);
    x->owes |= OWES_HOLD;
}

void transfer_release(struct transfer *x)
{
    if (x->owes & OWES_VECTORS)
        deallocate(general_heap, x->vectors, x->vectors_allocated * sizeof(struct io_vector));
    if (x->owes & OWES_TURN)
        file_turn_end(x);
    if (x->owes & OWES_HOLD)
        file_release(x->file);
}

s64 transfer_attempt(struct transfer *x)
{
    return transfer_try(x);
}

static void transfer_return(struct transfer *x, s64 r)
{
    if (r != SYSCALL_LATER && x->finished)
        x->finished(x, r);
    else if (r != SYSCALL_LATER)
        syscall_return(x->thread, r);
}

static void transfer_go_on(struct transfer *x, s64 error)
{
    thread_activate(x->thread);
    /* What has moved nothing yet begins where others have left the position meanwhile. */
    if (!x->done && !x->keep_position)
        x->position = x->file->position;
    transfer_return(x, error ? transfer_finish(x, transfer_stop(x, error)) : transfer_attempt(x));
}

closure_method(status_handler, transfer_came, struct transfer, came, status s)
{
    struct transfer *x = owner();
    transfer_go_on(x, syscall_status(s));
}

/* Every wait but the interruptible one begins here. */
static status_handler transfer_later(struct transfer *x)
{
    transfer_hold(x);
    file_turn_take(x);
    init_method(&x->came, transfer_came);
    return &x->came;
}

s64 transfer_pages(struct transfer *x, struct inode *i, u64 first, u64 count)
{
    thread_fetch(x->thread, i, first, count, transfer_later(x));
    return SYSCALL_LATER;
}

s64 transfer_room(struct transfer *x)
{
    if (x->room_tries++ > ROOM_TRIES_MOST)
        return transfer_stop(x, -ENOSPC);
    thread_wait_room(x->thread, transfer_later(x));
    return SYSCALL_LATER;
}

s64 transfer_turn(struct transfer *x)
{
    thread_wait_turn(x->thread, transfer_later(x));
    return SYSCALL_LATER;
}

s64 transfer_pass(struct transfer *x)
{
    thread_wait_pass(x->thread, transfer_later(x));
    return SYSCALL_LATER;
}

/* All bytes were moved; when they cannot be made durable, the call fails although they were. */
closure_method(status_handler, transfer_synced, struct transfer, came, status s)
{
    struct transfer *x = owner();
    struct file *f = x->file;
    status earlier = inode_failure(f->node.inode, &f->failures_seen);
    s64 error = syscall_status(is_ok(s) ? earlier : s);
    thread_activate(x->thread);
    transfer_return(x, transfer_finish(x, error ? error : (s64)x->done));
}

s64 transfer_sync(struct transfer *x, enum sync_kind kind)
{
    u64 first = (x->position - x->done) >> PAGE_ORDER;
    u64 end = (x->position + PAGE_BYTES - 1) >> PAGE_ORDER;
    transfer_hold(x);
    init_method(&x->came, transfer_synced);
    thread_wait_sync(x->thread, x->file->node.inode, range_of(first, end), kind, &x->came);
    return SYSCALL_LATER;
}

closure_method(status_handler, transfer_waited, struct transfer, waited, status s)
{
    struct transfer *x = owner();
    s64 error = is_ok(s) ? 0 : status_errno(s) == ETIMEDOUT ? -EAGAIN : -EINTR;
    transfer_go_on(x, error);
}

/* Deferred, for the waker is in the middle of a call of its own. */
closure_method(wake_handler, transfer_woken, struct transfer, woken, struct waiter *w)
{
    (void)w;
    run_later_status(owner()->landed, STATUS_OK);
}

closure_method(cancel_handler, transfer_cancel, struct transfer, cancel, status why)
{
    struct transfer *x = owner();
    if (waiter_waits(&x->waiter)) {
        waiter_remove(&x->waiter);
        run_later_status(x->landed, why);
    }
}

s64 transfer_wait_on(struct transfer *x, struct wait_queue *q)
{
    init_method(&x->woken, transfer_woken);
    init_method(&x->cancel, transfer_cancel);
    init_method(&x->waited, transfer_waited);
    x->landed = thread_wait(x->thread, &x->cancel, x->deadline_ns, &x->waited);
    if (!x->landed)
        return transfer_stop(x, -EINTR);
    transfer_hold(x);
    x->waiter =
        (struct waiter){.wake = &x->woken, .events = x->writing ? POLLOUT : POLLIN | POLLRDHUP};
    wait_queue_add(q, &x->waiter);
    thread_wait_started(x->thread);
    return SYSCALL_LATER;
}

s64 transfer_wait(struct transfer *x)
{
    struct file *f = x->file;
    if (f->flags & O_NONBLOCK)
        return transfer_stop(x, -EAGAIN);
    return transfer_wait_on(x, f->operations->queue(f));
}

/* --- the program's memory --------------------------------------------------------------------- */

/* The kernel's own memory is always there. */
static u64 transfer_copy_in(const struct transfer *x, void *to, u64 bytes)
{
    if (likely(!x->from_kernel))
        return copy_in(to, x->at, bytes);
    memcpy(to, (const void *)x->at, bytes);
    return 0;
}

/* Memory at `address` was not there, with `bytes` to go.  0: try it again. */
static s64 memory_fetch(struct transfer *x, u64 address, u64 bytes, enum user_access access)
{
    if (x->retries++ > TRANSFER_RETRIES)
        return -EFAULT;
    return user_fetch(x->thread, address, min(bytes, USER_PREPARE_MOST), access, transfer_later(x));
}

/* A copy stopped at x->at. */
static s64 transfer_fetch(struct transfer *x, u64 bytes, enum user_access access)
{
    return memory_fetch(x, x->at, bytes, access);
}

s64 transfer_out_parts(struct transfer *x, const void *from, u64 bytes, u64 *copied)
{
    *copied = 0;
    while (bytes) {
        u64 piece = min(bytes, x->chunk);
        u64 missed = copy_out(x->at, (const u8 *)from + *copied, piece);
        transfer_advance(x, piece - missed);
        *copied += piece - missed;
        bytes -= piece - missed;
        s64 r = missed ? transfer_fetch(x, missed, USER_WRITE) : 0;
        if (r)
            return r;
    }
    return 0;
}

s64 transfer_in_parts(struct transfer *x, void *to, u64 bytes, u64 *copied)
{
    *copied = 0;
    while (bytes) {
        u64 piece = min(bytes, x->chunk);
        u64 missed = transfer_copy_in(x, (u8 *)to + *copied, piece);
        transfer_advance(x, piece - missed);
        *copied += piece - missed;
        bytes -= piece - missed;
        s64 r = missed ? transfer_fetch(x, missed, USER_READ) : 0;
        if (r)
            return r;
    }
    return 0;
}

s64 transfer_zero(struct transfer *x, u64 bytes, u64 *copied)
{
    *copied = 0;
    while (bytes) {
        u64 piece = min(bytes, x->chunk);
        u64 missed = zero_out(x->at, piece);
        transfer_advance(x, piece - missed);
        *copied += piece - missed;
        bytes -= piece - missed;
        s64 r = missed ? transfer_fetch(x, missed, USER_WRITE) : 0;
        if (r)
            return r;
    }
    return 0;
}

s64 transfer_peek(struct transfer *x, void *to, u64 bytes, u64 *copied)
{
    u64 piece = min(bytes, x->chunk);
    for (;;) {
        u64 missed = transfer_copy_in(x, to, piece);
        *copied = piece - missed;
        if (!missed || *copied) {
            x->retries = 0;
            return 0;
        }
        s64 r = transfer_fetch(x, missed, USER_READ);
        if (r)
            return r;
    }
}

s64 transfer_ready(struct transfer *x, u64 *bytes)
{
    *bytes = min(*bytes, x->chunk);
    if (x->from_kernel)
        return 0;
    u64 last = x->at + *bytes - 1;
    bool apart = (x->at ^ last) >> PAGE_ORDER;
    u8 byte;
    while (copy_in(&byte, x->at, 1)) {
        s64 r = memory_fetch(x, x->at, 1, USER_READ);
        if (r)
            return r;
    }
    while (unlikely(apart) && copy_in(&byte, last, 1)) {
        s64 r = memory_fetch(x, last, 1, USER_READ);
        if (r == SYSCALL_LATER)
            return r;
        if (r) { /* up to the end of what is there */
            *bytes = PAGE_BYTES - (x->at & (PAGE_BYTES - 1));
            apart = false;
        }
    }
    return 0;
}

u64 transfer_take(struct transfer *x, void *to, u64 bytes)
{
    u64 copied = bytes - transfer_copy_in(x, to, bytes);
    transfer_advance(x, copied);
    return copied;
}

/* What was copied in part ended within its vector. */
void transfer_back(struct transfer *x, u64 bytes)
{
    x->at -= bytes;
    x->chunk += bytes;
    x->left += bytes;
    x->done -= bytes;
    x->position -= bytes;
}

void transfer_skip(struct transfer *x, u64 bytes)
{
    while (bytes) {
        u64 piece = min(bytes, x->chunk);
        transfer_advance(x, piece);
        bytes -= piece;
    }
}
