/* User and group, names, limits, usage: what a program asks about itself and its machine.  The
   program is root in its machine, alone, and stays that; what would change it fails. */
#include "unix/identity.h"
#include "kernel/cpus.h"
#include "kernel/machine.h"
#include "kernel/user_copy.h"
#include "unix/descriptor.h"

static s64 result_out(struct thread *t, u64 address, const void *from, u64 bytes)
{
    if (likely(!copy_out(address, from, bytes)))
        return 0;
    s64 r = user_prepare(t, address, bytes, USER_WRITE);
    return r ? r : copy_out(address, from, bytes) ? -EFAULT : 0;
}

static s64 argument_in(struct thread *t, void *to, u64 address, u64 bytes)
{
    if (likely(!copy_in(to, address, bytes)))
        return 0;
    s64 r = user_prepare(t, address, bytes, USER_READ);
    return r ? r : copy_in(to, address, bytes) ? -EFAULT : 0;
}

/* --- user and group --------------------------------------------------------------------------- */

s64 sys_getuid(struct thread *t)
{
    (void)t;
    return 0;
}

s64 sys_getgid(struct thread *t)
{
    (void)t;
    return 0;
}

s64 sys_geteuid(struct thread *t)
{
    (void)t;
    return 0;
}

s64 sys_getegid(struct thread *t)
{
    (void)t;
    return 0;
}

/* Becoming what one is already succeeds; there is nobody else to become. */
static s64 become(u32 id)
{
    return id == 0 || id == ~0u ? 0 : -EPERM;
}

s64 sys_setuid(struct thread *t, u32 uid)
{
    (void)t;
    return uid == ~0u ? -EINVAL : become(uid);
}

s64 sys_setgid(struct thread *t, u32 gid)
{
    (void)t;
    return gid == ~0u ? -EINVAL : become(gid);
}

s64 sys_setresuid(struct thread *t, u32 real, u32 effective, u32 saved)
{
    (void)t;
    return become(real) | become(effective) | become(saved) ? -EPERM : 0;
}

s64 sys_setresgid(struct thread *t, u32 real, u32 effective, u32 saved)
{
    return sys_setresuid(t, real, effective, saved);
}

static s64 three_zeros(struct thread *t, u64 a, u64 b, u64 c)
{
    u32 zero = 0;
    s64 r = result_out(t, a, &zero, sizeof(zero));
    if (!r)
        r = result_out(t, b, &zero, sizeof(zero));
    return r ? r : result_out(t, c, &zero, sizeof(zero));
}

s64 sys_getresuid(struct thread *t, u64 real, u64 effective, u64 saved)
{
    return three_zeros(t, real, effective, saved);
}

s64 sys_getresgid(struct thread *t, u64 real, u64 effective, u64 saved)
{
    return three_zeros(t, real, effective, saved);
}

s64 sys_getgroups(struct thread *t, s32 most, u64 address)
{
    struct process *p = t->process;
    if (most < 0 || (most && (u32)most < p->group_count))
        return -EINVAL;
    s64 r = most ? result_out(t, address, p->groups, p->group_count * sizeof(u32)) : 0;
    return r ? r : p->group_count;
}

/* They give root nothing that it has not got, so they are only remembered. */
s64 sys_setgroups(struct thread *t, u64 count, u64 address)
{
    u32 groups[PROCESS_GROUPS_MOST];
    if (count > PROCESS_GROUPS_MOST)
        return -EINVAL;
    s64 r = argument_in(t, groups, address, count * sizeof(u32));
    if (r)
        return r;
    for (u64 i = 0; i < count; i++)
        if (groups[i] == ~0u)
            return -EINVAL;
    memcpy(t->process->groups, groups, count * sizeof(u32));
    t->process->group_count = (u32)count;
    return 0;
}

s64 sys_getpgrp(struct thread *t)
{
    return t->process->pid;
}

s64 sys_getpgid(struct thread *t, u32 pid)
{
    return !pid || pid == t->process->pid ? (s64)t->process->pid : -ESRCH;
}

s64 sys_getsid(struct thread *t, u32 pid)
{
    return sys_getpgid(t, pid);
}

s64 sys_setpgid(struct thread *t, u32 pid, u32 group)
{
    u32 self = t->process->pid;
    if (pid && pid != self)
        return -ESRCH;
    return !group || group == self ? -EPERM : -EPERM; /* it leads its session */
}

s64 sys_setsid(struct thread *t)
{
    (void)t;
    return -EPERM; /* it leads its process group already */
}

s64 sys_umask(struct thread *t, u32 mask)
{
    u32 old = t->process->umask;
    t->process->umask = mask & 0777;
    return old;
}

/* --- capabilities (linux/capability.h) -------------------------------------------------------- */

#define CAPABILITY_VERSION_1 0x19980330
#define CAPABILITY_VERSION_2 0x20071026
#define CAPABILITY_VERSION_3 0x20080522
#define CAPABILITIES_ALL     0x1ffffffffffull

struct capability_header {
    u32 version;
    s32 pid;
};

struct capability_data {
    u32 effective, permitted, inheritable;
};

s64 sys_capget(struct thread *t, u64 header_address, u64 data_address)
{
    struct capability_header h;
    s64 r = argument_in(t, &h, header_address, sizeof(h));
    if (r)
        return r;
    u32 words = h.version == CAPABILITY_VERSION_1                                        ? 1
                : h.version == CAPABILITY_VERSION_2 || h.version == CAPABILITY_VERSION_3 ? 2
                                                                                         : 0;
    if (!words) {
        h.version = CAPABILITY_VERSION_3;
        r = result_out(t, header_address, &h, sizeof(h));
        return r ? r : data_address ? -EINVAL : 0;
    }
    if (h.pid < 0)
        return -EINVAL;
    if (h.pid && (u32)h.pid != t->process->pid)
        return -ESRCH;
    u32 low = (u32)CAPABILITIES_ALL, high = (u32)(CAPABILITIES_ALL >> 32);
    struct capability_data d[2] = {{low, low, 0}, {high, high, 0}};
    return data_address ? result_out(t, data_address, d, words * sizeof(d[0])) : 0;
}

/* --- names ------------------------------------------------------------------------------------ */

#define UTS_BYTES 65

struct user_utsname {
    char system[UTS_BYTES], node[UTS_BYTES], release[UTS_BYTES], version[UTS_BYTES];
    char machine[UTS_BYTES], domain[UTS_BYTES];
};

const char *identity_hostname(struct process *p)
{
    const char *name = filesystem_setting(p->fs, "hostname", 0);
    return name && name[0] ? name : "thunk";
}

static void name_copy(char *to, const char *from)
{
    memcpy(to, from, min(strlen(from), (u64)UTS_BYTES - 1));
}

s64 sys_uname(struct thread *t, u64 address)
{
    struct user_utsname names;
    memset(&names, 0, sizeof(names));
    name_copy(names.system, IDENTITY_SYSTEM);
    name_copy(names.node, identity_hostname(t->process));
    name_copy(names.release, IDENTITY_RELEASE);
    name_copy(names.version, IDENTITY_VERSION);
    name_copy(names.machine, IDENTITY_MACHINE);
    name_copy(names.domain, "(none)");
    return result_out(t, address, &names, sizeof(names));
}

#define PR_SET_PDEATHSIG    1
#define PR_GET_PDEATHSIG    2
#define PR_GET_DUMPABLE     3
#define PR_SET_DUMPABLE     4
#define PR_SET_NAME         15
#define PR_GET_NAME         16
#define PR_CAPBSET_READ     23
#define PR_SET_TIMERSLACK   29
#define PR_GET_TIMERSLACK   30
#define PR_SET_NO_NEW_PRIVS 38
#define PR_GET_NO_NEW_PRIVS 39
#define PR_GET_THP_DISABLE  42
#define PR_CAP_AMBIENT      47

#define TIMER_SLACK_NS  50000
#define CAPABILITY_LAST 40

static s64 process_name_set(struct thread *t, u64 address)
{
    char name[16] = "";
    s64 length = copy_in_string(name, address, sizeof(name));
    if (length == -1) {
        s64 r = argument_in(t, name, address, 1);
        if (r)
            return r;
        length = copy_in_string(name, address, sizeof(name));
    }
    if (length == -1)
        return -EFAULT;
    name[sizeof(name) - 1] = 0; /* a longer one is cut */
    memcpy(t->process->name, name, sizeof(name));
    return 0;
}

s64 sys_prctl(struct thread *t, u32 option, u64 a, u64 b, u64 c, u64 d)
{
    (void)b, (void)c, (void)d;
    switch (option) {
    case PR_SET_NAME:
        return process_name_set(t, a);
    case PR_GET_NAME:
        return result_out(t, a, t->process->name, sizeof(t->process->name));
    case PR_GET_DUMPABLE:
    case PR_GET_NO_NEW_PRIVS:
    case PR_GET_THP_DISABLE:
        return 0;
    case PR_CAPBSET_READ:
        return a <= CAPABILITY_LAST ? 1 : -EINVAL;
    case PR_GET_TIMERSLACK:
        return TIMER_SLACK_NS;
    }
    return -EINVAL; /* as an older Linux says to what it does not know */
}

/* --- limits and usage ------------------------------------------------------------------------- */

#define RUSAGE_SELF     0
#define RUSAGE_CHILDREN (-1)
#define RUSAGE_THREAD   1

s64 sys_prlimit64(struct thread *t, u32 pid, u32 resource, u64 new_address, u64 old_address)
{
    struct limit wanted, old;
    if (resource >= LIMITS)
        return -EINVAL;
    s64 r = new_address ? argument_in(t, &wanted, new_address, sizeof(wanted)) : 0;
    if (r)
        return r;
    if (pid && pid != t->process->pid)
        return -ESRCH;
    struct limit *l = &t->process->files->limits[resource];
    old = *l;
    if (new_address && wanted.soft > wanted.hard)
        return -EINVAL;
    if (new_address && resource == LIMIT_NOFILE && wanted.hard > old.hard)
        return -EPERM; /* Linux's nr_open */
    r = old_address ? result_out(t, old_address, &old, sizeof(old)) : 0;
    if (!r && new_address)
        *l = wanted;
    return r;
}

s64 sys_getrlimit(struct thread *t, u32 resource, u64 address)
{
    return sys_prlimit64(t, 0, resource, 0, address);
}

s64 sys_setrlimit(struct thread *t, u32 resource, u64 address)
{
    return address ? sys_prlimit64(t, 0, resource, address, 0) : -EFAULT;
}

struct user_rusage {
    s64 user_seconds, user_us, system_seconds, system_us;
    s64 resident_most_kib;
    s64 others[13];
};
_Static_assert(sizeof(struct user_rusage) == 144, "struct rusage");

s64 sys_getrusage(struct thread *t, s32 who, u64 address)
{
    struct user_rusage u;
    memset(&u, 0, sizeof(u));
    if (who != RUSAGE_SELF && who != RUSAGE_CHILDREN && who != RUSAGE_THREAD)
        return -EINVAL;
    if (who != RUSAGE_CHILDREN) {
        u64 used = process_cpu_ns(t->process);
        struct user_memory *m = &t->process->memory;
        u.user_seconds = (s64)(used / NS_PER_SECOND);
        u.user_us = (s64)(used % NS_PER_SECOND / NS_PER_US);
        u.resident_most_kib = (s64)((m->pages_own + m->pages_cached) * (PAGE_BYTES / KiB));
    }
    return result_out(t, address, &u, sizeof(u));
}

struct user_sysinfo {
    s64 uptime;
    u64 loads[3];
    u64 total, free, shared, buffers, swap_total, swap_free;
    u16 processes, padding;
    u64 high_total, high_free;
    u32 unit;
};
_Static_assert(sizeof(struct user_sysinfo) == 112, "struct sysinfo");

s64 sys_sysinfo(struct thread *t, u64 address)
{
    struct memory_statistics m = memory_statistics();
    struct user_sysinfo s;
    memset(&s, 0, sizeof(s));
    s.uptime = (s64)(clock_monotonic_ns() / NS_PER_SECOND);
    s.total = m.total_bytes;
    s.free = m.free_bytes;
    s.processes = (u16)t->process->thread_count;
    s.unit = 1;
    return result_out(t, address, &s, sizeof(s));
}

/* --- randomness ------------------------------------------------------------------------------- */

#define GRND_NONBLOCK 1
#define GRND_RANDOM   2
#define GRND_INSECURE 4
#define RANDOM_PIECE  256

s64 sys_getrandom(struct thread *t, u64 address, u64 bytes, u32 flags)
{
    if (flags & ~7u || (flags & (GRND_RANDOM | GRND_INSECURE)) == (GRND_RANDOM | GRND_INSECURE))
        return -EINVAL;
    bytes = min(bytes, (u64)LINUX_IO_MOST);
    for (u64 done = 0; done < bytes;) {
        u8 piece[RANDOM_PIECE];
        u64 n = min(bytes - done, sizeof(piece));
        random_bytes(piece, n);
        s64 r = result_out(t, address + done, piece, n);
        /* Starting again costs nothing but other random bytes. */
        if (r == SYSCALL_LATER)
            return r;
        if (r)
            return done ? (s64)done : r;
        done += n;
    }
    return (s64)bytes;
}

/* --- scheduling: one processor, one class ----------------------------------------------------- */

s64 sys_getcpu(struct thread *t, u64 cpu, u64 node, u64 cache)
{
    u32 zero = 0, number = cpu_number();
    (void)cache;
    s64 r = cpu ? result_out(t, cpu, &number, sizeof(number)) : 0;
    return r || !node ? r : result_out(t, node, &zero, sizeof(zero));
}

#define SCHED_OTHER 0
#define SCHED_FIFO  1
#define SCHED_RR    2
#define SCHED_BATCH 3
#define SCHED_IDLE  5

static bool process_is(struct thread *t, u32 pid)
{
    return !pid || pid == t->process->pid || pid == t->tid;
}

s64 sys_sched_getscheduler(struct thread *t, u32 pid)
{
    return process_is(t, pid) ? SCHED_OTHER : -ESRCH;
}

s64 sys_sched_getparam(struct thread *t, u32 pid, u64 address)
{
    s32 priority = 0;
    return process_is(t, pid) ? result_out(t, address, &priority, sizeof(priority)) : -ESRCH;
}

s64 sys_sched_setscheduler(struct thread *t, u32 pid, u32 policy, u64 address)
{
    s32 priority;
    s64 r = argument_in(t, &priority, address, sizeof(priority));
    if (r)
        return r;
    if (!process_is(t, pid))
        return -ESRCH;
    return policy == SCHED_OTHER ? (priority ? -EINVAL : 0) : -EPERM;
}

s64 sys_sched_get_priority_max(struct thread *t, u32 policy)
{
    (void)t;
    if (policy == SCHED_FIFO || policy == SCHED_RR)
        return 99;
    return policy == SCHED_OTHER || policy == SCHED_BATCH || policy == SCHED_IDLE ? 0 : -EINVAL;
}

s64 sys_sched_get_priority_min(struct thread *t, u32 policy)
{
    s64 most = sys_sched_get_priority_max(t, policy);
    return most > 0 ? 1 : most;
}

/* Linux's answer is 20 - nice, so that it is never negative. */
s64 sys_getpriority(struct thread *t, u32 which, u32 who)
{
    if (which > 2)
        return -EINVAL;
    return which || process_is(t, who) ? 20 : -ESRCH;
}

/* All threads have the priority of nice 0: asking for that is granted, anything else is not. */
s64 sys_setpriority(struct thread *t, u32 which, u32 who, s32 nice)
{
    s64 r = sys_getpriority(t, which, who);
    return r < 0 ? r : nice ? -EPERM : 0;
}
