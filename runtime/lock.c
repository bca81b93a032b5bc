/* Spin locks; see runtime/lock.h.  In checked builds each CPU has a stack of the locks it holds. */
#include "runtime/lock.h"

#include "runtime/assert.h"

#ifdef CLOSURE_CHECKS

static struct lock_stack *lock_only_stack(void)
{
    static struct lock_stack stack;
    return &stack;
}

struct lock_stack *(*lock_context)(void) = lock_only_stack;

static void lock_check_order(const struct spinlock *l, const struct spinlock *beside)
{
    const struct lock_stack *stack = lock_context();
    if (stack->depth == LOCK_DEPTH_MOST)
        panic("lock %s: %u locks are held already", l->name, stack->depth);
    for (u32 i = 0; i < stack->depth; i++) {
        const struct spinlock *other = stack->locks[i];
        if (other->rank >= l->rank && other != beside)
            panic("lock %s (rank %d) is taken while %s (rank %d) is held", l->name, (int)l->rank,
                  other->name, (int)other->rank);
    }
}

static void lock_push(const struct spinlock *l)
{
    struct lock_stack *stack = lock_context();
    stack->locks[stack->depth++] = l;
}

/* Locks may be released in any order, so the stack closes over the gap. */
static void lock_pop(const struct spinlock *l)
{
    struct lock_stack *stack = lock_context();
    for (u32 i = stack->depth; i-- > 0;) {
        if (stack->locks[i] != l)
            continue;
        stack->depth--;
        for (; i < stack->depth; i++)
            stack->locks[i] = stack->locks[i + 1];
        return;
    }
    panic("lock %s is released by somebody who does not hold it", l->name);
}

const struct spinlock *lock_held_here(void)
{
    const struct lock_stack *stack = lock_context();
    return stack->depth ? stack->locks[stack->depth - 1] : NULL;
}

static const struct spinlock *lock_last(void)
{
    return lock_held_here();
}

#else

static void lock_check_order(__attribute__((unused)) const struct spinlock *l,
                             __attribute__((unused)) const struct spinlock *beside)
{
}

static void lock_push(__attribute__((unused)) const struct spinlock *l)
{
}

static const struct spinlock *lock_last(void)
{
    return NULL;
}

#endif

void (*lock_waiting)(void);

/* Reading does not take the cache line away from the holder. */
static void lock_wait(struct spinlock *l)
{
    do {
        while (__atomic_load_n(&l->held, __ATOMIC_RELAXED)) {
            __builtin_ia32_pause();
            if (lock_waiting)
                lock_waiting();
        }
    } while (__atomic_exchange_n(&l->held, 1, __ATOMIC_ACQUIRE));
}

static void lock_take(struct spinlock *l)
{
    if (__atomic_exchange_n(&l->held, 1, __ATOMIC_ACQUIRE))
        lock_wait(l);
    lock_push(l);
}

#ifdef CLOSURE_CHECKS
void spin_lock(struct spinlock *l)
{
    lock_check_order(l, NULL);
    lock_take(l);
}

void spin_unlock(struct spinlock *l)
{
    lock_pop(l);
    __atomic_store_n(&l->held, 0, __ATOMIC_RELEASE);
}
#else
void spin_wait(struct spinlock *l)
{
    lock_wait(l);
}
#endif

void spin_lock_beside(struct spinlock *l)
{
    const struct spinlock *last = lock_last();
    assert(!last || (last->rank == l->rank && last < l));
    lock_check_order(l, last);
    lock_take(l);
}

bool spin_try(struct spinlock *l)
{
    if (__atomic_exchange_n(&l->held, 1, __ATOMIC_ACQUIRE))
        return false;
    lock_push(l);
    return true;
}

bool spin_held(const struct spinlock *l)
{
    return __atomic_load_n(&l->held, __ATOMIC_RELAXED);
}
