/* A wire with faults between QEMU and a tap, in one program, repeatable by its seed:

     relay --qemu OURS:THEIRS --tap NAME [--seed N] [--loss PERCENT] [--duplicate PERCENT]
           [--reorder PERCENT] [--corrupt PERCENT] [--mutate PERCENT] [--delay MS] [--rate MBIT]
           [--queue FRAMES] [--down EVERY:FOR] [--inject FRAMES]

   QEMU's side is `-netdev dgram` with two sockets in the file system.  Both directions have the
   same faults.  --corrupt flips a bit and leaves the checksums as they were; --mutate sends a
   changed copy along, with headers of its choosing and right checksums; --down: each EVERY seconds
   nothing passes FOR seconds.  Frames that a rate or a delay holds back wait in a queue; more than
   --queue of them are lost. What it did is printed at the end (SIGTERM). */
#include "test/net/relay_mutate.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define FRAME_MOST 65536
#define RECENT     64u
#define QUEUE_MOST 65536u
#define NS         1000000000ull

struct frame {
    unsigned long long due_ns, order;
    unsigned length;
    unsigned char *bytes;
};

struct direction {
    const char *name;
    int from, to;
    struct frame *heap; /* the one that is due first on top */
    unsigned count;
    int blocked, is_in;
    unsigned long long busy_ns;
    unsigned long passed, lost, doubled, late, corrupted, mutated, overflowed, down, refused;
};

static struct {
    double loss, duplicate, reorder, corrupt, mutate;
    unsigned long delay_ms, rate_mbit, queue, seed, down_every, down_for, inject;
} faults = {.queue = 2000, .seed = 1};

static volatile sig_atomic_t ended, asked;
static unsigned long long orders, begun_ns;
static int connected; /* to QEMU, whichever it is now */

static void die(const char *what)
{
    fprintf(stderr, "relay: %s: %s\n", what, strerror(errno));
    exit(1);
}

static unsigned long long now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (unsigned long long)t.tv_sec * NS + (unsigned long long)t.tv_nsec;
}

static int happens(double percent)
{
    return percent > 0 && (double)(relay_random() >> 11) / 9007199254740992.0 * 100 < percent;
}

/* --- the queue -------------------------------------------------------------------------------- */

static int earlier(const struct frame *a, const struct frame *b)
{
    return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : a->order < b->order;
}

static void heap_swap(struct frame *a, struct frame *b)
{
    struct frame kept = *a;
    *a = *b;
    *b = kept;
}

static void queue_put(struct direction *d, const unsigned char *bytes, unsigned length,
                      unsigned long long due_ns)
{
    if (d->count >= faults.queue) {
        d->overflowed++;
        return;
    }
    unsigned at = d->count++;
    d->heap[at] = (struct frame){due_ns, orders++, length, malloc(length)};
    if (!d->heap[at].bytes)
        die("malloc");
    memcpy(d->heap[at].bytes, bytes, length);
    for (; at && earlier(&d->heap[at], &d->heap[(at - 1) / 2]); at = (at - 1) / 2)
        heap_swap(&d->heap[at], &d->heap[(at - 1) / 2]);
}

static struct frame queue_take(struct direction *d)
{
    struct frame first = d->heap[0];
    d->heap[0] = d->heap[--d->count];
    d->heap[d->count] = (struct frame){0};
    for (unsigned at = 0;;) {
        unsigned least = at;
        for (unsigned child = 2 * at + 1; child <= 2 * at + 2; child++)
            if (child < d->count && earlier(&d->heap[child], &d->heap[least]))
                least = child;
        if (least == at)
            return first;
        heap_swap(&d->heap[at], &d->heap[least]);
        at = least;
    }
}

/* What the other side has no room for now waits for it. */
static void frames_send(struct direction *d, unsigned long long now)
{
    d->blocked = 0;
    while (d->count && d->heap[0].due_ns <= now) {
        ssize_t n = write(d->to, d->heap[0].bytes, d->heap[0].length);
        d->blocked = n < 0 && (errno == EAGAIN || errno == ENOBUFS);
        if (d->blocked)
            return;
        struct frame f = queue_take(d);
        if (n == (ssize_t)f.length) {
            d->passed++;
        } else {
            d->refused++; /* nobody is there yet, or no more */
            connected = 0;
        }
        free(f.bytes);
    }
}

/* --- faults ----------------------------------------------------------------------------------- */

static int is_down(unsigned long long now)
{
    unsigned long long at = (now - begun_ns) / NS;
    return faults.down_every && at % faults.down_every >= faults.down_every - faults.down_for;
}

static void frame_corrupt(unsigned char *bytes, unsigned length)
{
    unsigned long long bit = relay_random() % (length * 8ull);
    bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
}

static void frame_pass(struct direction *d, unsigned char *bytes, unsigned length)
{
    unsigned long long now = now_ns(), due = now;
    if (is_down(now)) {
        d->down++;
        return;
    }
    if (happens(faults.loss)) {
        d->lost++;
        return;
    }
    if (faults.rate_mbit) {
        d->busy_ns = (d->busy_ns > now ? d->busy_ns : now) + length * 8000ull / faults.rate_mbit;
        due = d->busy_ns;
    }
    due += faults.delay_ms * 1000000ull;
    if (happens(faults.reorder)) {
        due += 1000000ull + relay_random() % 5000000ull;
        d->late++;
    }
    if (happens(faults.mutate)) {
        unsigned char copy[FRAME_MOST];
        memcpy(copy, bytes, length);
        queue_put(d, copy, relay_mutate(copy, length), due);
        d->mutated++;
    }
    if (happens(faults.duplicate)) {
        queue_put(d, bytes, length, due + relay_random() % 1000000ull);
        d->doubled++;
    }
    if (happens(faults.corrupt)) {
        frame_corrupt(bytes, length);
        d->corrupted++;
    }
    queue_put(d, bytes, length, due);
}

/* --- frames of its own ------------------------------------------------------------------------ */

static struct {
    unsigned char bytes[RECENT][2048];
    unsigned length[RECENT];
    unsigned long seen, injected;
} recent;

static void recent_note(const unsigned char *bytes, unsigned length)
{
    unsigned at = recent.seen % RECENT;
    if (!faults.inject || length > sizeof(recent.bytes[at]))
        return;
    memcpy(recent.bytes[at], bytes, length);
    recent.length[at] = length;
    recent.seen++;
}

static void frames_inject(struct direction *in)
{
    unsigned long long now = now_ns();
    unsigned long due = (unsigned long)((now - begun_ns) / 1000000 * faults.inject / 1000);
    for (unsigned i = 0; i < 64 && recent.seen >= RECENT && recent.injected < due; i++) {
        unsigned char copy[2048];
        unsigned at = relay_random() % RECENT;
        memcpy(copy, recent.bytes[at], recent.length[at]);
        queue_put(in, copy, relay_mutate(copy, recent.length[at]), now);
        recent.injected++;
        in->mutated++;
    }
}

/* --- both ends -------------------------------------------------------------------------------- */

static int tap_open(const char *name)
{
    struct ifreq r = {.ifr_flags = IFF_TAP | IFF_NO_PI};
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        die("/dev/net/tun");
    snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
    if (ioctl(fd, TUNSETIFF, &r) < 0)
        die(name);
    return fd;
}

static struct sockaddr_un address_of(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(a.sun_path)) {
        errno = ENAMETOOLONG;
        die(path);
    }
    strcpy(a.sun_path, path);
    return a;
}

static struct sockaddr_un theirs;

static int socket_open(char *both)
{
    char *colon = strchr(both, ':');
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), size = 4 << 20;
    if (!colon || fd < 0)
        die("--qemu OURS:THEIRS");
    *colon = 0;
    struct sockaddr_un ours = address_of(both);
    theirs = address_of(colon + 1);
    unlink(both);
    if (bind(fd, (struct sockaddr *)&ours, sizeof(ours)) < 0)
        die(both);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
    return fd;
}

static void frames_read(struct direction *d)
{
    static unsigned char bytes[FRAME_MOST];
    for (unsigned i = 0; i < 64; i++) {
        ssize_t length = read(d->from, bytes, sizeof(bytes));
        if (length < 14)
            return;
        if (d->is_in)
            recent_note(bytes, (unsigned)length);
        frame_pass(d, bytes, (unsigned)length);
    }
}

static int wait_ms(const struct direction *d, unsigned long long now)
{
    unsigned long long due = now + (faults.inject ? 2000000 : NS);
    for (unsigned i = 0; i < 2; i++) {
        if (d[i].blocked)
            return 1;
        if (d[i].count && d[i].heap[0].due_ns < due)
            due = d[i].heap[0].due_ns;
    }
    return due <= now ? 0 : (int)((due - now + 999999) / 1000000);
}

static void report(const struct direction *d)
{
    printf("relay: %s: passed %lu lost %lu twice %lu late %lu corrupted %lu mutated %lu overflowed "
           "%lu "
           "down %lu refused %lu\n",
           d->name, d->passed, d->lost, d->doubled, d->late, d->corrupted, d->mutated,
           d->overflowed, d->down, d->refused);
}

static void end(int signal)
{
    (void)signal;
    ended = 1;
}

static void ask(int signal)
{
    (void)signal;
    asked = 1;
}

static void report_both(const struct direction *d)
{
    asked = 0;
    printf("relay: seed %lu\n", faults.seed);
    report(&d[0]);
    report(&d[1]);
    fflush(stdout);
}

static void run(struct direction *d)
{
    while (!ended) {
        if (asked)
            report_both(d);
        if (!connected)
            connected = connect(d[0].from, (struct sockaddr *)&theirs, sizeof(theirs)) == 0;
        struct pollfd fds[] = {{d[0].from, POLLIN, 0}, {d[1].from, POLLIN, 0}};
        int wait = wait_ms(d, now_ns());
        poll(fds, 2, connected || wait < 20 ? wait : 20);
        frames_inject(&d[1]);
        for (unsigned i = 0; i < 2; i++) {
            frames_read(&d[i]);
            frames_send(&d[i], now_ns());
        }
    }
}

/* --- what is asked for ------------------------------------------------------------------------ */

static void take(char *name, char *value, struct direction *d)
{
    static const struct {
        const char *name;
        double *percent;
        unsigned long *number;
    } settings[] = {{"--loss", &faults.loss, NULL},       {"--duplicate", &faults.duplicate, NULL},
                    {"--reorder", &faults.reorder, NULL}, {"--corrupt", &faults.corrupt, NULL},
                    {"--mutate", &faults.mutate, NULL},   {"--delay", NULL, &faults.delay_ms},
                    {"--rate", NULL, &faults.rate_mbit},  {"--queue", NULL, &faults.queue},
                    {"--seed", NULL, &faults.seed},       {"--inject", NULL, &faults.inject}};
    for (unsigned i = 0; i < sizeof(settings) / sizeof(*settings); i++) {
        if (strcmp(name, settings[i].name) != 0)
            continue;
        if (settings[i].percent)
            *settings[i].percent = strtod(value, NULL);
        else
            *settings[i].number = strtoul(value, NULL, 0);
        return;
    }
    if (!strcmp(name, "--qemu"))
        d[0].from = d[1].to = socket_open(value);
    else if (!strcmp(name, "--tap"))
        d[0].to = d[1].from = tap_open(value);
    else if (strcmp(name, "--down") != 0 ||
             sscanf(value, "%lu:%lu", &faults.down_every, &faults.down_for) != 2) {
        fprintf(stderr, "relay: %s %s: what is that?\n", name, value);
        exit(2);
    }
}

int main(int count, char **words)
{
    struct direction d[2] = {{.name = "out", .from = -1}, {.name = "in", .from = -1, .is_in = 1}};
    for (int i = 1; i + 1 < count; i += 2)
        take(words[i], words[i + 1], d);
    if (d[0].from < 0 || d[1].from < 0 || !faults.queue || faults.queue > QUEUE_MOST ||
        faults.down_for > faults.down_every) {
        fprintf(stderr, "relay: --qemu OURS:THEIRS and --tap NAME are needed, and sound numbers\n");
        return 2;
    }
    for (unsigned i = 0; i < 2; i++)
        if (!(d[i].heap = calloc(faults.queue, sizeof(struct frame))))
            die("calloc");
    relay_seed(faults.seed);
    signal(SIGTERM, end);
    signal(SIGINT, end);
    signal(SIGUSR1, ask);
    signal(SIGPIPE, SIG_IGN);
    begun_ns = now_ns();
    run(d);
    report_both(d);
    for (unsigned i = 0; i < 2; i++) {
        while (d[i].count)
            free(queue_take(&d[i]).bytes);
        free(d[i].heap);
    }
    return 0;
}
