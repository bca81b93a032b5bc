/* The calls that send and receive on sockets with more than bytes: an address, flags, control
   messages; one at a time or many.  The bytes are a transfer (unix/file.h) beside which the rest
   lies as a struct socket_message.

   Before a message is sent or received, the memory that describes it is brought in (message_touch),
   so that nothing has to be waited for, and done twice, when it has begun. */
#include "kernel/user_copy.h"
#include "unix/descriptor.h"
#include "unix/socket.h"
#include "unix/time_spec.h"

struct message_header { /* struct user_msghdr */
    u64 name;
    s32 name_bytes, padding;
    u64 vectors, vector_count;
    u64 control, control_bytes;
    u32 flags, padding2;
};

#define MESSAGE_STRIDE 64 /* struct mmsghdr: a header, the length, padding */
#define MESSAGES_MOST  1024u

struct message_call {
    struct transfer x;
    struct socket_message m;
    struct socket *socket;
    struct message_header h;
    u64 header;      /* where the program has it; 0: sendto and recvfrom */
    u64 name_length; /* recvfrom: where its address's length is */
    u32 flags;
    u32 index, count; /* of sendmmsg and recvmmsg */
    bool many;
    bool timed; /* recvmmsg's timeout, which is looked at between messages */
    u64 timeout_address, deadline_ns;
    struct status_handler came;
};

static s64 message_steps(struct message_call *c);

static void message_return(struct message_call *c, s64 result)
{
    struct thread *t = c->x.thread;
    if (result != SYSCALL_LATER)
        syscall_return(t, result);
}

/* --- the memory that describes a message ------------------------------------------------------ */

closure_method(status_handler, message_came, struct message_call, came, status s)
{
    struct message_call *c = owner();
    struct thread *t = c->x.thread;
    struct file *f = c->x.file;
    thread_activate(t);
    if (is_ok(s)) {
        message_return(c, message_steps(c));
        return;
    }
    s64 result = c->index ? (s64)c->index : syscall_status(s);
    file_release(f);
    syscall_return(t, result);
}

static s64 touch(struct message_call *c, u64 address, u64 bytes, enum user_access access)
{
    if (!bytes)
        return 0;
    init_method(&c->came, message_came);
    return user_fetch(c->x.thread, address, bytes, access, &c->came);
}

static s64 message_header_check(struct message_call *c)
{
    struct message_header *h = &c->h;
    if (!h->name)
        h->name_bytes = 0;
    if (h->name_bytes < 0)
        return -EINVAL;
    h->name_bytes = min(h->name_bytes, SOCKET_ADDRESS_BYTES);
    if (h->vector_count > LINUX_IOV_MOST)
        return -EMSGSIZE;
    return h->control_bytes > 0x7fffffff ? -ENOBUFS : 0;
}

/* 0: all of it is there, at this moment. */
static s64 message_touch(struct message_call *c)
{
    enum user_access access = c->x.writing ? USER_READ : USER_WRITE;
    struct message_header *h = &c->h;
    s64 r = touch(c, c->header, sizeof(*h), access);
    if (r)
        return r;
    if (copy_in(h, c->header, sizeof(*h)))
        return -EFAULT;
    r = message_header_check(c);
    if (!r)
        r = touch(c, h->name, (u64)h->name_bytes, access);
    if (!r)
        r = touch(c, h->vectors, h->vector_count * sizeof(struct io_vector), USER_READ);
    if (!r && h->control && c->x.writing && h->control_bytes > SOCKET_CONTROL_MOST)
        r = -ENOBUFS;
    if (!r && h->control)
        r = touch(c, h->control, min(h->control_bytes, USER_PREPARE_MOST), access);
    if (!r && c->many)
        r = touch(c, c->header + sizeof(*h), sizeof(u32), USER_WRITE);
    return r;
}

/* --- one message ------------------------------------------------------------------------------ */

static void message_finished(struct transfer *x, s64 result);

static void message_init(struct message_call *c)
{
    struct thread *t = c->x.thread;
    bool writing = c->x.writing;
    transfer_init(&c->x, t, c->x.file);
    c->x.writing = writing;
    c->x.message = &c->m;
    c->x.finished = message_finished;
    if (c->flags & MSG_DONTWAIT)
        c->x.flags |= O_NONBLOCK;
    c->m.flags = c->flags;
    c->m.flags_out = c->flags & MSG_CMSG_CLOEXEC;
    c->m.address.bytes = 0;
    c->m.rights = NULL;
    c->m.credentials_given = false;
    c->m.credentials = socket_credentials_of(t);
    c->m.packet_family = 0;
    c->m.received_ns = 0;
}

static s64 message_sent(struct message_call *c, s64 result)
{
    socket_rights_release(c->m.rights);
    c->m.rights = NULL;
    return result;
}

/* What was received besides bytes is told. */
static s64 message_received(struct message_call *c, s64 result)
{
    struct thread *t = c->x.thread;
    struct message_header *h = &c->h;
    if (result >= 0 && c->header) {
        if (h->name) {
            s64 r = socket_address_out(&c->m.address, h->name,
                                       c->header + offsetof(struct message_header, name_bytes));
            result = r ? r : result;
        }
        u64 written = socket_control_out(t, c->socket, h->control, h->control_bytes, &c->m);
        if (copy_out(c->header + offsetof(struct message_header, flags), &c->m.flags_out,
                     sizeof(c->m.flags_out)) ||
            copy_out(c->header + offsetof(struct message_header, control_bytes), &written,
                     sizeof(written)))
            result = -EFAULT;
    } else if (result >= 0) {
        s64 r = socket_address_out(&c->m.address, h->name, c->name_length);
        result = r ? r : result;
    }
    return message_sent(c, result);
}

static s64 message_end(struct message_call *c, s64 result)
{
    return c->x.writing ? message_sent(c, result) : message_received(c, result);
}

/* From what message_touch has read to the first attempt. */
static s64 message_begin(struct message_call *c)
{
    struct message_header *h = &c->h;
    struct thread *t = c->x.thread;
    message_init(c);
    s64 r = 0;
    if (c->x.writing)
        r = socket_address_in(t, h->name, h->name_bytes, &c->m.address);
    if (!r)
        r = transfer_vectors_get(&c->x, h->vectors, h->vector_count);
    if (!r && c->x.writing && h->control && h->control_bytes) {
        r = socket_control_in(t, c->socket, h->control, h->control_bytes, &c->m);
        if (r)
            transfer_release(&c->x);
    }
    return r ? r : transfer_attempt(&c->x);
}

static s64 message_one(struct message_call *c)
{
    s64 r = message_touch(c);
    if (!r)
        r = message_begin(c);
    return r == SYSCALL_LATER ? r : message_end(c, r);
}

/* --- one after the other ---------------------------------------------------------------------- */

static bool message_overdue(const struct message_call *c)
{
    return c->timed && clock_monotonic_ns() >= c->deadline_ns;
}

/* A message is done.  SYSCALL_LATER: there is a next one. */
static s64 message_next(struct message_call *c, s64 result)
{
    if (!c->many)
        return result;
    if (result < 0)
        return c->index ? (s64)c->index : result;
    u32 bytes = (u32)result;
    if (copy_out(c->header + sizeof(struct message_header), &bytes, sizeof(bytes)))
        return c->index ? (s64)c->index : -EFAULT;
    c->index++;
    c->header += MESSAGE_STRIDE;
    if (c->flags & MSG_WAITFORONE)
        c->flags |= MSG_DONTWAIT;
    if (c->index == c->count || message_overdue(c))
        return c->index;
    return SYSCALL_LATER;
}

/* The call's result; recvmmsg tells what is left of its timeout. */
static s64 message_call_end(struct message_call *c, s64 result)
{
    if (c->timed && result >= 0) {
        u64 now = clock_monotonic_ns();
        struct time_spec left = time_spec_of(c->deadline_ns > now ? c->deadline_ns - now : 0);
        if (copy_out(c->timeout_address, &left, sizeof(left)))
            result = -EFAULT;
    }
    file_release(c->x.file);
    return result;
}

static s64 message_steps(struct message_call *c)
{
    s64 r;
    do {
        r = message_one(c);
        if (r == SYSCALL_LATER)
            return r;
        r = message_next(c, r);
    } while (r == SYSCALL_LATER);
    return message_call_end(c, r);
}

static void message_finished(struct transfer *x, s64 result)
{
    struct message_call *c = container_of(x, struct message_call, x);
    s64 r = message_end(c, result);
    if (c->header) {
        r = message_next(c, r);
        message_return(c, r == SYSCALL_LATER ? message_steps(c) : message_call_end(c, r));
        return;
    }
    message_return(c, message_call_end(c, r));
}

/* --- sendmsg, recvmsg and their plural -------------------------------------------------------- */

static s64 message_call_init(struct message_call *c, struct thread *t, s32 fd, u32 flags)
{
    s64 r = socket_get(t, fd, &c->x.file, &c->socket);
    if (r)
        return r;
    c->x.thread = t;
    c->flags = flags;
    c->index = 0;
    c->many = c->timed = false;
    return 0;
}

static s64 message_call_start(struct message_call *c, u64 header, bool writing)
{
    c->header = header;
    c->x.writing = writing;
    file_hold(c->x.file);
    return message_steps(c);
}

s64 sys_sendmsg(struct thread *t, s32 fd, u64 header, u32 flags)
{
    struct message_call *c = thread_operation(t, struct message_call);
    s64 r = flags & MSG_CMSG_COMPAT ? -EINVAL : message_call_init(c, t, fd, flags);
    return r ? r : message_call_start(c, header, true);
}

s64 sys_recvmsg(struct thread *t, s32 fd, u64 header, u32 flags)
{
    struct message_call *c = thread_operation(t, struct message_call);
    s64 r = flags & MSG_CMSG_COMPAT ? -EINVAL : message_call_init(c, t, fd, flags);
    return r ? r : message_call_start(c, header, false);
}

s64 sys_sendmmsg(struct thread *t, s32 fd, u64 headers, u32 count, u32 flags)
{
    struct message_call *c = thread_operation(t, struct message_call);
    s64 r = flags & MSG_CMSG_COMPAT ? -EINVAL : message_call_init(c, t, fd, flags);
    if (r || !count)
        return r;
    c->many = true;
    c->count = min(count, MESSAGES_MOST);
    return message_call_start(c, headers, true);
}

static s64 messages_timeout(struct message_call *c, u64 address)
{
    struct time_spec spec;
    u64 ns;
    s64 r = user_prepare(c->x.thread, address, sizeof(spec), USER_WRITE);
    if (r)
        return r;
    if (copy_in(&spec, address, sizeof(spec)))
        return -EFAULT;
    if (!time_spec_ns(&spec, &ns))
        return -EINVAL;
    c->timed = true;
    c->timeout_address = address;
    c->deadline_ns = clock_monotonic_ns() + ns;
    return 0;
}

s64 sys_recvmmsg(struct thread *t, s32 fd, u64 headers, u32 count, u32 flags, u64 timeout)
{
    struct message_call *c = thread_operation(t, struct message_call);
    s64 r = flags & MSG_CMSG_COMPAT ? -EINVAL : message_call_init(c, t, fd, flags);
    if (!r && timeout)
        r = messages_timeout(c, timeout);
    if (r || !count)
        return r;
    c->many = true;
    c->count = min(count, MESSAGES_MOST);
    return message_call_start(c, headers, false);
}

/* --- sendto and recvfrom ---------------------------------------------------------------------- */

/* One buffer, described by the registers. */
static s64 message_flat(struct message_call *c, u64 buffer, u64 bytes)
{
    c->header = 0;
    c->x.at = buffer;
    c->x.left = c->x.chunk = min(bytes, (u64)LINUX_IO_MOST);
    file_hold(c->x.file);
    s64 r = transfer_attempt(&c->x);
    return r == SYSCALL_LATER ? r : message_call_end(c, message_end(c, r));
}

static bool flat_valid(u64 buffer, u64 bytes)
{
    bytes = min(bytes, (u64)LINUX_IO_MOST);
    return buffer <= USER_END && bytes <= USER_END - buffer;
}

s64 sys_sendto(struct thread *t, s32 fd, u64 buffer, u64 bytes, u32 flags, u64 address,
               s32 address_bytes)
{
    struct message_call *c = thread_operation(t, struct message_call);
    if (!flat_valid(buffer, bytes))
        return -EFAULT;
    s64 r = message_call_init(c, t, fd, flags & ~MSG_CMSG_COMPAT);
    if (r)
        return r;
    c->x.writing = true;
    message_init(c);
    if (address)
        r = socket_address_in(t, address, address_bytes, &c->m.address);
    return r ? r : message_flat(c, buffer, bytes);
}

s64 sys_recvfrom(struct thread *t, s32 fd, u64 buffer, u64 bytes, u32 flags, u64 address,
                 u64 address_length)
{
    struct message_call *c = thread_operation(t, struct message_call);
    if (!flat_valid(buffer, bytes))
        return -EFAULT;
    s64 r = message_call_init(c, t, fd, flags & ~MSG_CMSG_COMPAT);
    if (!r)
        r = socket_address_prepare(t, address, address_length);
    if (r && r != -EFAULT) /* which is told only when something was received */
        return r;
    c->x.writing = false;
    message_init(c);
    c->h.name = address;
    c->name_length = address_length;
    return message_flat(c, buffer, bytes);
}
