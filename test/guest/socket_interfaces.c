/* What programs ask about interfaces: getifaddrs, if_nameindex, ioctl, /proc/net.  Prints only what
   is the same on every machine: of the loopback interface, and what is wrong to ask. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tell.h"

/* linux/netlink.h, linux/rtnetlink.h */
struct sockaddr_nl {
    unsigned short nl_family, nl_pad;
    unsigned nl_pid, nl_groups;
};
struct nlmsghdr {
    unsigned nlmsg_len;
    unsigned short nlmsg_type, nlmsg_flags;
    unsigned nlmsg_seq, nlmsg_pid;
};
struct rtgenmsg {
    unsigned char family;
};
#define NETLINK_ROUTE 0
#define NLM_F_REQUEST 1
#define NLM_F_MULTI   2
#define NLM_F_DUMP    0x300
#define RTM_GETADDR   22

#define CALL(call) tell(#call, (long)(call))

static const char *text_of(const struct sockaddr *a)
{
    static char text[64];
    if (!a)
        return "none";
    if (a->sa_family == AF_INET)
        return inet_ntop(AF_INET, &((const struct sockaddr_in *)a)->sin_addr, text, sizeof(text));
    if (a->sa_family == AF_INET6)
        return inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)a)->sin6_addr, text,
                         sizeof(text));
    snprintf(text, sizeof(text), "family %d", a->sa_family);
    return text;
}

static void addresses(void)
{
    struct ifaddrs *list;
    if (CALL(getifaddrs(&list)) < 0)
        return;
    for (struct ifaddrs *i = list; i; i = i->ifa_next) {
        if (strcmp(i->ifa_name, "lo"))
            continue;
        printf("lo %s", text_of(i->ifa_addr));
        if (i->ifa_addr && i->ifa_addr->sa_family != AF_PACKET)
            printf(" mask %s", text_of(i->ifa_netmask));
        printf(" flags %x\n", i->ifa_flags & (IFF_UP | IFF_LOOPBACK | IFF_RUNNING | IFF_BROADCAST));
    }
    freeifaddrs(list);
    printf("index of lo %u\n", if_nametoindex("lo"));
    char name[IF_NAMESIZE] = "";
    printf("name of 1: %s\n", if_indextoname(1, name));
    errno = 0;
    printf("index of nothing %u E%d\n", if_nametoindex("nothing0"), errno);
    errno = 0;
    printf("name of 999: %d E%d\n", if_indextoname(999, name) != NULL, errno);
    struct if_nameindex *names = if_nameindex();
    printf("first name %s\n", names ? names[0].if_name : "none");
}

static void requests(void)
{
    struct ifreq q = {.ifr_name = "lo"};
    int s = socket(AF_INET, SOCK_DGRAM, 0);
    CALL(ioctl(s, SIOCGIFADDR, &q));
    printf("%s\n", text_of(&q.ifr_addr));
    CALL(ioctl(s, SIOCGIFNETMASK, &q));
    printf("%s\n", text_of(&q.ifr_netmask));
    CALL(ioctl(s, SIOCGIFFLAGS, &q));
    printf("%x\n", q.ifr_flags & (IFF_UP | IFF_LOOPBACK | IFF_RUNNING | IFF_BROADCAST));
    CALL(ioctl(s, SIOCGIFMTU, &q));
    CALL(ioctl(s, SIOCGIFHWADDR, &q));
    printf("%d\n", q.ifr_hwaddr.sa_family);
    CALL(ioctl(s, SIOCGIFINDEX, &q));
    printf("%d\n", q.ifr_ifindex);
    CALL(ioctl(s, SIOCGIFADDR, NULL));
    struct ifreq room[1];
    struct ifconf c = {.ifc_len = sizeof(room), .ifc_req = room};
    CALL(ioctl(s, SIOCGIFCONF, &c));
    printf("%d %s\n", c.ifc_len, room[0].ifr_name);
    c = (struct ifconf){.ifc_len = 10, .ifc_req = room};
    CALL(ioctl(s, SIOCGIFCONF, &c));
    printf("%d\n", c.ifc_len);
    strcpy(q.ifr_name, "nothing0");
    CALL(ioctl(s, SIOCGIFADDR, &q));
    close(s);
}

static void netlink(void)
{
    struct sockaddr_nl a = {.nl_family = AF_NETLINK}, from;
    socklen_t l = sizeof(a);
    struct {
        struct nlmsghdr h;
        struct rtgenmsg g;
    } q = {.h = {.nlmsg_len = sizeof(q),
                 .nlmsg_type = 999,
                 .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
                 .nlmsg_seq = 7}};
    static char answer[16384];
    CALL(socket(AF_NETLINK, SOCK_STREAM, 0));
    CALL(socket(AF_NETLINK, SOCK_RAW, 77));
    int s = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    CALL(bind(s, (void *)&a, 4));
    CALL(bind(s, (void *)&a, sizeof(a)));
    CALL(getsockname(s, (void *)&a, &l));
    printf("%d %d\n", a.nl_family, a.nl_pid == (unsigned)getpid());
    a = (struct sockaddr_nl){.nl_family = AF_NETLINK};
    q.h.nlmsg_type = RTM_GETADDR;
    CALL(sendto(s, &q, sizeof(q), 0, (void *)&a, sizeof(a)));
    l = sizeof(from);
    long n = recvfrom(s, answer, sizeof(answer), 0, (void *)&from, &l);
    struct nlmsghdr *h = (void *)answer;
    printf("answer %d type %d multi %d seq %d from %d %d\n", n > 0, h->nlmsg_type,
           h->nlmsg_flags & NLM_F_MULTI, h->nlmsg_seq, (int)l, (int)from.nl_pid);
    n = recv(s, answer, sizeof(answer), MSG_PEEK | MSG_TRUNC);
    printf("end %d of %d bytes\n", h->nlmsg_type, n >= 20);
    recv(s, answer, sizeof(answer), 0);
    CALL(recv(s, answer, sizeof(answer), MSG_DONTWAIT));
    q.h.nlmsg_flags = NLM_F_REQUEST;
    q.h.nlmsg_type = 1000;
    CALL(send(s, &q, sizeof(q), 0));
    n = recv(s, answer, sizeof(answer), 0);
    printf("error %d: %d\n", h->nlmsg_type, *(int *)(h + 1));
    close(s);
}

static void names(void)
{
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM}, *list;
    int r = getaddrinfo("127.0.0.1", "80", &hints, &list);
    printf("%d %s\n", r, r ? "" : text_of(list->ai_addr));
    r = getaddrinfo("::1", "80", &hints, &list);
    printf("%d %s\n", r, r ? "" : text_of(list->ai_addr));
}

static void line_of(const char *path, const char *wanted)
{
    char line[512];
    FILE *f = fopen(path, "r");
    printf("%s: %s", path, f ? "" : "missing\n");
    if (!f)
        return;
    while (fgets(line, sizeof(line), f))
        if (strstr(line, wanted)) {
            line[strcspn(line, "\n")] = 0;
            printf("%s", line);
            break;
        }
    printf("\n");
    fclose(f);
}

static void files(void)
{
    line_of("/proc/net/if_inet6", "lo");
    line_of("/proc/net/dev", "face");
    line_of("/proc/net/tcp", "sl");
    line_of("/proc/net/tcp6", "sl");
    line_of("/proc/net/udp", "sl");
    line_of("/proc/net/udp6", "sl");
    line_of("/proc/net/unix", "Num");
    line_of("/proc/net/route", "Iface");
    line_of("/proc/sys/net/core/somaxconn", "4096");
    line_of("/proc/sys/net/ipv4/tcp_fin_timeout", "");
    line_of("/sys/class/net/lo/type", "");
    line_of("/sys/class/net/lo/ifindex", "");
    line_of("/sys/class/net/lo/address", "");
}

/* A listener and a connection are there, in Linux's form. */
static void shown(void)
{
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons(18123), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1, s = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    CALL(bind(s, (void *)&a, sizeof(a)));
    CALL(listen(s, 9));
    char line[256], address[64];
    FILE *f = fopen("/proc/net/tcp", "r");
    unsigned state;
    while (f && fgets(line, sizeof(line), f))
        if (sscanf(line, " %*d: %63s %*s %x", address, &state) == 2 &&
            !strcmp(address, "0100007F:46CB"))
            printf("%s state %x of %d bytes\n", address, state, (int)strlen(line));
    close(s);
}

int main(void)
{
    addresses();
    requests();
    netlink();
    names();
    files();
    shown();
    printf("end\n");
    return 0;
}
