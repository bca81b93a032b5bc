/* Signals: actions, masks, delivery.  unix/signal.c has the rules. */
#pragma once

#include "kernel/user.h"
#include "runtime/types.h"

struct process;
struct thread;

enum signal_number {
    SIGNAL_HUP = 1,
    SIGNAL_INT = 2,
    SIGNAL_QUIT = 3,
    SIGNAL_ILL = 4,
    SIGNAL_TRAP = 5,
    SIGNAL_ABRT = 6,
    SIGNAL_BUS = 7,
    SIGNAL_FPE = 8,
    SIGNAL_KILL = 9,
    SIGNAL_USR1 = 10,
    SIGNAL_SEGV = 11,
    SIGNAL_USR2 = 12,
    SIGNAL_PIPE = 13,
    SIGNAL_ALRM = 14,
    SIGNAL_TERM = 15,
    SIGNAL_CHLD = 17,
    SIGNAL_CONT = 18,
    SIGNAL_STOP = 19,
    SIGNAL_TSTP = 20,
    SIGNAL_TTIN = 21,
    SIGNAL_TTOU = 22,
    SIGNAL_URG = 23,
    SIGNAL_XCPU = 24,
    SIGNAL_XFSZ = 25,
    SIGNAL_VTALRM = 26,
    SIGNAL_PROF = 27,
    SIGNAL_WINCH = 28,
    SIGNAL_IO = 29,
    SIGNAL_PWR = 30,
    SIGNAL_SYS = 31,
};
#define SIGNALS 64

static inline u64 signal_bit(u32 signal)
{
    return 1ull << (signal - 1);
}

/* As struct sigaction of the kernel's interface (arch/x86 uapi, rt_sigaction). */
struct signal_action {
    u64 handler; /* 0: default, 1: ignore */
    u64 flags;
    u64 restorer;
    u64 mask;
};

enum signal_action_flags {
    SIGNAL_ON_STACK = 0x08000000,
    SIGNAL_RESTART = 0x10000000,
    SIGNAL_NO_DEFER = 0x40000000,
    SIGNAL_RESET_HANDLER = 0x80000000,
    SIGNAL_RESTORER = 0x04000000,
};
#define SIGNAL_DEFAULT 0ull
#define SIGNAL_IGNORE  1ull

/* What is told about one signal: the fields of siginfo_t that are used. */
struct signal_info {
    s32 signal;
    s32 error;
    s32 code;
    u64 address; /* of a fault; or pid (low half) and uid (high half) */
    u64 value;
};

struct signal_table {
    struct signal_action actions[SIGNALS]; /* by number - 1 */
    struct signal_info infos[SIGNALS];     /* of what is pending */
    u64 pending;                           /* of the process as a whole */
};

/* Queues a signal for the process or for one thread; a waiting interruptible system call of a
   thread that takes it ends with EINTR.  The signal is acted upon before the thread next enters
   user mode. */
void signal_send_process(struct process *p, const struct signal_info *info);
void signal_send_thread(struct thread *t, const struct signal_info *info);

/* Whether sending it would do nothing: it is ignored, by choice or by default. */
bool signal_is_ignored(const struct process *p, u32 signal);

/* The name: "SIGSEGV"; "signal" for the real-time ones. */
const char *signal_name(u32 signal);

/* For the file side: SIGPIPE and its like, sent to the calling thread by the kernel. */
void signal_raise(struct thread *t, u32 signal);
