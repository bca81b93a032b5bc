/* How a CPU goes to sleep and is woken: kernel/run_loop.c, for any thunk_queue and closure_queue.

   CPU 0 has work for others: run_on(1), then run_anywhere twice, then serves its own queues.  CPUs
   1 and 2 serve theirs, and then idle or enter user mode, which an interrupt alone ends.

   Proved, for all interleavings: when nothing moves any more, everything has been run: no CPU sleeps
   beside work that it was to do.

   x86-TSO: plain stores wait in a buffer of the CPU's until they are drained, at any later time, or
   until its next locked operation or fence; loads pass them.  There are two such stores: that a place of
   a ring is filled (its position was reserved with a locked operation, which is what
   thunk_queue_empty looks at), and with MODE_BUFFERED the mode of a CPU.  The locked operations, of
   the queues too, are single steps here; their insides are in thunk_queue.pml and closure_queue.pml.

   RUN
   MUTATION MODE_BUFFERED
   MUTATION NO_SECOND_LOOK
   MUTATION FILLED_UNFENCED
   MUTATION TOLD_BEFORE_ADDED
   MUTATION TAKEN_BEFORE_LOOKED
   MUTATION HALT_TORN
   MUTATION MODE_OF_IDLE_ONLY
*/

#define CPUS   3
#define SHARED 2
#define BIT(n) (1 << (n))

mtype = { SERVING, IN_USER, IDLE };

/* struct cpu_queues, the shared queue, and the interrupts under way */
byte own[CPUS];         /* closure_queue */
byte reserved, filled;  /* positions of the shared thunk_queue: added, and to be seen by takers */
byte taken;             /* positions taken */
mtype mode[CPUS];
bool work_pending[CPUS];
byte cpus_idle;
bool interrupt[CPUS];

/* Store buffers. */
byte filling[CPUS];     /* that many stores of a filled place */
mtype setting[CPUS];    /* of the mode; 0: none */

byte ran;
bool over; /* nothing moves any more: the proof lets everybody go */

#define buffer_empty(cpu) (filling[cpu] == 0 && setting[cpu] == 0)

active proctype drain()
{
end:
    do
    :: atomic { filling[0] > 0 -> filling[0]--; filled++ }
    :: atomic { setting[1] != 0 -> mode[1] = setting[1]; setting[1] = 0 }
    :: atomic { setting[2] != 0 -> mode[2] = setting[2]; setting[2] = 0 }
    od
}

inline wake(cpu)
{
    interrupt[cpu] = true
}

/* --- CPU 0 ------------------------------------------------------------------------------------ */

inline queues_tell(cpu)
{
    atomic { buffer_empty(0); was = work_pending[cpu]; work_pending[cpu] = true }
    if
    :: !was ->
#ifdef MODE_OF_IDLE_ONLY
        if
        :: mode[cpu] == IDLE -> wake(cpu)
        :: else
        fi
#else
        if
        :: mode[cpu] != SERVING -> wake(cpu)
        :: else
        fi
#endif
    :: else
    fi;
    was = false
}

inline run_on(cpu)
{
#ifdef TOLD_BEFORE_ADDED
    queues_tell(cpu);
    atomic { buffer_empty(0); own[cpu]++ }
#else
    atomic { buffer_empty(0); own[cpu]++ }
    queues_tell(cpu)
#endif
}

inline run_anywhere()
{
    atomic { buffer_empty(0); reserved++ }
    filling[0]++;
#ifndef FILLED_UNFENCED
    buffer_empty(0); /* the fence */
#endif
    claimed = 0;
    seen = cpus_idle;
    do
    :: seen & BIT(1) ->
        atomic { claimed = cpus_idle & BIT(1); cpus_idle = cpus_idle & ~BIT(1) }
        if
        :: claimed -> wake(1); break
        :: else -> seen = seen & ~BIT(1)
        fi
    :: !(seen & BIT(1)) && seen & BIT(2) ->
        atomic { claimed = cpus_idle & BIT(2); cpus_idle = cpus_idle & ~BIT(2) }
        if
        :: claimed -> wake(2); break
        :: else -> seen = seen & ~BIT(2)
        fi
    :: !seen -> break
    od;
    if
    :: !claimed -> work_pending[0] = true
    :: else
    fi;
    seen = 0;
    claimed = 0
}

/* --- serving ---------------------------------------------------------------------------------- */

/* A place that is reserved but not filled is not had yet. */
inline serve(cpu)
{
    do
    :: atomic { own[cpu] > 0 -> own[cpu]--; ran++ }
    :: atomic { own[cpu] == 0 && taken < filled -> taken++; ran++ }
    :: own[cpu] == 0 && taken >= filled ->
#ifdef TAKEN_BEFORE_LOOKED
        atomic { work_pending[cpu] = false; break }
#else
        if
        :: work_pending[cpu] -> work_pending[cpu] = false
        :: else -> break
        fi
#endif
    od
}

inline mode_set(cpu, new)
{
#ifdef MODE_BUFFERED
    atomic { setting[cpu] == 0; setting[cpu] = new }
#else
    mode[cpu] = new
#endif
}

#ifdef FILLED_UNFENCED
#define shared_empty (taken == filled)
#else
#define shared_empty (taken == reserved)
#endif

inline halt(cpu)
{
#ifdef HALT_TORN
    if /* sti takes effect before hlt: the interrupt comes between the two, and is over */
    :: interrupt[cpu] -> interrupt[cpu] = false
    :: !interrupt[cpu]
    fi;
#endif
    if
    :: interrupt[cpu] -> interrupt[cpu] = false
    :: over
    fi
}

inline idle(cpu)
{
    mode_set(cpu, IDLE);
#ifdef MODE_BUFFERED
    /* the locked operation on cpus_idle comes too late for those who look at the mode */
    if
    :: !work_pending[cpu] -> waits = false
    :: else -> waits = true
    fi;
    atomic { buffer_empty(cpu); cpus_idle = cpus_idle | BIT(cpu) }
#else
    atomic { cpus_idle = cpus_idle | BIT(cpu) }
    waits = work_pending[cpu];
#endif
    waits = waits || !shared_empty;
#ifdef NO_SECOND_LOOK
    waits = false;
#endif
    if
    :: !waits -> halt(cpu)
    :: else
    fi;
    atomic { buffer_empty(cpu); cpus_idle = cpus_idle & ~BIT(cpu) }
    mode_set(cpu, SERVING);
    waits = false
}

/* User mode goes on for as long as nobody interrupts it.  The shared queue does not concern it: an
   idle CPU, or the one that added, sees to that. */
inline enter_user(cpu)
{
    mode_set(cpu, IN_USER);
    if
    :: !work_pending[cpu] ->
        if
        :: interrupt[cpu] -> interrupt[cpu] = false
        :: over
        fi
    :: else
    fi;
    mode_set(cpu, SERVING)
}

active proctype cpu0()
{
    byte seen, claimed;
    bool was;
    run_on(1);
    run_anywhere();
    run_anywhere();
    serve(0)
}

proctype other(byte cpu)
{
    bool waits;
    do
    :: over -> break
    :: !over ->
       serve(cpu);
       if
       :: idle(cpu)
       :: enter_user(cpu)
       fi
    od
}

active proctype watcher()
{
    timeout;
    assert(ran == 1 + SHARED);
    over = true
}

init
{
    atomic {
        mode[0] = SERVING;
        mode[1] = SERVING;
        mode[2] = SERVING;
        run other(1);
        run other(2)
    }
}
