/* Where the machine is put together: CPU and memory, devices, the filesystem, the program; and at
   the end the program's exit status.

   Alone of all files it may name every layer.  What the outside got wrong (no disk, an image that
   is not ours, too little memory) is one line that says what was needed, and exit status 1.
   Called by boot/start.asm. */
#include "boot/boot.h"
#include "drivers/console.h"
#include "drivers/drivers.h"
#include "fs/fs.h"
#include "kernel/clock.h"
#include "kernel/cpus.h"
#include "kernel/log.h"
#include "kernel/machine.h"
#include "kernel/memory.h"
#include "kernel/net/net.h"
#include "kernel/run_loop.h"
#include "kernel/timeline.h"
#include "kernel/trace.h"
#include "kernel/watchdog.h"
#include "kernel/x86/bring_up.h"
#include "runtime/format.h"
#include "unix/unix.h"

#define EXIT_MACHINE          1         /* the program never began */
#define MEMORY_LEAST          (2 * MiB) /* usable; less is not even tried */
#define MEMORY_ADVICE         "give the machine at least 8M (-m 8M)"
#define CACHE_FREE_PAGES      64                   /* the page cache leaves at least that much */
#define END_WAIT_NS           (30 * NS_PER_SECOND) /* for what the program wrote to be durable */
#define DIRTY_SHARE           5 /* the part of free memory that may wait to be written, as in Linux */
#define DIRTY_PAGES_LEAST     64ull
#define DIRTY_PAGES_MOST      16384ull
#define NET_WAIT_MOST_SECONDS 3600ull /* of the option net_wait */
#define BYTES_AS_KIB(size)    (u32)((size) >> 10)

static struct machine {
    const struct boot_info *boot;
    struct block_device *disk; /* the first that was found */
    struct filesystem *fs;
    struct block_attach attach;
    struct status_handler addressed;
    struct mount_handler mounted;
    struct process_ended ended;
    struct memory_reclaim reclaim;
    struct exit_writer announce;
    struct exit_writer exit_told;
    struct thunk start;
    u8 exit_status; /* of the program */
    struct status_handler fs_ended;
    struct thunk end_late;
    struct timer end_timer;
} machine;

__attribute__((noreturn)) static void machine_failed(void)
{
    machine_exit(EXIT_MACHINE);
}

/* --- the end ---------------------------------------------------------------------------------- */

/* Where there is no control channel, how QEMU or the machine ends has to do. */
closure_method(exit_writer, exit_announce, struct machine, announce, u8 exit_status)
{
    (void)owner();
    char line[16];
    format_text(line, sizeof(line), "exit %u", exit_status);
    console_control(line);
}

/* What the program wrote is durable, or it is not and that is said; its status stays its own. */
closure_method(status_handler, filesystem_ended, struct machine, fs_ended, status s)
{
    struct machine *m = owner();
    timer_cancel(&m->end_timer);
    if (!is_ok(s))
        log_error("%s: not all that was written is durable: %s", m->disk->name, status_text(s));
    machine_exit(m->exit_status);
}

closure_method(thunk, end_too_late, struct machine, end_late)
{
    struct machine *m = owner();
    log_error("%s: not all that was written is durable: the disk did not end in %u s",
              m->disk->name, (u32)(END_WAIT_NS / NS_PER_SECOND));
    machine_exit(m->exit_status);
}

closure_method(process_ended, program_ended, struct machine, ended, u8 exit_status)
{
    struct machine *m = owner();
    log_info("the program ended with status %u", exit_status);
    m->exit_status = exit_status;
    init_method(&m->fs_ended, filesystem_ended);
    init_method(&m->end_late, end_too_late);
    timer_set(&m->end_timer, clock_monotonic_ns() + END_WAIT_NS, &m->end_late);
    filesystem_end(m->fs, &m->fs_ended);
}

/* Every end comes by here, a panic's too.  Without a control channel the exit port is all. */
closure_method(exit_writer, exit_tell, struct machine, exit_told, u8 exit_status)
{
    (void)owner();
    char line[16];
    format_text(line, sizeof(line), "exit %u", exit_status);
    console_control(line);
}

/* --- the filesystem --------------------------------------------------------------------------- */

static void filesystem_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void filesystem_warn(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    log_line_list(LOG_WARNING, format, arguments);
    va_end(arguments);
}

static s64 time_now(void)
{
    return (s64)clock_realtime_ns();
}

closure_method(memory_reclaim, cache_reclaim, struct machine, reclaim, u64 pages)
{
    return page_cache_reclaim(owner()->fs, pages);
}

static void mount_failed(status s)
{
    if (status_errno(s) == ENOMEM)
        log_error("too little memory for the filesystem of %s (%u KiB free): use more than -m %uM",
                  machine.disk->name, BYTES_AS_KIB(memory_statistics().free_bytes),
                  (u32)(memory_statistics().total_bytes >> 20) + 1);
    else if (s.detail)
        log_error("%s holds no image that can be started: %s (%llu)", machine.disk->name,
                  status_text(s), (unsigned long long)s.detail);
    else
        log_error("%s holds no image that can be started: %s", machine.disk->name, status_text(s));
    machine_failed();
}

static void program_start(struct machine *m)
{
    process_start(m->fs, &m->ended);
    timeline_note("program started");
    timeline_log(m->boot);
}

/* A program that asks for its address at once is better started without one than not at all. */
closure_method(status_handler, network_addressed, struct machine, addressed, status s)
{
    if (!is_ok(s))
        log_warning("the program starts without an address: %s", status_text(s));
    program_start(owner());
}

closure_method(mount_handler, filesystem_ready, struct machine, mounted, struct filesystem *fs,
               status s)
{
    if (!is_ok(s))
        mount_failed(s);
    struct machine *m = owner();
    timeline_note("filesystem mounted");
    m->fs = fs;
    memory_set_reclaim(&m->reclaim);
    const char *hostname = filesystem_setting(fs, "hostname", 0);
    if (hostname && *hostname)
        net_set_hostname(hostname);
    u64 wait_seconds = min(boot_option_number("net_wait"), NET_WAIT_MOST_SECONDS);
    if (!wait_seconds) {
        program_start(m);
        return;
    }
    init_method(&m->addressed, network_addressed);
    net_wait_ready(clock_monotonic_ns() + wait_seconds * NS_PER_SECOND, &m->addressed);
}

static void root_mount(void)
{
    /* It lives as long as the mount: for ever. */
    static struct filesystem_environment environment;
    u64 free_pages = memory_statistics().free_bytes >> PAGE_ORDER;
    u64 dirty_pages = min(free_pages / DIRTY_SHARE, DIRTY_PAGES_MOST);
    environment = (struct filesystem_environment){
        .heap = general_heap,
        .pages = page_heap,
        .block_pages_most = 64,
        .device = machine.disk,
        .executor = &kernel_executor,
        .cache_pages_most = max(free_pages, 2ull * CACHE_FREE_PAGES) - CACHE_FREE_PAGES,
        .read_only = boot_option("read_only") != NULL,
        .dirty_pages_most = max(dirty_pages, DIRTY_PAGES_LEAST),
        .time_ns = time_now,
        .protect = memory_protect_handler(),
        .unmap = memory_unmap_handler(),
        .warn = filesystem_warn,
    };
    filesystem_mount(&environment, &machine.mounted);
}

/* --- the devices ------------------------------------------------------------------------------ */

closure_method(block_attach, disk_found, struct machine, attach, struct block_device *device)
{
    if (!owner()->disk)
        owner()->disk = device;
}

closure_method(thunk, machine_start, struct machine, start)
{
    struct machine *m = owner();
    status s = net_start();
    if (!is_ok(s))
        log_error("there is no network: %s", status_text(s));
    drivers_start(&m->attach, net_device_attach());
    timeline_note("devices started");
    if (!m->disk) {
        log_error("no disk was found: attach the image as a virtio-blk device (PCI or MMIO)");
        machine_failed();
    }
    root_mount();
}

/* --- the machine ------------------------------------------------------------------------------ */

static void memory_check(const struct boot_info *boot)
{
    u64 bytes = 0;
    for (u32 i = 0; i < boot->memory_count; i++)
        bytes += range_length(boot->memory[i]);
    if (bytes >= MEMORY_LEAST)
        return;
    machine_init(boot); /* how to end is an option */
    log_error("too little memory (%u KiB usable): " MEMORY_ADVICE, BYTES_AS_KIB(bytes));
    machine_failed();
}

static void completion_refused(const struct closure_info *info)
{
    log_error("the completion %s (%s:%u) was applied twice; the second time was refused",
              info->name, info->file, info->line);
}

void kernel_start(struct boot_info *boot)
{
    memory_check(boot);
    machine_bring_up(boot);
    log_take_options();
    closure_set_refusal_reporter(completion_refused);
    watchdog_start();
    log_info("started by %s, %u KiB of memory free", boot->loader,
             BYTES_AS_KIB(memory_statistics().free_bytes));
    log_debug("the image is at %llx, the direct map at %llx", (unsigned long long)boot->image.start,
              (unsigned long long)boot->direct_map_base);
    timeline_note("machine up");
    cpus_start(CPUS_MOST);
    timeline_note("CPUs up");
    trace_start();
    machine.boot = boot;
    init_method(&machine.attach, disk_found);
    init_method(&machine.ended, program_ended);
    init_method(&machine.mounted, filesystem_ready);
    init_method(&machine.reclaim, cache_reclaim);
    init_method(&machine.exit_told, exit_tell);
    init_method(&machine.start, machine_start);
    init_method(&machine.announce, exit_announce);
    machine_set_exit_writer(&machine.announce);
    machine_set_exit_writer(&machine.exit_told);
    run_later(&machine.start);
    run_loop();
}
