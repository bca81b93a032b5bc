/* The check of a filesystem: see check.h.  The work is in check_scan.c, check_walk.c and
   check_state.c. */
#include "fs/check_internal.h"

#include "runtime/format.h"

/* The scan's own refusal, as a problem. */
static void refusal_say(struct check *c, status s)
{
    if (status_errno(s) != ENOMEM)
        check_problem(c, "%s (%llu)", status_text(s), (unsigned long long)s.detail);
}

status filesystem_check(const struct check_options *options, struct check_result *to)
{
    struct check *c = allocate(options->heap, sizeof(*c));
    if (!c)
        return status_error(ENOMEM, "fs: no memory for checking", sizeof(*c));
    status s = check_begin(c, options, to);
    if (is_ok(s)) {
        check_walk(c);
        if (is_ok(c->failure))
            check_state(c);
        s = c->failure;
    } else {
        refusal_say(c, s);
    }
    check_end(c);
    deallocate(options->heap, c, sizeof(*c));
    return status_errno(s) == ENOMEM || status_errno(s) == EINVAL ? s : STATUS_OK;
}
