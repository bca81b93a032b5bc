/* `thunk run` and `thunk build`: see run.h. */
#include "tools/run.h"
#include "tools/deb.h"
#include "tools/image.h"
#include "tools/keep.h"
#include "tools/relay.h"
#include "tools/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PROBE_NS     (1 * NS_PER_SECOND)
#define PROBE_STATUS 42

/* The ends of the machine and of the file that is being written, whatever ends the command. */
static struct machine machine = {.stdin_fd = -1,
                                 .stdout_fd = -1,
                                 .stderr_fd = -1,
                                 .control_fd = -1,
                                 .serial_fd = -1,
                                 .complaints_fd = -1,
                                 .trace_fd = -1,
                                 .monitor_fd = -1};
static const char *unfinished;

static void clean_up(void)
{
    machine_end(&machine);
    if (unfinished)
        unlink(unfinished);
}

/* --- does KVM work here? ---------------------------------------------------------------------- */

/* A program of three instructions, written out: ELF header, one program header, and
   mov edi, 42; mov eax, 231 (exit_group); syscall. */
static const u8 probe_program[] = {
    0x7f, 'E',
    'L',  'F',
    2,    1,
    1,    0,
    0,    0,
    0,    0,
    0,    0,
    0,    0, /* identification */
    2,    0,
    62,   0,
    1,    0,
    0,    0, /* ET_EXEC, x86-64, version 1 */
    0x78, 0,
    0x40, 0,
    0,    0,
    0,    0, /* entry 0x400078 */
    64,   0,
    0,    0,
    0,    0,
    0,    0, /* program headers at 64 */
    0,    0,
    0,    0,
    0,    0,
    0,    0,
    0,    0,
    0,    0, /* no sections, no flags */
    64,   0,
    56,   0,
    1,    0,
    64,   0,
    0,    0,
    0,    0, /* sizes and counts */
    1,    0,
    0,    0,
    5,    0,
    0,    0, /* PT_LOAD, read and execute */
    0,    0,
    0,    0,
    0,    0,
    0,    0, /* from offset 0 */
    0,    0,
    0x40, 0,
    0,    0,
    0,    0,
    0,    0,
    0x40, 0,
    0,    0,
    0,    0, /* at 0x400000 */
    0x84, 0,
    0,    0,
    0,    0,
    0,    0,
    0x84, 0,
    0,    0,
    0,    0,
    0,    0, /* 132 bytes */
    0,    0x10,
    0,    0,
    0,    0,
    0,    0, /* aligned to pages */
    0xbf, PROBE_STATUS,
    0,    0,
    0,    0xb8,
    231,  0,
    0,    0,
    0x0f, 0x05 /* the program */
};

static const char *kvm_try(void)
{
    struct options o = {.verb = VERB_RUN,
                        .memory_bytes = 64 * MiB,
                        .cpus = 1,
                        .program = "/probe",
                        .net.kind = NET_NONE};
    struct tree t;
    struct relay_result result;
    bool verbose = say_verbose;
    say_verbose = false;
    tree_init(&t);
    tree_add_memory(&t, "/probe", probe_program, sizeof(probe_program), 0755);
    int fd = image_temporary();
    image_write(&o, &t, "/probe",
                &(struct image_file){.fd = fd, .name = "the probe's image", .temporary = true});
    machine_start(&machine, &o, ACCEL_KVM, fd);
    relay_run(&machine, RELAY_SILENT, now_ns() + PROBE_NS, -1, &result);
    close(fd);
    say_verbose = verbose;
    if (result.end == RELAY_SIGNALLED)
        exit(128 + result.signal);
    if (machine.killed) /* which says nothing about KVM, and is to end the command */
        die(EXIT_FAILED, "QEMU was killed while it was tried whether KVM runs a guest here");
    return result.end == RELAY_EXITED && result.exit_status == PROBE_STATUS
               ? NULL
               : "/dev/kvm is there, but a guest's user mode does not run under it";
}

/* What the answer depends on: this boot, this kernel of ours. */
static char *probe_key(void)
{
    char boot[64] = "";
    struct stat st = {};
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        ssize_t n = read(fd, boot, sizeof(boot) - 1);
        boot[n > 0 ? n : 0] = 0;
        boot[strcspn(boot, "\n")] = 0;
        close(fd);
    }
    stat(machine_kernel(), &st);
    return text_of("%s %lld.%09ld", boot, (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
}

/* "kvm KEY" or "tcg KEY" in the cache; 0 when it says nothing about this key. */
static char answer_read(const char *path, const char *key)
{
    char line[256] = "";
    FILE *f = fopen(path, "re");
    if (!f)
        return 0;
    bool whole = fgets(line, sizeof(line), f) != NULL;
    fclose(f);
    line[strcspn(line, "\n")] = 0;
    return whole && strlen(line) > 4 && !strcmp(line + 4, key) ? line[0] : 0;
}

static void answer_write(const char *path, const char *key, bool works)
{
    char *partial = text_of("%s.%d", path, (int)getpid());
    FILE *f = fopen(partial, "we");
    if (f) {
        fprintf(f, "%s %s\n", works ? "kvm" : "tcg", key);
        if (fclose(f) != 0 || rename(partial, path) != 0)
            unlink(partial);
    }
    free(partial);
}

const char *kvm_refusal(void)
{
    if (access("/dev/kvm", R_OK | W_OK) != 0)
        return errno == ENOENT ? "there is no /dev/kvm" : "/dev/kvm may not be opened by this user";
    const char *folder = cache_folder();
    char *path = folder ? text_of("%s/accel", folder) : NULL;
    char *key = probe_key();
    char known = path ? answer_read(path, key) : 0;
    const char *refusal =
        known == 'k'
            ? NULL
            : "it was tried since this machine booted, and did not run a guest's user mode";
    if (!known) {
        progress("trying whether KVM runs a guest here");
        refusal = kvm_try();
        if (path)
            answer_write(path, key, !refusal);
    }
    free(key);
    free(path);
    return refusal;
}

/* --- run -------------------------------------------------------------------------------------- */

static int image_make_temporary(const struct options *o)
{
    struct tree t;
    char *program;
    image_gather(o, &t, &program);
    int fd = image_temporary();
    image_write(o, &t, program,
                &(struct image_file){.fd = fd,
                                     .name = "the temporary image",
                                     .room_bytes = ROOM_TEMPORARY,
                                     .temporary = true});
    return fd;
}

/* Written beside its final place and renamed, so that a failure leaves what was there. */
static void image_make(const struct options *o, const char *path)
{
    struct tree t;
    char *program;
    image_gather(o, &t, &program);
    char *partial = text_of("%s.part%d", path, (int)getpid());
    int fd = open(partial, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0)
        die(EXIT_FAILED, "%s: cannot be written: %s", path, strerror(errno));
    unfinished = partial;
    image_write(o, &t, program,
                &(struct image_file){.fd = fd, .name = path, .room_bytes = ROOM_BUILT});
    if (close(fd) != 0 || rename(partial, path) != 0)
        die(EXIT_FAILED, "%s: cannot be written: %s", path, strerror(errno));
    unfinished = NULL;
}

/* The image of --keep: made when it is not there; what is there stays, and runs what the command
   line says. */
static int image_keep(const struct options *o)
{
    struct stat st;
    if (stat(o->keep, &st) == 0) {
        int fd = image_open(o->keep, IMAGE_WRITE);
        keep_settings(o, fd);
        return fd;
    }
    if (errno != ENOENT)
        die(EXIT_FAILED, "%s: %s", o->keep, strerror(errno));
    if (!o->program)
        die(EXIT_USAGE, "--keep %s: does not exist yet; write what is to be run", o->keep);
    image_make(o, o->keep);
    return image_open(o->keep, IMAGE_WRITE);
}

/* What the machine said last. */
static void last_lines_show(const struct relay_result *r)
{
    u32 first = r->lines > RELAY_LAST_LINES ? r->lines - RELAY_LAST_LINES : 0;
    for (u32 i = first; i < r->lines; i++)
        say("%s", r->last_lines[i % RELAY_LAST_LINES]);
}

/* Each stage with its share of the whole, from QEMU's start to the program's. */
static void timeline_show(const struct relay_result *r)
{
    u32 last = r->stages ? r->stages - 1 : 0;
    u64 sum = r->entry_us;
    for (u32 i = 0; i < last; i++)
        sum += r->stage[i].us;
    double whole = (double)sum;
    if (!r->stages || strcmp(r->stage[last].name, "boot") != 0 || whole <= 0)
        return;
    say("%8llu us  %5.1f %%  QEMU's start, to the kernel's first instruction",
        (unsigned long long)r->entry_us, 100 * (double)r->entry_us / whole);
    for (u32 i = 0; i < last; i++)
        say("%8llu us  %5.1f %%  %s", (unsigned long long)r->stage[i].us,
            100 * (double)r->stage[i].us / whole, r->stage[i].name);
    say("%8.0f us  100.0 %%  from QEMU's start to the program's", whole);
}

static int result_report(const struct options *o, const struct relay_result *r)
{
    if (o->timeline)
        timeline_show(r);
    switch (r->end) {
    case RELAY_EXITED:
        if (say_verbose || o->timeline)
            say("from QEMU's start: first output after %llu ms, ended after %llu ms, status %u",
                (unsigned long long)(r->first_output_ns / NS_PER_MS),
                (unsigned long long)(r->ended_ns / NS_PER_MS), r->exit_status);
        return r->exit_status;
    case RELAY_TIMED_OUT:
        say("ended after %.6g seconds, as --timeout says", (double)o->timeout_ns / 1e9);
        return 124;
    case RELAY_SIGNALLED:
        return 128 + r->signal;
    case RELAY_DIED:
        if (!r->lines_shown) {
            last_lines_show(r);
            say("the machine ended without a word about the program's end");
        }
        return r->panicked ? 255 : EXIT_FAILED;
    }
    return EXIT_FAILED;
}

/* --- the trace -------------------------------------------------------------------------------- */

typedef bool trace_format(const struct trace_file *f, FILE *to, const char *title);

struct trace_outputs {
    int stream; /* what the machine sends, as it comes; -1: nothing is traced */
    FILE *trace, *flame;
};

static FILE *trace_file_create(const char *path)
{
    FILE *to = path ? fopen(path, "we") : NULL;
    if (path && !to)
        die(EXIT_FAILED, "%s: cannot be written: %s", path, strerror(errno));
    return to;
}

/* Before the machine starts, so that a name that cannot be written is known at once. */
static struct trace_outputs trace_begin(const struct options *o)
{
    struct trace_outputs outputs = {.stream = o->trace || o->flame ? image_temporary() : -1};
    outputs.trace = trace_file_create(o->trace);
    outputs.flame = trace_file_create(o->flame);
    return outputs;
}

static bool trace_file_write(const struct trace_file *f, FILE *to, const char *path,
                             trace_format *format, const char *title)
{
    if (!to)
        return true;
    bool written = format(f, to, title);
    if (fclose(to) == 0 && written)
        return true;
    say("%s: cannot be written: %s", path, strerror(errno));
    return false;
}

/* What the machine sent becomes files; false: one of them could not be written. */
static bool trace_finish(const struct options *o, const struct trace_outputs *outputs,
                         const struct relay_result *r)
{
    if (!o->trace && !o->flame)
        return true;
    const char *title = o->program ? o->program : o->disk ? o->disk : o->keep;
    struct trace_file *f = trace_open(outputs->stream);
    if (!f) {
        say("the trace cannot be read back: %s", strerror(errno));
        return false;
    }
    bool written = trace_file_write(f, outputs->trace, o->trace, trace_write_json, title);
    written &= trace_file_write(f, outputs->flame, o->flame, flame_write, title);
    if (r->trace_cut)
        say("the trace was cut: there is no more room for it in the temporary folder");
    if (trace_lost(f))
        say("the trace has lost %llu records: the machine made them faster than they were taken; "
            "--kernel-arg trace=KIB makes room for more (default: up to 1024)",
            (unsigned long long)trace_lost(f));
    trace_close(f);
    return written;
}

/* Descriptors 0, 1 and 2 exist from here on, so that none of ours takes their place. */
static void standard_streams_hold(void)
{
    for (int fd = 0; fd <= 2; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
            _exit(EXIT_FAILED);
    }
}

int run_command(int count, char **words)
{
    static struct options o;
    static struct relay_result result;
    standard_streams_hold();
    options_read(&o, VERB_RUN, count, words);
    atexit(clean_up);
    int fd = o.disk   ? image_open(o.disk, IMAGE_READ)
             : o.keep ? image_keep(&o)
                      : image_make_temporary(&o);
    enum accel accel = o.accel;
    if (accel == ACCEL_AUTO) {
        const char *refusal = kvm_refusal();
        accel = refusal ? ACCEL_TCG : ACCEL_KVM;
        say_more("accelerator: %s%s", refusal ? "tcg: " : "kvm", refusal ? refusal : "");
    }
    struct trace_outputs outputs = trace_begin(&o);
    progress_end();
    machine_start(&machine, &o, accel, fd);
    relay_run(&machine, RELAY_OPEN, o.timeout_ns ? now_ns() + o.timeout_ns : 0, outputs.stream,
              &result);
    bool written = trace_finish(&o, &outputs, &result);
    int exit_status = result_report(&o, &result);
    return exit_status == EXIT_OK && !written ? EXIT_FAILED : exit_status;
}

/* --- build ------------------------------------------------------------------------------------ */

int build_command(int count, char **words)
{
    static struct options o;
    options_read(&o, VERB_BUILD, count, words);
    atexit(clean_up);
    image_make(&o, o.output);
    return EXIT_OK;
}
