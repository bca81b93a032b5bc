/* Being the program: see relay.h.

   One poll loop.  Each stream has one buffer; it is filled only when it is empty, so a reader of
   ours that is slow slows the guest down and nothing piles up.  Nothing is lost when QEMU ends:
   what it wrote is in the sockets, and they are read to their end. */
#include "tools/relay.h"
#include "runtime/closure.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUFFER_BYTES  (64 * KiB)
#define PIPE_PIECE    (4 * KiB)           /* what poll() promises a pipe takes without waiting */
#define AFTER_EXIT_NS (2 * NS_PER_SECOND) /* between "exit N" and QEMU's own end */
#define LATE_TURNS    64u                 /* for what had been sent before the time was over */

/* Bytes from one descriptor to another. */
struct stream {
    int from, to;
    u32 start, end; /* of what is in the buffer */
    u64 piece;      /* most to write at once */
    bool to_socket; /* write without waiting, and shut it down at the end */
    bool ended;     /* nothing more to read */
    bool gone;      /* nobody takes what we write */
    u8 buffer[BUFFER_BYTES];
};

closure_type(line_handler, void, char *line);

/* Lines from a descriptor. */
struct lines {
    int from;
    bool ended;
    u32 length;
    line_handler handler;
    char line[RELAY_LINE_BYTES];
};

struct relay {
    struct relay_result *result;
    struct machine *machine;
    enum relay_manner manner;
    u64 deadline_ns;
    u64 kill_ns;    /* when it is ended because it did not end by itself; 0: not said "exit" yet */
    u32 late_turns; /* since the time was over */
    struct stream in, out, err, trace;
    struct lines control, serial, complaints;
    struct line_handler control_line, serial_line, complaint_line;
};

static volatile sig_atomic_t signal_arrived;
static volatile sig_atomic_t census_wanted; /* SIGQUIT, which is Ctrl-\ on a terminal */

static void signal_note(int number)
{
    if (number == SIGQUIT)
        census_wanted = 1;
    else
        signal_arrived = number;
}

/* --- lines ------------------------------------------------------------------------------------ */

closure_method(line_handler, control_take, struct relay, control_line, char *line)
{
    struct relay *r = owner();
    char *end;
    if (!text_begins(line, "exit ") || !isdigit((unsigned char)line[5]))
        return;
    u64 exit_status = strtoull(line + 5, &end, 10);
    if (*end || exit_status > 255 || r->result->end == RELAY_EXITED)
        return;
    r->result->end = RELAY_EXITED;
    r->result->exit_status = (u8)exit_status;
    r->kill_ns = now_ns() + AFTER_EXIT_NS;
}

static void line_keep(struct relay_result *result, const char *line)
{
    snprintf(result->last_lines[result->lines++ % RELAY_LAST_LINES], RELAY_LINE_BYTES, "%s", line);
}

/* "NAME: N us"; the last one, "boot", is the sum of the others, and ends when it is said. */
static void stage_take(struct relay *r, const char *line)
{
    struct relay_result *result = r->result;
    const char *colon = strrchr(line, ':');
    if (!colon || result->stages == RELAY_STAGES)
        return;
    struct relay_stage *s = &result->stage[result->stages++];
    s->us = strtoull(colon + 1, NULL, 10);
    snprintf(s->name, sizeof(s->name), "%.*s", (int)(colon - line), line);
    u64 now_us = (now_ns() - r->machine->started_ns) / NS_PER_US;
    if (!strcmp(s->name, "boot"))
        result->entry_us = now_us > s->us ? now_us - s->us : 0;
}

/* The kernel prefixes its lines itself; what firmware says is shown with -v only. */
closure_method(line_handler, serial_take, struct relay, serial_line, char *line)
{
    struct relay *r = owner();
    bool ours = text_begins(line, "thunk: ");
    const char *said = ours ? line + 7 : line;
    if (ours && text_begins(said, "timeline: ")) {
        stage_take(r, said + strlen("timeline: "));
        return;
    }
    if (strcasestr(said, "panic"))
        r->result->panicked = true;
    line_keep(r->result, said);
    if (r->manner == RELAY_SILENT)
        return;
    if (ours || say_verbose || r->result->panicked) {
        say("%s", said);
        r->result->lines_shown++;
    }
}

closure_method(line_handler, complaint_take, struct relay, complaint_line, char *line)
{
    struct relay *r = owner();
    line_keep(r->result, line);
    /* TCG lists features of the CPU model that it does not have; that is not the user's concern. */
    if (r->manner == RELAY_SILENT || strstr(line, "TCG doesn't support requested feature") ||
        strstr(line, "terminating on signal"))
        return;
    say("%s", line);
    r->result->lines_shown++;
}

static void lines_end_line(struct lines *l)
{
    while (l->length && (l->line[l->length - 1] == '\r' || l->line[l->length - 1] == ' '))
        l->length--;
    l->line[l->length] = 0;
    if (l->length)
        apply(l->handler, l->line);
    l->length = 0;
}

static void lines_read(struct lines *l)
{
    char bytes[4096];
    ssize_t n = read(l->from, bytes, sizeof(bytes));
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n <= 0) {
        lines_end_line(l);
        l->ended = true;
        return;
    }
    for (ssize_t i = 0; i < n; i++) {
        if (bytes[i] == '\n' || l->length == sizeof(l->line) - 1)
            lines_end_line(l);
        if (bytes[i] == '\t' || bytes[i] == '\r' || !iscntrl((unsigned char)bytes[i]))
            l->line[l->length++] = bytes[i];
    }
}

/* --- bytes ------------------------------------------------------------------------------------ */

static bool stream_idle(const struct stream *s)
{
    return s->start == s->end;
}

static void stream_finish(struct stream *s)
{
    s->ended = true;
    if (s->to_socket && stream_idle(s))
        shutdown(s->to, SHUT_WR);
}

static void stream_read(struct stream *s)
{
    ssize_t n = read(s->from, s->buffer, sizeof(s->buffer));
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n <= 0) {
        stream_finish(s);
        return;
    }
    s->start = 0;
    s->end = s->gone ? 0 : (u32)n;
}

static void stream_write(struct stream *s)
{
    u64 bytes = min((u64)(s->end - s->start), s->piece);
    ssize_t n = s->to_socket ? send(s->to, s->buffer + s->start, bytes, MSG_DONTWAIT | MSG_NOSIGNAL)
                             : write(s->to, s->buffer + s->start, bytes);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n < 0) {
        s->gone = true;
        s->start = s->end = 0;
        if (s->to_socket)
            s->ended = true; /* no use in reading what nobody takes */
        return;
    }
    s->start += (u32)n;
    if (s->ended)
        stream_finish(s);
}

static void stream_init(struct stream *s, int from, int to)
{
    struct stat st;
    s->from = from;
    s->to = to;
    s->piece = fstat(to, &st) == 0 && S_ISREG(st.st_mode) ? BUFFER_BYTES : PIPE_PIECE;
}

/* --- the loop --------------------------------------------------------------------------------- */

static void watch(struct pollfd *fds, u32 *count, int fd, short events)
{
    fds[(*count)++] = (struct pollfd){.fd = fd, .events = events};
}

static void watch_stream(struct pollfd *fds, u32 *count, const struct stream *s)
{
    if (!stream_idle(s))
        watch(fds, count, s->to, POLLOUT);
    else if (!s->ended)
        watch(fds, count, s->from, POLLIN);
}

static short ready(const struct pollfd *fds, u32 count, int fd, short events)
{
    for (u32 i = 0; i < count; i++) {
        if (fds[i].fd == fd && (fds[i].events & events))
            return fds[i].revents;
    }
    return 0;
}

static void serve_stream(const struct pollfd *fds, u32 count, struct stream *s)
{
    if (ready(fds, count, s->to, POLLOUT))
        stream_write(s);
    else if (ready(fds, count, s->from, POLLIN))
        stream_read(s);
}

static bool machine_silent(const struct relay *r)
{
    return r->out.ended && stream_idle(&r->out) && r->err.ended && stream_idle(&r->err) &&
           r->trace.ended && stream_idle(&r->trace) && r->control.ended && r->serial.ended &&
           r->complaints.ended;
}

/* At its end it is closed, so that it is not watched any more. */
static void monitor_serve(struct machine *m)
{
    if (machine_monitor_read(m))
        return;
    close(m->monitor_fd);
    m->monitor_fd = -1;
}

/* Waits for the next thing to do; false when the time is over.  What has been sent by then is taken
   still: it may be we who were late, on a loaded machine. */
static bool relay_turn(struct relay *r, const sigset_t *unblocked)
{
    struct pollfd fds[8];
    u32 count = 0;
    struct stream *const streams[] = {&r->in, &r->out, &r->err, &r->trace};
    struct lines *const lines[] = {&r->control, &r->serial, &r->complaints};
    for (u32 i = 0; i < countof(streams); i++)
        watch_stream(fds, &count, streams[i]);
    for (u32 i = 0; i < countof(lines); i++) {
        if (!lines[i]->ended)
            watch(fds, &count, lines[i]->from, POLLIN);
    }
    watch(fds, &count, r->machine->monitor_fd, POLLIN);
    u64 now = now_ns(), until = r->deadline_ns;
    if (r->kill_ns && (!until || r->kill_ns < until))
        until = r->kill_ns;
    bool late = until && now >= until;
    if (late && r->late_turns++ == LATE_TURNS)
        return false;
    u64 left = until && !late ? until - now : 0;
    struct timespec limit = {(time_t)(left / NS_PER_SECOND), (long)(left % NS_PER_SECOND)};
    int served = ppoll(fds, count, until ? &limit : NULL, unblocked);
    if (served <= 0)
        return served < 0 || !late;
    for (u32 i = 0; i < countof(streams); i++)
        serve_stream(fds, count, streams[i]);
    if (!r->result->first_output_ns && !stream_idle(&r->out))
        r->result->first_output_ns = now_ns() - r->machine->started_ns;
    for (u32 i = 0; i < countof(lines); i++) {
        if (ready(fds, count, lines[i]->from, POLLIN))
            lines_read(lines[i]);
    }
    if (ready(fds, count, r->machine->monitor_fd, POLLIN))
        monitor_serve(r->machine);
    return true;
}

static void relay_init(struct relay *r, struct machine *m, int trace_fd)
{
    bool silent = r->manner == RELAY_SILENT;
    stream_init(&r->in, STDIN_FILENO, m->stdin_fd);
    r->in.to_socket = true;
    r->in.piece = BUFFER_BYTES;
    stream_init(&r->out, m->stdout_fd, STDOUT_FILENO);
    stream_init(&r->err, m->stderr_fd, STDERR_FILENO);
    r->out.gone = r->err.gone = silent;
    if (m->trace_fd >= 0)
        stream_init(&r->trace, m->trace_fd, trace_fd);
    else
        r->trace = (struct stream){.from = -1, .to = -1, .ended = true}; /* 0 is stdin's */
    if (silent)
        stream_finish(&r->in);
    init_method(&r->control_line, control_take);
    init_method(&r->serial_line, serial_take);
    init_method(&r->complaint_line, complaint_take);
    r->control.from = m->control_fd;
    r->control.handler = &r->control_line;
    r->serial.from = m->serial_fd;
    r->serial.handler = &r->serial_line;
    r->complaints.from = m->complaints_fd;
    r->complaints.handler = &r->complaint_line;
}

static void signals_catch(sigset_t *unblocked)
{
    static const int caught[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    sigset_t blocked;
    sigemptyset(&blocked);
    struct sigaction note = {.sa_handler = signal_note};
    for (u32 i = 0; i < countof(caught); i++) {
        sigaddset(&blocked, caught[i]);
        sigaction(caught[i], &note, NULL);
    }
    sigprocmask(SIG_BLOCK, &blocked, unblocked);
    for (u32 i = 0; i < countof(caught); i++)
        sigdelset(unblocked, caught[i]);
    signal(SIGPIPE, SIG_IGN);
}

/* What the machine had sent of the trace when it was told to end. */
static void trace_rest_take(struct stream *s)
{
    while (!s->gone) {
        if (!stream_idle(s)) {
            stream_write(s);
            continue;
        }
        ssize_t n = s->ended ? 0 : recv(s->from, s->buffer, sizeof(s->buffer), MSG_DONTWAIT);
        if (n <= 0)
            break;
        s->start = 0;
        s->end = (u32)n;
    }
}

void relay_run(struct machine *m, enum relay_manner manner, u64 deadline_ns, int trace_fd,
               struct relay_result *result)
{
    static struct relay r;
    sigset_t unblocked;
    r = (struct relay){
        .result = result, .machine = m, .manner = manner, .deadline_ns = deadline_ns};
    *result = (struct relay_result){.end = RELAY_DIED};
    relay_init(&r, m, trace_fd);
    signals_catch(&unblocked);
    while (!machine_silent(&r)) {
        if (signal_arrived || (r.out.gone && manner == RELAY_OPEN)) {
            result->end = RELAY_SIGNALLED;
            result->signal = signal_arrived ? signal_arrived : SIGPIPE;
            break;
        }
        if (census_wanted && manner == RELAY_OPEN) {
            census_wanted = 0;
            machine_interrupt(m);
        }
        if (!relay_turn(&r, &unblocked)) {
            if (!r.kill_ns)
                result->end = RELAY_TIMED_OUT;
            break;
        }
    }
    result->ended_ns = now_ns() - m->started_ns;
    trace_rest_take(&r.trace);
    result->trace_cut = r.trace.gone;
    machine_end(m);
}
