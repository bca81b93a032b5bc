/* getsockopt and setsockopt: the level SOL_SOCKET, which is the same for all families, and the way
   to a family's own levels.  An option that would do nothing is ENOPROTOOPT. */
#include "kernel/user_copy.h"
#include "unix/descriptor.h"
#include "unix/socket.h"

#define SEND_BYTES_LEAST    4608 /* SOCK_MIN_SNDBUF, SOCK_MIN_RCVBUF */
#define RECEIVE_BYTES_LEAST 2304
#define BUFFER_BYTES_MOST   (512u * MiB)

struct linger { /* as the program has it */
    s32 on, seconds;
};

struct time_value { /* struct timeval */
    s64 seconds, microseconds;
};

/* --- setting ---------------------------------------------------------------------------------- */

static u32 buffer_bytes(s32 wanted, bool force, u32 least)
{
    u64 bytes = force ? (u64)max(wanted, 0) : min((u32)wanted, SOCKET_BUFFER_BYTES);
    return max((u32)min(bytes * 2, (u64)BUFFER_BYTES_MOST), least);
}

static s64 linger_set(struct socket *s, const struct socket_option *o)
{
    struct linger l;
    if (o->bytes < sizeof(l))
        return -EINVAL;
    memcpy(&l, o->value, sizeof(l));
    s->linger = l.on;
    if (l.on)
        s->linger_seconds = (u32)l.seconds;
    return 0;
}

/* What is before now is over at once. */
static s64 timeout_set(const struct socket_option *o, u64 *ns)
{
    struct time_value v;
    if (o->bytes < sizeof(v))
        return -EINVAL;
    memcpy(&v, o->value, sizeof(v));
    if (v.microseconds < 0 || v.microseconds >= (s64)(NS_PER_SECOND / NS_PER_US))
        return -EDOM;
    if (v.seconds < 0)
        *ns = 1;
    else if (v.seconds > 1000000000)
        *ns = 0;
    else
        *ns = (u64)v.seconds * NS_PER_SECOND + (u64)v.microseconds * NS_PER_US;
    return 0;
}

/* One that is a number or a switch, and kept here. */
static s64 common_set(struct socket *s, const struct socket_option *o)
{
    s32 number = o->number;
    switch (o->name) {
    case SO_REUSEADDR:
        s->reuse_address = number;
        return 0;
    case SO_REUSEPORT:
        s->reuse_port = number;
        return 0;
    case SO_BROADCAST:
        s->broadcast = number;
        return 0;
    case SO_KEEPALIVE:
        s->keep_alive = number;
        return 0;
    case SO_SNDBUF:
    case SO_SNDBUFFORCE:
        s->send_bytes = buffer_bytes(number, o->name == SO_SNDBUFFORCE, SEND_BYTES_LEAST);
        return 0;
    case SO_RCVBUF:
    case SO_RCVBUFFORCE:
        s->receive_bytes = buffer_bytes(number, o->name == SO_RCVBUFFORCE, RECEIVE_BYTES_LEAST);
        return 0;
    case SO_RCVLOWAT:
        s->low_water = number < 0 ? 0x7fffffff : max((u32)number, 1u);
        return 0;
    case SO_PASSCRED:
        s->pass_credentials = number;
        return s->family == AF_UNIX || s->family == AF_NETLINK ? 0 : -ENOPROTOOPT;
    case SO_TIMESTAMP:
    case SO_TIMESTAMPNS:
        s->timestamp = number && o->name == SO_TIMESTAMP;
        s->timestamp_ns = number && o->name == SO_TIMESTAMPNS;
        return 0;
    /* These say what is so already; anything else would do nothing. */
    case SO_DEBUG:
    case SO_DONTROUTE:
    case SO_OOBINLINE:
    case SO_NO_CHECK:
    case SO_PRIORITY:
    case SO_MARK:
        return number ? -ENOPROTOOPT : 0;
    }
    return -ENOPROTOOPT;
}

static s64 option_set_common(struct socket *s, const struct socket_option *o)
{
    s64 r;
    if (o->bytes < sizeof(o->number))
        return -EINVAL;
    switch (o->name) {
    case SO_LINGER:
        r = linger_set(s, o);
        break;
    case SO_RCVTIMEO:
    case SO_RCVTIMEO_NEW:
        return timeout_set(o, &s->receive_timeout_ns);
    case SO_SNDTIMEO:
    case SO_SNDTIMEO_NEW:
        return timeout_set(o, &s->send_timeout_ns);
    default:
        r = common_set(s, o);
    }
    return !r && s->operations->changed ? s->operations->changed(s, o->name) : r;
}

s64 sys_setsockopt(struct thread *t, s32 fd, u32 level, u32 name, u64 value, s32 bytes)
{
    struct file *f;
    struct socket *s;
    struct socket_option o;
    s64 r = socket_get(t, fd, &f, &s);
    if (!r && bytes < 0)
        r = -EINVAL;
    if (r)
        return r;
    o.level = level;
    o.name = name;
    o.number = 0; /* of a value that is shorter */
    o.bytes = min((u32)bytes, (u32)SOCKET_OPTION_BYTES);
    r = o.bytes ? user_prepare(t, value, o.bytes, USER_READ) : 0;
    if (!r && o.bytes && copy_in(o.value, value, o.bytes))
        r = -EFAULT;
    if (r)
        return r;
    if (level == SOL_SOCKET)
        return option_set_common(s, &o);
    return s->operations->option_set ? s->operations->option_set(t, s, &o) : -EOPNOTSUPP;
}

/* --- getting ---------------------------------------------------------------------------------- */

static void value_put(struct socket_option *o, const void *from, u32 bytes)
{
    o->bytes = min(o->bytes, bytes);
    memcpy(o->value, from, o->bytes);
}

static void timeout_get(struct socket_option *o, u64 ns)
{
    struct time_value v = {(s64)(ns / NS_PER_SECOND), (s64)(ns % NS_PER_SECOND / NS_PER_US)};
    value_put(o, &v, sizeof(v));
}

static bool number_get_kept(const struct socket *s, u32 name, s32 *to)
{
    switch (name) {
    case SO_REUSEADDR:
        *to = s->reuse_address;
        return true;
    case SO_REUSEPORT:
        *to = s->reuse_port;
        return true;
    case SO_BROADCAST:
        *to = s->broadcast;
        return true;
    case SO_KEEPALIVE:
        *to = s->keep_alive;
        return true;
    case SO_PASSCRED:
        *to = s->pass_credentials;
        return true;
    case SO_TIMESTAMP:
        *to = s->timestamp;
        return true;
    case SO_TIMESTAMPNS:
        *to = s->timestamp_ns;
        return true;
    case SO_SNDBUF:
        *to = (s32)s->send_bytes;
        return true;
    case SO_RCVBUF:
        *to = (s32)s->receive_bytes;
        return true;
    case SO_RCVLOWAT:
        *to = (s32)s->low_water;
        return true;
    }
    return false;
}

static bool number_get_fixed(const struct socket *s, u32 name, s32 *to)
{
    switch (name) {
    case SO_TYPE:
        *to = s->type;
        return true;
    case SO_PROTOCOL:
        *to = (s32)s->protocol;
        return true;
    case SO_DOMAIN:
        *to = s->family;
        return true;
    case SO_ACCEPTCONN:
        *to = s->listening;
        return true;
    case SO_SNDLOWAT:
        *to = 1;
        return true;
    case SO_INCOMING_CPU: /* not followed */
        *to = -1;
        return true;
    case SO_DEBUG:
    case SO_DONTROUTE:
    case SO_OOBINLINE:
    case SO_NO_CHECK:
    case SO_PRIORITY:
    case SO_MARK:
        *to = 0;
        return true;
    }
    return false;
}

static s64 option_get_common(struct socket *s, struct socket_option *o)
{
    s32 number;
    struct linger l = {s->linger, (s32)s->linger_seconds};
    struct socket_credentials nobody = {0, ~0u, ~0u};
    switch (o->name) {
    case SO_ERROR:
        number = s->operations->error ? s->operations->error(s) : 0;
        value_put(o, &number, sizeof(number));
        return 0;
    case SO_LINGER:
        value_put(o, &l, sizeof(l));
        return 0;
    case SO_RCVTIMEO:
    case SO_RCVTIMEO_NEW:
        timeout_get(o, s->receive_timeout_ns);
        return 0;
    case SO_SNDTIMEO:
    case SO_SNDTIMEO_NEW:
        timeout_get(o, s->send_timeout_ns);
        return 0;
    case SO_PEERCRED:
        value_put(o, &nobody, sizeof(nobody));
        return 0;
    }
    if (!number_get_kept(s, o->name, &number) && !number_get_fixed(s, o->name, &number))
        return -ENOPROTOOPT;
    value_put(o, &number, sizeof(number));
    return 0;
}

static s64 option_get(struct socket *s, struct socket_option *o)
{
    s64 r = s->operations->option_get ? s->operations->option_get(s, o) : -ENOPROTOOPT;
    if (o->level == SOL_SOCKET)
        return r == -ENOPROTOOPT ? option_get_common(s, o) : r;
    /* A family without levels of its own. */
    return r == -ENOPROTOOPT && !s->operations->option_set ? -EOPNOTSUPP : r;
}

s64 sys_getsockopt(struct thread *t, s32 fd, u32 level, u32 name, u64 value, u64 length)
{
    struct file *f;
    struct socket *s;
    struct socket_option o = {.level = level, .name = name};
    s32 room;
    s64 r = socket_get(t, fd, &f, &s);
    if (!r)
        r = user_prepare(t, length, sizeof(room), USER_WRITE);
    if (!r && copy_in(&room, length, sizeof(room)))
        r = -EFAULT;
    if (!r && room < 0)
        r = -EINVAL;
    if (r)
        return r;
    o.bytes = min((u32)room, (u32)SOCKET_OPTION_BYTES);
    r = o.bytes ? user_prepare(t, value, o.bytes, USER_WRITE) : 0;
    if (!r)
        r = option_get(s, &o);
    if (r)
        return r;
    if ((o.bytes && copy_out(value, o.value, o.bytes)) ||
        copy_out(length, &o.bytes, sizeof(o.bytes)))
        return -EFAULT;
    return 0;
}
