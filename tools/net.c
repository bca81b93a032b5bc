/* --net, -p and --capture: see net.h.

   What is wrong is said before anything is built.  QEMU gets addresses and numbers that were read
   here, and a file to capture into as an open descriptor, so nothing has to be quoted. */
#include "tools/net.h"
#include "tools/capture.h"
#include "tools/options.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* --- reading ---------------------------------------------------------------------------------- */

static bool number_read(const char *text, u64 least, u64 most, u64 *number)
{
    char *end;
    if (!isdigit((unsigned char)*text))
        return false;
    errno = 0;
    *number = strtoull(text, &end, 10);
    return !errno && !*end && *number >= least && *number <= most;
}

/* AF_INET, AF_INET6, or 0 when it is no address. */
static int address_family(const char *text)
{
    struct in6_addr bytes;
    return inet_pton(AF_INET, text, &bytes) == 1    ? AF_INET
           : inet_pton(AF_INET6, text, &bytes) == 1 ? AF_INET6
                                                    : 0;
}

static bool address_with_bits(const char *text)
{
    char *copy = text_copy(text);
    char *slash = strchr(copy, '/');
    u64 bits;
    if (slash)
        *slash = 0;
    int family = address_family(copy);
    bool right = slash && family && number_read(slash + 1, 0, family == AF_INET ? 32 : 128, &bits);
    free(copy);
    return right;
}

/* One of the words after tap:NAME. */
static bool setting_is_right(const char *word)
{
    if (!strncmp(word, "gateway=", 8))
        return address_family(word + 8) != 0;
    if (!strncmp(word, "dns=", 4))
        return address_family(word + 4) != 0;
    return address_with_bits(word);
}

static void tap_read(struct net_options *n, const char *where, const char *value)
{
    u64 length = strcspn(value, ",");
    if (!length || length >= IFNAMSIZ)
        die(EXIT_USAGE, "%s %s: write the name of a tap, of 1 to %u characters", where, value,
            IFNAMSIZ - 1);
    n->kind = NET_TAP;
    n->tap = text_of("%.*s", (int)length, value);
    n->settings = value[length] ? text_copy(value + length + 1) : NULL;
    char *words = text_copy(value + length), *rest = NULL;
    for (char *word = strtok_r(words, ",", &rest); word; word = strtok_r(NULL, ",", &rest))
        if (!setting_is_right(word))
            die(EXIT_USAGE,
                "%s tap:%s: %s is none of ADDRESS/BITS, gateway=ADDRESS and dns=ADDRESS", where,
                value, word);
    free(words);
}

void net_read(struct net_options *n, const char *where, const char *value)
{
    n->asked = true;
    n->settings = NULL;
    if (!strcmp(value, "user"))
        n->kind = NET_USER;
    else if (!strcmp(value, "none"))
        n->kind = NET_NONE;
    else if (!strncmp(value, "tap:", 4))
        tap_read(n, where, value + 4);
    else
        die(EXIT_USAGE, "%s %s: write user, none or tap:NAME[,ADDRESS/BITS][,gateway=ADDRESS]",
            where, value);
}

static bool port_read(const char *text, u32 *port)
{
    u64 number;
    if (!number_read(text, 1, 65535, &number))
        return false;
    *port = (u32)number;
    return true;
}

/* An IPv6 address stands in brackets. */
static bool forward_parse(struct net_forward *f, char *text)
{
    char *slash = strchr(text, '/');
    if (slash && strcmp(slash, "/udp") != 0 && strcmp(slash, "/tcp") != 0)
        return false;
    f->udp = slash && !strcmp(slash, "/udp");
    if (slash)
        *slash = 0;
    char *guest = strrchr(text, ':');
    if (!port_read(guest ? guest + 1 : text, &f->guest_port))
        return false;
    f->address = text_copy("");
    f->host_port = f->guest_port;
    if (!guest)
        return true;
    *guest = 0;
    char *host = strrchr(text, ':');
    if (!port_read(host ? host + 1 : text, &f->host_port))
        return false;
    if (!host)
        return true;
    *host = 0;
    f->address = text_copy(text);
    /* QEMU's user network forwards from addresses of IPv4 alone. */
    return !*text || address_family(text) == AF_INET;
}

void net_forward_read(struct net_options *n, const char *where, const char *value)
{
    if (n->forward_count == NET_FORWARDS_MOST)
        die(EXIT_USAGE, "%s: more than %u ports are forwarded", where, NET_FORWARDS_MOST);
    char *copy = text_copy(value);
    if (!forward_parse(&n->forwards[n->forward_count], copy))
        die(EXIT_USAGE, "%s %s: write [ADDRESS:]HOST:GUEST[/udp], with ports from 1 to 65535",
            where, value);
    free(copy);
    n->forward_count++;
}

void net_check(const struct net_options *n)
{
    if (n->forward_count && n->kind != NET_USER)
        die(EXIT_USAGE, "-p: ports are forwarded by --net user; with a tap the machine has an "
                        "address of its own");
    if (n->capture && n->kind == NET_NONE)
        die(EXIT_USAGE, "--capture: there is nothing to capture with --net none");
    if (n->capture && !*n->capture)
        die(EXIT_USAGE, "--capture: write the name of a file");
    if (n->kind == NET_TAP && !if_nametoindex(n->tap))
        die(EXIT_FAILED,
            "--net tap:%s: there is no such interface; make it with: ip tuntap add dev %s mode tap "
            "user $USER",
            n->tap, n->tap);
}

/* --- saying ----------------------------------------------------------------------------------- */

static char *backend_word(const struct net_options *n)
{
    if (n->kind == NET_TAP)
        return text_of("tap,id=net,ifname=%s,script=no,downscript=no", n->tap);
    char *word = text_copy("user,id=net");
    for (u32 i = 0; i < n->forward_count; i++) {
        const struct net_forward *f = &n->forwards[i];
        char *longer = text_of("%s,hostfwd=%s:%s:%u-:%u", word, f->udp ? "udp" : "tcp", f->address,
                               f->host_port, f->guest_port);
        free(word);
        word = longer;
    }
    return word;
}

int net_capture(const struct net_options *n)
{
    if (!n->capture)
        return -1;
    return capture_start(n->capture, n->kind == NET_TAP ? CAPTURE_VIRTIO_HEADERS : CAPTURE_FRAMES);
}

void net_words(struct text_list *l, const struct options *o, int capture_fd)
{
    if (o->net.kind == NET_NONE)
        return;
    text_list_add(l, "-netdev");
    text_list_add(l, backend_word(&o->net));
    text_list_add(l, "-device");
    text_list_add(l, o->machine == MACHINE_MICROVM ? "virtio-net-device,netdev=net"
                                                   : "virtio-net-pci,netdev=net,romfile=");
    if (capture_fd < 0)
        return;
    text_list_add(l, "-object");
    text_list_add(l, text_of("filter-dump,id=capture,netdev=net,maxlen=65600,file=/proc/self/fd/%d",
                             capture_fd));
}

char *net_kernel_word(const struct net_options *n)
{
    return n->kind == NET_NONE ? text_copy("net=none")
                               : text_of("net=%s", n->settings ? n->settings : "dhcp");
}

void net_say(const struct net_options *n)
{
    for (u32 i = 0; i < n->forward_count; i++) {
        const struct net_forward *f = &n->forwards[i];
        say_more("%s %s:%u leads to the machine's port %u", f->udp ? "UDP" : "TCP",
                 *f->address ? f->address : "127.0.0.1", f->host_port, f->guest_port);
    }
}
