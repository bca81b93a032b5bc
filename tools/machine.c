/* QEMU's command line, its start and its end: see machine.h.

   Everything reaches QEMU as an open descriptor, so that no name of a file has to be quoted and
   nothing is left behind when either of us dies. */
#include "tools/machine.h"
#include "tools/capture.h"
#include "tools/command.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXIT_PORT    0xf4 /* isa-debug-exit: writing N ends QEMU with status 2 N + 1 */
#define END_PATIENCE 1000 /* ms that QEMU has between SIGTERM and SIGKILL */

/* QEMU's ends of what connects us; the console's ports come first. */
enum their_end {
    THEIR_STDIN,
    THEIR_STDOUT,
    THEIR_STDERR,
    THEIR_CONTROL,
    THEIR_TRACE,
    THEIR_SERIAL,
    THEIR_MONITOR,
    THEIR_IMAGE,
    THEIR_CAPTURE,
    THEIR_ENDS
};

static const char qemu[] = "qemu-system-x86_64";

const char *machine_kernel(void)
{
    static char *found;
    const char *named = getenv("THUNK_KERNEL");
    if (named && *named)
        return named;
    if (!found) {
        char self[PATH_MAX];
        ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
        self[n > 0 ? n : 0] = 0;
        char *slash = strrchr(self, '/');
        found = text_of("%.*s/kernel.elf", slash ? (int)(slash - self) : 0, self);
    }
    return found;
}

/* --- the command line ------------------------------------------------------------------------- */

static void words_add(struct text_list *l, const char *option, const char *value)
{
    text_list_add(l, option);
    if (value)
        text_list_add(l, value);
}

static void add_machine(struct text_list *l, const struct options *o, enum accel accel)
{
    enum machine_type type = o->machine;
    /* The other processors are found in ACPI's tables; one does without them, and starts sooner. */
    bool tables = o->cpus > 1;
    static const char *const machines[] = {
        [MACHINE_MICROVM] = "microvm,pit=on,pic=off,rtc=on,isa-serial=on,x-option-roms=off",
        [MACHINE_Q35] = "q35,usb=off,vmport=off,hpet=off",
        [MACHINE_PC] = "pc,usb=off,vmport=off,hpet=off",
    };
    words_add(l, "-M",
              text_of("%s%s", machines[type],
                      type != MACHINE_MICROVM ? ""
                      : tables                ? ",acpi=on"
                                              : ",acpi=off"));
    words_add(l, "-accel", accel == ACCEL_KVM ? "kvm" : o->cpus > 1 ? "tcg,thread=multi" : "tcg");
    /* TCG counts (and costs) every byte of `rep movsb`, so its being fast is not advertised. */
    words_add(l, "-cpu", accel == ACCEL_KVM ? "host" : "max,erms=off,fsrm=off");
    words_add(l, "-nodefaults", NULL);
    words_add(l, "-no-user-config", NULL);
    words_add(l, "-no-reboot", NULL);
    words_add(l, "-display", "none");
    if (type == MACHINE_MICROVM)
        words_add(l, "-global", "virtio-mmio.force-legacy=false");
}

/* A port of the console that has the index `number` here, on our descriptor. */
static void add_port(struct text_list *l, u32 number, const char *name, int fd)
{
    words_add(l, "-chardev", text_of("socket,id=port%u,fd=%d", number, fd));
    words_add(l, "-device", text_of("virtserialport,chardev=port%u,name=%s", number, name));
}

/* A temporary image is written as it comes; one to keep reaches this machine's disk with every
   FLUSH; one that is only booted stays as it is, and what is written goes to a file of QEMU's own,
   which is gone with it. */
static void add_disk(struct text_list *l, const struct options *o, int image)
{
    const char *how = o->keep   ? "cache=writeback,discard=unmap"
                      : o->disk ? "cache=unsafe,snapshot=on"
                                : "cache=unsafe,discard=unmap,file.locking=off";
    words_add(l, "-drive",
              text_of("if=none,id=disk,format=raw,file.filename=/proc/self/fd/%d,%s", image, how));
    words_add(l, "-device",
              o->machine == MACHINE_MICROVM ? "virtio-blk-device,drive=disk"
                                            : "virtio-blk-pci,drive=disk");
}

static void add_devices(struct text_list *l, const struct options *o, const int *theirs)
{
    static const char *const ports[] = {[THEIR_STDIN] = "thunk.stdin",
                                        [THEIR_STDOUT] = "thunk.stdout",
                                        [THEIR_STDERR] = "thunk.stderr",
                                        [THEIR_CONTROL] = "thunk.control",
                                        [THEIR_TRACE] = "thunk.trace"};
    bool mmio = o->machine == MACHINE_MICROVM;
    add_disk(l, o, theirs[THEIR_IMAGE]);
    words_add(l, "-device", mmio ? "virtio-serial-device" : "virtio-serial-pci");
    for (u32 i = 0; i < countof(ports); i++)
        if (theirs[i] >= 0)
            add_port(l, i, ports[i], theirs[i]);
    net_words(l, o, theirs[THEIR_CAPTURE]);
    words_add(l, "-chardev", text_of("socket,id=serial,fd=%d", theirs[THEIR_SERIAL]));
    words_add(l, "-serial", "chardev:serial");
    words_add(l, "-chardev", text_of("socket,id=monitor,fd=%d", theirs[THEIR_MONITOR]));
    words_add(l, "-mon", "chardev=monitor,mode=control");
    words_add(l, "-device", text_of("isa-debug-exit,iobase=%#x,iosize=0x04", EXIT_PORT));
}

static char *kernel_command_line(const struct options *o)
{
    char *line = text_of("exit_port=%#x %s%s%s%s%s", EXIT_PORT, net_kernel_word(&o->net),
                         say_verbose ? " log=info" : "", o->timeline ? " timeline" : "",
                         o->strace ? " strace" : "", o->trace || o->flame ? " trace" : "");
    for (u32 i = 0; i < o->kernel_args.count; i++)
        line = text_of("%s %s", line, o->kernel_args.items[i]);
    return line;
}

static void add_options(struct text_list *l, const struct options *o)
{
    words_add(l, "-m", text_of("%lluM", (unsigned long long)(o->memory_bytes / MiB)));
    words_add(l, "-smp", text_of("%u", o->cpus));
    words_add(l, "-kernel", machine_kernel());
    words_add(l, "-append", kernel_command_line(o));
    if (o->gdb_port) {
        words_add(l, "-gdb", text_of("tcp:127.0.0.1:%u", o->gdb_port));
        words_add(l, "-S", NULL);
        say("waiting for: gdb -ex 'target remote :%u' (with the file that has the symbols, "
            "thunk-kernel.elf)",
            o->gdb_port);
    }
    for (u32 i = 0; i < o->qemu_args.count; i++)
        words_add(l, o->qemu_args.items[i], NULL);
}

/* --- start and end ---------------------------------------------------------------------------- */

static void pair_make(int *ours, int *theirs)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        die(EXIT_FAILED, "no socket pair can be made: %s", strerror(errno));
    *ours = pair[0];
    *theirs = pair[1];
}

static __attribute__((noreturn)) void child_become(char **argv, const int *inherited, u32 count,
                                                   int complaints, pid_t parent)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    /* Its own process group: Ctrl-C is for us, and we end it. */
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(EXIT_FAILED);
    int nothing = open("/dev/null", O_RDWR);
    dup2(nothing, 0);
    dup2(nothing, 1);
    dup2(complaints, 2);
    for (u32 i = 0; i < count; i++)
        if (inherited[i] >= 0)
            fcntl(inherited[i], F_SETFD, 0);
    execvp(argv[0], argv);
    _exit(EXIT_MISSING);
}

void machine_start(struct machine *m, const struct options *o, enum accel accel, int image_fd)
{
    if (access(machine_kernel(), R_OK) != 0)
        die(EXIT_FAILED,
            "%s: the kernel is not there; build it with make, or name it in "
            "THUNK_KERNEL",
            machine_kernel());
    if (!command_exists(qemu))
        die(EXIT_FAILED, "%s is not installed; get it with: apt-get install qemu-system-x86", qemu);
    int theirs[THEIR_ENDS], complaints;
    theirs[THEIR_CAPTURE] = net_capture(&o->net);
    pair_make(&m->stdin_fd, &theirs[THEIR_STDIN]);
    pair_make(&m->stdout_fd, &theirs[THEIR_STDOUT]);
    pair_make(&m->stderr_fd, &theirs[THEIR_STDERR]);
    pair_make(&m->control_fd, &theirs[THEIR_CONTROL]);
    pair_make(&m->serial_fd, &theirs[THEIR_SERIAL]);
    pair_make(&m->complaints_fd, &complaints);
    pair_make(&m->monitor_fd, &theirs[THEIR_MONITOR]);
    m->trace_fd = theirs[THEIR_TRACE] = -1;
    if (o->trace || o->flame)
        pair_make(&m->trace_fd, &theirs[THEIR_TRACE]);
    theirs[THEIR_IMAGE] = image_fd;
    m->monitor_ready = false;
    m->killed = false;

    struct text_list l = {};
    words_add(&l, qemu, NULL);
    add_machine(&l, o, accel);
    add_devices(&l, o, theirs);
    add_options(&l, o);
    m->started_ns = now_ns();
    pid_t parent = getpid();
    m->pid = fork();
    if (m->pid < 0)
        die(EXIT_FAILED, "%s cannot be started: %s", qemu, strerror(errno));
    if (m->pid == 0)
        child_become(l.items, theirs, countof(theirs), complaints, parent);
    for (u32 i = 0; i < countof(theirs); i++)
        if (theirs[i] >= 0 && i != THEIR_IMAGE)
            close(theirs[i]);
    close(complaints);
    net_say(&o->net);
}

/* --- the monitor ------------------------------------------------------------------------------ */

void machine_interrupt(struct machine *m)
{
    static const char greeting[] = "{\"execute\":\"qmp_capabilities\"}\n";
    static const char interrupt[] = "{\"execute\":\"inject-nmi\"}\n";
    if (m->monitor_fd < 0)
        return;
    if (!m->monitor_ready)
        m->monitor_ready = send(m->monitor_fd, greeting, sizeof(greeting) - 1,
                                MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)sizeof(greeting) - 1;
    /* A command is short, and each is read at once or the machine is ending: all or nothing. */
    send(m->monitor_fd, interrupt, sizeof(interrupt) - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

bool machine_monitor_read(struct machine *m)
{
    char answer[4096];
    ssize_t n = recv(m->monitor_fd, answer, sizeof(answer) - 1, MSG_DONTWAIT);
    if (n < 0)
        return errno == EINTR || errno == EAGAIN;
    answer[n] = 0;
    if (strstr(answer, "\"error\""))
        say("QEMU's monitor refuses: %s", answer);
    return n > 0;
}

/* --- the end ---------------------------------------------------------------------------------- */

/* True when it has ended by itself within its patience. */
static bool machine_ended(struct machine *m)
{
    int how = 0;
    for (u32 i = 0; i < END_PATIENCE; i++) {
        if (waitpid(m->pid, &how, WNOHANG) != 0) {
            m->killed = WIFSIGNALED(how) && WTERMSIG(how) == SIGKILL;
            return true;
        }
        usleep(1000);
    }
    return false;
}

void machine_end(struct machine *m)
{
    if (m->pid > 0) {
        kill(m->pid, SIGTERM);
        if (!machine_ended(m)) {
            kill(m->pid, SIGKILL);
            waitpid(m->pid, NULL, 0);
        }
        m->pid = 0;
        capture_end();
    }
    int *const fds[] = {&m->stdin_fd,  &m->stdout_fd,     &m->stderr_fd,  &m->control_fd,
                        &m->serial_fd, &m->complaints_fd, &m->monitor_fd, &m->trace_fd};
    for (u32 i = 0; i < countof(fds); i++) {
        if (*fds[i] >= 0)
            close(*fds[i]);
        *fds[i] = -1;
    }
}
