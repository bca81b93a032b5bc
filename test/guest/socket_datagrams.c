/* UDP sockets over the loopback interface, with right and wrong arguments. */
#include "socket_test.h"

/* --- datagrams -------------------------------------------------------------------------------- */

/* Two sockets of the loopback address, with ports of their own. */
static void two_bound(int p[2], union address names[2])
{
    union address a = local(0);
    for (int i = 0; i < 2; i++) {
        p[i] = socket(family, SOCK_DGRAM | SOCK_NONBLOCK, 0);
        if (bind(p[i], &a.any, address_bytes) < 0)
            tell("bind", -1);
        names[i] = name_of(p[i], 0, NULL);
    }
}

static void beginnings(void)
{
    union address a = local(0);
    char text[64];
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
    name_of(one, 0, "one");
    close(one);
    close(two);
}

static void datagrams(void)
{
    int p[2], n;
    union address names[2], from;
    socklen_t l = sizeof(from);
    char text[64];
    two_bound(p, names);
    int one = p[0], two = p[1];
    union address a = names[0], b = names[1];
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
    close(one);
    close(two);
}

static void connected_datagrams(void)
{
    int p[2];
    union address names[2];
    char text[64];
    two_bound(p, names);
    int one = p[0], two = p[1];
    union address a = names[0], b = names[1];
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
    close(one);
    close(two);
    close(three);
}

static void wrong_datagrams(void)
{
    int p[2], n;
    union address names[2];
    char text[64];
    two_bound(p, names);
    int one = p[0], two = p[1];
    union address b = names[1];
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
    close(one);
    close(two);
}

static void nobody_there(void)
{
    int p[2];
    union address names[2];
    char text[64];
    two_bound(p, names);
    int one = p[0], two = p[1];
    union address b = names[1];
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

static void *late_closer(void *argument)
{
    usleep(60000);
    shutdown(*(int *)argument, SHUT_RDWR);
    return NULL;
}

/* A socket that is shut ends who waits at it, also without a peer. */
static void ending(void)
{
    char b[8];
    pthread_t t;
    int d = socket(family, SOCK_DGRAM, 0);
    pthread_create(&t, NULL, late_closer, &d);
    CALL(recv(d, b, 8, 0));
    pthread_join(t, NULL);
    close(d);
}

static void all(void)
{
    beginnings();
    datagrams();
    connected_datagrams();
    wrong_datagrams();
    nobody_there();
    packet_information();
    ending();
}

int main(void)
{
    both_families(all);
    printf("end\n");
    return 0;
}
