/* What a test cannot survive: the boot option provoke= makes it happen instead of the tests, and
   test/guest/census.t looks at what is said.

       provoke=hang   a thunk that never returns
       provoke=twice  a completion that is applied twice */
#include "kernel/machine.h"
#include "kernel/x86/msr.h"
#include "runtime/memory.h"
#include "test/kernel/kernel_test.h"

static struct provoked {
    struct thunk begin;
    struct status_handler done;
} provoked;

closure_method(thunk, provoked_hang, struct provoked, begin)
{
    (void)owner();
    for (;;)
        cpu_pause();
}

closure_method(status_handler, provoked_done, struct provoked, done, status s)
{
    (void)owner();
    (void)s;
}

closure_method(thunk, provoked_twice, struct provoked, begin)
{
    struct provoked *p = owner();
    init_method(&p->done, provoked_done);
    apply(&p->done, STATUS_OK);
    apply(&p->done, STATUS_OK);
}

void provoke_if_asked(void)
{
    const char *what = boot_option("provoke");
    if (!what)
        return;
    if (strcmp(what, "hang") == 0)
        init_method(&provoked.begin, provoked_hang);
    else
        init_method(&provoked.begin, provoked_twice);
    run_later(&provoked.begin);
    run_loop();
}
