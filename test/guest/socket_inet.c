/* TCP sockets over the loopback interface, with right and wrong arguments. */
#include "socket_test.h"

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
    close(s);
}

static void binding(void)
{
    union address a = local(0);
    char b[4];
    int n, s = socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0);
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
    int s = listener(&a);
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
    CALL(close(c));
    CALL(close(d));
    CALL(close(s));
}

static void connected_arguments(void)
{
    union address a, b;
    socklen_t bytes = sizeof(b);
    char text[64];
    int p[2], n;
    connected(p);
    int c = p[0], d = p[1];
    a = name_of(c, 1, NULL);
    fcntl(d, F_SETFL, O_NONBLOCK);
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
    close(c);
    close(d);
}

static void half_closes(void)
{
    int p[2];
    char text[64];
    connected(p);
    int c = p[0], d = p[1];
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
}

static void progress(void)
{
    union address a;
    int error;
    socklen_t l = sizeof(error);
    int server = listener(&a);
    int s = socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0);
    int r = connect(s, &a.any, address_bytes);
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
    /* closing waits until all has come */
    struct linger g = {1, 5};
    setsockopt(p[0], SOL_SOCKET, SO_LINGER, &g, sizeof(g));
    CALL(send(p[0], "linger", 6, 0));
    CALL(close(p[0]));
    CALL(recv(p[1], b, 8, 0));
    CALL(recv(p[1], b, 8, 0));
    close(p[1]);
}

static void all(void)
{
    making();
    binding();
    connections();
    connected_arguments();
    half_closes();
    refused();
    progress();
    resets();
    bulk();
    sending_files();
    waiting();
}

int main(void)
{
    both_families(all);
    mapped();
    printf("end\n");
    return 0;
}
