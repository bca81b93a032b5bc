/* scope: structured concurrency for closures.  Operations started in a scope end before the scope
   does.

   An operation is the caller's struct, embedded in what it does.  Starting one gives the
   completion to hand to whoever does the work, as apply_merge does:

       status_handler landed = operation_start(&scope, &o, &cancel, done);
       if (!landed)
           ...                        the scope is closing; `done` was not taken over: ECANCELED
       ... begin the work, which applies `landed` once, also when it is cancelled ...
       operation_started(&o);         last: from here on o may be gone

   Until operation_started the operation is held: what lands or is cancelled before takes effect
   there, so `cancel` is never told of work that has not begun.

   cancel (may be NULL: the work ends when it ends) is applied at most once, with the reason (EINTR,
   ETIMEDOUT, ECANCELED), with no lock held, on any CPU, while the work may be landing on another.
   It asks the work to end soon; the work still applies `landed`, once, before cancel returns or
   later.  `done`, and with it the end of o's memory, waits until `cancel` has returned.

   `done` belongs to the operation: the scope does not end before it has returned.  So it must
   return, as cancel must; it may start the next operation, with the same struct too.

   A scope lives in its owner's struct.  It may have a parent, in which it is an operation itself:
   a parent that closes or is cancelled closes the child too, and waits for it.  Closing refuses new
   operations, cancels those in flight and waits for all of them.  A child that ended with its
   parent may still be closed by its owner, at any time, to learn of it.

   Locks: each scope has one, rank SCOPE; nothing is applied under it.  Everything here may be
   called on any CPU, from a run loop or a system call, not from an interrupt handler. */
#pragma once

#include "runtime/executor.h"
#include "runtime/list.h"
#include "runtime/lock.h"

struct scope;

closure_type(cancel_handler, void, status why);

struct operation {
    struct list link;    /* [scope lock] */
    struct scope *scope; /* [I] while it runs; NULL: it does not */
    cancel_handler cancel;
    status_handler done;
    struct status_handler landed_with; /* what operation_start returns */
    struct timer deadline;
    struct thunk deadline_passed;
    u64 started_ns;
    u64 number;  /* [scope lock] in the order of starting */
    u32 pins;    /* [scope lock] the issuing function, a deadline, a cancellation under way */
    bool landed; /* [scope lock] */
    bool told;   /* [scope lock] it was cancelled, or will be when it is started */
    bool timed;  /* [scope lock] the deadline holds a pin */
    bool issued; /* [scope lock] operation_started was called */
    status why;  /* of the cancellation */
    status outcome;
};

struct scope {
    struct spinlock lock;            /* rank SCOPE */
    const struct executor *executor; /* [I] */
    const char *name;                /* [I] for the census */
    struct list running;             /* [lock] operations that nobody cancelled yet */
    struct list cancelled;           /* [lock] and those that are to end */
    u64 started;                     /* [lock] operations, since the beginning */
    u32 pending;                     /* [lock] operations, and calls of ours that need the scope */
    u32 failures;                    /* [lock] since the beginning */
    status first_failure;            /* [lock] */
    bool closing;                    /* [lock] */
    bool ended;                      /* [lock] nothing comes any more but the closer */
    status_handler waiter, closer;   /* [lock] NULL: none */
    struct thunk wait_over;          /* hands the waiter its result */
    struct operation in_parent;
    struct cancel_handler parent_cancels;
    struct status_handler left_parent; /* the parent does not know this scope any more */
    status_handler parent_landed;      /* [lock] NULL: no parent, or it was told */
    struct timer deadline;             /* of the wait */
    struct thunk deadline_passed;
    bool timed;            /* [lock] the deadline is set, or its thunk is on the way */
    struct scope *parent;  /* [I] */
    struct list root_link; /* [roots lock] scopes without a parent, for the census */
};

/* `parent` may be NULL.  In a parent that is closing, the new scope is closing from the start.
   `name` lives for ever. */
void scope_init(struct scope *s, struct scope *parent, const struct executor *e, const char *name);

/* `done`: taken over unless NULL is returned (the scope is closing); applied once, after the work
   has landed, in the context in which it lands; with a failure counted and the first one kept. */
__attribute__((warn_unused_result)) status_handler
operation_start(struct scope *s, struct operation *o, cancel_handler cancel, status_handler done);

/* The same, and cancelled with ETIMEDOUT at deadline_ns (monotonic). */
__attribute__((warn_unused_result)) status_handler
operation_start_until(struct scope *s, struct operation *o, cancel_handler cancel, u64 deadline_ns,
                      status_handler done);

/* Ends the span of the issuing function. */
void operation_started(struct operation *o);

/* operation_start and operation_started in one, for a caller that keeps the work from being landed
   and cancelled until it has begun: by a lock that all who could do either take first. */
__attribute__((warn_unused_result)) status_handler
operation_begin(struct scope *s, struct operation *o, cancel_handler cancel, status_handler done);

/* The same, with a deadline. */
__attribute__((warn_unused_result)) status_handler
operation_begin_until(struct scope *s, struct operation *o, cancel_handler cancel, u64 deadline_ns,
                      status_handler done);

/* Cancels one operation of s if it is running.  o's memory must be valid, be it running or not (its
   `scope` NULL before it was first started). */
void operation_cancel(struct scope *s, struct operation *o, status why);

/* Cancels what is in flight, children too (which close).  New operations may start. */
void scope_cancel(struct scope *s, status why);

/* `done` is applied, from the run loop, when nothing is in flight, with the scope's first failure
   or success.  One wait at a time; `done` may begin the next one.  It returns, as an operation's
   does. */
void scope_wait(struct scope *s, status_handler done);

/* The same; at deadline_ns `done` gets ETIMEDOUT, and what is in flight goes on.  Wait with a grace
   period, and then cancel: do this, and scope_close in `done`. */
void scope_wait_until(struct scope *s, u64 deadline_ns, status_handler done);

/* Refuses what is new, cancels what is in flight (ECANCELED) and applies `done`, from the run loop,
   with success when all of it has ended; the scope may not be used afterwards and its memory may
   go. One close by the owner; a wait that is under way ends too, before. */
void scope_close(struct scope *s, status_handler done);

/* True when nothing is in flight.  In a `done`, the operation that it belongs to is not. */
bool scope_idle(struct scope *s);
u32 scope_failures(struct scope *s);

/* --- the census ------------------------------------------------------------------------------- */

struct operation_seen {
    const char *scope;                /* its name */
    u32 depth;                        /* nesting of the scope, 0: a root */
    const struct closure_info *waits; /* the completion that gets the result */
    u64 age_ns;
    bool cancelled;
};
closure_type(operation_visitor, void, const struct operation_seen *seen);

/* Every operation in flight in every scope, roots first.  For dumps: takes no lock that is held,
   and leaves out (counts in the result) the scopes whose lock was.  The visitor must not start or
   end operations. */
u32 scope_census(operation_visitor visitor);
