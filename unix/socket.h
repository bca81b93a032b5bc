/* Sockets: files whose other end is another socket, of this machine or beyond.

   struct file is what descriptors refer to; struct socket is what lies behind it, and may outlive
   the file (bytes on their way name who sent them) or be there before it (a connection that nobody
   has accepted yet).  A family of sockets is a table of functions; as with files, sending and
   receiving are attempts that are made again after a wait, and what they have moved is in the
   transfer.

   Who waits is on the socket's one queue.  Everything that may have changed is told by
   socket_wake, with the events (POLLIN ...) that may have begun to hold.

   Callers: the system calls of sockets, and the calls of files for descriptors that are sockets.
   The surface lock serialises them. */
#pragma once

#include "unix/file.h"
#include "unix/socket_abi.h"

#define SOCKET_ADDRESS_BYTES 128 /* struct sockaddr_storage */

/* As the program wrote it, or as it shall read it. */
struct socket_address {
    u32 bytes; /* 0: none */
    union {
        u16 family;
        u8 data[SOCKET_ADDRESS_BYTES];
    };
};

/* Who sent something: struct ucred. */
struct socket_credentials {
    u32 pid, uid, gid;
};
#define SOCKET_NOBODY ((struct socket_credentials){0, 65534, 65534})
struct socket_credentials socket_credentials_of(struct thread *t);

/* Open files on their way in a message, held. */
struct socket_rights {
    struct list link; /* among those that are being given up */
    u32 count;
    struct file *files[];
};

/* What a sendmsg says, or a recvmsg is told, besides bytes.  It is the call's, and lies beside its
   transfer; read and write have none. */
struct socket_message {
    u32 flags;                     /* MSG_*, of the call */
    u32 flags_out;                 /* recvmsg's msg_flags */
    u64 length;                    /* receiving a datagram: of all of it, for MSG_TRUNC */
    struct socket_address address; /* sending: where to; receiving: where from */
    struct socket_rights *rights;
    struct socket_credentials credentials;
    bool credentials_given;
    u8 packet_family;      /* AF_INET, AF_INET6: IP_PKTINFO is there; 0: it is not */
    u32 packet_interface;  /* of IP_PKTINFO and IPV6_PKTINFO */
    u8 packet_address[16]; /* of ours */
    u64 received_ns;       /* wall clock; 0: not known */
};

static inline u32 socket_flags(const struct transfer *x)
{
    return x->message ? x->message->flags : 0;
}

struct socket;

/* What accept and connect wait for, and how: an attempt that is made again.  Lives in the thread's
   operation. */
struct socket_call {
    struct thread *thread;
    struct file *file; /* held while it waits */
    struct socket *socket;
    s64 (*attempt)(struct socket_call *c); /* a result, or SYSCALL_LATER: it is to wait */
    struct wait_queue *queue;              /* where; set by the attempt */
    u32 events;                            /* and for what */
    s64 error;                             /* what a call that must not wait returns */
    bool nonblocking;
    bool holding;
    bool begun;   /* connect: an attempt was made before */
    bool lingers; /* whatever ends the wait, the call succeeds */
    u64 timeout_ns, deadline_ns;
    u64 user_address, user_length; /* accept's */
    u32 flags;
    struct socket_address address; /* connect's */
    struct waiter waiter;
    struct wake_handler woken;
    status_handler landed;
    struct cancel_handler cancel;
    struct status_handler waited;
};

/* An option of any level: as getsockopt and setsockopt carry it. */
#define SOCKET_OPTION_BYTES 512
struct socket_option {
    u32 level, name;
    u32 bytes; /* of the value; getting: at most that many, and then how many it is */
    union {
        s32 number;
        u8 value[SOCKET_OPTION_BYTES];
    };
};

struct socket_operations {
    u64 bytes; /* of the struct that embeds struct socket */
    /* All return 0 or -errno; a function that is NULL is -EOPNOTSUPP. */
    s64 (*bind)(struct thread *t, struct socket *s, const struct socket_address *a);
    s64 (*listen)(struct thread *t, struct socket *s, u32 backlog);
    s64 (*connect)(struct socket_call *c);                     /* an attempt */
    s64 (*accept)(struct socket *s, struct socket **accepted); /* -EAGAIN: none is there */
    s64 (*shutdown)(struct socket *s, bool reading, bool writing);
    s64 (*address)(struct socket *s, bool remote, struct socket_address *to);
    /* Attempts, as those of struct file_operations. */
    s64 (*send)(struct socket *s, struct transfer *x);
    s64 (*receive)(struct socket *s, struct transfer *x);
    u32 (*poll)(struct socket *s);
    s64 (*received)(struct socket *s); /* FIONREAD */
    s64 (*unsent)(struct socket *s);   /* SIOCOUTQ */
    /* -ENOPROTOOPT: not an option of this family. */
    s64 (*option_set)(struct thread *t, struct socket *s, const struct socket_option *o);
    s64 (*option_get)(struct socket *s, struct socket_option *o);
    /* An option of SOL_SOCKET was changed; NULL: the family reads it when it wants to. */
    s64 (*changed)(struct socket *s, u32 name);
    s32 (*error)(struct socket *s); /* SO_ERROR: positive, and forgotten */
    /* The file was closed.  The socket goes with its last reference. */
    void (*close)(struct socket *s);
    void (*destroy)(struct socket *s); /* may be NULL */
    bool (*drained)(struct socket *s); /* SO_LINGER need not wait any more; NULL: it never does */
};

struct socket {
    const struct socket_operations *operations; /* [I] */
    u32 references;
    u16 family, type;  /* [I] */
    u32 protocol;      /* [I] */
    u64 number;        /* [I] inode number, as /proc/net shows it */
    struct file *file; /* not held; NULL: not accepted yet, or closed */
    struct list link;  /* among all sockets, for /proc/net */
    struct wait_queue queue;
    bool listening;
    /* --- what every family knows of SOL_SOCKET --- */
    bool pass_credentials;
    bool reuse_address, reuse_port, broadcast, keep_alive, dont_route, oob_inline, no_check;
    bool timestamp, timestamp_ns;
    bool linger;
    u32 linger_seconds;
    u32 send_bytes, receive_bytes; /* SO_SNDBUF and SO_RCVBUF, as getsockopt shows them */
    u32 low_water;                 /* SO_RCVLOWAT, at least 1 */
    u32 priority;
    u64 receive_timeout_ns, send_timeout_ns; /* 0: none */
};

#define SOCKET_BUFFER_BYTES 212992u /* net.core.wmem_default, rmem_default and their maxima */

/* A new socket with one reference; NULL: out of memory. */
struct socket *socket_create(const struct socket_operations *o, u16 family, u16 type, u32 protocol);
static inline void socket_hold(struct socket *s)
{
    s->references++;
}
void socket_release(struct socket *s);
/* The file of a descriptor's number that shall be this socket; takes the reference over, also on
   failure (and closes it then).  NULL: out of memory. */
struct file *socket_file_create(struct socket *s, u32 flags);
/* NULL when the file is no socket. */
struct socket *socket_of(struct file *f);
/* 0, -EBADF, -ENOTSOCK. */
s64 socket_get(struct thread *t, s32 fd, struct file **f, struct socket **s);

/* What may have begun to hold; nothing else wakes. */
void socket_wake(struct socket *s, u32 events);
#define SOCKET_READABLE (POLLIN | POLLRDNORM)
#define SOCKET_WRITABLE (POLLOUT | POLLWRNORM | POLLWRBAND)

/* How an attempt to send or to receive waits: on the socket's own queue, with its timeout; at which
   it is -EAGAIN.  The result of the attempt. */
s64 socket_wait(struct socket *s, struct transfer *x);
/* The same on another queue. */
s64 socket_wait_on(struct socket *s, struct transfer *x, struct wait_queue *q);
/* How much has to be there before a call that asked for `bytes` returns without waiting. */
u64 socket_low_water(const struct socket *s, const struct transfer *x);
/* A stream that can no longer be written: -EPIPE, and SIGPIPE. */
s64 socket_broken(struct transfer *x);

/* Copies a whole datagram of at most x->left bytes to or from the program, or nothing: then the
   memory is being brought in (SYSCALL_LATER) or is not there (-EFAULT). */
struct transfer_mark {
    u64 position, done, left, at, chunk;
    u32 vectors_left;
    struct io_vector *next;
};
void transfer_mark(const struct transfer *x, struct transfer_mark *m);
void transfer_return_to(struct transfer *x, const struct transfer_mark *m);
s64 socket_copy_in(struct transfer *x, void *to, u64 bytes);
s64 socket_copy_out(struct transfer *x, const void *from, u64 bytes);

/* accept, connect: makes the first attempt, and the next ones. */
s64 socket_call_attempt(struct socket_call *c);

/* SO_LINGER: the close of the last descriptor waits until the other side has everything, or the
   time is over.  socket_linger closes the descriptor. */
bool socket_lingers(struct file *f);
s64 socket_linger(struct thread *t, s32 fd, struct file *f);

/* --- messages (unix/socket_control.c) -----------------------------------------------------------
 */

#define SOCKET_CONTROL_MOST 20480 /* bytes; net.core.optmem_max */

/* What a message carries, from the program's control buffer: 0 or -errno.  The rights are then the
   message's. */
s64 socket_control_in(struct thread *t, struct socket *s, u64 address, u64 bytes,
                      struct socket_message *m);
/* Writes what was received there, and gives up what does not fit (MSG_CTRUNC).  How many bytes were
   written. */
u64 socket_control_out(struct thread *t, struct socket *s, u64 address, u64 bytes,
                       struct socket_message *m);
/* Another hold on each: for MSG_PEEK.  NULL: out of memory. */
struct socket_rights *socket_rights_copy(const struct socket_rights *r);
/* Closes the files; NULL is none.  Files that are sockets may carry more: it does not recurse. */
void socket_rights_release(struct socket_rights *r);
/* How many files there are in messages. */
u64 socket_rights_on_the_way(void);

/* The program's address: 0, -EINVAL, -EFAULT, SYSCALL_LATER. */
s64 socket_address_in(struct thread *t, u64 address, s64 bytes, struct socket_address *to);
/* Writes it, cut to the room that the word at `length` tells, and its length there.  `address` 0:
   nothing is wanted. */
s64 socket_address_out(const struct socket_address *a, u64 address, u64 length);
/* Makes sure that socket_address_out can write: 0, -EFAULT, SYSCALL_LATER. */
s64 socket_address_prepare(struct thread *t, u64 address, u64 length);

/* --- families ----------------------------------------------------------------------------------
 */

s64 socket_unix_create(u32 type, u32 protocol, struct socket **s);
s64 socket_unix_pair(struct thread *t, u32 type, u32 protocol, struct socket *pair[2]);
s64 socket_inet_create(u16 family, u32 type, u32 protocol, struct socket **s);
s64 socket_netlink_create(u32 type, u32 protocol, struct socket **s);

/* SIOCGIF*: 0, -errno, -ENOTTY when it is none of them. */
s64 socket_interface_ioctl(struct thread *t, u32 request, u64 argument);
