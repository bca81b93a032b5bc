/* The program's standard streams as files: pipes to whoever started the machine, carried by
   drivers/console.h.

   No byte is lost or doubled: what was taken from the console and could not be copied to the
   program stays in stdin's buffer; and of what is offered to the console only what it took is
   counted.  All descriptions of a stream share its state here, as all ends of one pipe would. */
#include "drivers/console.h"
#include "unix/descriptor.h"
#include "unix/virtual.h"

#define CONSOLE_PIECE 4096

struct stream {
    struct wait_queue queue;
    struct status_handler ready; /* the console's, while armed */
    bool armed;
    bool full;   /* the console took less than it was offered */
    bool broken; /* the other side has gone: EPIPE */
};

static struct stream streams[3];
static u8 input[CONSOLE_PIECE]; /* stdin's bytes [input_from, input_to) were taken and not read */
static u64 input_from, input_to;

struct console_file {
    struct file file;
    enum console_stream stream;
};

static struct stream *stream_of(struct file *f)
{
    return &streams[container_of(f, struct console_file, file)->stream];
}

closure_method(status_handler, stream_ready, struct stream, ready, status s)
{
    struct stream *stream = owner();
    stream->armed = false;
    stream->full = false;
    if (!is_ok(s))
        stream->broken = true;
    wait_queue_wake(&stream->queue, POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM);
}

/* Asks the console to tell when it is worth trying again; once for all who wait. */
static void stream_arm(enum console_stream which)
{
    struct stream *stream = &streams[which];
    if (stream->armed)
        return;
    stream->armed = true;
    init_method(&stream->ready, stream_ready);
    if (which == CONSOLE_STDIN)
        console_wait_readable(&stream->ready);
    else
        console_wait_writable(which, &stream->ready);
}

static s64 input_wait(struct transfer *x)
{
    bool ended = false;
    if (x->done || !x->left)
        return (s64)x->done;
    if ((!console_available(&ended) && ended) || streams[CONSOLE_STDIN].broken)
        return 0;
    s64 r = transfer_wait(x);
    if (r == SYSCALL_LATER)
        stream_arm(CONSOLE_STDIN);
    return r;
}

static s64 console_file_read(struct file *f, struct transfer *x)
{
    (void)f;
    while (x->left) {
        if (input_from == input_to) {
            input_from = 0;
            input_to = console_read(input, sizeof(input));
            if (!input_to)
                return input_wait(x);
        }
        u64 copied;
        s64 error =
            transfer_out(x, input + input_from, min(input_to - input_from, x->left), &copied);
        input_from += copied;
        if (error)
            return transfer_stop(x, error);
    }
    return (s64)x->done;
}

static s64 output_broken(struct transfer *x)
{
    if (!x->done)
        signal_raise(x->thread, SIGNAL_PIPE);
    return transfer_stop(x, -EPIPE);
}

static s64 console_file_write(struct file *f, struct transfer *x)
{
    enum console_stream which = container_of(f, struct console_file, file)->stream;
    u8 piece[CONSOLE_PIECE];
    while (x->left) {
        u64 copied;
        if (streams[which].broken)
            return output_broken(x);
        s64 error = transfer_peek(x, piece, sizeof(piece), &copied);
        if (error)
            return transfer_stop(x, error);
        u64 taken = console_write(which, piece, copied);
        transfer_skip(x, taken);
        if (taken < copied) {
            streams[which].full = true;
            s64 r = transfer_wait(x);
            stream_arm(which);
            return r;
        }
    }
    return (s64)x->done;
}

static u32 console_file_poll(struct file *f)
{
    struct stream *stream = stream_of(f);
    if (stream != &streams[CONSOLE_STDIN]) {
        if (stream->broken)
            return POLLERR | POLLOUT | POLLWRNORM;
        if (stream->full)
            stream_arm(container_of(f, struct console_file, file)->stream);
        return stream->full ? 0 : POLLOUT | POLLWRNORM;
    }
    bool ended = false;
    u64 bytes = console_available(&ended) + (input_to - input_from);
    if (!bytes && !ended)
        stream_arm(CONSOLE_STDIN);
    return (bytes ? POLLIN | POLLRDNORM : 0) | (ended ? POLLHUP : 0);
}

static struct wait_queue *console_file_queue(struct file *f)
{
    return &stream_of(f)->queue;
}

static s64 console_file_ioctl(struct thread *t, struct file *f, u32 request, u64 argument)
{
    bool ended;
    if (request != FIONREAD)
        return -ENOTTY;
    bool in = stream_of(f) == &streams[CONSOLE_STDIN];
    return ioctl_number_out(t, argument,
                            in ? (s32)(console_available(&ended) + (input_to - input_from)) : 0);
}

static const struct file_operations file_console = {
    .name = "pipe",
    .bytes = sizeof(struct console_file),
    .read = console_file_read,
    .write = console_file_write,
    .poll = console_file_poll,
    .queue = console_file_queue,
    .ioctl = console_file_ioctl,
};

struct file *console_file_create(u32 stream, u32 flags)
{
    struct file *f = file_create(&file_console, flags, NULL, NULL);
    if (!f)
        return NULL;
    container_of(f, struct console_file, file)->stream = (enum console_stream)stream;
    if (!streams[stream].queue.waiters.next)
        wait_queue_init(&streams[stream].queue);
    return f;
}
