/* Sockets, as far as they go without a network: no address family is supported yet, which is the
   answer that programs with a fallback (name services, log daemons) understand. */
#include "unix/syscall.h"

s64 sys_socket(struct thread *t, s32 family, s32 type, s32 protocol)
{
    (void)t, (void)family, (void)type, (void)protocol;
    return -EAFNOSUPPORT;
}

s64 sys_socketpair(struct thread *t, s32 family, s32 type, s32 protocol, u64 pair)
{
    (void)t, (void)family, (void)type, (void)protocol, (void)pair;
    return -EAFNOSUPPORT;
}
