/* ask ADDRESS PORT PATH CONNECTIONS REQUESTS COUNT: opens the connections to an HTTP server, asks
   on each once to warm it up, and then for REQUESTS answers together, each connection asking again
   as soon as it has its answer.  Prints the instructions that the machine needed for one of those:
   COUNT is the file of count.c, which is read when all is open and quiet, and after the last
   answer.  Status 1 and a line when an answer does not come within PATIENCE_MS, or is not 200. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEADER_MOST 1024
#define PATIENCE_MS 20000
#define QUIET_US    300000 /* for what comes after an answer: delayed acknowledgements */

struct connection {
    int fd;
    bool in_body;
    size_t header_bytes;
    size_t left; /* of the body */
    char header[HEADER_MOST + 1];
};

static struct connection *connections;
static char request[512];
static size_t request_bytes;
static int epoll;
static volatile const uint64_t *count;

static void connection_open(struct connection *c, const struct sockaddr_in *to)
{
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (const struct sockaddr *)to, sizeof(*to)) < 0)
        err(1, "connection %zu", (size_t)(c - connections));
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event) < 0)
        err(1, "epoll_ctl");
}

static void connection_ask(struct connection *c)
{
    c->header_bytes = 0;
    c->in_body = false;
    if (send(c->fd, request, request_bytes, MSG_NOSIGNAL) != (ssize_t)request_bytes)
        err(1, "send");
}

/* The header has grown; when it is whole, c->left is what the body lacks. */
static void header_look(struct connection *c)
{
    c->header[c->header_bytes] = '\0';
    const char *end = strstr(c->header, "\r\n\r\n");
    if (!end && c->header_bytes == HEADER_MOST)
        errx(1, "the header of an answer is too long");
    if (!end)
        return;
    const char *length = strcasestr(c->header, "\r\nContent-Length:");
    if (strncmp(c->header, "HTTP/1.1 200 ", 13) != 0 || !length)
        errx(1, "not an answer: %.40s", c->header);
    size_t body = c->header_bytes - (size_t)(end + 4 - c->header);
    c->left = strtoul(length + strlen("\r\nContent-Length:"), NULL, 10) - body;
    c->in_body = true;
}

/* True: the answer is whole. */
static bool connection_read(struct connection *c)
{
    static char body[256 << 10];
    char *to = c->in_body ? body : c->header + c->header_bytes;
    size_t most = c->in_body ? sizeof(body) : HEADER_MOST - c->header_bytes;
    ssize_t n = recv(c->fd, to, most, 0);
    if (n <= 0)
        errx(1, "a connection ended");
    if (c->in_body) {
        c->left -= (size_t)n;
    } else {
        c->header_bytes += (size_t)n;
        header_look(c);
    }
    return c->in_body && c->left == 0;
}

/* Until `total` answers are there: each of the first `wanted` connections begins, and asks again.
 */
static void ask(int wanted, long total)
{
    static struct epoll_event events[1024];
    long asked = wanted, answered = 0;
    for (int i = 0; i < wanted; i++)
        connection_ask(&connections[i]);
    while (answered < total) {
        int n = epoll_wait(epoll, events, 1024, PATIENCE_MS);
        if (n <= 0)
            errx(1, "%ld of %ld answers came", answered, total);
        for (int i = 0; i < n; i++) {
            struct connection *c = events[i].data.ptr;
            if (!connection_read(c))
                continue;
            answered++;
            if (asked++ < total)
                connection_ask(c);
        }
    }
}

static void count_map(const char *path)
{
    int fd = open(path, O_RDONLY);
    void *at = fd < 0 ? MAP_FAILED : mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED)
        err(1, "%s", path);
    count = at;
}

int main(int argc, char **argv)
{
    if (argc != 7)
        errx(2, "ask ADDRESS PORT PATH CONNECTIONS REQUESTS COUNT");
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[2]))};
    int wanted = atoi(argv[4]);
    long total = atol(argv[5]);
    if (inet_pton(AF_INET, argv[1], &to.sin_addr) != 1 || wanted < 1 || wanted > 60000 ||
        total < wanted)
        errx(2, "ask: an address, 1 to 60000 connections, at least as many requests");
    struct rlimit files = {(rlim_t)wanted + 64, (rlim_t)wanted + 64};
    setrlimit(RLIMIT_NOFILE, &files);
    count_map(argv[6]);
    request_bytes = (size_t)snprintf(request, sizeof(request),
                                     "GET /%s HTTP/1.1\r\nHost: %s\r\n\r\n", argv[3], argv[1]);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    connections = calloc((size_t)wanted, sizeof(*connections));
    if (epoll < 0 || !connections)
        err(1, "ask");
    for (int i = 0; i < wanted; i++)
        connection_open(&connections[i], &to);
    ask(wanted, wanted);
    usleep(QUIET_US);
    uint64_t before = *count;
    ask(wanted, total);
    printf("%.0f\n", (double)(*count - before) / (double)total);
    return 0;
}
