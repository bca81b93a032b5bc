/* Being the program: carries bytes between our stdin, stdout and stderr and the guest's, collects
   what the kernel says, and knows how the program ended. */
#pragma once

#include "tools/machine.h"

enum relay_end {
    RELAY_EXITED,    /* the program ended: exit_status */
    RELAY_DIED,      /* the machine ended without saying so */
    RELAY_TIMED_OUT, /* the deadline passed */
    RELAY_SIGNALLED, /* we were told to stop: signal */
};

#define RELAY_LAST_LINES 24
#define RELAY_LINE_BYTES 512

/* What the kernel's boot consisted of, as --timeline shows it. */
#define RELAY_STAGES 24

struct relay_stage {
    u64 us;
    char name[64];
};

struct relay_result {
    enum relay_end end;
    u8 exit_status;
    int signal;
    bool panicked;       /* the kernel said so */
    u64 first_output_ns; /* after the machine's start; 0: there was none */
    u64 ended_ns;        /* the same for its end */
    u32 lines;           /* what the kernel and QEMU said last, lines % RELAY_LAST_LINES is next */
    u32 lines_shown;     /* how many of them the user saw already */
    char last_lines[RELAY_LAST_LINES][RELAY_LINE_BYTES];
    bool trace_cut; /* what the trace is kept in took no more */
    u32 stages;     /* of the boot */
    u64 entry_us;   /* from the machine's start to the kernel's first instruction */
    struct relay_stage stage[RELAY_STAGES];
};

enum relay_manner { RELAY_OPEN, RELAY_SILENT }; /* SILENT: no stdin, and output is dropped */

/* Runs until the machine has ended, and ends it itself at `deadline_ns` (0: none) or on a signal.
   The trace, if there is one, goes to trace_fd. */
void relay_run(struct machine *m, enum relay_manner manner, u64 deadline_ns, int trace_fd,
               struct relay_result *result);
