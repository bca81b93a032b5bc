/* Open file descriptions: what a descriptor refers to, and how bytes move between one and a
   program's memory.

   A kind of file is a table of functions.  read and write are attempts: they move what can be
   moved now and either finish or arrange that the attempt is made again, so the same function is
   the fast path (called inline by the system call, nothing allocated or queued) and the
   continuation.  What an attempt has moved is in its struct transfer and is never moved again.

   Callers: the system calls of files; the surface lock serialises them, so what happens between
   two waits needs no lock.  A file is held across waits, since another
   thread may close the descriptor. */
#pragma once

#include "kernel/user_copy.h"
#include "unix/path.h"
#include "unix/syscall.h"

struct file;
struct transfer;
struct file_attributes;

/* --- waiting -----------------------------------------------------------------------------------
   Who waits for a change of a file (bytes, room, the other end closed) is on its queue, and off it
   again before anything else happens to it; so a wait can be given up at any time.

   A waiter says which events (POLLIN ...) it waits for, and a waker which may have begun to hold;
   POLLERR and POLLHUP reach everybody.  Of exclusive waiters a wake reaches the first alone: it
   passes on what it leaves (unix/epoll.c). */

struct waiter;
closure_type(wake_handler, void, struct waiter *w);

struct waiter {
    struct list link;          /* the queue's; alone when it does not wait */
    struct wake_handler *wake; /* applied in the waker's context, off the queue: it only defers */
    u32 events;
    bool exclusive;
};

struct wait_queue {
    struct list waiters;
};

void wait_queue_init(struct wait_queue *q);
void wait_queue_add(struct wait_queue *q, struct waiter *w);
/* False: it was woken, or has been removed. */
static inline bool waiter_waits(const struct waiter *w)
{
    return !list_empty(&w->link);
}
/* Safe when w does not wait. */
void waiter_remove(struct waiter *w);
/* Wakes those who are waiting for one of the events at the time of the call.  A handler may put its
   waiter onto the queue again. */
void wait_queue_wake(struct wait_queue *q, u32 events);

/* --- kinds of files ----------------------------------------------------------------------------
 */

struct file_operations {
    const char *name; /* as /proc/self/fd shows it: "pipe:[%u]" */
    u64 bytes;        /* of the struct that embeds struct file */
    /* The count so far is x->done.  Return: a result (>= 0 or -errno), or SYSCALL_LATER when x
       waits.  NULL: EINVAL. */
    s64 (*read)(struct file *f, struct transfer *x);
    s64 (*write)(struct file *f, struct transfer *x);
    bool positioned;        /* has a position: pread and lseek work, otherwise ESPIPE */
    bool seek_does_nothing; /* lseek succeeds nevertheless */
    /* NULL: by f->node. */
    void (*attributes)(struct file *f, struct file_attributes *to);
    u32 (*poll)(struct file *f);                 /* what is ready; NULL: always both ways */
    struct wait_queue *(*queue)(struct file *f); /* NULL: readiness never changes */
    s64 (*ioctl)(struct thread *t, struct file *f, u32 request, u64 argument); /* NULL: ENOTTY */
    void (*close)(struct file *f); /* the last reference went; the caller frees.  May be NULL */
};

struct file {
    const struct file_operations *operations; /* [I] */
    u32 references;
    u32 flags;            /* O_ACCMODE, O_APPEND, O_NONBLOCK ...; what F_GETFL gives */
    u64 position;         /* of files that have one */
    struct node node;     /* what was opened, held; none for pipes */
    struct node parent;   /* the directory it was found in, held; for /proc/self/fd */
    u64 number;           /* st_ino of what is no node */
    u32 flock;            /* LOCK_SH, LOCK_EX or 0 */
    u64 failures_seen;    /* of writing its inode back: fsync tells each failure once */
    struct list watchers; /* the epoll items of it (unix/epoll.c); NULL links: it never had one */
};

/* A new description with one reference; NULL when out of memory.  It holds the nodes. */
struct file *file_create(const struct file_operations *operations, u32 flags,
                         const struct node *node, const struct node *parent);
void file_hold(struct file *f);
/* The last release closes it. */
void file_release(struct file *f);

static inline bool file_readable(const struct file *f)
{
    return (f->flags & (O_ACCMODE | O_PATH)) != O_WRONLY && !(f->flags & O_PATH);
}

static inline bool file_writable(const struct file *f)
{
    return (f->flags & O_ACCMODE) != O_RDONLY && !(f->flags & O_PATH);
}

/* Opens what a path led to, as the flags of open(2) ask, permissions checked already. */
s64 file_open_node(struct thread *t, const struct path_result *found, u32 flags,
                   struct file **opened);

extern const struct file_operations file_regular;
/* Pages of a regular file that somebody will want are asked for, as many as a run of reading ahead
   has. */
void file_regular_will_need(struct file *f, u64 first, u64 count);
extern const struct file_operations file_directory;
extern const struct file_operations file_path_only; /* O_PATH */

/* ioctl requests that several kinds of files answer. */
#define FIONREAD 0x541b
s64 ioctl_number_out(struct thread *t, u64 address, s32 number);

/* --- transfers ---------------------------------------------------------------------------------
 */

struct io_vector {
    u64 base;
    u64 bytes;
};

#define OWES_HOLD    1u /* of the file, while it waits */
#define OWES_TURN    2u /* between two steps of a write: file_turn_take */
#define OWES_VECTORS 4u /* memory */

#define TRANSFER_VECTORS 8 /* in the operation itself; more are on the heap */

/* One read or write.  Lives in the thread's operation. */
struct transfer {
    struct thread *thread;
    struct file *file;
    u64 position;       /* where in the file the next byte goes to or comes from; kept by copying */
    u64 done;           /* bytes moved */
    u64 left;           /* bytes not moved yet */
    u64 at;             /* user address of the next byte */
    u64 chunk;          /* bytes of the current vector from there */
    u32 flags;          /* the file's, and what of O_APPEND, O_DSYNC and O_SYNC this call adds */
    bool keep_position; /* pread: the file's own position stays */
    bool writing;
    u8 owes;          /* OWES_..., what transfer_release gives back */
    bool from_kernel; /* `at` is memory of the kernel's: sendfile writes a page of the cache */
    bool more;        /* from_kernel: and more follows at once */
    u32 room_tries;   /* waits for room in a row that did not help */
    u32 retries;      /* copies that failed at `at` although its page was said to be there */
    u32 vectors_left;
    u32 vectors_allocated;
    struct io_vector *next; /* the vector after the current one */
    struct io_vector *vectors;
    struct io_vector embedded[TRANSFER_VECTORS];
    struct status_handler came; /* pages of the file or of user memory, room, a turn */
    struct list turn_link;      /* with OWES_TURN: among those that are being written */
    struct waiter waiter;       /* on the file's queue */
    struct wake_handler woken;
    status_handler landed; /* of the wait for the file */
    struct cancel_handler cancel;
    struct status_handler waited;
    /* Gets the result of a transfer that had to wait; NULL: the system call returns it. */
    void (*finished)(struct transfer *x, s64 result);
    struct page_run *run;           /* from_kernel: what holds the memory; NULL: copy it */
    struct socket_message *message; /* a socket's call (unix/socket.h) that is more than bytes */
    u64 deadline_ns;                /* of waiting for the file; 0: none */
};

/* For who drives transfers of its own (sendfile): after transfer_init, at, left and chunk are to be
   set; then this makes the first attempt. */
s64 transfer_attempt(struct transfer *x);

/* The program's vectors, checked: 0, -errno, SYSCALL_LATER.  On success x is ready for its first
   attempt, and may have memory for them (vectors_allocated). */
s64 transfer_vectors_get(struct transfer *x, u64 vectors, u64 count);

/* Goes on to the next vector that is not empty when the current one is used up. */
void transfer_next_vector(struct transfer *x);
/* Gives back what a transfer has that did not end at once. */
void transfer_release(struct transfer *x);

/* The result goes to the caller of the system call; nothing of x may be touched afterwards. */
static inline s64 transfer_finish(struct transfer *x, s64 result)
{
    struct file *f = x->file;
    if (f->operations->positioned && !x->keep_position)
        f->position = x->position;
    if (unlikely(x->owes))
        transfer_release(x);
    return result;
}

/* Inline for the calls that move one buffer; the others go through transfer_attempt. */
static inline s64 transfer_try(struct transfer *x)
{
    const struct file_operations *o = x->file->operations;
    s64 r = x->writing ? o->write(x->file, x) : o->read(x->file, x);
    return unlikely(r == SYSCALL_LATER) ? r : transfer_finish(x, r);
}

static inline void transfer_init(struct transfer *x, struct thread *t, struct file *f)
{
    x->thread = t;
    x->file = f;
    x->position = f->position;
    x->done = 0;
    x->flags = f->flags;
    x->keep_position = false;
    x->owes = 0;
    x->retries = 0;
    x->room_tries = 0;
    x->from_kernel = false;
    x->run = NULL;
    x->vectors_left = 0;
    x->finished = NULL;
    x->message = NULL;
    x->deadline_ns = 0;
}

/* Copies to or from the program's memory at x->at and moves on, x->position too.  *copied is how
   much it was. 0, -EFAULT, or SYSCALL_LATER: the memory is being brought in, and the attempt is
   made again. */
static inline s64 transfer_out(struct transfer *x, const void *from, u64 bytes, u64 *copied);
static inline s64 transfer_in(struct transfer *x, void *to, u64 bytes, u64 *copied);
s64 transfer_zero(struct transfer *x, u64 bytes, u64 *copied);
/* For a receiver that must not be left waiting with what it has begun: the next *bytes, cut to the
   current vector and to what is there, are in memory, and transfer_take copies them at once. */
s64 transfer_ready(struct transfer *x, u64 *bytes);
u64 transfer_take(struct transfer *x, void *to, u64 bytes);
/* The last of them were taken in vain, after less was copied than was to be. */
void transfer_back(struct transfer *x, u64 bytes);
/* Copies were made and moved that many. */
static inline void transfer_advance(struct transfer *x, u64 bytes)
{
    x->at += bytes;
    x->chunk -= bytes;
    x->left -= bytes;
    x->done += bytes;
    x->position += bytes;
    if (bytes)
        x->retries = x->room_tries = 0;
    if (unlikely(x->vectors_left) && !x->chunk)
        transfer_next_vector(x);
}
/* Mostly it is one copy within a vector; these are for what is not. */
s64 transfer_out_parts(struct transfer *x, const void *from, u64 bytes, u64 *copied);
s64 transfer_in_parts(struct transfer *x, void *to, u64 bytes, u64 *copied);

static inline s64 transfer_out(struct transfer *x, const void *from, u64 bytes, u64 *copied)
{
    if (unlikely(bytes > x->chunk || copy_out(x->at, from, bytes)))
        return transfer_out_parts(x, from, bytes, copied);
    transfer_advance(x, bytes);
    *copied = bytes;
    return 0;
}

static inline s64 transfer_in(struct transfer *x, void *to, u64 bytes, u64 *copied)
{
    if (unlikely(x->from_kernel || bytes > x->chunk || copy_in(to, x->at, bytes)))
        return transfer_in_parts(x, to, bytes, copied);
    transfer_advance(x, bytes);
    *copied = bytes;
    return 0;
}

/* Counts bytes as moved without looking at them: writing to /dev/null. */
void transfer_skip(struct transfer *x, u64 bytes);
/* As transfer_in, but does not move on and stops at the end of the current vector: for a receiver
   that may take less.  transfer_skip counts what it took. */
s64 transfer_peek(struct transfer *x, void *to, u64 bytes, u64 *copied);
/* An attempt's way to wait for its file: its result. */
s64 transfer_wait(struct transfer *x);
/* Waits in any case, on a queue that need not be the file's, until the transfer's deadline: then it
   is EAGAIN. */
s64 transfer_wait_on(struct transfer *x, struct wait_queue *q);
/* The same for pages of the file: brings them in. */
s64 transfer_pages(struct transfer *x, struct inode *i, u64 first, u64 count);
/* And for room in the filesystem, and until another write of the file has ended. */
s64 transfer_room(struct transfer *x);
s64 transfer_turn(struct transfer *x);
/* And until what waits for this CPU now has been done: for a long write, between two pages. */
s64 transfer_pass(struct transfer *x);
/* Makes what was moved durable before the call returns. */
s64 transfer_sync(struct transfer *x, enum sync_kind kind);
/* Writes of a file follow each other (unix/file_regular.c): one that has moved a part takes the
   turn before it waits, and gives it up at its end. */
void file_turn_take(struct transfer *x);
void file_turn_end(struct transfer *x);
/* What an attempt returns when it stops at `error` (negative): the bytes moved come first. */
static inline s64 transfer_stop(const struct transfer *x, s64 error)
{
    return error == SYSCALL_LATER || !x->done ? error : (s64)x->done;
}

/* --- attributes --------------------------------------------------------------------------------
 */

struct file_attributes {
    u64 device, number;
    u32 mode; /* with S_IFMT */
    u32 uid, gid;
    u64 links;
    u64 special_device; /* st_rdev */
    u64 bytes;
    u64 blocks;
    u32 block_bytes;
    s64 accessed_ns, modified_ns, changed_ns;
};

void node_attributes(const struct node *n, struct file_attributes *to);
void file_attributes(struct file *f, struct file_attributes *to);
