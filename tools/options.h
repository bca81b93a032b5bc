/* What the user asked of `thunk run` and `thunk build`: the command line and --config FILE. */
#pragma once

#include "tools/net.h"
#include "tools/say.h"

#define MEMORY_LEAST (2 * MiB) /* the kernel is loaded at the first megabyte */
#define CPUS_MOST    64u       /* the kernel's own limit (kernel/cpus.h) */

enum accel { ACCEL_AUTO, ACCEL_KVM, ACCEL_TCG };
enum machine_type { MACHINE_MICROVM, MACHINE_Q35, MACHINE_PC };
enum verb { VERB_RUN, VERB_BUILD };

struct options {
    enum verb verb;
    const char *root;      /* --root */
    struct text_list adds; /* HOST[:GUEST] as written; from --config, and from the command line */
    struct text_list debs;
    struct text_list env;
    const char *cwd, *hostname;
    u64 memory_bytes;
    u32 cpus;           /* 1 to CPUS_MOST */
    const char *disk;   /* --disk */
    const char *keep;   /* --keep */
    const char *output; /* -o */
    u64 size_bytes;     /* 0: the usual room beyond the contents */
    bool no_checksums;  /* of data */
    enum accel accel;
    enum machine_type machine;
    bool strace, timeline;
    const char *trace, *flame; /* where they are written; NULL: not wanted */
    struct net_options net;    /* --net, -p, --capture */
    u32 gdb_port;              /* 0: none */
    u64 timeout_ns;            /* 0: none */
    struct text_list kernel_args, qemu_args;
    const char *program;        /* NULL with --disk; it may be with --keep */
    struct text_list arguments; /* after the program's name */
};

/* Reads the arguments after the verb.  Ends the command (status 2) on wrong usage. */
void options_read(struct options *o, enum verb verb, int count, char **words);

/* Reads a JSON file into the options (config.c); ends the command when it is wrong. */
void config_read(struct options *o, const char *path);

/* "64M", "1G", "65536": bytes.  False when it is none. */
bool size_read(const char *text, u64 *bytes);
