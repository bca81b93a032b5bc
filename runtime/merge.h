/* merge: joins parallel completions into one.

   allocate_merge(heap, done) opens one branch, the guard, that belongs to the issuing function and
   is closed by merge_finish(); so the merge cannot complete while branches are still being added.
   apply_merge(m) opens a branch and returns the status_handler that closes it.  When the last
   branch closes, `done` is applied with the first failure, or with success; the others are counted,
   and who wants their number asks for it with merge_count_failures().

   Safe when branches close on several CPUs at once.  `done` is applied in the context of the last
   branch to close: an issuer that may not be re-entered defers. */
#pragma once

#include "runtime/closure.h"

struct merge {
    struct status_handler branch; /* closes a branch; shared by all of them, so never queued */
    status_handler done;          /* [I] */
    heap heap;                    /* [I] NULL when embedded */
    u32 pending;                  /* [a] open branches, the guard included */
    u32 failures;                 /* [a] */
    u32 *failures_told;           /* where `done` finds their number; NULL: nowhere */
    status first_failure;         /* written once, by the branch that took `failures` from 0 to 1 */
};

typedef struct merge *merge;

/* NULL when out of memory, and then `done` has not been taken over. */
merge allocate_merge(heap h, status_handler done);

/* The same, in memory of the caller's that lives until `done` is applied. */
void init_merge(struct merge *m, status_handler done);

status_handler apply_merge(merge m);

/* A branch that failed before it could be started. */
void merge_fail(merge m, status s);

/* Closes the guard; nothing of m may be touched afterwards. */
void merge_finish(merge m);

/* So far. */
u32 merge_failures(merge m);

/* Writes the number of failures to *failures right before `done` is applied.  By the issuer, before
   merge_finish. */
void merge_count_failures(merge m, u32 *failures);
