/* What closures cost inside the kernel: a kernel of its own, instead of kernel/init.c, with the
   flags of the real one.  Under -icount shift=0 the time-stamp counter counts instructions.  One
   line an operation on the serial port: "name instructions".  See operations.h. */
#include "kernel/cpus.h"
#include "kernel/machine.h"
#include "kernel/memory.h"
#include "kernel/run_loop.h"
#include "kernel/x86/bring_up.h"
#include "kernel/x86/early.h"
#include "runtime/format.h"
#include "runtime/memory.h"
#include "test/bench/closures/operations.h"

#define WARM_UP 64
#define ROUNDS  3200

/* Called by boot/start.asm. */
__attribute__((noreturn)) void kernel_start(struct boot_info *boot);

static void line_write(const char *name, u64 instructions)
{
    char line[100];
    u64 bytes =
        format_text(line, sizeof(line), "%s %llu\n", name, (unsigned long long)instructions);
    early_write(line, min(bytes, sizeof(line) - 1));
}

static void measure(const struct bench_operation *o)
{
    o->run(WARM_UP);
    u64 before = __builtin_ia32_rdtsc();
    o->run(ROUNDS);
    line_write(o->name, (__builtin_ia32_rdtsc() - before) / ROUNDS);
}

/* --- through the run loop: a thunk that queues itself ----------------------------------------- */

static struct looped {
    struct thunk again;
    u64 left, before;
} looped;

closure_method(thunk, looped_again, struct looped, again)
{
    struct looped *l = owner();
    if (l->left-- > 0) {
        run_later(&l->again);
        return;
    }
    line_write("run_later", (__builtin_ia32_rdtsc() - l->before) / ROUNDS);
    machine_exit(0);
}

void kernel_start(struct boot_info *boot)
{
    machine_bring_up(boot);
    bench_operations_init(general_heap);
    for (const struct bench_operation *o = bench_operations; o->name; o++)
        measure(o);
    init_method(&looped.again, looped_again);
    looped.left = ROUNDS;
    looped.before = __builtin_ia32_rdtsc();
    run_later(&looped.again);
    run_loop();
}
