/* AF_NETLINK: not there yet, and refused. */
#include "unix/socket.h"
s64 socket_netlink_create(u32 type, u32 protocol, struct socket **s)
{
    (void)type, (void)protocol, (void)s;
    return -EAFNOSUPPORT;
}
s64 socket_interface_ioctl(struct thread *t, u32 request, u64 argument)
{
    (void)t, (void)request, (void)argument;
    return -ENOTTY;
}
