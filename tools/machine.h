/* The machine that a program runs in: QEMU's command line, its start and its end. */
#pragma once

#include "tools/options.h"

#include <sys/types.h>

/* The host's ends of what connects us to the guest. */
struct machine {
    pid_t pid;
    int stdin_fd, stdout_fd, stderr_fd; /* virtio-console ports */
    int control_fd;                     /* a line each: "exit N" */
    int serial_fd;                      /* the kernel's messages */
    int complaints_fd;                  /* QEMU's own stderr */
    int trace_fd;                       /* a virtio-console port; -1: nothing is traced */
    int monitor_fd;                     /* QEMU's monitor (QMP) */
    bool monitor_ready;                 /* it was told that it will get commands */
    u64 started_ns;
    bool killed; /* it has ended, by a SIGKILL that was not ours */
};

/* Starts it with the image behind `image_fd`; `accel` is not AUTO.  Ends the command when QEMU or
   the kernel is not there. */
void machine_start(struct machine *m, const struct options *o, enum accel accel, int image_fd);

/* Raises a non-maskable interrupt on every CPU: the kernel says what it is doing, stuck or not.
   Does not wait; one that cannot be raised is left out. */
void machine_interrupt(struct machine *m);

/* Takes what the monitor answered; false at its end. */
bool machine_monitor_read(struct machine *m);

/* Ends it, whatever it is doing, and closes everything. */
void machine_end(struct machine *m);

/* The kernel that is booted: $THUNK_KERNEL, or kernel.elf beside this command. */
const char *machine_kernel(void);
