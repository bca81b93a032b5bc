/* Writes the frames of --capture as a pcap file (pcap-savefile(5)).

   QEMU's filter writes such a file by itself, but what passes a tap still has the header of
   virtio-net before each frame, which no reader of these files expects.  So the filter writes into
   a pipe, and a child of ours moves the records on, without that header.  It lives as long as QEMU
   has the pipe, reads on when the file cannot be written, and is called by tools/machine.c. */
#include "tools/capture.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define FILE_HEADER_BYTES 24u
#define FRAME_MOST        (128u * 1024) /* more than the filter keeps of one */
/* virtio 1.2, 5.1.6: with num_buffers, and without (before a driver has agreed on anything). */
#define VIRTIO_HEADER 12u
#define LEGACY_HEADER 10u

struct record {
    u32 seconds, microseconds, kept, length;
};

struct writer {
    const char *path;
    enum capture_form form;
    int from, to;
    bool failed; /* and said so */
    u64 have;
    u8 bytes[FILE_HEADER_BYTES + sizeof(struct record) + FRAME_MOST];
};

static pid_t child;

static void writer_put(struct writer *w, const void *bytes, u64 count)
{
    const u8 *at = bytes;
    while (count && !w->failed) {
        ssize_t n = write(w->to, at, count);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            w->failed = true;
            say("--capture %s: the rest is missing: %s", w->path, strerror(errno));
            return;
        }
        at += n;
        count -= (u64)n;
    }
}

/* Whether what stands at `at` is a kind of frame that is usual (IEEE 802 numbers). */
static bool is_usual(const u8 *frame, u64 bytes)
{
    u32 kind = bytes >= 14 ? (u32)frame[12] << 8 | frame[13] : 0;
    return kind == 0x0800 || kind == 0x0806 || kind == 0x86dd || kind == 0x8100;
}

/* How much of a record is no frame.  The two lengths are told apart by what follows. */
static u32 header_bytes(const struct writer *w, const u8 *data, u64 bytes)
{
    if (w->form == CAPTURE_FRAMES || bytes < VIRTIO_HEADER)
        return 0;
    bool is_legacy = !is_usual(data + VIRTIO_HEADER, bytes - VIRTIO_HEADER) &&
                     is_usual(data + LEGACY_HEADER, bytes - LEGACY_HEADER);
    return is_legacy ? LEGACY_HEADER : VIRTIO_HEADER;
}

/* Moves on the whole records at the beginning of what was read; how many bytes they took. */
static u64 records_move(struct writer *w)
{
    u64 done = 0;
    struct record r;
    while (w->have - done >= sizeof(r)) {
        memcpy(&r, w->bytes + done, sizeof(r));
        if (r.kept > FRAME_MOST) {
            w->failed = true;
            return w->have;
        }
        if (w->have - done < sizeof(r) + r.kept)
            break;
        const u8 *data = w->bytes + done + sizeof(r);
        u32 skipped = header_bytes(w, data, r.kept);
        done += sizeof(r) + r.kept;
        r.kept -= skipped;
        r.length -= skipped;
        writer_put(w, &r, sizeof(r));
        writer_put(w, data + skipped, r.kept);
    }
    return done;
}

static void writer_run(struct writer *w)
{
    bool begun = false;
    for (;;) {
        ssize_t n = read(w->from, w->bytes + w->have, sizeof(w->bytes) - w->have);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return;
        w->have += (u64)n;
        u64 done = 0;
        if (!begun && w->have >= FILE_HEADER_BYTES) {
            writer_put(w, w->bytes, done = FILE_HEADER_BYTES);
            begun = true;
        } else if (begun) {
            done = records_move(w);
        }
        w->have -= done;
        memmove(w->bytes, w->bytes + done, w->have);
    }
}

/* It keeps standard error alone: what else is open here is not its own, and would stay open. */
static __attribute__((noreturn)) void child_run(struct writer *w)
{
    signal(SIGINT, SIG_IGN); /* of the terminal: QEMU ends, and with it the pipe */
    signal(SIGHUP, SIG_IGN);
    signal(SIGQUIT, SIG_IGN);
    int from = dup2(w->from, 0), to = dup2(w->to, 1);
    if (from < 0 || to < 0)
        _exit(EXIT_FAILED);
    close_range(3, ~0u, 0);
    w->from = from;
    w->to = to;
    writer_run(w);
    _exit(EXIT_OK);
}

int capture_start(const char *path, enum capture_form form)
{
    static struct writer writer;
    int ends[2];
    writer = (struct writer){.path = path, .form = form};
    writer.to = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (writer.to < 0)
        die(EXIT_FAILED, "--capture %s: cannot be written: %s", path, strerror(errno));
    if (pipe2(ends, O_CLOEXEC) != 0 || (child = fork()) < 0)
        die(EXIT_FAILED, "--capture %s: cannot be begun: %s", path, strerror(errno));
    writer.from = ends[0];
    if (child == 0)
        child_run(&writer);
    close(writer.to);
    close(ends[0]);
    return ends[1];
}

void capture_end(void)
{
    while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR)
        ;
    child = 0;
}
