/* A server of checked streams and its clients, for the tests of faults and load: the server runs in
   the machine (and in the Linux guest that figures are compared with), the clients beside it.

     stream serve PORT                      epoll, one thread, as many connections as come
     stream send HOST PORT BYTES            sends; the server says how many bytes were right
     stream receive HOST PORT BYTES         the other way round
     stream hold HOST PORT COUNT SECONDS    opens COUNT connections, and asks each at the end
     stream many HOST PORT RATE SECONDS     RATE new connections a second, each with one question

   Clients print one line, and succeed when everything was right.  A connection begins with a struct
   request; each byte of a stream says where it belongs. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PERIOD   65521u /* of the stream; a prime, so that no lost piece fits by chance */
#define PIECE    65536u
#define FDS_MOST 65536

enum kind { TO_SERVER = 1, FROM_SERVER = 2, ECHO = 3 };

struct request {
    uint64_t kind, bytes;
};

struct connection {
    struct request request;
    uint64_t have; /* of the request */
    uint64_t done, right;
};

static unsigned char stream[PERIOD + PIECE];
static unsigned char buffer[PIECE];
static struct connection *connections[FDS_MOST];

static void stream_make(void)
{
    uint32_t x = 1;
    for (unsigned i = 0; i < PERIOD + PIECE; i++) {
        x = x * 1664525 + 1013904223;
        stream[i] = i < PERIOD ? (unsigned char)(x >> 24) : stream[i - PERIOD];
    }
}

static int stream_matches(uint64_t at, const unsigned char *bytes, size_t count)
{
    return !memcmp(stream + at % PERIOD, bytes, count);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void die(const char *what)
{
    fprintf(stderr, "stream: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int would_block(void)
{
    return errno == EAGAIN || errno == EINTR;
}

/* --- the server ------------------------------------------------------------------------------- */

/* Each returns 0 when the connection is over. */
static int serve_request(int fd, struct connection *c)
{
    ssize_t n = recv(fd, (char *)&c->request + c->have, sizeof(c->request) - c->have, 0);
    if (n <= 0)
        return n < 0 && would_block();
    c->have += (uint64_t)n;
    return 1;
}

static int serve_from(int fd, struct connection *c)
{
    while (c->done < c->request.bytes) {
        uint64_t left = c->request.bytes - c->done;
        ssize_t n = send(fd, stream + c->done % PERIOD, left < PIECE ? left : PIECE, MSG_NOSIGNAL);
        if (n < 0)
            return would_block();
        c->done += (uint64_t)n;
    }
    return 0;
}

static int serve_to(int fd, struct connection *c)
{
    while (c->done < c->request.bytes) {
        ssize_t n = recv(fd, buffer, PIECE, 0);
        if (n <= 0)
            return n < 0 && would_block();
        if (stream_matches(c->done, buffer, (size_t)n))
            c->right += (uint64_t)n;
        c->done += (uint64_t)n;
    }
    return send(fd, &c->right, sizeof(c->right), MSG_NOSIGNAL) < 0;
}

static int serve_echo(int fd)
{
    ssize_t n = recv(fd, buffer, 512, 0);
    if (n <= 0)
        return n < 0 && would_block();
    return send(fd, buffer, (size_t)n, MSG_NOSIGNAL) == n;
}

static int serve_connection(int fd, struct connection *c)
{
    if (c->have < sizeof(c->request) && !serve_request(fd, c))
        return 0;
    if (c->have < sizeof(c->request))
        return 1;
    switch (c->request.kind) {
    case TO_SERVER:
        return serve_to(fd, c);
    case FROM_SERVER:
        return serve_from(fd, c);
    case ECHO:
        return serve_echo(fd);
    default:
        return 0;
    }
}

/* A client that a wrong packet ended says nothing more: what is left of it here is asked for, and
   gone 80 s after its last word. */
static void keep_alive(int fd)
{
    int one = 1, idle = 30, interval = 10, count = 5;
    if (setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one)) < 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle)) < 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval)) < 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count)) < 0)
        die("keep-alive");
}

static void serve_accept(int listener, int epoll)
{
    int fd, one = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.fd = fd};
        if (fd >= FDS_MOST || !(connections[fd] = calloc(1, sizeof(struct connection)))) {
            close(fd);
            continue;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        keep_alive(fd);
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) < 0)
            die("epoll_ctl");
    }
}

static void serve(int port)
{
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
    int epoll = epoll_create1(0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct epoll_event e = {.events = EPOLLIN, .data.fd = listener}, events[256];
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(listener, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(listener, 4096) < 0 ||
        epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &e) < 0)
        die("listen");
    printf("serving port %d\n", port);
    fflush(stdout);
    for (;;) {
        int count = epoll_wait(epoll, events, 256, -1);
        if (count < 0 && errno != EINTR)
            die("epoll_wait");
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) {
                serve_accept(listener, epoll);
            } else if (!serve_connection(fd, connections[fd])) {
                free(connections[fd]);
                connections[fd] = NULL;
                close(fd);
            }
        }
    }
}

/* --- clients ---------------------------------------------------------------------------------- */

static struct sockaddr_in server;

static int connection_open(enum kind kind, uint64_t bytes)
{
    struct request r = {kind, bytes};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0)
        die("socket");
    if (connect(fd, (struct sockaddr *)&server, sizeof(server)) < 0)
        die("connect");
    if (send(fd, &r, sizeof(r), MSG_NOSIGNAL) != sizeof(r))
        die("send");
    return fd;
}

static int finish(const char *what, uint64_t bytes, uint64_t right, double seconds)
{
    printf("%s %llu of %llu bytes right, %.2f s, %.2f Mbit/s\n", what, (unsigned long long)right,
           (unsigned long long)bytes, seconds, (double)bytes * 8 / seconds / 1e6);
    return right == bytes ? 0 : 1;
}

static int client_send(uint64_t bytes)
{
    double begun = now();
    int fd = connection_open(TO_SERVER, bytes);
    for (uint64_t done = 0; done < bytes;) {
        uint64_t left = bytes - done;
        ssize_t n = send(fd, stream + done % PERIOD, left < PIECE ? left : PIECE, MSG_NOSIGNAL);
        if (n < 0)
            die("send");
        done += (uint64_t)n;
    }
    uint64_t right = 0;
    if (recv(fd, &right, sizeof(right), MSG_WAITALL) != sizeof(right))
        die("recv");
    return finish("sent", bytes, right, now() - begun);
}

static int client_receive(uint64_t bytes)
{
    double begun = now();
    int fd = connection_open(FROM_SERVER, bytes);
    uint64_t done = 0, right = 0;
    ssize_t n;
    while ((n = recv(fd, buffer, PIECE, 0)) > 0) {
        if (stream_matches(done, buffer, (size_t)n))
            right += (uint64_t)n;
        done += (uint64_t)n;
    }
    if (n < 0)
        die("recv");
    return finish("received", bytes, done == bytes ? right : 0, now() - begun);
}

/* 0: it answered right. */
static int ask(int fd)
{
    char question[] = "what is the time?", answer[sizeof(question)] = "";
    return send(fd, question, sizeof(question), MSG_NOSIGNAL) != sizeof(question) ||
           recv(fd, answer, sizeof(answer), MSG_WAITALL) != sizeof(answer) ||
           memcmp(question, answer, sizeof(answer)) != 0;
}

static int client_hold(long count, long seconds)
{
    int *fds = calloc((size_t)count, sizeof(int));
    long wrong = 0;
    double begun = now();
    for (long i = 0; i < count; i++)
        fds[i] = connection_open(ECHO, 0);
    double opened = now() - begun;
    sleep((unsigned)seconds);
    for (long i = 0; i < count; i++)
        wrong += ask(fds[i]);
    free(fds);
    printf("held %ld connections, opened in %.2f s, %ld did not answer\n", count, opened, wrong);
    return wrong != 0;
}

static int client_many(long rate, long seconds)
{
    double begun = now(), worst = 0;
    long wrong = 0, count = rate * seconds;
    for (long i = 0; i < count; i++) {
        double due = begun + (double)i / (double)rate, began = now();
        if (due > began)
            usleep((useconds_t)((due - began) * 1e6));
        began = now();
        int fd = connection_open(ECHO, 0);
        wrong += ask(fd);
        close(fd);
        double took = now() - began;
        worst = took > worst ? took : worst;
    }
    printf("made %ld connections in %.2f s, %ld did not answer, the slowest took %.3f s\n", count,
           now() - begun, wrong, worst);
    return wrong != 0;
}

static void descriptors_raise(void)
{
    struct rlimit l;
    if (getrlimit(RLIMIT_NOFILE, &l) == 0) {
        l.rlim_cur = l.rlim_max;
        setrlimit(RLIMIT_NOFILE, &l);
    }
}

int main(int count, char **words)
{
    stream_make();
    descriptors_raise();
    signal(SIGPIPE, SIG_IGN);
    if (count == 3 && !strcmp(words[1], "serve"))
        serve(atoi(words[2]));
    if (count < 5)
        return 2;
    server =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(words[3]))};
    if (inet_pton(AF_INET, words[2], &server.sin_addr) != 1)
        return 2;
    if (!strcmp(words[1], "send"))
        return client_send(strtoull(words[4], NULL, 0));
    if (!strcmp(words[1], "receive"))
        return client_receive(strtoull(words[4], NULL, 0));
    if (count == 6 && !strcmp(words[1], "hold"))
        return client_hold(atol(words[4]), atol(words[5]));
    if (count == 6 && !strcmp(words[1], "many"))
        return client_many(atol(words[4]), atol(words[5]));
    return 2;
}
