/* The counter of runtime/merge.c: an issuing function opens three branches, which close on CPUs of
   their own, any of them with a failure, while it is still opening others.

   Proved, for all interleavings: the merge completes exactly once, after every branch has closed
   and the issuer has finished, and nothing touches it afterwards; its status is that of the first
   failure, whole, and success only when there was none; the failures are all counted.
   Sequentially consistent; merge_close both acquires and releases.

   RUN
   MUTATION NO_GUARD
   MUTATION COUNT_TORN
   MUTATION FAILURE_LATE
   MUTATION FAILURE_UNCOUNTED
*/

#define BRANCHES 3

/* struct merge */
byte pending, failures, first_failure;
bool gone; /* its memory */

byte closed, failed, winner;
byte completed;

inline merge_fail(number)
{
    assert(!gone);
#ifdef FAILURE_UNCOUNTED
    first = failures;
    failures = first + 1;
#else
    d_step {
        first = failures;
        failures++;
        if
        :: first == 0 -> winner = number
        :: else
        fi
    }
#endif
    if
    :: first == 0 ->
        assert(!gone && first_failure == 0);
        first_failure = number
    :: else
    fi
}

inline merge_close()
{
    assert(!gone);
#ifdef COUNT_TORN
    last = pending;
    pending = last - 1;
#else
    d_step { last = pending; pending-- }
#endif
    assert(last != 0);
    if
    :: last == 1 ->
        assert(closed == BRANCHES && completed == 0);
        assert(failures == failed && first_failure == winner);
        assert((failed == 0) == (first_failure == 0));
        atomic { completed++; gone = true }
    :: else
    fi
}

proctype branch(byte number)
{
    byte first, last;
    bool fails;
    if
    :: fails = false
    :: fails = true
    fi;
    d_step { closed++; failed = failed + fails }
#ifdef FAILURE_LATE
    merge_close();
    if
    :: fails -> merge_fail(number)
    :: else
    fi
#else
    if
    :: fails -> merge_fail(number)
    :: else
    fi;
    merge_close()
#endif
}

active proctype issuer()
{
    byte last, number;
#ifndef NO_GUARD
    pending = 1;
#endif
    for (number : 1 .. BRANCHES) {
        assert(!gone);
        pending++; /* apply_merge */
        run branch(number)
    }
#ifndef NO_GUARD
    merge_close()
#endif
}

/* All have ended. */
active proctype watcher()
{
    timeout;
    assert(completed == 1)
}
