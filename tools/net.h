/* The machine's network, as the command line asks for it: --net, -p and --capture. */
#pragma once

#include "tools/say.h"

struct options;

enum net_kind { NET_USER, NET_NONE, NET_TAP };

#define NET_FORWARDS_MOST 256u

struct net_forward {
    char *address; /* of this machine; "": all */
    u32 host_port, guest_port;
    bool udp;
};

struct net_options {
    enum net_kind kind;
    bool asked;     /* --net was written */
    char *tap;      /* its name */
    char *settings; /* what the kernel's option `net` says; NULL: dhcp */
    struct net_forward forwards[NET_FORWARDS_MOST];
    u32 forward_count;
    const char *capture; /* NULL: none */
};

/* user, none or tap:NAME[,ADDRESS/BITS][,gateway=ADDRESS][,dns=ADDRESS]...  Ends the command
   (status 2) when it is none of them; `where` begins the message. */
void net_read(struct net_options *n, const char *where, const char *value);
/* [ADDRESS:]HOST:GUEST[/tcp|/udp], or one number for both. */
void net_forward_read(struct net_options *n, const char *where, const char *value);
/* Ends the command when its parts do not go together, or when the tap is not there. */
void net_check(const struct net_options *n);
/* Begins the file of --capture: where QEMU is to write to, or -1. */
int net_capture(const struct net_options *n);
/* QEMU's words for it; `capture_fd` is open for --capture, or -1. */
void net_words(struct text_list *l, const struct options *o, int capture_fd);
/* "net=..." for the kernel's command line. */
char *net_kernel_word(const struct net_options *n);
/* Where the program can be reached, with -v. */
void net_say(const struct net_options *n);
