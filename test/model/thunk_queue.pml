/* thunk_queue of runtime/queue.c: two producers, two consumers, a ring of two places, empty or full
   at first, and the spill; every access to memory is a step of its own.

   Proved, for all interleavings: no closure is lost or taken twice; if adding one returned before
   adding another began, it is taken first; thunk_queue_empty never says so while something that was
   added before the call is not taken; nothing waits for another process (no end but the proper
   one), and no counter goes below 0.  An idler that asks whether it is empty takes the place of the
   second consumer in some runs, for the time that the check takes.

   Limits: sequentially consistent, where x86 also lets a load pass an earlier store.  In the queue
   all decisions follow loads of what a locked operation or a released store wrote, and none rests on
   a load that may not pass a store of the same side, except sleeping, which sleep.pml models with
   store buffers.  That releases and acquires are placed right is ThreadSanitizer's part
   (test/unit/queue_stress.c).

   The runs below take half a minute.  Larger ones have passed too: FIRST=2 TAKES=2 with and without
   the idler.

   RUN -DFIRST=2 -DTAKES=1
   RUN -DFILLED=2 -DFIRST=1 -DTAKES=2
   RUN -DFILLED=2 -DFIRST=2 -DTAKES=1
   RUN -DFILLED=2 -DFIRST=1 -DTAKES=3 -DIDLER

   MUTATION COUNTED_LATE -DFILLED=2 -DFIRST=1 -DTAKES=2
   MUTATION UNCOUNTED_EARLY -DFILLED=2 -DFIRST=1 -DTAKES=2
   MUTATION EMPTY_RING_FIRST -DFILLED=2 -DFIRST=1 -DTAKES=3 -DIDLER
   MUTATION TWO_MOVERS -DFILLED=2 -DFIRST=1 -DTAKES=2
   MUTATION SPILL_IGNORED -DFILLED=2 -DFIRST=1 -DTAKES=2
   MUTATION SPILL_NOT_TURNED -DFILLED=2 -DFIRST=1 -DTAKES=2
   MUTATION STACK_UNCOMPARED -DFILLED=2 -DFIRST=1 -DTAKES=2
   MUTATION PLACE_EARLY -DFIRST=2 -DTAKES=1
*/

#define PLACES   2
#define CLOSURES 5
#ifndef FILLED
#define FILLED 0 /* that many are in the ring from the start */
#endif
#ifndef FIRST
#define FIRST 2 /* that many are added by the first producer; the second adds one */
#endif
#ifndef TAKES
#define TAKES 2 /* of each consumer; what is left is taken by the last one, when all are done */
#endif

#define NONE 15

/* struct thunk_queue */
byte add_position, take_position;
byte turn[PLACES], header[PLACES];
byte spill_count;
byte spilled = NONE, oldest = NONE;
bool moving;
byte next[CLOSURES]; /* header->next */

/* What the proof remembers; no part of the queue.  Sets of closures, bit n for closure n. */
byte added, taken;
byte before[CLOSURES]; /* what had been added when adding this one began */
byte working = 4;

#define BIT(e) (1 << (e))

/* ring_reserve and the rest of ring_add.  ok: false when the ring is full. */
inline ring_add(e)
{
    at = add_position;
    do
    :: atomic {
           seen = turn[at % PLACES];
           if
           :: seen < at -> ok = false; break
           :: else
           fi
       }
       if
       :: seen > at -> at = add_position
       :: else ->
           atomic {
               if
               :: add_position == at -> add_position++; ok = true; break
               :: else -> at = add_position
               fi
           }
       fi
    od;
    if
    :: ok ->
#ifdef PLACE_EARLY
        turn[at % PLACES] = at + 1;
        header[at % PLACES] = e
#else
        header[at % PLACES] = e;
        turn[at % PLACES] = at + 1
#endif
    :: else
    fi
}

/* The place is the consumer's from the moment in which it has the position. */
inline ring_take(e)
{
    e = NONE;
    at = take_position;
    do
    :: atomic {
           seen = turn[at % PLACES];
           if
           :: seen < at + 1 -> break
           :: else
           fi
       }
       if
       :: seen > at + 1 -> at = take_position
       :: else ->
           atomic {
               if
               :: take_position == at ->
                   take_position++;
#ifndef PLACE_EARLY
                   assert((taken & BIT(header[at % PLACES])) == 0);
                   assert((before[header[at % PLACES]] & ~taken) == 0);
                   taken = taken | BIT(header[at % PLACES]);
                   before[header[at % PLACES]] = 0;
#endif
                   ok = true;
                   break
               :: else -> at = take_position
               fi
           }
       fi
    od;
    if
    :: ok ->
        atomic { e = header[at % PLACES]; header[at % PLACES] = 0 }
#ifdef PLACE_EARLY
        assert((taken & BIT(e)) == 0);
        taken = taken | BIT(e);
#endif
        d_step { turn[at % PLACES] = at + PLACES; at = 0; seen = 0; ok = false }
    :: else -> atomic { at = 0; seen = 0 }
    fi
}

inline stack_push(e)
{
    at = spilled;
    do
    :: next[e] = at;
       atomic {
#ifdef STACK_UNCOMPARED
           if
           :: true -> spilled = e; break
           fi
#else
           if
           :: spilled == at -> spilled = e; break
           :: else -> at = spilled
           fi
#endif
       }
    od
}

inline thunk_queue_add(e)
{
    d_step { before[e] = added; ok = false }
#ifdef SPILL_IGNORED
    seen = 0;
#else
    seen = spill_count;
#endif
    if
    :: seen == 0 -> ring_add(e)
    :: else
    fi;
    if
    :: ok
    :: else ->
#ifdef COUNTED_LATE
        stack_push(e);
        spill_count++
#else
        spill_count++;
        stack_push(e)
#endif
    fi;
    atomic { added = added | BIT(e); at = 0; seen = 0; ok = false }
}

inline spill_oldest()
{
    if
    :: oldest == NONE ->
        d_step { seen = spilled; spilled = NONE }
#ifdef SPILL_NOT_TURNED
        oldest = seen
#else
        d_step { /* chain_turn: what was taken off the stack is nobody else's */
            do
            :: seen != NONE ->
                at = next[seen];
                next[seen] = oldest;
                oldest = seen;
                seen = at
            :: else -> break
            od
        }
#endif
    :: else
    fi
}

inline spill_move()
{
    d_step { ok = moving; moving = true }
#ifdef TWO_MOVERS
    ok = false;
#endif
    if
    :: ok
    :: else ->
        moved = 0;
        do
        :: moved < PLACES ->
            spill_oldest();
            if
            :: oldest == NONE -> break
            :: else
            fi;
            after = next[oldest];
#ifdef UNCOUNTED_EARLY
            spill_count--;
#endif
            ring_add(oldest);
            if
            :: ok -> atomic { next[oldest] = 0; oldest = after; moved++; at = 0; seen = 0; ok = false; after = 0 }
            :: else -> break
            fi
        :: else -> break
        od;
#ifndef UNCOUNTED_EARLY
        assert(spill_count >= moved);
        spill_count = spill_count - moved;
#endif
        atomic { moving = false; moved = 0 }
    fi;
    atomic { at = 0; seen = 0; ok = false; after = 0 }
}

inline thunk_queue_take(e)
{
    ring_take(e);
    if
    :: e == NONE && spill_count != 0 ->
        spill_move();
        ring_take(e)
    :: else
    fi
}

inline thunk_queue_empty(is_empty)
{
#ifdef EMPTY_RING_FIRST
    at = take_position;
    seen = add_position;
    is_empty = (at == seen);
    is_empty = (is_empty && spill_count == 0)
#else
    is_empty = (spill_count == 0);
    if
    :: is_empty ->
        at = take_position;
        seen = add_position;
        is_empty = (at == seen)
    :: else
    fi
#endif
}

proctype producer(byte e; byte end)
{
    byte at, seen;
    bool ok;
    do
    :: e < end ->
        thunk_queue_add(e);
        e++
    :: else -> break
    od;
    atomic { e = 0; end = 0; working-- }
}

proctype consumer()
{
    byte at, seen, moved, after, i, e;
    bool ok;
    do
    :: i < TAKES ->
        thunk_queue_take(e);
        atomic { e = 0; i++ }
    :: else -> break
    od;
    atomic { i = 0; working-- }
}

#ifdef IDLER
/* A CPU that is about to sleep. */
proctype idler()
{
    byte at, seen, here;
    bool is_empty;
    here = added;
    thunk_queue_empty(is_empty);
    assert(!is_empty || (here & ~taken) == 0);
    d_step { at = 0; seen = 0; here = 0; is_empty = false; working-- }
}
#endif

/* What they leave comes out, and then it is empty. */
proctype last()
{
    byte at, seen, moved, after, e;
    bool ok, is_empty;
    working == 0;
    do
    :: taken != BIT(FILLED + FIRST + 1) - 1 ->
        thunk_queue_take(e);
        assert(e != NONE);
        e = 0
    :: else -> break
    od;
    thunk_queue_take(e);
    assert(e == NONE);
    thunk_queue_empty(is_empty);
    assert(is_empty && spill_count == 0 && spilled == NONE && oldest == NONE)
}

init
{
    byte e;
    atomic {
        do
        :: e < PLACES ->
            turn[e] = e;
            if
            :: e < FILLED ->
                turn[e] = e + 1;
                header[e] = e;
                before[e] = added;
                added = added | BIT(e);
                add_position++
            :: else
            fi;
            e++
        :: else -> break
        od
    }
    atomic {
        run producer(FILLED, FILLED + FIRST);
        run producer(FILLED + FIRST, FILLED + FIRST + 1);
        run consumer();
#ifdef IDLER
        run idler();
#else
        run consumer();
#endif
        run last()
    }
}
