/* TCP and UDP sockets over the loopback interface, IPv4 and IPv6, with right and wrong arguments.
   Prints every result, so that the output in the machine can be compared with the output on Linux;
   not what the two choose for themselves (ports, sizes of buffers). */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static void *volatile BAD = (void *)8;

union address {
    struct sockaddr any;
    struct sockaddr_in four;
    struct sockaddr_in6 six;
    struct sockaddr_storage room;
};

static long tell(const char *what, long result)
{
    if (result < 0)
        printf("%-76s E%d\n", what, errno);
    else
        printf("%-76s %ld\n", what, result);
    fflush(stdout);
    return result;
}
#define CALL(call) tell(#call, (long)(call))

static int signals;
static void on_signal(int number)
{
    (void)number;
    signals++;
}

static void events(const char *what, int fd)
{
    struct pollfd p = {fd, POLLIN | POLLOUT | POLLPRI | POLLRDHUP | POLLRDNORM, 0};
    int n = poll(&p, 1, 0);
    printf("poll %-71s %d %x\n", what, n, p.revents);
}

/* Waits for what another machine's work may bring a moment later. */
static int await(int fd, short what)
{
    struct pollfd p = {fd, what, 0};
    return poll(&p, 1, 3000);
}

static int family;
static socklen_t address_bytes;

static union address local(unsigned short port)
{
    union address a;
    memset(&a, 0, sizeof(a));
    a.any.sa_family = (sa_family_t)family;
    if (family == AF_INET) {
        a.four.sin_port = htons(port);
        a.four.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    } else {
        a.six.sin6_port = htons(port);
        a.six.sin6_addr = in6addr_loopback;
    }
    return a;
}

static unsigned short port_of(const union address *a)
{
    return ntohs(a->any.sa_family == AF_INET ? a->four.sin_port : a->six.sin6_port);
}

static void show(const char *what, const union address *a, socklen_t bytes)
{
    char text[64] = "?";
    if (a->any.sa_family == AF_INET)
        inet_ntop(AF_INET, &a->four.sin_addr, text, sizeof(text));
    else if (a->any.sa_family == AF_INET6)
        inet_ntop(AF_INET6, &a->six.sin6_addr, text, sizeof(text));
    printf("%s: family %d bytes %d %s port %d\n", what, a->any.sa_family, (int)bytes, text,
           port_of(a) != 0);
}

static union address name_of(int fd, int peer, const char *what)
{
    union address a;
    socklen_t bytes = sizeof(a);
    memset(&a, 0, sizeof(a));
    int r = peer ? getpeername(fd, &a.any, &bytes) : getsockname(fd, &a.any, &bytes);
    if (r < 0)
        printf("%s: E%d\n", what, errno);
    else if (what)
        show(what, &a, bytes);
    return a;
}

static int listener(union address *a)
{
    int s = socket(family, SOCK_STREAM, 0);
    *a = local(0);
    if (bind(s, &a->any, address_bytes) < 0 || listen(s, 16) < 0)
        tell("listener", -1);
    socklen_t bytes = sizeof(*a);
    getsockname(s, &a->any, &bytes);
    return s;
}

static void connected(int p[2])
{
    union address a;
    int s = listener(&a);
    p[0] = socket(family, SOCK_STREAM, 0);
    if (connect(p[0], &a.any, address_bytes) < 0)
        tell("connect", -1);
    p[1] = accept(s, NULL, NULL);
    close(s);
}

/* --- making ----------------------------------------------------------------------------------- */

static void making(void)
{
    union address a = local(0);
    CALL(close(socket(family, SOCK_STREAM, IPPROTO_TCP)));
    CALL(close(socket(family, SOCK_DGRAM, IPPROTO_UDP)));
    CALL(socket(family, SOCK_STREAM, IPPROTO_UDP));
    CALL(socket(family, SOCK_DGRAM, IPPROTO_TCP));
    CALL(socket(family, SOCK_SEQPACKET, 0));
    CALL(socket(family, SOCK_RDM, 0));
    CALL(socket(family, SOCK_RAW, 0));
    CALL(socket(family, SOCK_STREAM, -1));
    CALL(socket(family, SOCK_STREAM, 300));
    CALL(socket(family, SOCK_STREAM, 77));
    int s = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    printf("%x %x\n", fcntl(s, F_GETFL), fcntl(s, F_GETFD));
    char b[4];
    int n;
    events("new", s);
    name_of(s, 0, "new");
    name_of(s, 1, "new's peer");
    CALL(recv(s, b, 1, 0));
    signals = 0;
    CALL(send(s, b, 1, 0));
    CALL(send(s, b, 1, MSG_NOSIGNAL));
    printf("signals %d\n", signals);
    CALL(shutdown(s, SHUT_WR));
    CALL(accept(s, NULL, NULL));
    CALL(ioctl(s, FIONREAD, &n));
    CALL(bind(s, &a.any, 1));
    CALL(bind(s, &a.any, 200));
    CALL(bind(s, BAD, address_bytes));
    a.any.sa_family = AF_UNIX;
    CALL(bind(s, &a.any, address_bytes));
    CALL(connect(s, &a.any, address_bytes));
    a = local(0);
    CALL(connect(s, &a.any, 1));
    CALL(connect(s, &a.any, 8));
    CALL(bind(s, &a.any, address_bytes));
    name_of(s, 0, "bound");
    CALL(bind(s, &a.any, address_bytes));
    CALL(listen(s, 5));
    CALL(listen(s, 6));
    events("listening", s);
    CALL(accept(s, NULL, NULL));
    CALL(accept4(s, NULL, NULL, 77));
    CALL(recv(s, b, 1, 0));
    CALL(connect(s, &a.any, address_bytes));
    CALL(ioctl(s, FIONREAD, &n));
    CALL(ioctl(s, 0x1234, &n));
    union address b2 = name_of(s, 0, NULL);
    int t = socket(family, SOCK_STREAM, 0);
    CALL(bind(t, &b2.any, address_bytes));
    close(s);
    CALL(bind(t, &b2.any, address_bytes));
    close(t);
    if (family == AF_INET) {
        a.four.sin_addr.s_addr = htonl(0x01020304);
        s = socket(family, SOCK_STREAM, 0);
        CALL(bind(s, &a.any, address_bytes));
        close(s);
    }
}

/* --- connections ------------------------------------------------------------------------------ */

static void connections(void)
{
    union address a, b;
    socklen_t bytes = sizeof(b);
    char text[64];
    int s = listener(&a), n;
    int c = socket(family, SOCK_STREAM, 0);
    CALL(connect(c, &a.any, address_bytes));
    events("connected", c);
    CALL(connect(c, &a.any, address_bytes));
    printf("listener readable %d\n", await(s, POLLIN));
    events("listener", s);
    memset(&b, 0, sizeof(b));
    int d = accept4(s, &b.any, &bytes, SOCK_NONBLOCK);
    show("accepted", &b, bytes);
    printf("%x\n", fcntl(d, F_GETFL));
    name_of(c, 0, "client");
    name_of(c, 1, "client's peer");
    name_of(d, 0, "server");
    name_of(d, 1, "server's peer");
    union address p = name_of(c, 0, NULL);
    printf("the same port: %d\n", port_of(&p) == port_of(&b));
    events("accepted", d);
    CALL(recv(d, text, 64, 0));
    CALL(send(c, "hello", 5, 0));
    await(d, POLLIN);
    events("with bytes", d);
    CALL(ioctl(d, FIONREAD, &n));
    printf("%d\n", n);
    CALL(recv(d, text, 64, MSG_PEEK));
    CALL(recv(d, text, 2, 0));
    CALL(recv(d, text, 2, MSG_TRUNC));
    CALL(recv(d, text, 64, 0));
    printf("%.1s\n", text);
    CALL(recv(d, text, 64, MSG_ERRQUEUE));
    CALL(recv(d, text, 64, MSG_OOB));
    CALL(send(c, BAD, 5, 0));
    CALL(send(c, "x", 1, 0));
    await(d, POLLIN);
    CALL(recv(d, BAD, 5, 0));
    CALL(recv(d, text, 5, 0));
    CALL(recv(d, text, 0, 0));
    CALL(send(d, text, 0, 0));
    struct iovec v[3] = {{"one", 3}, {"", 0}, {"two", 3}};
    CALL(writev(c, v, 3));
    await(d, POLLIN);
    CALL(recvfrom(d, text, 6, MSG_WAITALL, &b.any, &bytes));
    printf("%.6s %d\n", text, (int)bytes);
    CALL(sendto(c, "to", 2, 0, &a.any, address_bytes));
    await(d, POLLIN);
    CALL(read(d, text, 64));
    /* half-close */
    CALL(send(c, "last", 4, MSG_MORE));
    CALL(shutdown(c, SHUT_WR));
    await(d, POLLRDHUP);
    events("peer has shut its sending side", d);
    CALL(read(d, text, 64));
    CALL(read(d, text, 64));
    signals = 0;
    CALL(send(c, "x", 1, 0));
    printf("signals %d\n", signals);
    events("has shut its sending side", c);
    CALL(send(d, "answer", 6, 0));
    await(c, POLLIN);
    CALL(read(c, text, 64));
    CALL(close(d));
    await(c, POLLIN);
    events("both have ended", c);
    CALL(read(c, text, 64));
    name_of(c, 1, "peer after the end");
    CALL(shutdown(c, SHUT_RDWR));
    CALL(send(c, "x", 1, MSG_NOSIGNAL));
    CALL(close(c));
    CALL(close(s));
}

static void refused(void)
{
    union address a;
    int s = listener(&a), error;
    socklen_t l = sizeof(error);
    close(s);
    s = socket(family, SOCK_STREAM, 0);
    CALL(connect(s, &a.any, address_bytes));
    CALL(getsockopt(s, SOL_SOCKET, SO_ERROR, &error, &l));
    printf("%d\n", error);
    CALL(connect(s, &a.any, address_bytes));
    close(s);
    s = socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0);
    int r = connect(s, &a.any, address_bytes);
    printf("in progress or refused: %d\n",
           r < 0 && (errno == EINPROGRESS || errno == ECONNREFUSED));
    if (errno == EINPROGRESS) {
        printf("writable %d\n", await(s, POLLOUT));
        events("refused", s);
        CALL(getsockopt(s, SOL_SOCKET, SO_ERROR, &error, &l));
        printf("%d\n", error);
        CALL(getsockopt(s, SOL_SOCKET, SO_ERROR, &error, &l));
        printf("%d\n", error);
    }
    close(s);
    /* in progress, and then there */
    int server = listener(&a);
    s = socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0);
    r = connect(s, &a.any, address_bytes);
    printf("in progress: %d\n", r < 0 && errno == EINPROGRESS);
    printf("writable %d\n", await(s, POLLOUT));
    CALL(getsockopt(s, SOL_SOCKET, SO_ERROR, &error, &l));
    printf("%d\n", error);
    CALL(connect(s, &a.any, address_bytes));
    CALL(connect(s, &a.any, address_bytes));
    close(s);
    close(server);
}

static void resets(void)
{
    int p[2], error;
    socklen_t l = sizeof(error);
    char b[64];
    struct linger g = {1, 0};
    connected(p);
    CALL(setsockopt(p[1], SOL_SOCKET, SO_LINGER, &g, sizeof(g)));
    CALL(close(p[1]));
    await(p[0], POLLIN);
    events("reset", p[0]);
    CALL(recv(p[0], b, 1, 0));
    CALL(recv(p[0], b, 1, 0));
    signals = 0;
    CALL(send(p[0], b, 1, 0));
    printf("signals %d\n", signals);
    CALL(getsockopt(p[0], SOL_SOCKET, SO_ERROR, &error, &l));
    printf("%d\n", error);
    close(p[0]);
    /* closed with unread bytes */
    connected(p);
    send(p[0], "unread", 6, 0);
    await(p[1], POLLIN);
    close(p[1]);
    await(p[0], POLLIN);
    events("closed with unread bytes", p[0]);
    CALL(getsockopt(p[0], SOL_SOCKET, SO_ERROR, &error, &l));
    printf("%d\n", error);
    CALL(recv(p[0], b, 1, 0));
    close(p[0]);
    /* written to after it was closed */
    connected(p);
    close(p[1]);
    await(p[0], POLLIN);
    CALL(send(p[0], b, 1, 0));
    await(p[0], POLLHUP);
    events("written to after the peer closed", p[0]);
    signals = 0;
    CALL(send(p[0], b, 1, 0));
    CALL(send(p[0], b, 1, MSG_NOSIGNAL));
    printf("signals %d\n", signals);
    CALL(recv(p[0], b, 1, 0));
    close(p[0]);
}

static void *sink(void *argument)
{
    int fd = *(int *)argument;
    static char b[65536];
    long n;
    unsigned long sum = 0, bytes = 0;
    while ((n = read(fd, b, sizeof(b))) > 0) {
        for (long i = 0; i < n; i++)
            sum = sum * 31 + (unsigned char)b[i];
        bytes += (unsigned long)n;
    }
    printf("sink: %lu bytes, sum %lx, end %ld\n", bytes, sum, n);
    return NULL;
}

static void bulk(void)
{
    int p[2];
    pthread_t t;
    static char b[300000];
    connected(p);
    for (unsigned i = 0; i < sizeof(b); i++)
        b[i] = (char)(i * 13 + i / 255);
    pthread_create(&t, NULL, sink, &p[1]);
    for (int i = 0; i < 10; i++)
        if (send(p[0], b, sizeof(b), 0) != sizeof(b))
            tell("send", -1);
    shutdown(p[0], SHUT_WR);
    pthread_join(t, NULL);
    close(p[0]);
    close(p[1]);
    /* full, then drained */
    connected(p);
    fcntl(p[0], F_SETFL, O_NONBLOCK);
    long sent = 0, n, got = 0;
    while ((n = send(p[0], b, sizeof(b), 0)) > 0)
        sent += n;
    printf("full: %d, much: %d\n", errno, sent > 100000);
    struct pollfd f = {p[0], POLLOUT, 0};
    printf("not writable %d\n", poll(&f, 1, 0));
    fcntl(p[1], F_SETFL, O_NONBLOCK);
    while (got < sent && await(p[1], POLLIN) == 1)
        while ((n = recv(p[1], b, sizeof(b), 0)) > 0)
            got += n;
    printf("all came: %d\n", got == sent);
    printf("writable %d\n", await(p[0], POLLOUT));
    close(p[0]);
    close(p[1]);
}

static void sending_files(void)
{
    int p[2];
    pthread_t t;
    char b[1000];
    int f = open("big", O_CREAT | O_TRUNC | O_RDWR, 0600);
    for (int i = 0; i < 700; i++) {
        memset(b, i, sizeof(b));
        if (write(f, b, sizeof(b)) != sizeof(b))
            tell("write", -1);
    }
    connected(p);
    pthread_create(&t, NULL, sink, &p[1]);
    off_t at = 12345;
    CALL(sendfile(p[0], f, &at, 100));
    printf("%ld\n", (long)at);
    lseek(f, 0, SEEK_SET);
    long left = 700000, n;
    while (left > 0 && (n = sendfile(p[0], f, NULL, (size_t)left)) > 0)
        left -= n;
    printf("left %ld\n", left);
    at = 700000;
    CALL(sendfile(p[0], f, &at, 100));
    /* what was sent stays what it was */
    at = 0;
    n = sendfile(p[0], f, &at, 100000);
    printf("sent %ld\n", n);
    CALL(sendfile(p[0], p[1], NULL, 10));
    CALL(sendfile(p[0], f, BAD, 10));
    shutdown(p[0], SHUT_WR);
    pthread_join(t, NULL);
    CALL(sendfile(p[0], f, &at, 10));
    close(p[0]);
    close(p[1]);
    close(f);
    unlink("big");
}

/* --- options ---------------------------------------------------------------------------------- */

static void option(int fd, int level, int name, int value)
{
    int got = -77;
    socklen_t l = sizeof(got);
    int r = getsockopt(fd, level, name, &got, &l);
    int before = r < 0 ? -errno : got;
    r = setsockopt(fd, level, name, &value, sizeof(value));
    int set = r < 0 ? -errno : r;
    l = sizeof(got);
    r = getsockopt(fd, level, name, &got, &l);
    printf("option %d %d: %d, set %d: %d, %d of %d bytes\n", level, name, before, value, set,
           r < 0 ? -errno : got, (int)l);
}

static void options(void)
{
    int s = socket(family, SOCK_STREAM, 0), n;
    socklen_t l;
    static const int truths[] = {SO_REUSEADDR, SO_REUSEPORT, SO_KEEPALIVE,
                                 SO_BROADCAST, SO_TIMESTAMP, SO_TIMESTAMPNS};
    for (unsigned i = 0; i < 6; i++)
        option(s, SOL_SOCKET, truths[i], 5);
    option(s, SOL_SOCKET, SO_RCVLOWAT, 3);
    option(s, SOL_SOCKET, SO_RCVLOWAT, 0);
    option(s, SOL_SOCKET, SO_TYPE, 3);
    option(s, SOL_SOCKET, SO_PROTOCOL, 3);
    option(s, SOL_SOCKET, SO_DOMAIN, 3);
    option(s, SOL_SOCKET, SO_ACCEPTCONN, 1);
    option(s, SOL_SOCKET, SO_ERROR, 1);
    option(s, IPPROTO_TCP, TCP_NODELAY, 5);
    option(s, IPPROTO_TCP, TCP_NODELAY, 0);
    option(s, IPPROTO_TCP, TCP_CORK, 1);
    option(s, IPPROTO_TCP, TCP_KEEPIDLE, 60);
    option(s, IPPROTO_TCP, TCP_KEEPIDLE, 0);
    option(s, IPPROTO_TCP, TCP_KEEPIDLE, 40000);
    option(s, IPPROTO_TCP, TCP_KEEPINTVL, 7);
    option(s, IPPROTO_TCP, TCP_KEEPCNT, 3);
    option(s, IPPROTO_TCP, TCP_KEEPCNT, 200);
    option(s, IPPROTO_TCP, TCP_SYNCNT, 3);
    option(s, IPPROTO_TCP, TCP_USER_TIMEOUT, 5000);
    option(s, IPPROTO_TCP, TCP_USER_TIMEOUT, -1);
    option(s, IPPROTO_TCP, TCP_LINGER2, 30);
    option(s, IPPROTO_TCP, 999, 1);
    option(s, 77, 1, 1);
    if (family == AF_INET) {
        option(s, IPPROTO_IP, IP_TOS, 0x10);
        option(s, IPPROTO_IP, IP_TTL, 33);
        option(s, IPPROTO_IP, IP_TTL, 0);
        option(s, IPPROTO_IP, IP_TTL, 256);
        option(s, IPPROTO_IP, IP_TTL, -1);
        option(s, IPPROTO_IP, IP_MTU_DISCOVER, 1);
        option(s, IPPROTO_IP, 222, 1);
        option(s, IPPROTO_IPV6, IPV6_V6ONLY, 1);
        l = sizeof(n);
        CALL(getsockopt(s, IPPROTO_IP, IP_MTU, &n, &l));
    } else {
        option(s, IPPROTO_IPV6, IPV6_V6ONLY, 1);
        option(s, IPPROTO_IPV6, IPV6_V6ONLY, 0);
        option(s, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 33);
        option(s, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 256);
        option(s, IPPROTO_IPV6, IPV6_TCLASS, 0x20);
    }
    char name[32] = "";
    l = sizeof(name);
    CALL(getsockopt(s, IPPROTO_TCP, TCP_CONGESTION, name, &l));
    printf("%d bytes\n", (int)l);
    CALL(setsockopt(s, IPPROTO_TCP, TCP_CONGESTION, "nonsense", 8));
    CALL(setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &n, 2));
    CALL(setsockopt(s, IPPROTO_TCP, TCP_NODELAY, BAD, 4));
    close(s);
    int p[2];
    connected(p);
    struct tcp_info info;
    memset(&info, 0, sizeof(info));
    l = sizeof(info);
    CALL(getsockopt(p[0], IPPROTO_TCP, TCP_INFO, &info, &l));
    printf("state %d mss %d bytes %d\n", info.tcpi_state, info.tcpi_snd_mss > 500, l >= 104);
    l = 8;
    CALL(getsockopt(p[0], IPPROTO_TCP, TCP_INFO, &info, &l));
    printf("%d\n", (int)l);
    struct timeval tv = {0, 50000};
    CALL(setsockopt(p[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
    char b[8];
    CALL(recv(p[0], b, 8, 0));
    n = 4;
    tv.tv_usec = 0;
    CALL(setsockopt(p[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
    CALL(setsockopt(p[0], SOL_SOCKET, SO_RCVLOWAT, &n, sizeof(n)));
    send(p[1], "12345678", 8, 0);
    CALL(recv(p[0], b, 8, 0));
    /* corked bytes come when they are let go */
    n = 1;
    setsockopt(p[1], IPPROTO_TCP, TCP_CORK, &n, sizeof(n));
    send(p[1], "co", 2, 0);
    send(p[1], "rk", 2, 0);
    n = 0;
    setsockopt(p[1], IPPROTO_TCP, TCP_CORK, &n, sizeof(n));
    CALL(recv(p[0], b, 8, 0));
    close(p[0]);
    close(p[1]);
}

/* SO_REUSEADDR and SO_REUSEPORT. */
static void sharing(void)
{
    int on = 1;
    union address a;
    int one = socket(family, SOCK_STREAM, 0), two = socket(family, SOCK_STREAM, 0);
    a = local(0);
    CALL(setsockopt(one, SOL_SOCKET, SO_REUSEADDR, &on, 4));
    CALL(bind(one, &a.any, address_bytes));
    a = name_of(one, 0, NULL);
    CALL(bind(two, &a.any, address_bytes));
    CALL(setsockopt(two, SOL_SOCKET, SO_REUSEADDR, &on, 4));
    CALL(bind(two, &a.any, address_bytes));
    CALL(listen(one, 5));
    CALL(listen(two, 5));
    close(one);
    close(two);
    int s[4];
    a = local(0);
    for (int i = 0; i < 4; i++) {
        s[i] = socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0);
        setsockopt(s[i], SOL_SOCKET, SO_REUSEPORT, &on, 4);
        tell("bind to a shared port", bind(s[i], &a.any, address_bytes));
        if (!i)
            a = name_of(s[0], 0, NULL);
        tell("listen on a shared port", listen(s[i], 64));
    }
    int clients[40], accepted = 0, busy = 0;
    for (int i = 0; i < 40; i++) {
        clients[i] = socket(family, SOCK_STREAM, 0);
        if (connect(clients[i], &a.any, address_bytes) < 0)
            tell("connect to a shared port", -1);
    }
    for (int i = 0; i < 4; i++) {
        int here = 0, c;
        while ((c = accept(s[i], NULL, NULL)) >= 0) {
            here++;
            close(c);
        }
        accepted += here;
        busy += here > 0;
        close(s[i]);
    }
    printf("accepted %d, by several %d\n", accepted, busy > 1);
    for (int i = 0; i < 40; i++)
        close(clients[i]);
}

/* --- datagrams -------------------------------------------------------------------------------- */

static void datagrams(void)
{
    union address a = local(0), b, from;
    socklen_t l = sizeof(from);
    char text[64];
    int n;
    int one = socket(family, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    int two = socket(family, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    events("new", one);
    name_of(one, 0, "new");
    CALL(recv(one, text, 64, 0));
    CALL(listen(one, 1));
    CALL(accept(one, NULL, NULL));
    CALL(bind(one, &a.any, address_bytes));
    CALL(bind(two, &a.any, address_bytes));
    CALL(bind(two, &a.any, address_bytes));
    a = name_of(one, 0, "one");
    b = name_of(two, 0, NULL);
    CALL(sendto(one, "hello", 5, 0, &b.any, address_bytes));
    CALL(sendto(one, "", 0, 0, &b.any, address_bytes));
    CALL(sendto(one, "third", 5, 0, &b.any, address_bytes));
    printf("readable %d\n", await(two, POLLIN));
    events("with datagrams", two);
    CALL(ioctl(two, FIONREAD, &n));
    printf("%d\n", n);
    CALL(recvfrom(two, text, 64, MSG_PEEK, &from.any, &l));
    show("from", &from, l);
    printf("the sender %d\n", port_of(&from) == port_of(&a));
    CALL(recv(two, text, 2, MSG_TRUNC));
    CALL(recv(two, text, 64, 0));
    CALL(recv(two, text, 64, 0));
    CALL(recv(two, text, 64, 0));
    CALL(recv(two, text, 64, MSG_ERRQUEUE));
    CALL(connect(one, &b.any, address_bytes));
    name_of(one, 1, "connected");
    CALL(send(one, "direct", 6, 0));
    await(two, POLLIN);
    CALL(recv(two, text, 64, 0));
    /* others are not heard by who is connected */
    int three = socket(family, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    CALL(sendto(three, "stranger", 8, 0, &a.any, address_bytes));
    CALL(sendto(two, "friend", 6, 0, &a.any, address_bytes));
    await(one, POLLIN);
    CALL(recv(one, text, 64, 0));
    CALL(recv(one, text, 64, 0));
    struct sockaddr nobody = {.sa_family = AF_UNSPEC};
    CALL(connect(one, &nobody, sizeof(nobody)));
    name_of(one, 1, "disconnected");
    CALL(sendto(one, BAD, 5, 0, &b.any, address_bytes));
    CALL(sendto(one, "x", 1, 0, BAD, address_bytes));
    CALL(sendto(one, "x", 1, 0, &b.any, 3));
    CALL(sendto(one, "x", 1, MSG_OOB, &b.any, address_bytes));
    b.any.sa_family = 77;
    CALL(sendto(one, "x", 1, 0, &b.any, address_bytes));
    b = name_of(two, 0, NULL);
    static char big[70000];
    CALL(sendto(one, big, 70000, 0, &b.any, address_bytes));
    CALL(sendto(one, big, 60000, 0, &b.any, address_bytes));
    await(two, POLLIN);
    while ((n = (int)recv(two, big, sizeof(big), 0)) > 0)
        printf("%d bytes\n", n > 60000 ? 0 : n);
    send(one, "x", 1, 0);
    CALL(sendto(one, "fault", 5, 0, &b.any, address_bytes));
    await(two, POLLIN);
    CALL(recv(two, BAD, 5, 0));
    CALL(recv(two, text, 5, 0));
    /* nobody there */
    close(two);
    CALL(connect(one, &b.any, address_bytes));
    CALL(send(one, "x", 1, 0));
    await(one, POLLIN);
    events("nobody there", one);
    CALL(recv(one, text, 64, 0));
    CALL(recv(one, text, 64, 0));
    CALL(send(one, "x", 1, 0));
    await(one, POLLIN);
    CALL(send(one, "x", 1, 0));
    close(one);
    close(three);
}

static void packet_information(void)
{
    union address a = local(0);
    int one = socket(family, SOCK_DGRAM, 0), on = 1;
    char text[8], control[128];
    CALL(setsockopt(one, family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6,
                    family == AF_INET ? IP_PKTINFO : IPV6_RECVPKTINFO, &on, sizeof(on)));
    bind(one, &a.any, address_bytes);
    a = name_of(one, 0, NULL);
    CALL(sendto(one, "self", 4, 0, &a.any, address_bytes));
    struct iovec v = {text, 8};
    struct msghdr m = {
        .msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
    CALL(recvmsg(one, &m, 0));
    for (struct cmsghdr *h = CMSG_FIRSTHDR(&m); h; h = CMSG_NXTHDR(&m, h))
        printf("control %d %d %d bytes, interface %d\n", h->cmsg_level, h->cmsg_type,
               (int)h->cmsg_len, *(int *)(CMSG_DATA(h) + (family == AF_INET ? 0 : 16)));
    CALL(setsockopt(one, SOL_SOCKET, SO_TIMESTAMP, &on, sizeof(on)));
    on = 0;
    setsockopt(one, family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6,
               family == AF_INET ? IP_PKTINFO : IPV6_RECVPKTINFO, &on, sizeof(on));
    sendto(one, "self", 4, 0, &a.any, address_bytes);
    m.msg_controllen = sizeof(control);
    CALL(recvmsg(one, &m, 0));
    struct cmsghdr *h = CMSG_FIRSTHDR(&m);
    printf("time: %d\n", h && h->cmsg_level == SOL_SOCKET && h->cmsg_len == CMSG_LEN(16));
    close(one);
}

/* --- both families at once -------------------------------------------------------------------- */

static void mapped(void)
{
    union address a, b;
    socklen_t bytes = sizeof(b);
    family = AF_INET6;
    address_bytes = sizeof(struct sockaddr_in6);
    memset(&a, 0, sizeof(a));
    a.six.sin6_family = AF_INET6;
    int s = socket(AF_INET6, SOCK_STREAM, 0), off = 0;
    setsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
    CALL(bind(s, &a.any, sizeof(a.six)));
    CALL(listen(s, 5));
    a = name_of(s, 0, "any");
    int c = socket(AF_INET, SOCK_STREAM, 0);
    union address four = {.four = {.sin_family = AF_INET,
                                   .sin_port = a.six.sin6_port,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}};
    CALL(connect(c, &four.any, sizeof(four.four)));
    memset(&b, 0, sizeof(b));
    int d = accept(s, &b.any, &bytes);
    show("accepted", &b, bytes);
    name_of(d, 0, "its own name");
    close(d);
    close(c);
    c = socket(AF_INET6, SOCK_STREAM, 0);
    memset(&b, 0, sizeof(b));
    b.six.sin6_family = AF_INET6;
    b.six.sin6_port = a.six.sin6_port;
    inet_pton(AF_INET6, "::ffff:127.0.0.1", &b.six.sin6_addr);
    CALL(connect(c, &b.any, sizeof(b.six)));
    name_of(c, 0, "a mapped client");
    close(c);
    close(s);
}

/* --- time ------------------------------------------------------------------------------------- */

static void *late_closer(void *argument)
{
    usleep(60000);
    shutdown(*(int *)argument, SHUT_RDWR);
    return NULL;
}

static void *late_signal(void *argument)
{
    usleep(60000);
    pthread_kill(*(pthread_t *)argument, SIGUSR1);
    return NULL;
}

static void waiting(void)
{
    int p[2];
    char b[8];
    pthread_t t, self = pthread_self();
    struct sigaction a = {.sa_handler = on_signal};
    connected(p);
    pthread_create(&t, NULL, late_closer, &p[0]);
    CALL(recv(p[0], b, 8, 0));
    pthread_join(t, NULL);
    close(p[0]);
    close(p[1]);
    connected(p);
    sigaction(SIGUSR1, &a, NULL);
    pthread_create(&t, NULL, late_signal, &self);
    CALL(recv(p[0], b, 8, 0));
    pthread_join(t, NULL);
    union address l;
    int s = listener(&l);
    pthread_create(&t, NULL, late_signal, &self);
    CALL(accept(s, NULL, NULL));
    pthread_join(t, NULL);
    pthread_create(&t, NULL, late_closer, &s);
    CALL(accept(s, NULL, NULL));
    pthread_join(t, NULL);
    close(s);
    /* a datagram socket that is shut ends who waits at it */
    int d = socket(family, SOCK_DGRAM, 0);
    pthread_create(&t, NULL, late_closer, &d);
    CALL(recv(d, b, 8, 0));
    pthread_join(t, NULL);
    close(d);
    /* closing waits until all has come */
    struct linger g = {1, 5};
    setsockopt(p[0], SOL_SOCKET, SO_LINGER, &g, sizeof(g));
    CALL(send(p[0], "linger", 6, 0));
    CALL(close(p[0]));
    CALL(recv(p[1], b, 8, 0));
    CALL(recv(p[1], b, 8, 0));
    close(p[1]);
}

int main(void)
{
    signal(SIGPIPE, on_signal);
    static const int families[] = {AF_INET, AF_INET6};
    for (int i = 0; i < 2; i++) {
        family = families[i];
        address_bytes =
            i ? (socklen_t)sizeof(struct sockaddr_in6) : (socklen_t)sizeof(struct sockaddr_in);
        printf("=== family %d\n", family);
        making();
        connections();
        refused();
        resets();
        bulk();
        sending_files();
        options();
        sharing();
        datagrams();
        packet_information();
        waiting();
    }
    mapped();
    printf("end\n");
    return 0;
}
