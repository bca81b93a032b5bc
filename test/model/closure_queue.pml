/* closure_queue of runtime/queue.c: two producers of two closures each and the consumer, which
   sleeps when it finds nothing and is woken by those adds that say so.

   Proved, for all interleavings: no closure is lost or taken twice; if adding one returned before
   adding another began, it is taken first; no wake-up is lost.  Sequentially consistent, see
   thunk_queue.pml.

   RUN
   MUTATION STACK_UNCOMPARED
   MUTATION TAKE_NOT_EXCHANGED
   MUTATION NOT_TURNED
   MUTATION WOKEN_BY_OTHERS
*/

#define EACH     2
#define CLOSURES 4
#define NONE     15
#define BIT(e)   (1 << (e))

/* struct closure_queue */
byte queue = NONE; /* added */
byte ready = NONE;
byte next[CLOSURES];

byte added, taken;
byte before[CLOSURES];
bool woken;

proctype producer(byte e; byte end)
{
    byte at;
    do
    :: e < end ->
        before[e] = added;
        at = queue;
        do
        :: next[e] = at;
           atomic {
               if
#ifdef STACK_UNCOMPARED
               :: true -> queue = e; break
#else
               :: queue == at -> queue = e; break
               :: else -> at = queue
#endif
               fi
           }
        od;
        added = added | BIT(e);
#ifdef WOKEN_BY_OTHERS
        if
        :: at != NONE -> woken = true
        :: else
        fi;
#else
        if
        :: at == NONE -> woken = true
        :: else
        fi;
#endif
        atomic { e++; at = 0 }
    :: else -> break
    od
}

inline take_all()
{
#ifdef TAKE_NOT_EXCHANGED
    newest = queue;
    queue = NONE;
#else
    atomic { newest = queue; queue = NONE }
#endif
#ifdef NOT_TURNED
    ready = newest;
#else
    do
    :: newest != NONE ->
        older = next[newest];
        next[newest] = ready;
        ready = newest;
        newest = older
    :: else -> break
    od
#endif
}

active proctype consumer()
{
    byte newest, older, e;
    do
    :: taken == BIT(CLOSURES) - 1 -> break
    :: else ->
        if
        :: ready == NONE && queue == NONE ->
            woken; /* sleeps */
            woken = false
        :: ready == NONE && queue != NONE -> take_all()
        :: ready != NONE ->
            atomic {
                e = ready;
                ready = next[e];
                assert((taken & BIT(e)) == 0);
                assert((before[e] & ~taken) == 0);
                taken = taken | BIT(e);
                e = 0
            }
        fi
    od
}

init
{
    atomic {
        run producer(0, EACH);
        run producer(EACH, 2 * EACH)
    }
}
