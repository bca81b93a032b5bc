/* AF_UNIX sockets, with right and wrong arguments.  Prints every result, so that the output in the
   machine can be compared with the output on Linux.  The directory it runs in is writable. */
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

static void events(const char *what, int fd)
{
    struct pollfd p = {fd, POLLIN | POLLOUT | POLLPRI | POLLRDHUP | POLLWRNORM | POLLRDNORM, 0};
    int n = poll(&p, 1, 0);
    printf("poll %-67s %d %x\n", what, n, p.revents);
}

static struct sockaddr_un named(const char *name)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    strcpy(a.sun_path, name);
    return a;
}

static socklen_t abstract(struct sockaddr_un *a, const char *name)
{
    memset(a, 0, sizeof(*a));
    a->sun_family = AF_UNIX;
    strcpy(a->sun_path + 1, name);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name));
}

static void show_name(const char *what, int fd, int peer)
{
    struct sockaddr_un a;
    socklen_t bytes = sizeof(a);
    memset(&a, 0, sizeof(a));
    int r = peer ? getpeername(fd, (void *)&a, &bytes) : getsockname(fd, (void *)&a, &bytes);
    if (r < 0)
        printf("%s: E%d\n", what, errno);
    else if (bytes == 2)
        printf("%s: unnamed family %d\n", what, a.sun_family);
    else
        printf("%s: family %d bytes %d \"%s%s\"\n", what, a.sun_family, (int)bytes,
               a.sun_path[0] ? "" : "@", a.sun_path[0] ? a.sun_path : a.sun_path + 1);
}

/* --- making ----------------------------------------------------------------------------------- */

static void making(void)
{
    int p[2], i;
    static const int families[] = {AF_UNIX, -1, 46, 1000, AF_UNSPEC};
    static const int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET, SOCK_RDM, 7, 11, -1, 0};
    for (i = 0; i < 5; i++)
        tell("socket of a family", socket(families[i], SOCK_STREAM, 0) < 0 ? -1 : 0);
    for (i = 0; i < 8; i++)
        tell("socket of a type", socket(AF_UNIX, types[i], 0) < 0 ? -1 : 0);
    tell("protocol 1", socket(AF_UNIX, SOCK_STREAM, 1) < 0 ? -1 : 0);
    tell("protocol 5", socket(AF_UNIX, SOCK_STREAM, 5) < 0 ? -1 : 0);
    tell("flag", socket(AF_UNIX, SOCK_STREAM | 0x100, 0) < 0 ? -1 : 0);
    CALL(socketpair(AF_UNIX, SOCK_STREAM, 0, BAD));
    CALL(socketpair(AF_INET, SOCK_STREAM, 0, p));
    CALL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, p));
    printf("flags %x %x fd %d %d\n", fcntl(p[0], F_GETFL), fcntl(p[1], F_GETFL),
           fcntl(p[0], F_GETFD), fcntl(p[1], F_GETFD));
    struct stat st;
    fstat(p[0], &st);
    printf("mode %o links %d\n", st.st_mode, (int)st.st_nlink);
    char target[64] = "";
    char path[64];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", p[0]);
    readlink(path, target, sizeof(target) - 1);
    printf("%.8s\n", target);
    CALL(lseek(p[0], 0, SEEK_CUR));
    CALL(pread(p[0], target, 1, 0));
    CALL(listen(p[0], 1));
    CALL(listen(0, 1));
    CALL(listen(99, 1));
    CALL(accept(p[0], NULL, NULL));
    show_name("name of a pair", p[0], 0);
    show_name("peer of a pair", p[0], 1);
    CALL(shutdown(p[0], 3));
    CALL(shutdown(99, 0));
    CALL(ftruncate(p[0], 0));
    close(p[0]);
    close(p[1]);
}

/* --- streams ---------------------------------------------------------------------------------- */

static void stream_basics(void)
{
    int p[2], n;
    char b[64] = "";
    socketpair(AF_UNIX, SOCK_STREAM, 0, p);
    events("new pair", p[0]);
    CALL(send(p[0], "hello", 5, 0));
    events("with bytes", p[1]);
    CALL(recv(p[1], b, 2, MSG_PEEK));
    CALL(recv(p[1], b, 64, MSG_PEEK));
    CALL(ioctl(p[1], FIONREAD, &n));
    printf("%d \"%.5s\"\n", n, b);
    CALL(write(p[0], " world", 6));
    CALL(read(p[1], b, 64));
    printf("\"%.11s\"\n", b);
    CALL(recv(p[1], b, 64, MSG_DONTWAIT));
    CALL(read(p[1], b, 0));
    CALL(write(p[0], b, 0));
    CALL(send(p[0], BAD, 10, 0));
    CALL(write(p[0], "fault", 5));
    CALL(recv(p[1], BAD, 5, 0));
    CALL(recv(p[1], b, 5, 0));
    CALL(send(p[0], "x", 1, MSG_OOB) == 1 || errno == EOPNOTSUPP ? 0 : -1);
    recv(p[1], b, 5, MSG_DONTWAIT);
    struct iovec v[3] = {{"one", 3}, {"", 0}, {"two", 3}};
    CALL(writev(p[0], v, 3));
    CALL(recv(p[1], b, 6, MSG_WAITALL));
    printf("\"%.6s\"\n", b);
    struct sockaddr_un a = named("nowhere");
    CALL(sendto(p[0], "x", 1, 0, (void *)&a, sizeof(a)));
    socklen_t bytes = sizeof(a);
    write(p[0], "x", 1);
    CALL(recvfrom(p[1], b, 64, 0, (void *)&a, &bytes));
    printf("address bytes %d\n", (int)bytes);
    CALL(send(p[0], "abc", 3, 0));
    CALL(recv(p[1], b, 1, MSG_TRUNC));
    CALL(recv(p[1], b, 64, 0));
    close(p[0]);
    events("peer closed", p[1]);
    CALL(read(p[1], b, 64));
    signals = 0;
    CALL(write(p[1], "x", 1));
    CALL(send(p[1], "x", 1, MSG_NOSIGNAL));
    printf("signals %d\n", signals);
    close(p[1]);
}

static void stream_shutdown(void)
{
    int p[2];
    char b[64];
    socketpair(AF_UNIX, SOCK_STREAM, 0, p);
    write(p[0], "last", 4);
    CALL(shutdown(p[0], SHUT_WR));
    events("shut for writing", p[0]);
    events("its peer", p[1]);
    CALL(read(p[1], b, 64));
    CALL(read(p[1], b, 64));
    events("its peer, read", p[1]);
    CALL(send(p[0], "x", 1, MSG_NOSIGNAL));
    CALL(write(p[1], "back", 4));
    CALL(read(p[0], b, 64));
    CALL(shutdown(p[0], SHUT_RD));
    events("shut for both", p[0]);
    events("its peer", p[1]);
    CALL(send(p[1], "x", 1, MSG_NOSIGNAL));
    CALL(read(p[0], b, 64));
    close(p[0]);
    close(p[1]);
    socketpair(AF_UNIX, SOCK_STREAM, 0, p);
    write(p[1], "unread", 6);
    close(p[1]);
    socketpair(AF_UNIX, SOCK_STREAM, 0, p + 0);
    write(p[0], "unread", 6);
    close(p[1]);
    events("peer closed with unread bytes", p[0]);
    CALL(read(p[0], b, 64));
    CALL(read(p[0], b, 64));
    close(p[0]);
}

static void stream_options(void)
{
    int p[2], n;
    socklen_t l;
    socketpair(AF_UNIX, SOCK_STREAM, 0, p);
    static const int names[] = {SO_DEBUG,     SO_REUSEADDR, SO_TYPE,       SO_ERROR,
                                SO_BROADCAST, SO_SNDBUF,    SO_RCVBUF,     SO_KEEPALIVE,
                                SO_RCVLOWAT,  SO_SNDLOWAT,  SO_ACCEPTCONN, SO_PROTOCOL,
                                SO_DOMAIN,    SO_PASSCRED,  SO_REUSEPORT,  SO_TIMESTAMP};
    for (unsigned i = 0; i < sizeof(names) / sizeof(*names); i++) {
        n = -77;
        l = sizeof(n);
        int r = getsockopt(p[0], SOL_SOCKET, names[i], &n, &l);
        printf("option %d: %d %d %d\n", names[i], r, n, (int)l);
    }
    static const int values[] = {1, 1000, 100000};
    for (unsigned i = 0; i < 3; i++) {
        for (int name = SO_SNDBUF; name <= SO_RCVBUF; name++) {
            int r = setsockopt(p[0], SOL_SOCKET, name, &values[i], sizeof(int));
            l = sizeof(n);
            getsockopt(p[0], SOL_SOCKET, name, &n, &l);
            printf("buffer %d %d: %d %d\n", name, values[i], r, n);
        }
    }
    close(p[0]);
    close(p[1]);
}

static void wrong_options(void)
{
    int p[2], n = 1;
    socklen_t l;
    socketpair(AF_UNIX, SOCK_STREAM, 0, p);
    CALL(setsockopt(p[0], SOL_SOCKET, SO_TYPE, &n, 4));
    CALL(setsockopt(p[0], SOL_SOCKET, SO_REUSEADDR, &n, 3));
    CALL(setsockopt(p[0], SOL_SOCKET, SO_REUSEADDR, BAD, 4));
    CALL(setsockopt(p[0], SOL_SOCKET, SO_REUSEADDR, &n, -1));
    CALL(setsockopt(p[0], SOL_SOCKET, 9999, &n, 4));
    CALL(setsockopt(p[0], 6, 1, &n, 4));
    l = 4;
    CALL(getsockopt(p[0], 6, 1, &n, &l));
    CALL(getsockopt(p[0], SOL_SOCKET, SO_TYPE, BAD, &l));
    CALL(getsockopt(p[0], SOL_SOCKET, SO_TYPE, &n, BAD));
    l = -1;
    CALL(getsockopt(p[0], SOL_SOCKET, SO_TYPE, &n, &l));
    l = 2;
    n = 0;
    CALL(getsockopt(p[0], SOL_SOCKET, SO_TYPE, &n, &l));
    printf("%d %d\n", n, (int)l);
    close(p[0]);
    close(p[1]);
}

static void options_at_work(void)
{
    int p[2];
    socklen_t l;
    socketpair(AF_UNIX, SOCK_STREAM, 0, p);
    struct linger g = {1, 5};
    CALL(setsockopt(p[0], SOL_SOCKET, SO_LINGER, &g, 4));
    CALL(setsockopt(p[0], SOL_SOCKET, SO_LINGER, &g, sizeof(g)));
    g.l_onoff = g.l_linger = 0;
    l = sizeof(g);
    CALL(getsockopt(p[0], SOL_SOCKET, SO_LINGER, &g, &l));
    printf("%d %d\n", g.l_onoff, g.l_linger);
    struct timeval tv = {0, 1000000};
    CALL(setsockopt(p[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
    tv.tv_usec = 50000;
    CALL(setsockopt(p[0], SOL_SOCKET, SO_RCVTIMEO, &tv, 8));
    CALL(setsockopt(p[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
    struct timespec from, to;
    char b[8];
    clock_gettime(CLOCK_MONOTONIC, &from);
    CALL(read(p[0], b, 8));
    clock_gettime(CLOCK_MONOTONIC, &to);
    long ms = (to.tv_sec - from.tv_sec) * 1000 + (to.tv_nsec - from.tv_nsec) / 1000000;
    printf("waited long enough: %d\n", ms >= 45);
    struct ucred c;
    l = sizeof(c);
    CALL(getsockopt(p[0], SOL_SOCKET, SO_PEERCRED, &c, &l));
    printf("pid %d uid %d %d\n", c.pid == getpid(), c.uid == getuid(), c.gid == getgid());
    close(p[0]);
    close(p[1]);
}

static void stream_full(void)
{
    int p[2];
    static char big[300000], back[300000];
    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, p);
    for (unsigned i = 0; i < sizeof(big); i++)
        big[i] = (char)(i * 7 + i / 251);
    long sent = write(p[0], big, sizeof(big));
    printf("a part was sent: %d\n", sent > 100000 && sent < 300000);
    CALL(write(p[0], big, 1));
    events("full", p[0]);
    long got = 0, n;
    while ((n = read(p[1], back + got, 7777)) > 0)
        got += n;
    printf("all came: %d %d\n", got == sent, !memcmp(big, back, (size_t)sent));
    events("empty", p[0]);
    close(p[0]);
    close(p[1]);
}

static void *writer(void *argument)
{
    int fd = *(int *)argument;
    char b[5000];
    memset(b, 'w', sizeof(b));
    for (int i = 0; i < 200; i++)
        if (write(fd, b, sizeof(b)) != sizeof(b))
            printf("short write\n");
    shutdown(fd, SHUT_WR);
    return NULL;
}

static void stream_blocking(void)
{
    int p[2];
    static char b[100000];
    long got = 0, n, calls = 0;
    pthread_t t;
    socketpair(AF_UNIX, SOCK_STREAM, 0, p);
    pthread_create(&t, NULL, writer, &p[0]);
    n = recv(p[1], b, sizeof(b), MSG_WAITALL);
    printf("wait for all: %ld\n", n);
    got = n;
    while ((n = read(p[1], b, sizeof(b))) > 0) {
        got += n;
        calls++;
    }
    pthread_join(t, NULL);
    printf("bytes %ld\n", got);
    close(p[0]);
    close(p[1]);
}

/* --- connections ------------------------------------------------------------------------------ */

static void listening(int type)
{
    struct sockaddr_un a = named("listener");
    socklen_t l;
    char text[64];
    printf("--- connections of type %d\n", type);
    unlink("listener");
    int s = socket(AF_UNIX, type, 0);
    events("unconnected", s);
    CALL(recv(s, text, 1, 0));
    CALL(send(s, text, 1, MSG_NOSIGNAL));
    CALL(listen(s, 5));
    CALL(accept(s, NULL, NULL));
    CALL(connect(s, (void *)&a, sizeof(a)));
    CALL(bind(s, (void *)&a, 1));
    CALL(bind(s, (void *)&a, 200));
    CALL(bind(s, BAD, sizeof(a)));
    CALL(bind(s, (void *)&a, sizeof(a)));
    CALL(bind(s, (void *)&a, sizeof(a)));
    show_name("bound", s, 0);
    show_name("no peer", s, 1);
    struct stat st;
    CALL(stat("listener", &st));
    printf("mode %o bytes %ld\n", st.st_mode, (long)st.st_size);
    CALL(open("listener", O_RDWR));
    int other = socket(AF_UNIX, type, 0);
    CALL(bind(other, (void *)&a, sizeof(a)));
    CALL(connect(other, (void *)&a, sizeof(a)));
    CALL(listen(s, 1));
    CALL(listen(s, 2));
    events("listening", s);
    l = sizeof(int);
    int n;
    CALL(getsockopt(s, SOL_SOCKET, SO_ACCEPTCONN, &n, &l));
    printf("%d\n", n);
    CALL(ioctl(s, FIONREAD, &n));
    CALL(connect(s, (void *)&a, sizeof(a)));
    CALL(recv(s, text, 1, 0));
    close(other);
    close(s);
}

/* A listener of the name "listener". */
static int unix_listener(int type, int backlog)
{
    struct sockaddr_un a = named("listener");
    unlink("listener");
    int s = socket(AF_UNIX, type | SOCK_NONBLOCK, 0);
    if (bind(s, (void *)&a, sizeof(a)) < 0 || listen(s, backlog) < 0)
        tell("listener", -1);
    return s;
}

static void connected(int type)
{
    struct sockaddr_un a = named("listener"), b;
    socklen_t l;
    char text[64];
    int s = unix_listener(type, 2), other = socket(AF_UNIX, type, 0);
    CALL(accept(s, NULL, NULL));
    CALL(accept4(s, NULL, NULL, 1));
    CALL(connect(other, (void *)&a, sizeof(a)));
    CALL(connect(other, (void *)&a, sizeof(a)));
    events("connected, not accepted", other);
    events("listening, one waits", s);
    CALL(send(other, "early", 5, 0));
    show_name("client", other, 0);
    show_name("client's peer", other, 1);
    l = sizeof(b);
    int c = accept4(s, (void *)&b, &l, SOCK_CLOEXEC | SOCK_NONBLOCK);
    printf("accepted %d, address of %d bytes, flags %x %x\n", c >= 0, (int)l, fcntl(c, F_GETFL),
           fcntl(c, F_GETFD));
    show_name("accepted", c, 0);
    show_name("accepted's peer", c, 1);
    CALL(recv(c, text, 64, 0));
    CALL(recv(c, text, 64, 0));
    struct ucred cred;
    l = sizeof(cred);
    CALL(getsockopt(other, SOL_SOCKET, SO_PEERCRED, &cred, &l));
    printf("pid %d\n", cred.pid == getpid());
    close(c);
    events("client whose peer is closed", other);
    CALL(recv(other, text, 64, 0));
    close(other);
    close(s);
}

static void backlog(int type)
{
    struct sockaddr_un a = named("listener");
    char text[64];
    int clients[6], s = unix_listener(type, 2);
    for (int i = 0; i < 5; i++) {
        clients[i] = socket(AF_UNIX, type | SOCK_NONBLOCK, 0);
        tell("connect to fill the backlog", connect(clients[i], (void *)&a, sizeof(a)));
    }
    write(clients[0], "lost", 4);
    close(s);
    events("never accepted", clients[0]);
    CALL(recv(clients[0], text, 64, 0));
    CALL(recv(clients[0], text, 64, 0));
    CALL(send(clients[0], text, 1, MSG_NOSIGNAL));
    for (int i = 0; i < 5; i++)
        close(clients[i]);
}

static void nobody(int type)
{
    struct sockaddr_un a = named("listener");
    int other = socket(AF_UNIX, type, 0);
    CALL(connect(other, (void *)&a, sizeof(a)));
    CALL(unlink("listener"));
    CALL(connect(other, (void *)&a, sizeof(a)));
    a = named("missing/directory");
    CALL(bind(other, (void *)&a, sizeof(a)));
    a.sun_family = AF_INET;
    CALL(bind(other, (void *)&a, sizeof(a)));
    CALL(connect(other, (void *)&a, sizeof(a)));
    a = named("regular");
    close(open("regular", O_CREAT | O_RDWR, 0600));
    CALL(bind(other, (void *)&a, sizeof(a)));
    CALL(connect(other, (void *)&a, sizeof(a)));
    unlink("regular");
    close(other);
}

static void connections(int type)
{
    listening(type);
    connected(type);
    backlog(type);
    nobody(type);
}

static void abstract_names(void)
{
    struct sockaddr_un a, b;
    socklen_t l = abstract(&a, "thunk-test"), m = sizeof(b);
    printf("--- abstract names\n");
    int s = socket(AF_UNIX, SOCK_STREAM, 0), d = socket(AF_UNIX, SOCK_DGRAM, 0);
    CALL(bind(s, (void *)&a, l));
    show_name("abstract", s, 0);
    CALL(bind(d, (void *)&a, l));
    close(d);
    d = socket(AF_UNIX, SOCK_STREAM, 0);
    CALL(bind(d, (void *)&a, l));
    CALL(connect(d, (void *)&a, l));
    CALL(listen(s, 1));
    CALL(connect(d, (void *)&a, l - 1));
    CALL(connect(d, (void *)&a, l));
    CALL(close(s));
    int any = socket(AF_UNIX, SOCK_DGRAM, 0);
    CALL(bind(any, (void *)&a, 2));
    getsockname(any, (void *)&b, &m);
    printf("any: %d bytes, first %d\n", (int)m, b.sun_path[0]);
    close(d);
    close(any);
}

static void *connector(void *argument)
{
    struct sockaddr_un a = *(struct sockaddr_un *)argument;
    int c = socket(AF_UNIX, SOCK_STREAM, 0);
    usleep(20000);
    for (int i = 0; i < 3; i++) {
        if (connect(c, (void *)&a, sizeof(a)) < 0)
            printf("connect: E%d\n", errno);
        if (write(c, "hello", 5) != 5)
            printf("write\n");
        close(c);
        c = socket(AF_UNIX, SOCK_STREAM, 0);
    }
    close(c);
    return NULL;
}

static void blocking_accept(void)
{
    struct sockaddr_un a = named("blocking");
    pthread_t t;
    char b[16];
    int s = socket(AF_UNIX, SOCK_STREAM, 0);
    unlink("blocking");
    bind(s, (void *)&a, sizeof(a));
    listen(s, 0);
    pthread_create(&t, NULL, connector, &a);
    for (int i = 0; i < 3; i++) {
        int c = accept(s, NULL, NULL);
        printf("accepted %d read %ld then %ld\n", c >= 0, (long)recv(c, b, 5, MSG_WAITALL),
               (long)read(c, b, 16));
        close(c);
        usleep(10000);
    }
    pthread_join(t, NULL);
    struct timeval tv = {0, 20000};
    setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
    CALL(accept(s, NULL, NULL));
    unlink("blocking");
    close(s);
}

/* --- datagrams -------------------------------------------------------------------------------- */

static void datagrams(void)
{
    struct sockaddr_un a = named("one"), b = named("two"), from;
    socklen_t l;
    char text[64];
    int n;
    printf("--- datagrams\n");
    unlink("one");
    unlink("two");
    int one = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    int two = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    int three = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    events("new", one);
    CALL(bind(one, (void *)&a, sizeof(a)));
    CALL(bind(two, (void *)&b, sizeof(b)));
    CALL(listen(one, 1));
    CALL(accept(one, NULL, NULL));
    CALL(send(one, "x", 1, 0));
    CALL(recv(one, text, 64, 0));
    CALL(sendto(one, "to two", 6, 0, (void *)&b, sizeof(b)));
    CALL(sendto(one, "", 0, 0, (void *)&b, sizeof(b)));
    events("with a datagram", two);
    CALL(ioctl(two, FIONREAD, &n));
    printf("%d\n", n);
    l = sizeof(from);
    CALL(recvfrom(two, text, 64, MSG_PEEK, (void *)&from, &l));
    l = 5;
    memset(&from, 'x', sizeof(from));
    CALL(recvfrom(two, text, 3, MSG_TRUNC, (void *)&from, &l));
    printf("%d %.3s %.4s\n", (int)l, text, from.sun_path);
    CALL(recvfrom(two, text, 64, 0, NULL, NULL));
    CALL(connect(three, (void *)&b, sizeof(b)));
    show_name("connected", three, 1);
    CALL(send(three, "anonymous", 9, 0));
    l = sizeof(from);
    CALL(recvfrom(two, text, 64, 0, (void *)&from, &l));
    printf("address bytes %d\n", (int)l);
    CALL(connect(two, (void *)&a, sizeof(a)));
    CALL(send(three, "x", 1, 0));
    CALL(sendto(three, "x", 1, 0, (void *)&b, sizeof(b)));
    CALL(sendto(one, "allowed", 7, 0, (void *)&b, sizeof(b)));
    struct sockaddr nobody = {.sa_family = AF_UNSPEC};
    CALL(connect(two, &nobody, sizeof(nobody)));
    show_name("disconnected", two, 1);
    CALL(recv(two, text, 64, 0));
    close(one);
    close(two);
    close(three);
}

/* "one" and "two" are bound, and the third is connected to "two". */
static void three_sockets(int p[3])
{
    struct sockaddr_un a = named("one"), b = named("two");
    unlink("one");
    unlink("two");
    for (int i = 0; i < 3; i++)
        p[i] = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    bind(p[0], (void *)&a, sizeof(a));
    bind(p[1], (void *)&b, sizeof(b));
    connect(p[2], (void *)&b, sizeof(b));
}

static void full_datagrams(void)
{
    int p[3], sent = 0;
    char text[64];
    three_sockets(p);
    int two = p[1], three = p[2];
    struct sockaddr_un a = named("one"), b = named("two");
    while (send(three, "fill", 4, 0) == 4)
        sent++;
    printf("datagrams until full: %d E%d\n", sent, errno);
    events("sender to a full receiver", three);
    CALL(recv(two, text, 64, 0));
    events("sender, room again", three);
    while (recv(two, text, 64, 0) > 0)
        ;
    static char big[400000];
    CALL(send(three, big, sizeof(big), 0));
    CALL(send(three, big, 100000, 0));
    CALL(recv(two, big, sizeof(big), 0));
    CALL(shutdown(two, SHUT_RD));
    CALL(send(three, "x", 1, 0));
    CALL(recv(two, text, 64, 0));
    events("shut for reading", two);
    CALL(close(two));
    CALL(send(three, "x", 1, 0));
    CALL(send(three, "x", 1, 0));
    CALL(sendto(three, "x", 1, 0, (void *)&b, sizeof(b)));
    b = named("none");
    CALL(sendto(three, "x", 1, 0, (void *)&b, sizeof(b)));
    CALL(sendto(three, "x", 1, 0, (void *)&b, 2));
    CALL(sendto(three, "x", 1, 0, (void *)&b, 300));
    CALL(sendto(three, "x", 1, 0, BAD, sizeof(b)));
    int stream = socket(AF_UNIX, SOCK_STREAM, 0);
    CALL(connect(stream, (void *)&a, sizeof(a)));
    close(stream);
    close(p[0]);
    close(three);
    unlink("one");
    unlink("two");
}

static void packets(void)
{
    int p[2];
    char b[64];
    struct iovec v = {b, 4};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    printf("--- packets\n");
    CALL(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, p));
    events("new", p[0]);
    CALL(send(p[0], "first", 5, 0));
    CALL(send(p[0], "second one", 10, MSG_EOR));
    CALL(recvmsg(p[1], &m, 0));
    printf("flags %x\n", m.msg_flags);
    CALL(recv(p[1], b, 64, 0));
    CALL(send(p[0], "after", 5, 0));
    close(p[0]);
    events("peer closed", p[1]);
    CALL(recv(p[1], b, 64, 0));
    CALL(recv(p[1], b, 64, 0));
    CALL(recv(p[1], b, 64, MSG_DONTWAIT));
    signals = 0;
    CALL(send(p[1], "x", 1, 0));
    printf("signals %d\n", signals);
    close(p[1]);
    CALL(socketpair(AF_UNIX, SOCK_DGRAM, 0, p));
    CALL(send(p[0], "datagram", 8, 0));
    CALL(recv(p[1], b, 64, 0));
    int n = 0;
    while (n < 1000 && send(p[0], "x", 1, MSG_DONTWAIT) == 1)
        n++;
    printf("a pair's datagrams until full: %d\n", n > 50 && n < 1000);
    close(p[0]);
    events("peer of a pair closed", p[1]);
    CALL(send(p[1], "x", 1, 0));
    CALL(send(p[1], "x", 1, 0));
    close(p[1]);
}

/* --- signals ---------------------------------------------------------------------------------- */

static void *interrupter(void *argument)
{
    usleep(40000);
    pthread_kill(*(pthread_t *)argument, SIGUSR1);
    usleep(40000);
    return NULL;
}

static void interrupted(void)
{
    int p[2];
    char b[8];
    pthread_t t, self = pthread_self();
    struct sigaction a = {.sa_handler = on_signal};
    printf("--- signals\n");
    socketpair(AF_UNIX, SOCK_STREAM, 0, p);
    sigaction(SIGUSR1, &a, NULL);
    pthread_create(&t, NULL, interrupter, &self);
    CALL(recv(p[0], b, 8, 0));
    pthread_join(t, NULL);
    a.sa_flags = SA_RESTART;
    sigaction(SIGUSR1, &a, NULL);
    struct timeval tv = {0, 300000};
    setsockopt(p[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
    pthread_create(&t, NULL, interrupter, &self);
    CALL(recv(p[0], b, 8, 0));
    pthread_join(t, NULL);
    write(p[1], "abc", 3);
    pthread_create(&t, NULL, interrupter, &self);
    CALL(recv(p[0], b, 8, MSG_WAITALL));
    pthread_join(t, NULL);
    close(p[0]);
    close(p[1]);
}

int main(void)
{
    signal(SIGPIPE, on_signal);
    making();
    stream_basics();
    stream_shutdown();
    stream_options();
    wrong_options();
    options_at_work();
    stream_full();
    stream_blocking();
    connections(SOCK_STREAM);
    connections(SOCK_SEQPACKET);
    abstract_names();
    blocking_accept();
    datagrams();
    full_datagrams();
    packets();
    interrupted();
    printf("end\n");
    return 0;
}
