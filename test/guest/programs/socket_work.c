/* A workload of sockets for out_of_memory.t: every kind of socket, each a little.  A call that
   fails ends it with a message and status 1; with all of its memory it prints a line a step and
   "end". */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

static long need(const char *what, long result)
{
    if (result >= 0)
        return result;
    fprintf(stderr, "socket_work: %s: %s\n", what, strerror(errno));
    exit(1);
}
#define NEED(call) need(#call, (long)(call))

static void wrong(const char *what)
{
    fprintf(stderr, "socket_work: %s\n", what);
    exit(1);
}

/* A lost datagram or connection is told, not waited for. */
static void bounded(int fd)
{
    struct timeval tv = {5, 0};
    NEED(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
}

static void pairs(int type)
{
    int p[2];
    char b[64];
    NEED(socketpair(AF_UNIX, type, 0, p));
    for (int i = 0; i < 5; i++) {
        NEED(send(p[0], "hello", 5, 0));
        if (NEED(recv(p[1], b, 64, 0)) != 5 || memcmp(b, "hello", 5))
            wrong("other bytes");
    }
    close(p[0]);
    close(p[1]);
    printf("pair of type %d\n", type);
}

static void rights(void)
{
    int p[2], q[2];
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } c = {{0}};
    char b[8];
    struct iovec v = {b, 1};
    struct msghdr m = {
        .msg_iov = &v, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof(c)};
    NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, p));
    NEED(pipe(q));
    c.align = (struct cmsghdr){
        .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(&c.align), &q[1], sizeof(int));
    NEED(sendmsg(p[0], &m, 0));
    memset(&c, 0, sizeof(c));
    NEED(recvmsg(p[1], &m, 0));
    int fd = -1;
    memcpy(&fd, CMSG_DATA(&c.align), sizeof(fd));
    NEED(write(fd, "x", 1));
    NEED(read(q[0], b, 1));
    close(fd);
    close(q[0]);
    close(q[1]);
    close(p[0]);
    close(p[1]);
    printf("rights\n");
}

static void named(void)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = "/socket"};
    char b[8];
    int s = (int)NEED(socket(AF_UNIX, SOCK_STREAM, 0));
    NEED(bind(s, (void *)&a, sizeof(a)));
    NEED(listen(s, 4));
    int c = (int)NEED(socket(AF_UNIX, SOCK_STREAM, 0));
    NEED(connect(c, (void *)&a, sizeof(a)));
    int d = (int)NEED(accept(s, NULL, NULL));
    NEED(send(c, "hello", 5, 0));
    NEED(recv(d, b, 5, MSG_WAITALL));
    close(c);
    close(d);
    close(s);
    NEED(unlink("/socket"));
    printf("name\n");
}

static void streams(int file)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t l = sizeof(a);
    static char b[100000];
    int s = (int)NEED(socket(AF_INET, SOCK_STREAM, 0)), on = 1;
    NEED(bind(s, (void *)&a, sizeof(a)));
    NEED(listen(s, 4));
    NEED(getsockname(s, (void *)&a, &l));
    bounded(s);
    int c = (int)NEED(socket(AF_INET, SOCK_STREAM, 0));
    NEED(connect(c, (void *)&a, sizeof(a)));
    int d = (int)NEED(accept(s, NULL, NULL));
    bounded(c);
    bounded(d);
    NEED(setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)));
    for (int i = 0; i < 5; i++) {
        NEED(send(c, "request", 7, 0));
        if (NEED(recv(d, b, 7, MSG_WAITALL)) != 7)
            wrong("a short request");
        off_t at = 0;
        long sent = NEED(sendfile(d, file, &at, 20000));
        if (NEED(recv(c, b, (size_t)sent, MSG_WAITALL)) != sent)
            wrong("a short answer");
    }
    NEED(shutdown(c, SHUT_WR));
    if (NEED(recv(d, b, 1, 0)) != 0)
        wrong("no end");
    close(c);
    close(d);
    close(s);
    printf("stream\n");
}

static void datagrams(void)
{
    struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    socklen_t l = sizeof(a);
    char b[64];
    int one = (int)NEED(socket(AF_INET6, SOCK_DGRAM, 0));
    int two = (int)NEED(socket(AF_INET6, SOCK_DGRAM, 0));
    NEED(bind(one, (void *)&a, sizeof(a)));
    NEED(getsockname(one, (void *)&a, &l));
    bounded(one);
    for (int i = 0; i < 5; i++) {
        NEED(sendto(two, "datagram", 8, 0, (void *)&a, sizeof(a)));
        if (NEED(recv(one, b, 64, 0)) != 8)
            wrong("a short datagram");
    }
    close(one);
    close(two);
    printf("datagram\n");
}

static void interfaces(void)
{
    struct ifaddrs *list;
    NEED(getifaddrs(&list));
    freeifaddrs(list);
    printf("interfaces\n");
}

int main(int count, char **words)
{
    if (count != 2)
        return 2;
    signal(SIGPIPE, SIG_IGN);
    int file = (int)NEED(open(words[1], O_RDONLY));
    pairs(SOCK_STREAM);
    pairs(SOCK_DGRAM);
    pairs(SOCK_SEQPACKET);
    rights();
    named();
    streams(file);
    datagrams();
    interfaces();
    printf("end\n");
    return 0;
}
