/* Closures: code with what it captured, applied later.

   A closure type is nominal: closure_type(NAME, RESULT, ARGS...) declares `struct NAME` (a closure
   embedded by value) and `NAME` (a pointer to one).  Types made with completion_type are applied
   exactly once, carry room for a deferred status, and are followed by the checks.

       closure_function(T, f, (captures), args)   a body with captures; read them with bound(x)
       closure_method(T, f, struct S, field, args) a body whose closure is the member `field` of S;
                                                   owner() is the struct S it sits in
       closure(heap, f, captures...)    on a heap; NULL when the heap is out of memory
       stack_closure(f, captures...)    valid to the end of the block; never a completion
       init_method(&s->field, f)        makes the embedded closure ready
       closure_finish()                 in a body: gives its memory back.  Then apply, last
       apply(c, args...)                one indirect jump

   How it is typed: a body's first parameter is a transparent union of "pointer to the closure type"
   and "pointer to the captured struct", which gcc and clang hold compatible with the type's entry
   pointer.  So there is no cast, no trampoline, and a backtrace shows the name that was written.

   An embedded completion is made anew, with init_method, for each time that it will be applied; its
   own body may do it.

   Applying a completion spends it: its entry becomes its type's refusal, so a second application
   is refused and counted (closure_refusals) and its body does not run again.  That is for mistakes
   one after the other; two CPUs at the same moment may both get through.

   CLOSURE_CHECKS (debug kernels, hosted tests) follows completions: runtime/closure_checks.h. */
#pragma once

#include "runtime/assert.h"
#include "runtime/heap.h"
#include "runtime/status.h"
#include "runtime/types.h"

/* Static facts about one closure function; lives in .rodata. */
struct closure_info {
    const char *name;
    const char *type;
    const char *file;
    u32 line;
    u32 bytes;           /* of the captured struct; of the bare closure for a method */
    bool once;           /* a completion */
    bool method;         /* embedded in its owner: there is no memory of its own to finish */
    void (*spent)(void); /* the entry once it was applied; NULL unless it is a completion */
};

/* `heap` is NULL unless the closure owns memory.  `next` is the queue's while it is queued. */
struct closure_header {
    const struct closure_info *info;
    heap heap;
    struct closure_header *next;
#ifdef CLOSURE_CHECKS
    struct closure_tracking {
        const char *file; /* where this closure was made */
        const char *applied_file;
        u32 line;
        u32 applied_line;
        u32 state; /* enum closure_state */
    } tracking;
#endif
};

/* The checks' view of a closure's life; nothing without CLOSURE_CHECKS.  closure_freed also serves
   the owner of an embedded completion that will not be applied after all. */
#ifndef CLOSURE_CHECKS
#define closure_made(header, file, line)      ((void)0)
#define closure_applying(header, file, line)  ((void)0)
#define closure_freed(header)                 ((void)0)
#define closure_shared(header, like, pending) ((void)0)
#endif

/* Applied any number of times. */
#define closure_type(T, result, ...)                                                               \
    struct T;                                                                                      \
    typedef struct T *T;                                                                           \
    typedef result T##_result;                                                                     \
    enum { T##_once = 0, T##_refused = 0 };                                                        \
    struct T {                                                                                     \
        T##_result (*entry)(struct T * __VA_OPT__(, ) __VA_ARGS__);                                \
        struct closure_header header;                                                              \
        struct {                                                                                   \
        } once[0];                                                                                 \
    }

/* Applied exactly once, by whoever took it. */
#define completion_type(T, result, ...)                                                            \
    struct T;                                                                                      \
    typedef struct T *T;                                                                           \
    typedef result T##_result;                                                                     \
    _Static_assert(__builtin_types_compatible_p(result, void),                                     \
                   "completion_type: a completion returns nothing");                               \
    enum { T##_once = 1 };                                                                         \
    struct T {                                                                                     \
        T##_result (*entry)(struct T * __VA_OPT__(, ) __VA_ARGS__);                                \
        struct closure_header header;                                                              \
        status deferred; /* what a queue applies it with */                                        \
        char once[0];    /* of one byte each: apply tells the kinds apart by it */                 \
    };                                                                                             \
    CLOSURE_UNUSED_PARAMETERS_BEGIN                                                                \
    __attribute__((unused)) static void T##_refused(struct T *c __VA_OPT__(, ) __VA_ARGS__)        \
    {                                                                                              \
        closure_refused(&c->header);                                                               \
    }                                                                                              \
    CLOSURE_UNUSED_PARAMETERS_END                                                                  \
    struct T

#define CLOSURE_UNUSED_PARAMETERS_BEGIN                                                            \
    _Pragma("GCC diagnostic push") _Pragma("GCC diagnostic ignored \"-Wunused-parameter\"")
#define CLOSURE_UNUSED_PARAMETERS_END _Pragma("GCC diagnostic pop")

/* Counts, and reports each function that it happens to once, to whoever wants to know. */
void closure_refused(struct closure_header *header);

/* Completions that were applied a second time and refused. */
extern u64 closure_refusals; /* [a] */

typedef void closure_refusal_reporter(const struct closure_info *info);
void closure_set_refusal_reporter(closure_refusal_reporter *reporter);

closure_type(thunk, void);
completion_type(status_handler, void, status s);

/* --- counting and listing the captures -------------------------------------------------------- */

#define CLOSURE_COUNT(...)                                                                         \
    CLOSURE_COUNT_(0 __VA_OPT__(, ) __VA_ARGS__, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0)
#define CLOSURE_COUNT_(zero, a, b, c, d, e, f, g, h, i, count, ...) count

#define CLOSURE_PASTE(a, b)  CLOSURE_PASTE_(a, b)
#define CLOSURE_PASTE_(a, b) a##b

#define CLOSURE_FIELDS(...) CLOSURE_PASTE(CLOSURE_FIELDS_, CLOSURE_COUNT(__VA_ARGS__))(__VA_ARGS__)
#define CLOSURE_FIELDS_0()
/* clang-format off */
#define CLOSURE_FIELDS_1(a)      a;
#define CLOSURE_FIELDS_2(a, ...) a; CLOSURE_FIELDS_1(__VA_ARGS__)
#define CLOSURE_FIELDS_3(a, ...) a; CLOSURE_FIELDS_2(__VA_ARGS__)
#define CLOSURE_FIELDS_4(a, ...) a; CLOSURE_FIELDS_3(__VA_ARGS__)
#define CLOSURE_FIELDS_5(a, ...) a; CLOSURE_FIELDS_4(__VA_ARGS__)
#define CLOSURE_FIELDS_6(a, ...) a; CLOSURE_FIELDS_5(__VA_ARGS__)
#define CLOSURE_FIELDS_7(a, ...) a; CLOSURE_FIELDS_6(__VA_ARGS__)
#define CLOSURE_FIELDS_8(a, ...) a; CLOSURE_FIELDS_7(__VA_ARGS__)
#define CLOSURE_FIELDS_9(a, ...) a; CLOSURE_FIELDS_8(__VA_ARGS__)
/* clang-format on */

/* --- functions -------------------------------------------------------------------------------- */

#define CLOSURE_INFO(f, T, size, is_method, spent_entry)                                           \
    static const struct closure_info f##_info = {                                                  \
        #f, #T, __FILE__, __LINE__, (u32)(size), T##_once, is_method, (void (*)(void))spent_entry}

/* A body with captures: a parenthesised list of declarations, () for none, nine at most. */
#define closure_function(T, f, captures, ...)                                                      \
    typedef struct T f##_type;                                                                     \
    struct f##_captured {                                                                          \
        struct T closure;                                                                          \
        CLOSURE_FIELDS captures                                                                    \
    };                                                                                             \
    typedef union f##_self {                                                                       \
        struct T *closure;                                                                         \
        struct f##_captured *captured;                                                             \
    } f##_self __attribute__((transparent_union));                                                 \
    enum { f##_capture_count = CLOSURE_COUNT captures, f##_once = T##_once };                      \
    static T##_result f(f##_self closure_self __VA_OPT__(, ) __VA_ARGS__);                         \
    CLOSURE_INFO(f, T, sizeof(struct f##_captured), false, T##_refused);                           \
    static T##_result f(__attribute__((unused)) f##_self closure_self __VA_OPT__(, ) __VA_ARGS__)

/* The value captured under that name, in a body. */
#define bound(capture) (closure_self.captured->capture)

/* Gives the memory of a heap closure back.  Nothing bound may be read after it. */
#define closure_finish() closure_release(&closure_self.captured->closure.header)

void closure_release(struct closure_header *header);

/* --- methods ---------------------------------------------------------------------------------- */

/* A body whose closure is the member `field`, of type struct T, of `struct_owner`.  The offset
   travels in the union as the array type `char (*)[offset + 1]`, the owner's type as a pointer. */
#define closure_method(T, f, struct_owner, field, ...)                                             \
    CLOSURE_METHOD(T, f, T##_refused, struct_owner, field __VA_OPT__(, ) __VA_ARGS__)

/* A completion that several hold, each of whom applies it once: a merge's branch.  It is not
   refused. */
#define closure_method_shared(T, f, struct_owner, field, ...)                                      \
    CLOSURE_METHOD(T, f, f, struct_owner, field __VA_OPT__(, ) __VA_ARGS__)

#define CLOSURE_METHOD(T, f, spent_entry, struct_owner, field, ...)                                \
    _Static_assert(__builtin_types_compatible_p(typeof(((struct_owner *)0)->field), struct T),     \
                   "closure_method: the field is of another closure type");                        \
    typedef struct T f##_type;                                                                     \
    typedef union f##_self {                                                                       \
        struct T *closure;                                                                         \
        char (*offset)[offsetof(struct_owner, field) + 1];                                         \
        struct_owner *(*owner_type)(void);                                                         \
        struct T *method;                                                                          \
    } f##_self __attribute__((transparent_union));                                                 \
    __attribute__((unused)) static const char f##_field[] = #field;                                \
    static T##_result f(f##_self closure_self __VA_OPT__(, ) __VA_ARGS__);                         \
    CLOSURE_INFO(f, T, sizeof(struct T), true, spent_entry);                                       \
    static T##_result f(__attribute__((unused)) f##_self closure_self __VA_OPT__(, ) __VA_ARGS__)

/* In a method: the struct that the closure sits in. */
#define owner()                                                                                    \
    ((typeof(closure_self.owner_type()))(void *)((char *)closure_self.method -                     \
                                                 (sizeof(*closure_self.offset) - 1)))

/* Compares the member named in `field_expression` (its text, to the last '>' or '.') with the one
   the method was written for.  Everything is constant, so a right one leaves no code behind. */
__attribute__((error("init_method: the method was written for another field"))) void
closure_wrong_field(void);

/* One character at a time and not memcmp: clang folds these without optimising hard. */
#define CLOSURE_CHAR_IS(text, f, i)                                                                \
    ((i) >= sizeof(f##_field) ||                                                                   \
     (text)[sizeof(text) - sizeof(f##_field) + ((i) < sizeof(f##_field) ? (i) : 0)] ==             \
         (f##_field)[(i) < sizeof(f##_field) ? (i) : 0])
#define CLOSURE_4_CHARS_ARE(text, f, i)                                                            \
    (CLOSURE_CHAR_IS(text, f, (i)) && CLOSURE_CHAR_IS(text, f, (i) + 1) &&                         \
     CLOSURE_CHAR_IS(text, f, (i) + 2) && CLOSURE_CHAR_IS(text, f, (i) + 3))

#define CLOSURE_FIELD_MOST 32 /* bytes of a field's name that the comparison reaches */

#define CLOSURE_BEFORE(text, f) ((text)[sizeof(text) - sizeof(f##_field) - 1])
#define CLOSURE_FIELD_IS(text, f)                                                                  \
    ((CLOSURE_BEFORE(text, f) == '>' || CLOSURE_BEFORE(text, f) == '.' ||                          \
      CLOSURE_BEFORE(text, f) == '&') &&                                                           \
     CLOSURE_4_CHARS_ARE(text, f, 0) && CLOSURE_4_CHARS_ARE(text, f, 4) &&                         \
     CLOSURE_4_CHARS_ARE(text, f, 8) && CLOSURE_4_CHARS_ARE(text, f, 12) &&                        \
     CLOSURE_4_CHARS_ARE(text, f, 16) && CLOSURE_4_CHARS_ARE(text, f, 20) &&                       \
     CLOSURE_4_CHARS_ARE(text, f, 24) && CLOSURE_4_CHARS_ARE(text, f, 28))

#define init_method(field_expression, f)                                                           \
    do {                                                                                           \
        f##_type *method_ = (field_expression);                                                    \
        _Static_assert(sizeof(#field_expression) > sizeof(f##_field) &&                            \
                           sizeof(f##_field) <= CLOSURE_FIELD_MOST,                                \
                       "init_method: the method was written for another field");                   \
        if (!CLOSURE_FIELD_IS(#field_expression, f))                                               \
            closure_wrong_field();                                                                 \
        method_->entry = f;                                                                        \
        method_->header.info = &f##_info;                                                          \
        method_->header.heap = NULL;                                                               \
        closure_made(&method_->header, __FILE__, __LINE__);                                        \
    } while (0)

/* --- making and applying ---------------------------------------------------------------------- */

/* Zero, or no compilation when `condition` is false. */
#define CLOSURE_REQUIRE(condition, text)                                                           \
    (0 * sizeof(struct {                                                                           \
         _Static_assert(condition, text);                                                          \
         int unused;                                                                               \
     }))

#define CLOSURE_INITIAL(f, heap_expression, ...)                                                   \
    {                                                                                              \
        {                                                                                          \
            .entry = f, .header = {.info = &f##_info, .heap = (heap_expression) }                  \
        }                                                                                          \
        __VA_OPT__(, ) __VA_ARGS__                                                                 \
    }

#define CLOSURE_RIGHT_COUNT(f, ...)                                                                \
    CLOSURE_REQUIRE(CLOSURE_COUNT(__VA_ARGS__) == f##_capture_count,                               \
                    "closure: wrong number of captures")

/* On heap h; NULL when it is out of memory.  The body gives it back with closure_finish(). */
#define closure(h, f, ...)                                                                         \
    ({                                                                                             \
        heap closure_heap_ = (h);                                                                  \
        struct f##_captured *made_ =                                                               \
            allocate(closure_heap_, sizeof(*made_) + CLOSURE_RIGHT_COUNT(f, __VA_ARGS__));         \
        if (made_) {                                                                               \
            *made_ = (struct f##_captured)CLOSURE_INITIAL(f, closure_heap_, __VA_ARGS__);          \
            closure_made(&made_->closure.header, __FILE__, __LINE__);                              \
        }                                                                                          \
        made_ ? &made_->closure : NULL;                                                            \
    })

/* Lives to the end of the enclosing block.  Completions outlive blocks, so they are refused. */
#define stack_closure(f, ...)                                                                      \
    (&((&(struct f##_captured)CLOSURE_INITIAL(f, NULL, __VA_ARGS__)) +                             \
       CLOSURE_REQUIRE(!f##_once, "stack_closure: a completion cannot live on the stack") +        \
       CLOSURE_RIGHT_COUNT(f, __VA_ARGS__))                                                        \
          ->closure)

#define apply(c, ...)                                                                              \
    ({                                                                                             \
        __auto_type applied_ = (c);                                                                \
        closure_applying(&applied_->header, __FILE__, __LINE__);                                   \
        CLOSURE_ENTRY(applied_)(applied_ __VA_OPT__(, ) __VA_ARGS__);                              \
    })

/* The entry to jump to; a completion's is replaced.  Atomic, for the branches of a merge: plain
   loads and a plain store to the processor. */
#define CLOSURE_ENTRY(c)                                                                           \
    ({                                                                                             \
        typeof((c)->entry) entry_;                                                                 \
        if (sizeof(*(c)->once)) {                                                                  \
            entry_ = __atomic_load_n(&(c)->entry, __ATOMIC_RELAXED);                               \
            __atomic_store_n(&(c)->entry, (typeof(entry_))(c)->header.info->spent,                 \
                             __ATOMIC_RELAXED);                                                    \
        } else {                                                                                   \
            entry_ = (c)->entry;                                                                   \
        }                                                                                          \
        entry_;                                                                                    \
    })

/* Applies what a queue handed back: a thunk, or a status_handler with its deferred status.  The
   scheduler and the hosted harness call it; nobody else does. */
void closure_run_deferred(struct closure_header *header);

/* The header that queues link, for handing a closure to one.  A status_handler takes its status
   along.  The closure must not be queued already; a merge's branch must never be (it is shared). */
static inline struct closure_header *thunk_deferred(thunk t)
{
    return &t->header;
}

static inline struct closure_header *status_deferred(status_handler done, status s)
{
    done->deferred = s;
    return &done->header;
}

#ifdef CLOSURE_CHECKS
#include "runtime/closure_checks.h"
#endif
