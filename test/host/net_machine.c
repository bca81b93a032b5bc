/* The machine around the network's stack: see test/host/net_machine.h. */
#include "test/host/net_machine.h"

#include "kernel/census.h"
#include "kernel/clock.h"
#include "kernel/log.h"
#include "kernel/machine.h"
#include "kernel/memory.h"
#include "kernel/net/net.h"
#include "kernel/run_loop.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define OPTIONS_MOST 8
#define LOG_BYTES    65536

static struct host_executor executor;
static struct counting_heap memory;
static struct random chance;
static struct {
    const char *name, *value;
} options[OPTIONS_MOST];
static u32 option_count;
static char log_text[LOG_BYTES];
static u64 log_used;
static u64 timer_sets;

heap general_heap, page_heap;

/* --- what the kernel offers ------------------------------------------------------------------- */

struct memory_statistics memory_statistics(void)
{
    return (struct memory_statistics){256 * MiB, 128 * MiB};
}

u64 clock_monotonic_ns(void)
{
    return executor.now_ns;
}

u64 clock_realtime_ns(void)
{
    return executor.now_ns + 1700000000 * NS_PER_SECOND;
}

void timer_set(struct timer *t, u64 expires_ns, thunk expired)
{
    timer_sets++;
    executor.e.timer_set(&executor.e, t, expires_ns, expired);
}

bool timer_cancel(struct timer *t)
{
    return executor.e.timer_cancel(&executor.e, t);
}

void run_later(thunk t)
{
    executor_later(&executor.e, t);
}

void run_later_status(status_handler done, status s)
{
    executor_later_status(&executor.e, done, s);
}

void random_bytes(void *to, u64 bytes)
{
    random_fill(&chance, to, bytes);
}

const char *boot_option(const char *name)
{
    return boot_option_at(name, 0);
}

const char *boot_option_at(const char *name, u32 index)
{
    for (u32 i = 0; i < option_count; i++) {
        if (!strcmp(options[i].name, name) && !index--)
            return options[i].value;
    }
    return NULL;
}

u64 boot_option_number(const char *name)
{
    const char *value = boot_option(name);
    return value ? strtoull(value, NULL, 0) : 0;
}

void log_line_list(enum log_level level, const char *format, va_list arguments)
{
    (void)level;
    char line[512];
    int length = vsnprintf(line, sizeof(line), format, arguments);
    if (getenv("NET_LOG"))
        note("%s", line);
    if (length > 0 && log_used + (u64)length + 2 < LOG_BYTES)
        log_used += (u64)sprintf(log_text + log_used, "%s\n", line);
}

void log_line(enum log_level level, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    log_line_list(level, format, arguments);
    va_end(arguments);
}

void census_register(const char *name, census_writer writer)
{
    (void)name;
    (void)writer;
}

void census_line(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    log_line_list(LOG_INFO, format, arguments);
    va_end(arguments);
}

/* --- for tests -------------------------------------------------------------------------------- */

void net_machine_start(u64 seed)
{
    host_executor_init(&executor, 0);
    counting_heap_init(&memory, "network");
    list_remove(&memory.link); /* the stack never ends, so it need not be empty at the end */
    general_heap = page_heap = &memory.h;
    random_init(&chance, seed);
    must(is_ok(net_start()));
}

void net_machine_option(const char *name, const char *value)
{
    must(option_count < OPTIONS_MOST);
    options[option_count].name = name;
    options[option_count++].value = value;
}

void net_machine_run(void)
{
    host_executor_run(&executor);
}

void net_machine_pass(u64 ns)
{
    host_executor_pass(&executor, ns);
}

void net_machine_stall(u64 ns)
{
    host_executor_move(&executor, ns);
    host_executor_run(&executor);
}

u64 net_machine_now(void)
{
    return executor.now_ns;
}

u64 net_machine_timer_sets(void)
{
    return timer_sets;
}

void net_machine_fail(u64 n)
{
    memory.failed = 0;
    memory.fail_at = n ? memory.calls + n : 0;
}

bool net_machine_failed(void)
{
    return memory.failed;
}

u64 net_machine_live(void)
{
    return memory.live;
}

u64 net_machine_live_bytes(void)
{
    return memory.live_bytes;
}

bool net_machine_logged(const char *text)
{
    return strstr(log_text, text);
}

void net_machine_log_clear(void)
{
    log_used = 0;
    log_text[0] = 0;
}

const char *net_machine_log(void)
{
    return log_text;
}

void net_machine_must_failed(const char *file, int line, const char *text)
{
    fprintf(stderr, "# %s:%d: %s does not hold; what was logged:\n%s", file, line, text, log_text);
    _exit(1);
}

void net_machine_child(const char *what, void (*body)(void))
{
    fflush(NULL);
    pid_t child = fork();
    if (!child) {
        body();
        fflush(NULL);
        _exit(0);
    }
    int ended = -1;
    bool waited = child > 0 && waitpid(child, &ended, 0) == child;
    ok(waited && WIFEXITED(ended) && WEXITSTATUS(ended) == 0, "%s", what);
}
