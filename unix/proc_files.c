/* /proc and /sys: what is about the machine and the kernel.  /proc/self is in proc_process.c.

   The texts have Linux's form, since programs parse them; figures that this kernel does not keep
   are 0. */
#include "kernel/cpus.h"
#include "kernel/machine.h"
#include "kernel/memory.h"
#include "unix/descriptor.h"
#include "unix/identity.h"
#include "unix/proc.h"

/* --- texts ------------------------------------------------------------------------------------ */

static void cpu_text(u32 number, struct text *to)
{
    u32 cpus = cpus_online();
    text_add(to, "processor\t: %u\nvendor_id\t: %s\n", number, cpu_vendor());
    text_add(to, "cpu family\t: %u\nmodel\t\t: %u\n", cpu_family(), cpu_model());
    text_add(to, "model name\t: %s\nstepping\t: %u\n", cpu_name(), cpu_stepping());
    text_add(to, "physical id\t: 0\nsiblings\t: %u\ncore id\t\t: %u\ncpu cores\t: %u\n", cpus,
             number, cpus);
    text_add(to,
             "fpu\t\t: yes\nflags\t\t: fpu tsc msr pae cx8 apic cmov mmx fxsr sse sse2 syscall "
             "nx lm%s%s%s%s\n",
             cpu_has(CPU_SSE42) ? " ssse3 sse4_1 sse4_2 popcnt" : "",
             cpu_has(CPU_AES) ? " aes pclmulqdq" : "", cpu_has(CPU_AVX) ? " avx" : "",
             cpu_has(CPU_AVX2) ? " avx2" : "");
    text_add(to, "address sizes\t: 40 bits physical, 48 bits virtual\n\n");
}

static void cpuinfo_text(struct thread *t, u32 index, struct text *to)
{
    (void)t, (void)index;
    for (u32 number = 0; number < cpus_online(); number++)
        cpu_text(number, to);
}

/* As Linux writes the CPUs 0 to n - 1. */
static void cpus_text(struct thread *t, u32 index, struct text *to)
{
    (void)t, (void)index;
    if (cpus_online() > 1)
        text_add(to, "0-%u\n", cpus_online() - 1);
    else
        text_add(to, "0\n");
}

static void meminfo_text(struct thread *t, u32 index, struct text *to)
{
    (void)t, (void)index;
    struct memory_statistics m = memory_statistics();
    text_add(to, "MemTotal:       %8llu kB\nMemFree:        %8llu kB\nMemAvailable:   %8llu kB\n",
             m.total_bytes / KiB, m.free_bytes / KiB, m.free_bytes / KiB);
    text_add(to, "Buffers:        %8u kB\nCached:         %8u kB\nSwapCached:     %8u kB\n", 0, 0,
             0);
    text_add(to, "SwapTotal:      %8u kB\nSwapFree:       %8u kB\n", 0, 0);
    text_add(to, "Dirty:          %8u kB\nWriteback:      %8u kB\nShmem:          %8u kB\n", 0, 0,
             0);
}

static void stat_text(struct thread *t, u32 index, struct text *to)
{
    (void)t, (void)index;
    u64 now = clock_monotonic_ns();
    u64 ticks = now / (NS_PER_SECOND / TICKS_PER_SECOND);
    u32 cpus = cpus_online();
    text_add(to, "cpu  %lu 0 0 0 0 0 0 0 0 0\n", ticks * cpus);
    for (u32 number = 0; number < cpus; number++)
        text_add(to, "cpu%u %lu 0 0 0 0 0 0 0 0 0\n", number, ticks);
    text_add(to, "intr 0\nctxt 0\nbtime %llu\n", (clock_realtime_ns() - now) / NS_PER_SECOND);
    text_add(to, "processes 1\nprocs_running 1\nprocs_blocked 0\n");
}

static void uptime_text(struct thread *t, u32 index, struct text *to)
{
    (void)t, (void)index;
    u64 hundredths = clock_monotonic_ns() / (10 * NS_PER_MS);
    text_add(to, "%lu.%02lu 0.00\n", hundredths / 100, hundredths % 100);
}

static void loadavg_text(struct thread *t, u32 index, struct text *to)
{
    (void)index;
    text_add(to, "0.00 0.00 0.00 1/%u %u\n", t->process->thread_count, t->process->pid);
}

void mounts_text(struct thread *t, u32 index, struct text *to)
{
    (void)t, (void)index;
    text_add(to, "/dev/vda / thunk %s,relatime 0 0\n",
             filesystem_read_only(t->process->fs) ? "ro" : "rw");
    text_add(to,
             "devtmpfs /dev devtmpfs ro 0 0\nproc /proc proc ro 0 0\nsysfs /sys sysfs ro 0 0\n");
}

static void hostname_text(struct thread *t, u32 index, struct text *to)
{
    (void)index;
    text_add(to, "%s\n", identity_hostname(t->process));
}

/* Drawn once, so that it names this run of the machine; a version 4 UUID. */
static void boot_id_text(struct thread *t, u32 index, struct text *to)
{
    static u8 id[16];
    (void)t, (void)index;
    if (!id[8]) {
        random_bytes(id, sizeof(id));
        id[6] = (id[6] & 0x0f) | 0x40;
        id[8] = (id[8] & 0x3f) | 0x80;
    }
    for (u32 i = 0; i < sizeof(id); i++)
        text_add(to, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", id[i]);
    text_add(to, "\n");
}

static void uuid_text(struct thread *t, u32 index, struct text *to)
{
    u8 id[16];
    (void)t, (void)index;
    random_bytes(id, sizeof(id));
    id[6] = (id[6] & 0x0f) | 0x40;
    id[8] = (id[8] & 0x3f) | 0x80;
    for (u32 i = 0; i < sizeof(id); i++)
        text_add(to, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", id[i]);
    text_add(to, "\n");
}

/* --- the tree --------------------------------------------------------------------------------- */

static const struct virtual_node sys_kernel, sys_fs, sys_vm, kernel_random;

TEXT(random_boot_id, "boot_id", 40, &kernel_random, boot_id_text);
TEXT(random_uuid, "uuid", 41, &kernel_random, uuid_text);
static const struct virtual_node *const random_children[] = {&random_boot_id, &random_uuid, NULL};
DIRECTORY(kernel_random, "random", 42, &sys_kernel, random_children);

CONSTANT(kernel_ostype, "ostype", 50, &sys_kernel, IDENTITY_SYSTEM "\n");
CONSTANT(kernel_osrelease, "osrelease", 51, &sys_kernel, IDENTITY_RELEASE "\n");
CONSTANT(kernel_version, "version", 52, &sys_kernel, IDENTITY_VERSION "\n");
TEXT(kernel_hostname, "hostname", 53, &sys_kernel, hostname_text);
CONSTANT(kernel_pid_max, "pid_max", 54, &sys_kernel, "32768\n");
CONSTANT(kernel_ngroups_max, "ngroups_max", 55, &sys_kernel, "65536\n");
CONSTANT(kernel_randomize, "randomize_va_space", 56, &sys_kernel, "1\n");
static const struct virtual_node *const kernel_children[] = {
    &kernel_ostype,    &kernel_osrelease, &kernel_version,
    &kernel_hostname,  &kernel_pid_max,   &kernel_ngroups_max,
    &kernel_randomize, &kernel_random,    NULL};
DIRECTORY(sys_kernel, "kernel", 57, &proc_sys, kernel_children);

CONSTANT(fs_file_max, "file-max", 60, &sys_fs, "1048576\n");
CONSTANT(fs_nr_open, "nr_open", 61, &sys_fs, "1048576\n");
CONSTANT(fs_pipe_max, "pipe-max-size", 62, &sys_fs, "1048576\n");
static const struct virtual_node *const fs_children[] = {&fs_file_max, &fs_nr_open, &fs_pipe_max,
                                                         NULL};
DIRECTORY(sys_fs, "fs", 63, &proc_sys, fs_children);

CONSTANT(vm_overcommit, "overcommit_memory", 64, &sys_vm, "1\n");
CONSTANT(vm_max_map_count, "max_map_count", 65, &sys_vm, "65530\n");
static const struct virtual_node *const vm_children[] = {&vm_overcommit, &vm_max_map_count, NULL};
DIRECTORY(sys_vm, "vm", 66, &proc_sys, vm_children);

static const struct virtual_node *const sys_children[] = {&sys_fs, &sys_kernel, &proc_sys_net,
                                                          &sys_vm, NULL};
const struct virtual_node proc_sys = {.name = "sys",
                                      .mode = S_IFDIR | 0555,
                                      .number = 70,
                                      .parent = &virtual_proc,
                                      .children = sys_children};

/* The machine's own options are no business of the program. */
CONSTANT(proc_cmdline, "cmdline", 71, &virtual_proc, "\n");
TEXT(proc_cpuinfo, "cpuinfo", 72, &virtual_proc, cpuinfo_text);
CONSTANT(proc_devices, "devices", 73, &virtual_proc,
         "Character devices:\n  1 mem\n  5 /dev/tty\n\nBlock devices:\n254 virtblk\n");
CONSTANT(proc_filesystems, "filesystems", 74, &virtual_proc,
         "\tthunk\nnodev\tproc\nnodev\tsysfs\nnodev\tdevtmpfs\n");
TEXT(proc_loadavg, "loadavg", 75, &virtual_proc, loadavg_text);
TEXT(proc_meminfo, "meminfo", 76, &virtual_proc, meminfo_text);
TEXT(proc_stat, "stat", 77, &virtual_proc, stat_text);
TEXT(proc_uptime, "uptime", 78, &virtual_proc, uptime_text);
CONSTANT(proc_version, "version", 79, &virtual_proc,
         IDENTITY_SYSTEM " version " IDENTITY_RELEASE " (thunk) " IDENTITY_VERSION "\n");

static s64 mounts_target(struct process *p, u32 index, char *to, u64 most)
{
    (void)p, (void)index;
    static const char text[] = "self/mounts";
    if (most < sizeof(text) - 1)
        return -ERANGE;
    memcpy(to, text, sizeof(text) - 1);
    return sizeof(text) - 1;
}
static const struct virtual_node proc_mounts = {.name = "mounts",
                                                .mode = S_IFLNK | 0777,
                                                .number = 80,
                                                .parent = &virtual_proc,
                                                .target = mounts_target};

static const struct virtual_node *const proc_children[] = {
    &proc_cmdline, &proc_cpuinfo,     &proc_devices, &proc_filesystems, &proc_loadavg,
    &proc_meminfo, &proc_mounts,      &proc_net,     &proc_self,        &proc_stat,
    &proc_sys,     &proc_thread_self, &proc_uptime,  &proc_version,     NULL};

const struct virtual_node virtual_proc = {.name = "proc",
                                          .mode = S_IFDIR | 0555,
                                          .number = 1,
                                          .children = proc_children,
                                          .lookup = proc_process_lookup,
                                          .next = proc_process_next};

/* --- /sys ------------------------------------------------------------------------------------- */

static const struct virtual_node sys_devices, devices_system, system_cpu, cpu_zero;

static const struct virtual_node *const cpu_zero_children[] = {NULL};
DIRECTORY(cpu_zero, "cpu0", 2, &system_cpu, cpu_zero_children);
TEXT(cpu_online, "online", 3, &system_cpu, cpus_text);
TEXT(cpu_possible, "possible", 4, &system_cpu, cpus_text);
TEXT(cpu_present, "present", 5, &system_cpu, cpus_text);
CONSTANT(cpu_kernel_max, "kernel_max", 6, &system_cpu, "63\n"); /* CPUS_MOST - 1 */
static const struct virtual_node *const cpu_children[] = {
    &cpu_zero, &cpu_kernel_max, &cpu_online, &cpu_possible, &cpu_present, NULL};
DIRECTORY(system_cpu, "cpu", 7, &devices_system, cpu_children);
static const struct virtual_node *const system_children[] = {&system_cpu, NULL};
DIRECTORY(devices_system, "system", 8, &sys_devices, system_children);
static const struct virtual_node *const devices_children[] = {&devices_system, NULL};
DIRECTORY(sys_devices, "devices", 9, &virtual_sys, devices_children);
static const struct virtual_node *const sysfs_children[] = {&sys_class, &sys_devices, NULL};

const struct virtual_node virtual_sys = {
    .name = "sys", .mode = S_IFDIR | 0555, .number = 1, .children = sysfs_children};
