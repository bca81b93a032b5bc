/* Messages of AF_UNIX sockets with more than bytes: descriptors, credentials, many at once.  Prints
   every result, so that the output in the machine can be compared with the output on Linux. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "signals.h"
#include "tell.h"

static void *volatile BAD = (void *)8;

#define CALL(call) tell(#call, (long)(call))

/* --- control messages ------------------------------------------------------------------------- */

union control {
    char bytes[512];
    struct cmsghdr align;
};

static long send_rights(int fd, const int *fds, int count, const char *text)
{
    union control c;
    struct iovec v = {(void *)(unsigned long)text, strlen(text)};
    struct msghdr m = {.msg_iov = &v,
                       .msg_iovlen = 1,
                       .msg_control = c.bytes,
                       .msg_controllen = CMSG_SPACE((unsigned)count * sizeof(int))};
    memset(&c, 0, sizeof(c));
    struct cmsghdr *h = CMSG_FIRSTHDR(&m);
    h->cmsg_level = SOL_SOCKET;
    h->cmsg_type = SCM_RIGHTS;
    h->cmsg_len = CMSG_LEN((unsigned)count * sizeof(int));
    memcpy(CMSG_DATA(h), fds, (unsigned)count * sizeof(int));
    return sendmsg(fd, &m, 0);
}

static long receive(int fd, int flags, unsigned room, unsigned text_room)
{
    union control c;
    char text[64] = "";
    struct iovec v = {text, text_room};
    struct msghdr m = {.msg_iov = &v,
                       .msg_iovlen = 1,
                       .msg_control = room ? c.bytes : NULL,
                       .msg_controllen = room};
    memset(&c, 0, sizeof(c));
    long n = recvmsg(fd, &m, flags);
    printf("received %ld \"%s\" flags %x control %d:", n < 0 ? -errno : n, text, m.msg_flags,
           (int)m.msg_controllen);
    for (struct cmsghdr *h = CMSG_FIRSTHDR(&m); n >= 0 && h && room > 20; h = CMSG_NXTHDR(&m, h)) {
        if (h->cmsg_type == SCM_RIGHTS) {
            int count = (int)(h->cmsg_len - CMSG_LEN(0)) / 4;
            printf(" rights %d", count);
            for (int i = 0; i < count; i++) {
                int got;
                memcpy(&got, CMSG_DATA(h) + i * 4, 4);
                printf(" (write %ld, close on exec %d)", (long)write(got, "!", 1),
                       fcntl(got, F_GETFD));
                close(got);
            }
        } else if (h->cmsg_type == SCM_CREDENTIALS) {
            struct ucred u;
            memcpy(&u, CMSG_DATA(h), sizeof(u));
            printf(" credentials %d %d %d", u.pid == getpid() ? 1 : (int)u.pid,
                   (int)u.uid == (int)getuid() ? 0 : (int)u.uid,
                   (int)u.gid == (int)getgid() ? 0 : (int)u.gid);
        } else {
            printf(" type %d len %d", h->cmsg_type, (int)h->cmsg_len);
        }
    }
    printf("\n");
    return n;
}

static void rights(int type)
{
    int p[2], q[2], many[260];
    char b[64];
    printf("--- rights, type %d\n", type);
    socketpair(AF_UNIX, type, 0, p);
    pipe(q);
    fcntl(q[0], F_SETFL, O_NONBLOCK);
    CALL(send_rights(p[0], &q[1], 1, "one"));
    receive(p[1], 0, 100, 63);
    CALL(read(q[0], b, 64));
    CALL(send_rights(p[0], (int[]){q[1], q[1]}, 2, "two"));
    receive(p[1], MSG_PEEK, 100, 63);
    receive(p[1], MSG_CMSG_CLOEXEC, 100, 63);
    CALL(read(q[0], b, 64));
    send_rights(p[0], (int[]){q[1], q[1]}, 2, "cut");
    receive(p[1], 0, CMSG_LEN(4), 63);
    send_rights(p[0], (int[]){q[1], q[1]}, 2, "cut more");
    receive(p[1], 0, 12, 63);
    send_rights(p[0], (int[]){q[1], q[1]}, 2, "no control");
    receive(p[1], 0, 0, 63);
    send_rights(p[0], &q[1], 1, "read");
    CALL(read(p[1], b, 64));
    CALL(send_rights(p[0], (int[]){99}, 1, "bad"));
    for (int i = 0; i < 260; i++)
        many[i] = q[1];
    send_rights(p[0], many, 100, "hundred");
    receive(p[1], 0, 24, 63);
    if (type == SOCK_STREAM) {
        send(p[0], "before ", 7, 0);
        send_rights(p[0], &q[1], 1, "with ");
        send(p[0], "after ", 6, 0);
        receive(p[1], 0, 100, 63);
        receive(p[1], 0, 100, 63);
        send_rights(p[0], &q[1], 1, "partly");
        receive(p[1], 0, 100, 2);
        receive(p[1], 0, 100, 63);
    }
    send_rights(p[0], &q[1], 1, "never read");
    send_rights(p[0], &p[0], 1, "itself");
    close(p[0]);
    close(p[1]);
    close(q[1]);
    while (read(q[0], b, 64) > 0)
        ;
    CALL(read(q[0], b, 64));
    close(q[0]);
}

/* Sockets that only lie in their own messages do not stay. */
static void rings(void)
{
    int done = 0;
    printf("--- rings\n");
    for (; done < 1500; done++) {
        int p[2], q[2];
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, p) < 0 || socketpair(AF_UNIX, SOCK_DGRAM, 0, q) < 0)
            break;
        if (send_rights(p[0], &p[0], 1, "itself") < 0 ||
            send_rights(p[0], &q[0], 1, "another") < 0 ||
            send_rights(q[1], &p[1], 1, "the other end") < 0)
            break;
        close(p[0]);
        close(p[1]);
        close(q[0]);
        close(q[1]);
    }
    printf("rings made: %d\n", done);
}

static void credentials(int type)
{
    int p[2], on = 1;
    printf("--- credentials, type %d\n", type);
    socketpair(AF_UNIX, type, 0, p);
    send(p[0], "early", 5, 0);
    CALL(setsockopt(p[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)));
    send(p[0], "late", 4, 0);
    receive(p[1], 0, 100, 63);
    if (type != SOCK_STREAM)
        receive(p[1], 0, 100, 63);
    else
        receive(p[1], MSG_DONTWAIT, 100, 63);
    union control c;
    struct iovec v = {"x", 1};
    struct msghdr m = {.msg_iov = &v,
                       .msg_iovlen = 1,
                       .msg_control = c.bytes,
                       .msg_controllen = CMSG_SPACE(sizeof(struct ucred))};
    memset(&c, 0, sizeof(c));
    struct cmsghdr *h = CMSG_FIRSTHDR(&m);
    h->cmsg_level = SOL_SOCKET;
    h->cmsg_type = SCM_CREDENTIALS;
    h->cmsg_len = CMSG_LEN(sizeof(struct ucred));
    struct ucred u = {getpid(), getuid(), getgid()};
    memcpy(CMSG_DATA(h), &u, sizeof(u));
    CALL(sendmsg(p[0], &m, 0));
    receive(p[1], 0, 100, 63);
    h->cmsg_len = CMSG_LEN(4);
    CALL(sendmsg(p[0], &m, 0));
    h->cmsg_len = 4;
    CALL(sendmsg(p[0], &m, 0));
    h->cmsg_len = CMSG_LEN(sizeof(u));
    h->cmsg_type = 99;
    CALL(sendmsg(p[0], &m, 0));
    h->cmsg_level = 77;
    CALL(sendmsg(p[0], &m, 0));
    CALL(setsockopt(p[1], SOL_SOCKET, SO_TIMESTAMP, &on, sizeof(on)));
    receive(p[1], 0, 20, 63);
    close(p[0]);
    close(p[1]);
}

/* The C library looks into messages itself, so these go past it. */
static void message_arguments(void)
{
    int p[2];
    char b[64];
    struct iovec v = {b, 64};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    printf("--- arguments of messages\n");
    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, p);
    CALL(syscall(SYS_sendmsg, p[0], BAD, 0));
    CALL(syscall(SYS_recvmsg, p[0], BAD, 0));
    CALL(syscall(SYS_sendmsg, 1, &m, 0));
    CALL(syscall(SYS_sendmsg, 77, &m, 0));
    m.msg_iovlen = 2000;
    CALL(syscall(SYS_sendmsg, p[0], &m, 0));
    m.msg_iovlen = 1;
    m.msg_iov = BAD;
    CALL(syscall(SYS_sendmsg, p[0], &m, 0));
    CALL(syscall(SYS_recvmsg, p[0], &m, 0));
    m.msg_iov = &v;
    m.msg_control = BAD;
    m.msg_controllen = 64;
    CALL(syscall(SYS_sendmsg, p[0], &m, 0));
    m.msg_control = b;
    m.msg_controllen = 1 << 20;
    CALL(syscall(SYS_sendmsg, p[0], &m, 0));
    m.msg_control = NULL;
    m.msg_name = BAD;
    m.msg_namelen = 16;
    CALL(syscall(SYS_sendmsg, p[0], &m, 0));
    m.msg_name = b;
    m.msg_namelen = -1;
    CALL(syscall(SYS_sendmsg, p[0], &m, 0));
    struct mmsghdr many[3];
    struct iovec vs[3] = {{"first", 5}, {"second", 6}, {"third", 5}};
    memset(many, 0, sizeof(many));
    for (int i = 0; i < 3; i++) {
        many[i].msg_hdr.msg_iov = &vs[i];
        many[i].msg_hdr.msg_iovlen = 1;
    }
    close(p[0]);
    close(p[1]);
    socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, p);
    CALL(syscall(SYS_sendmmsg, p[0], many, 3, 0));
    printf("%d %d %d\n", many[0].msg_len, many[1].msg_len, many[2].msg_len);
    char in[3][8];
    for (int i = 0; i < 3; i++)
        vs[i] = (struct iovec){in[i], 8};
    CALL(syscall(SYS_recvmmsg, p[1], many, 2, 0, NULL));
    printf("%d %d %.5s %.6s\n", many[0].msg_len, many[1].msg_len, in[0], in[1]);
    CALL(syscall(SYS_recvmmsg, p[1], many, 3, 0, NULL));
    CALL(syscall(SYS_recvmmsg, p[1], many, 3, 0, NULL));
    CALL(syscall(SYS_recvmmsg, p[1], many, 0, 0, NULL));
    CALL(syscall(SYS_sendmmsg, p[1], BAD, 3, 0));
    send(p[0], "x", 1, 0);
    fcntl(p[1], F_SETFL, 0);
    CALL(syscall(SYS_recvmmsg, p[1], many, 3, MSG_WAITFORONE, NULL));
    struct timespec bad = {0, 1000000000};
    CALL(syscall(SYS_recvmmsg, p[1], many, 3, 0, &bad));
    vs[0].iov_base = BAD;
    send(p[0], "x", 1, 0);
    CALL(syscall(SYS_recvmmsg, p[1], many, 1, MSG_DONTWAIT, NULL));
    CALL(recvfrom(p[1], in[0], 8, MSG_DONTWAIT, (void *)&bad, BAD));
    close(p[0]);
    close(p[1]);
}

int main(void)
{
    signal(SIGPIPE, on_signal);
    rights(SOCK_STREAM);
    rights(SOCK_DGRAM);
    rights(SOCK_SEQPACKET);
    rings();
    credentials(SOCK_STREAM);
    credentials(SOCK_DGRAM);
    message_arguments();
    printf("end\n");
    return 0;
}
