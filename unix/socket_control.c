/* Control messages: what travels beside the bytes of sendmsg and recvmsg.  Descriptors
   (SCM_RIGHTS), credentials, times of arrival, and the addresses of datagrams (IP_PKTINFO).

   Files on their way are held by a struct socket_rights, which belongs to a message until a
   receiver has them.  A socket can be among them, even the one that they are sent through: such
   rings are found when a socket is closed (unix/socket_unix_collect.c).  Giving files up may give
   up further files, and is done in a loop, so no chain of sockets inside of sockets is too deep. */
#include "kernel/user_copy.h"
#include "unix/descriptor.h"
#include "unix/socket.h"

#define CONTROL_ALIGN 8

struct control_header { /* struct cmsghdr */
    u64 bytes;          /* with the header */
    u32 level, type;
};

static u64 rights_on_the_way; /* files; bounded by RLIMIT_NOFILE as on Linux */

u64 socket_rights_on_the_way(void)
{
    return rights_on_the_way;
}

/* --- rights ----------------------------------------------------------------------------------- */

static u64 rights_bytes(u32 count)
{
    return sizeof(struct socket_rights) + count * sizeof(struct file *);
}

static struct socket_rights *rights_allocate(u32 count)
{
    struct socket_rights *r = allocate(general_heap, rights_bytes(count));
    if (!r)
        return NULL;
    r->count = count;
    rights_on_the_way += count;
    return r;
}

struct socket_rights *socket_rights_copy(const struct socket_rights *r)
{
    struct socket_rights *copy = rights_allocate(r->count);
    for (u32 i = 0; copy && i < r->count; i++) {
        copy->files[i] = r->files[i];
        file_hold(copy->files[i]);
    }
    return copy;
}

void socket_rights_release(struct socket_rights *r)
{
    static struct list released = {&released, &released};
    static bool releasing;
    struct list *first;
    if (!r)
        return;
    list_push_back(&released, &r->link);
    if (releasing) /* a file of those that are being closed had it; the loop below goes on */
        return;
    releasing = true;
    while ((first = list_pop_front(&released))) {
        r = container_of(first, struct socket_rights, link);
        for (u32 i = 0; i < r->count; i++)
            file_release(r->files[i]);
        rights_on_the_way -= r->count;
        deallocate(general_heap, r, rights_bytes(r->count));
    }
    releasing = false;
}

/* --- sending ---------------------------------------------------------------------------------- */

static s64 rights_in(struct thread *t, const s32 *fds, u32 count, struct socket_message *m)
{
    struct socket_rights *before = m->rights;
    u32 first = before ? before->count : 0;
    if (first + count > SCM_RIGHTS_MOST)
        return -EINVAL;
    if (!count)
        return 0;
    for (u32 i = 0; i < count; i++)
        if (!descriptor_file(t->process, fds[i]))
            return -EBADF;
    if (rights_on_the_way + count > t->process->files->limits[LIMIT_NOFILE].soft)
        return -ETOOMANYREFS;
    struct socket_rights *r = rights_allocate(first + count);
    if (!r)
        return -ENOMEM;
    for (u32 i = 0; i < first; i++)
        r->files[i] = before->files[i];
    for (u32 i = 0; i < count; i++) {
        r->files[first + i] = descriptor_file(t->process, fds[i]);
        file_hold(r->files[first + i]);
    }
    m->rights = r;
    if (before) { /* its holds were taken over */
        rights_on_the_way -= first;
        deallocate(general_heap, before, rights_bytes(first));
    }
    return 0;
}

/* The program is root and may say that it is anybody; but there is no other process. */
static s64 credentials_in(struct thread *t, const u8 *data, u64 bytes, struct socket_message *m)
{
    struct socket_credentials c;
    if (bytes != sizeof(c))
        return -EINVAL;
    memcpy(&c, data, sizeof(c));
    if (c.pid != t->process->pid)
        return -ESRCH;
    m->credentials = c;
    m->credentials_given = true;
    return 0;
}

struct packet_info4 { /* struct in_pktinfo */
    u32 interface;
    u8 chosen[4], destination[4];
};

struct packet_info6 { /* struct in6_pktinfo */
    u8 address[16];
    u32 interface;
};

static s64 packet_info4_in(const u8 *data, u64 bytes, struct socket_message *m)
{
    struct packet_info4 info;
    if (bytes != sizeof(info))
        return -EINVAL;
    memcpy(&info, data, sizeof(info));
    m->packet_family = AF_INET;
    m->packet_interface = info.interface;
    memcpy(m->packet_address, info.chosen, sizeof(info.chosen));
    return 0;
}

static s64 packet_info6_in(const u8 *data, u64 bytes, struct socket_message *m)
{
    struct packet_info6 info;
    if (bytes < sizeof(info))
        return -EINVAL;
    memcpy(&info, data, sizeof(info));
    m->packet_family = AF_INET6;
    m->packet_interface = info.interface;
    memcpy(m->packet_address, info.address, sizeof(info.address));
    return 0;
}

static s64 control_one_unix(struct thread *t, const struct control_header *h, const u8 *data,
                            struct socket_message *m)
{
    u64 bytes = h->bytes - sizeof(*h);
    if (h->level != SOL_SOCKET)
        return 0;
    if (h->type == SCM_CREDENTIALS)
        return credentials_in(t, data, bytes, m);
    if (h->type != SCM_RIGHTS)
        return -EINVAL;
    s32 fds[SCM_RIGHTS_MOST];
    if (bytes / sizeof(s32) > SCM_RIGHTS_MOST)
        return -EINVAL;
    memcpy(fds, data, bytes / sizeof(s32) * sizeof(s32));
    return rights_in(t, fds, (u32)(bytes / sizeof(s32)), m);
}

static s64 control_one_inet(const struct socket *s, const struct control_header *h, const u8 *data,
                            struct socket_message *m)
{
    u64 bytes = h->bytes - sizeof(*h);
    if (h->level == SOL_SOCKET)
        return h->type == SCM_RIGHTS || h->type == SCM_CREDENTIALS ? 0 : -EINVAL;
    if (s->type != SOCK_DGRAM)
        return 0;
    if (h->level == SOL_IP && s->family == AF_INET)
        return h->type == IP_PKTINFO ? packet_info4_in(data, bytes, m) : -EINVAL;
    if (h->level == SOL_IPV6 && s->family == AF_INET6)
        return h->type == IPV6_PKTINFO ? packet_info6_in(data, bytes, m) : -EINVAL;
    return 0;
}

static s64 control_parse(struct thread *t, struct socket *s, const u8 *control, u64 bytes,
                         struct socket_message *m)
{
    u64 at = 0;
    while (bytes - at >= sizeof(struct control_header)) {
        struct control_header h;
        memcpy(&h, control + at, sizeof(h));
        if (h.bytes < sizeof(h) || h.bytes > bytes - at)
            return -EINVAL;
        const u8 *data = control + at + sizeof(h);
        s64 r = s->family == AF_UNIX ? control_one_unix(t, &h, data, m)
                                     : control_one_inet(s, &h, data, m);
        if (r)
            return r;
        u64 step = align_up(h.bytes, CONTROL_ALIGN);
        at = step > bytes - at ? bytes : at + step;
    }
    return 0;
}

s64 socket_control_in(struct thread *t, struct socket *s, u64 address, u64 bytes,
                      struct socket_message *m)
{
    if (bytes > SOCKET_CONTROL_MOST)
        return -ENOBUFS;
    s64 r = user_prepare(t, address, bytes, USER_READ);
    if (r)
        return r;
    u8 *control = allocate(general_heap, bytes);
    if (!control)
        return -ENOBUFS;
    r = copy_in(control, address, bytes) ? -EFAULT : control_parse(t, s, control, bytes, m);
    deallocate(general_heap, control, bytes);
    if (r) {
        socket_rights_release(m->rights);
        m->rights = NULL;
    }
    return r;
}

/* --- receiving -------------------------------------------------------------------------------- */

struct control_writer {
    u64 at, left;
    u64 written;
    struct socket_message *message;
};

/* put_cmsg: what does not fit is cut, and that is said. */
static void control_put(struct control_writer *w, u32 level, u32 type, const void *data, u64 bytes)
{
    struct control_header h = {sizeof(h) + bytes, level, type};
    if (w->left < sizeof(h)) {
        w->message->flags_out |= MSG_CTRUNC;
        return;
    }
    if (w->left < h.bytes) {
        w->message->flags_out |= MSG_CTRUNC;
        h.bytes = w->left;
    }
    if (copy_out(w->at, &h, sizeof(h)) || copy_out(w->at + sizeof(h), data, h.bytes - sizeof(h)))
        return;
    u64 space = min(align_up(h.bytes, CONTROL_ALIGN), w->left);
    w->at += space;
    w->left -= space;
    w->written += space;
}

/* Each file gets a number, as many as fit; how many. */
static u32 rights_install(struct thread *t, struct socket_message *m, s32 *fds, u32 most)
{
    u32 installed = 0;
    for (; installed < most; installed++) {
        struct file *f = m->rights->files[installed];
        file_hold(f);
        s64 fd = descriptor_install(t->process, f, 0, m->flags & MSG_CMSG_CLOEXEC);
        if (fd < 0)
            break;
        fds[installed] = (s32)fd;
    }
    return installed;
}

static void rights_out(struct thread *t, struct control_writer *w)
{
    struct socket_message *m = w->message;
    s32 fds[SCM_RIGHTS_MOST];
    u64 room = w->left < sizeof(struct control_header)
                   ? 0
                   : (w->left - sizeof(struct control_header)) / sizeof(s32);
    u32 count = rights_install(t, m, fds, (u32)min(room, (u64)m->rights->count));
    u32 all = m->rights->count;
    if (count)
        control_put(w, SOL_SOCKET, SCM_RIGHTS, fds, count * sizeof(s32));
    if (count < all)
        m->flags_out |= MSG_CTRUNC;
    socket_rights_release(m->rights);
    m->rights = NULL;
}

static void times_out(const struct socket *s, struct control_writer *w, u64 ns)
{
    u64 seconds = ns / NS_PER_SECOND, rest = ns % NS_PER_SECOND;
    if (s->timestamp_ns)
        control_put(w, SOL_SOCKET, SO_TIMESTAMPNS, (u64[]){seconds, rest}, 16);
    else if (s->timestamp)
        control_put(w, SOL_SOCKET, SO_TIMESTAMP, (u64[]){seconds, rest / NS_PER_US}, 16);
}

static void packet_info_out(struct control_writer *w)
{
    struct socket_message *m = w->message;
    if (m->packet_family == AF_INET) {
        struct packet_info4 info = {.interface = m->packet_interface};
        memcpy(info.chosen, m->packet_address, sizeof(info.chosen));
        memcpy(info.destination, m->packet_address, sizeof(info.destination));
        control_put(w, SOL_IP, IP_PKTINFO, &info, sizeof(info));
    } else if (m->packet_family == AF_INET6) {
        struct packet_info6 info = {.interface = m->packet_interface};
        memcpy(info.address, m->packet_address, sizeof(info.address));
        control_put(w, SOL_IPV6, IPV6_PKTINFO, &info, sizeof(info));
    }
}

u64 socket_control_out(struct thread *t, struct socket *s, u64 address, u64 bytes,
                       struct socket_message *m)
{
    struct control_writer w = {address, address ? bytes : 0, 0, m};
    if (m->received_ns)
        times_out(s, &w, m->received_ns);
    if (s->pass_credentials && s->family == AF_UNIX)
        control_put(&w, SOL_SOCKET, SCM_CREDENTIALS, &m->credentials, sizeof(m->credentials));
    packet_info_out(&w);
    if (m->rights)
        rights_out(t, &w);
    return w.written;
}
