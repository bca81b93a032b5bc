/* Following completions, in builds with CLOSURE_CHECKS (debug kernels and hosted tests).

   Each completion is live from where it was made (closure, init_method) until it is applied.  A
   mistake is reported as one line of text that names where the completion was made, and where it
   was applied the first and the second time:
       applied twice; applied after it was freed; applied but never made; freed in flight (its
       memory was given back before it was applied); applied under a lock.
   The report panics unless a test has set its own reporter.  What is live can be listed by the
   place that made it: "what is this request waiting for?"

   An embedded completion is made anew with init_method before each use.  Its owner's memory may be
   given back without applying it when it was never handed to anybody: the checks cannot see that,
   so only completions of a heap count as owed.

   Safe on any CPU and in any context.  Included by runtime/closure.h only. */
#pragma once

enum closure_state {
    CLOSURE_LIVE = 0xc105e001,
    CLOSURE_SHARED, /* the branch of a merge: applied once per branch */
    CLOSURE_APPLIED,
    CLOSURE_FREED,
};

/* Completions that can be live at once and be followed; beyond that new ones are not. */
#define CLOSURE_TABLE_ORDER 14
#define CLOSURE_LIVE_MOST   ((1u << CLOSURE_TABLE_ORDER) * 3 / 4)

void closure_made(struct closure_header *header, const char *file, u32 line);
void closure_applying(struct closure_header *header, const char *file, u32 line);
void closure_freed(struct closure_header *header);

/* Says that a completion is a merge's branch.  It counts as made where `like` was made; `pending`
   is shown by the census. */
void closure_shared(struct closure_header *header, const struct closure_header *like,
                    const u32 *pending);

/* For heaps of checked builds: reports when a live completion begins at p. */
void closure_memory_freed(const void *p);

/* What is live, by the place that made it. */
struct closure_site {
    const struct closure_info *info;
    const char *file;
    u32 line;
    u32 count;
    u32 pending;  /* open branches, of a merge; 0 otherwise */
    u64 oldest;   /* sequence number of the oldest one's creation */
    u64 age_ns;   /* of the oldest one; 0 without a clock */
    bool on_heap; /* owed for certain; an embedded one may just be ready */
};

/* Sites that one census tells apart; the rest is left out, and counted by closure_census. */
#define CLOSURE_SITES_MOST 64

closure_type(closure_site_handler, void, const struct closure_site *site);

/* Applies the handler to each site, oldest first, with no lock held.  Returns the number of live
   completions that could not be shown.

   For dumps, a non-maskable interrupt's too: when the table stays locked (this very CPU was
   changing it) or another census is being shown, nothing is shown and the result is
   CLOSURE_CENSUS_BUSY. */
u64 closure_census(closure_site_handler handler);
#define CLOSURE_CENSUS_BUSY (~0ull)

/* The same for merges alone, each by itself (`count` is 1): the site is where the completion that
   the merge owes was made, `pending` its open branches, the guard included. */
u64 closure_census_merges(closure_site_handler handler);

/* A monotonic clock for ages; before it is set, everything is as old as the machine.  It takes no
   lock and may be read in any context. */
void closure_set_clock(u64 (*now_ns)(void));

/* Live completions of heaps: those that somebody certainly has to apply. */
u64 closure_owed(void);

/* Every mistake goes to the reporter from now on; NULL: to panic again. */
typedef void closure_reporter(const char *text);
void closure_set_reporter(closure_reporter *reporter);
