/* The TLB shoot-down of kernel/x86/shootdown.c: two CPUs and one space.  Each changes its entry,
   touches its memory, loads and leaves the space, idles (lazily) and polls, in any order; at any
   moment a CPU that has the space loaded may read the entry into its TLB.  With -DLEAVE the space is
   given up at the end.

   Proved, for all interleavings: once flush_finish has returned, no CPU touches memory through an
   older entry; once shootdown_leave has returned, no CPU has the space loaded; nobody waits for
   ever, two that begin at once included; a request is read only while it is valid.

   x86-TSO: the new entry waits in a store buffer until a fence, a locked operation or an INVLPG of
   its CPU; and in mutations what a CPU says of itself does.

   RUN -DACTIONS=3
   RUN -DACTIONS=3 -DLEAVE
   MUTATION ENTRY_UNFENCED -DACTIONS=3
   MUTATION SPACE_UNFENCED -DACTIONS=3
   MUTATION ANNOUNCED_LATE -DACTIONS=3
   MUTATION LAZY_UNFENCED -DACTIONS=3
   MUTATION LAZY_READ_ONCE -DACTIONS=3
   MUTATION ANSWERED_EARLY -DACTIONS=3
   MUTATION SPACE_CLEARED_LATE -DACTIONS=3
   MUTATION UNPOLLED -DACTIONS=1
   MUTATION LEFT_TO_THE_LAZY -DACTIONS=3 -DLEAVE
*/

#define LISTED 1
#define SPACE  2
#define LEFT   4

bool lock;
byte entry;       /* its version, in memory */
bool request;     /* it is valid */
bool loaded[2];   /* CR3 */
byte tlb[2];      /* the version cached, + 1; 0: none */
bool space[2], space_next[2], lazy[2];
byte wanted[2];   /* flush_wanted */
bool interrupt[2];

/* Store buffers: a value + 1; 0: empty. */
byte entry_stored[2], next_stored[2], lazy_stored[2];

byte flushed;     /* no older version may be used */
bool ending, given_up;
bool entering[2]; /* a thread of the space runs there */
byte done;

#define drained(c) (entry_stored[c] == 0 && next_stored[c] == 0 && lazy_stored[c] == 0)

inline drain_one(c)
{
    if
    :: entry_stored[c] -> entry = entry_stored[c] - 1; entry_stored[c] = 0
    :: next_stored[c] -> space_next[c] = next_stored[c] - 1; next_stored[c] = 0
    :: lazy_stored[c] -> lazy[c] = lazy_stored[c] - 1; lazy_stored[c] = 0
    fi
}

/* Buffers drain, and page tables are read ahead of need. */
active proctype hardware()
{
end:
    do
    :: atomic { !drained(0) -> drain_one(0) }
    :: atomic { !drained(1) -> drain_one(1) }
    :: atomic { loaded[0] && tlb[0] == 0 && done < 2 -> assert(!given_up); tlb[0] = entry + 1 }
    :: atomic { loaded[1] && tlb[1] == 0 && done < 2 -> assert(!given_up); tlb[1] = entry + 1 }
    od
}

inline page_space_switch(c, enters)
{
#ifdef ANNOUNCED_LATE
    atomic { drained(c); loaded[c] = enters; tlb[c] = 0 }
    space_next[c] = enters;
#else
#ifdef SPACE_UNFENCED
    atomic { next_stored[c] == 0; next_stored[c] = enters + 1 }
    atomic { loaded[c] = enters; tlb[c] = 0 }
    drained(c); /* the load of CR3 waits for it, but not before the tables are read */
#else
    atomic { drained(c); space_next[c] = enters }
    atomic { loaded[c] = enters; tlb[c] = 0 }
#endif
#endif
    space[c] = enters
}

inline shootdown_answer(c)
{
#ifdef SPACE_CLEARED_LATE
    to_do = wanted[c];
#else
    atomic { drained(c); to_do = wanted[c]; wanted[c] = wanted[c] & ~SPACE }
#endif
#ifdef ANSWERED_EARLY
    wanted[c] = wanted[c] & ~to_do;
#endif
    if
    :: to_do & LISTED -> assert(request); tlb[c] = 0
    :: else
    fi;
    if
    :: to_do & SPACE -> tlb[c] = 0
    :: else
    fi;
    if
    :: to_do & LEFT && space[c] -> page_space_switch(c, false)
    :: else
    fi;
#ifdef SPACE_CLEARED_LATE
    atomic { drained(c); wanted[c] = wanted[c] & ~to_do; to_do = 0 }
#else
    atomic { drained(c); wanted[c] = wanted[c] & ~(to_do & ~SPACE); to_do = 0 }
#endif
}

inline shootdown_poll(c)
{
    if
    :: wanted[c] -> shootdown_answer(c)
    :: else
    fi
}

inline space_idle_end(c)
{
#ifdef LAZY_UNFENCED
    lazy_stored[c] = 1;
#else
    atomic { drained(c); lazy[c] = false }
#endif
    shootdown_poll(c)
}

/* Interrupts come in while it halts, and something ends that at some time. */
inline cpu_idle(c)
{
    lazy[c] = true;
    do
    :: interrupt[c] -> interrupt[c] = false; shootdown_poll(c)
    :: break
    od;
    space_idle_end(c)
}

/* --- the initiator ---------------------------------------------------------------------------- */

inline flush_post(c, o, how)
{
#ifdef LEFT_TO_THE_LAZY
    is_lazy = lazy[o];
#else
    is_lazy = (how == LISTED && lazy[o]);
#endif
    atomic {
        drained(c);
        wanted[o] = wanted[o] | ((is_lazy && how == LISTED) -> SPACE : how)
    }
#ifndef LAZY_READ_ONCE
    if
    :: is_lazy -> is_lazy = lazy[o]
    :: else
    fi;
#endif
    if
    :: is_lazy
    :: else -> interrupt[o] = true; asked = true
    fi;
    is_lazy = false
}

inline shootdown(c, o, how)
{
    request = true;
#ifndef ENTRY_UNFENCED
    drained(c);
#endif
    concerned = space[o];
    if
    :: !concerned -> concerned = space_next[o]
    :: else
    fi;
    if
    :: concerned -> flush_post(c, o, how)
    :: else
    fi;
    do
    :: !asked || wanted[o] == 0 -> break
    :: asked && wanted[c] -> shootdown_answer(c)
    od;
    atomic { request = false; asked = false; concerned = false }
}

inline paging_lock(c)
{
    do
    :: atomic { drained(c) && !lock -> lock = true; break }
#ifndef UNPOLLED
    :: wanted[c] -> shootdown_answer(c)
#endif
    od
}

inline change(c, o)
{
    paging_lock(c);
    atomic { version = entry + 1; entry_stored[c] = version + 1 }
    if
    :: space[c] -> atomic { drained(c); tlb[c] = 0 } /* INVLPG */
    :: else
    fi;
    shootdown(c, o, LISTED);
    atomic { flushed = version; version = 0 }
    atomic { drained(c); lock = false }
}

/* --- the CPUs --------------------------------------------------------------------------------- */

inline touch(c)
{
    atomic {
        if
        :: tlb[c] == 0 -> tlb[c] = entry + 1
        :: else
        fi;
        assert(tlb[c] > flushed)
    }
}

inline leave(c, o)
{
    atomic { !entering[o] -> ending = true }
    paging_lock(c);
    if
    :: space[c] -> page_space_switch(c, false)
    :: else
    fi;
    shootdown(c, o, LEFT);
    given_up = true;
    assert(!loaded[0] && !loaded[1]);
    atomic { drained(c); lock = false }
}

proctype cpu(byte c; byte o)
{
    byte actions, to_do, version;
    bool is_lazy, asked, concerned;
    do
    :: actions == ACTIONS -> break
    :: actions < ACTIONS ->
        actions++;
        if
        :: true -> change(c, o)
        :: atomic { !ending -> entering[c] = true }
           if
           :: space[c] -> touch(c); page_space_switch(c, false)
           :: space[c] -> touch(c)
           :: !space[c] -> page_space_switch(c, true); touch(c)
           fi;
           entering[c] = false
        :: cpu_idle(c);
           if
           :: space[c] && !ending -> touch(c)
           :: else
           fi
        :: shootdown_poll(c)
        fi
    od;
#ifdef LEAVE
    if
    :: c == 0 -> leave(c, o)
    :: else
    fi;
#endif
    /* User mode, or the halt, until all is over. */
    atomic { drained(c); actions = 0; done++ }
    do
    :: interrupt[c] -> interrupt[c] = false; shootdown_poll(c)
    :: done == 2 -> break
    od
}

init
{
    atomic {
        loaded[0] = true;
        loaded[1] = true;
        space[0] = true;
        space[1] = true;
        space_next[0] = true;
        space_next[1] = true;
        run cpu(0, 1);
        run cpu(1, 0)
    }
}
