/* Options of TCP sockets, and what becomes of them. */
#include "socket_test.h"

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

static void common_options(void)
{
    int s = socket(family, SOCK_STREAM, 0);
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
    close(s);
}

static void tcp_options(void)
{
    int s = socket(family, SOCK_STREAM, 0);
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
    close(s);
}

static void datagram_options(void)
{
    int s = socket(family, SOCK_DGRAM, 0), v6 = family == AF_INET6;
    for (int value = 0; value < 3; value++)
        option(s, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_RECVERR : IP_RECVERR, value);
    close(s);
}

static void ip_options(void)
{
    int s = socket(family, SOCK_STREAM, 0), n;
    socklen_t l = sizeof(n);
    if (family == AF_INET) {
        option(s, IPPROTO_IP, IP_TOS, 0x10);
        option(s, IPPROTO_IP, IP_TTL, 33);
        option(s, IPPROTO_IP, IP_TTL, 0);
        option(s, IPPROTO_IP, IP_TTL, 256);
        option(s, IPPROTO_IP, IP_TTL, -1);
        option(s, IPPROTO_IP, IP_MTU_DISCOVER, 1);
        option(s, IPPROTO_IP, 222, 1);
        option(s, IPPROTO_IPV6, IPV6_V6ONLY, 1);
        CALL(getsockopt(s, IPPROTO_IP, IP_MTU, &n, &l));
    } else {
        option(s, IPPROTO_IPV6, IPV6_V6ONLY, 1);
        option(s, IPPROTO_IPV6, IPV6_V6ONLY, 0);
        option(s, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 33);
        option(s, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 256);
        option(s, IPPROTO_IPV6, IPV6_TCLASS, 0x20);
    }
    close(s);
}

static void wrong_options(void)
{
    int s = socket(family, SOCK_STREAM, 0), n = 0;
    char name[32] = "";
    socklen_t l = sizeof(name);
    CALL(getsockopt(s, IPPROTO_TCP, TCP_CONGESTION, name, &l));
    printf("%d bytes\n", (int)l);
    CALL(setsockopt(s, IPPROTO_TCP, TCP_CONGESTION, "nonsense", 8));
    CALL(setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &n, 2));
    CALL(setsockopt(s, IPPROTO_TCP, TCP_NODELAY, BAD, 4));
    close(s);
}

static void options_at_work(void)
{
    int p[2], n;
    connected(p);
    struct tcp_info info;
    memset(&info, 0, sizeof(info));
    socklen_t l = sizeof(info);
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

static void sharing_addresses(void)
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
}

/* SO_REUSEPORT: listeners of one port. */
static void sharing_ports(void)
{
    int s[4], on = 1;
    union address a = local(0);
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

static void all(void)
{
    common_options();
    tcp_options();
    datagram_options();
    ip_options();
    wrong_options();
    options_at_work();
    sharing_addresses();
    sharing_ports();
}

int main(void)
{
    both_families(all);
    printf("end\n");
    return 0;
}
