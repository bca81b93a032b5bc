/* What the tests of sockets share: every result is printed, so that the output in the machine can
   be compared with the output on Linux; but not what the two choose for themselves (ports, sizes of
   buffers).  Each test runs once for IPv4 and once for IPv6: `family`. */
#pragma once

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

#include "signals.h"
#include "tell.h"

static void *volatile BAD = (void *)8;

union address {
    struct sockaddr any;
    struct sockaddr_in four;
    struct sockaddr_in6 six;
    struct sockaddr_storage room;
};

#define CALL(call) tell(#call, (long)(call))

__attribute__((unused)) static void events(const char *what, int fd)
{
    struct pollfd p = {fd, POLLIN | POLLOUT | POLLPRI | POLLRDHUP | POLLRDNORM, 0};
    int n = poll(&p, 1, 0);
    printf("poll %-71s %d %x\n", what, n, p.revents);
}

/* Waits for what another machine's work may bring a moment later. */
__attribute__((unused)) static int await(int fd, short what)
{
    struct pollfd p = {fd, what, 0};
    return poll(&p, 1, 3000);
}

static int family;
static socklen_t address_bytes;

__attribute__((unused)) static union address local(unsigned short port)
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

__attribute__((unused)) static unsigned short port_of(const union address *a)
{
    return ntohs(a->any.sa_family == AF_INET ? a->four.sin_port : a->six.sin6_port);
}

__attribute__((unused)) static void show(const char *what, const union address *a, socklen_t bytes)
{
    char text[64] = "?";
    if (a->any.sa_family == AF_INET)
        inet_ntop(AF_INET, &a->four.sin_addr, text, sizeof(text));
    else if (a->any.sa_family == AF_INET6)
        inet_ntop(AF_INET6, &a->six.sin6_addr, text, sizeof(text));
    printf("%s: family %d bytes %d %s port %d\n", what, a->any.sa_family, (int)bytes, text,
           port_of(a) != 0);
}

__attribute__((unused)) static union address name_of(int fd, int peer, const char *what)
{
    union address a;
    socklen_t bytes = sizeof(a);
    memset(&a, 0, sizeof(a));
    int r = peer ? getpeername(fd, &a.any, &bytes) : getsockname(fd, &a.any, &bytes);
    if (r < 0)
        printf("%s: E%d\n", what ? what : "name", errno);
    else if (what)
        show(what, &a, bytes);
    return a;
}

__attribute__((unused)) static int listener(union address *a)
{
    int s = socket(family, SOCK_STREAM, 0);
    *a = local(0);
    if (bind(s, &a->any, address_bytes) < 0 || listen(s, 16) < 0)
        tell("listener", -1);
    socklen_t bytes = sizeof(*a);
    getsockname(s, &a->any, &bytes);
    return s;
}

__attribute__((unused)) static void connected(int p[2])
{
    union address a;
    int s = listener(&a);
    p[0] = socket(family, SOCK_STREAM, 0);
    if (connect(p[0], &a.any, address_bytes) < 0)
        tell("connect", -1);
    p[1] = accept(s, NULL, NULL);
    close(s);
}

/* Runs `test` once for each family. */
static void both_families(void (*test)(void))
{
    static const int families[] = {AF_INET, AF_INET6};
    signal(SIGPIPE, on_signal);
    for (int i = 0; i < 2; i++) {
        family = families[i];
        address_bytes =
            i ? (socklen_t)sizeof(struct sockaddr_in6) : (socklen_t)sizeof(struct sockaddr_in);
        printf("=== family %d\n", family);
        test();
    }
}
