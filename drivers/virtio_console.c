/* virtio-console with several ports (virtio 1.2, 5.3): the program's streams, the channel to
   `thunk` and the trace, on ports named thunk.stdin, thunk.stdout, thunk.stderr, thunk.control,
   thunk.trace.

   The ports' numbers are not known before the device names them, so the queues of the first
   PORTS_MOST ports are made; buffers are given only to those that turn out to be ours.  What has to
   be said to the device about a port is kept as flags and sent when the control queue has room.
   Streams that nothing has named after NAMING_NS go over the serial port.

   One device at most; further ones are given up.  All of it under the console's lock.  A device
   that breaks the protocol is given up: what it has not taken counts as taken, stdin ends. */
#include "drivers/console_carrier.h"
#include "drivers/virtio.h"
#include "kernel/clock.h"
#include "kernel/log.h"
#include "kernel/memory.h"
#include "runtime/memory.h"

/* virtio 1.2, 5.3.3 and 5.3.4 */
#define VIRTIO_CONSOLE_F_MULTIPORT (1ull << 1)
#define CONFIG_PORTS               4 /* offset of max_nr_ports */

/* virtio 1.2, 5.3.6.2 */
enum control_event {
    DEVICE_READY = 0,
    PORT_ADD = 1,
    PORT_REMOVE = 2,
    PORT_READY = 3,
    PORT_OPEN = 6,
    PORT_NAME = 7,
};

struct control_message {
    u32 port;
    u16 event;
    u16 value;
};
_Static_assert(sizeof(struct control_message) == 8, "virtio 1.2, 5.3.6.2");

#define PORTS_MOST      6u
#define CONTROL_RECEIVE 2 /* queue numbers: virtio 1.2, 5.3.2 */
#define CONTROL_SEND    3

#define CONTROL_BUFFERS 32 /* events that may arrive at once; QEMU drops what finds no buffer */
#define CONTROL_BYTES                                                                              \
    64 /* an event with a name; ours are shorter, and of others the start will do */
#define SEND_SLOTS      16
#define SEND_CHAINS     4 /* of output in flight, per stream */
#define SEND_BYTES      (32 * KiB)
#define RECEIVE_BUFFERS 8
#define RECEIVE_BYTES   4096
#define STREAM_QUEUE    8 /* descriptors; legacy devices take their own number */
#define LINE_BYTES      64

#define NAMING_NS       (500 * NS_PER_MS)
#define CONTROL_LINE_NS NS_PER_SECOND

enum port_role { ROLE_NONE, ROLE_STDIN, ROLE_STDOUT, ROLE_STDERR, ROLE_CONTROL, ROLE_TRACE };

struct send_chain {
    struct virtqueue_chain chain;
    u32 bytes;
    bool flying;
};

struct receive_buffer {
    struct virtqueue_chain chain;
    u8 *bytes;
    u32 length;   /* that arrived */
    u32 consumed; /* of them */
};

struct port {
    struct virtqueue receive, send;
    enum port_role role;
    bool host_open;
    bool owes_ready, owes_open; /* to be said on the control queue */
};

struct control_buffer {
    struct virtqueue_chain chain;
    u8 *bytes;
};

struct virtio_console {
    struct virtio_device *device; /* NULL: none */
    struct thunk service;
    struct thunk naming_ended;
    struct timer naming;
    u32 port_count;
    bool dead;
    bool owes_device_ready;
    struct port ports[PORTS_MOST];
    struct port *by_role[ROLE_TRACE + 1];

    struct virtqueue control_receive, control_send;
    struct control_buffer control_buffers[CONTROL_BUFFERS];
    struct virtqueue_chain send_slots[SEND_SLOTS];
    struct control_message *send_messages; /* SEND_SLOTS of them */
    u32 send_free;                         /* bit per slot */

    struct send_chain streams[CONSOLE_STREAMS][SEND_CHAINS];
    u32 stream_head[CONSOLE_STREAMS]; /* the oldest chain in flight; answers come in order */
    struct virtqueue_chain line_chain;
    bool line_flying;
    char line[LINE_BYTES];

    struct receive_buffer receive_buffers[RECEIVE_BUFFERS];
    u8 *receive_memory;
    u32 receive_first, receive_filled; /* a queue of buffers that hold input, in receive_order */
    u8 receive_order[RECEIVE_BUFFERS];
    bool stdin_was_open;
};

static struct virtio_console vc;

/* The queues of a port: virtio 1.2, 5.3.2. */
static u16 queue_of_port(u32 port)
{
    return (u16)(port == 0 ? 0 : 2 + 2 * port);
}

/* --- output ----------------------------------------------------------------------------------- */

static struct port *port_of_stream(enum console_stream stream)
{
    static const enum port_role roles[] = {[CONSOLE_STDIN] = ROLE_STDIN,
                                           [CONSOLE_STDOUT] = ROLE_STDOUT,
                                           [CONSOLE_STDERR] = ROLE_STDERR,
                                           [CONSOLE_TRACE] = ROLE_TRACE};
    return vc.by_role[roles[stream]];
}

static void output_take_back(enum console_stream stream, struct port *p)
{
    struct virtqueue_chain *c;
    while ((c = virtqueue_take(&p->send)))
        container_of(c, struct send_chain, chain)->flying = false;
    /* In order, whatever the order of the answers: the ring's bytes are freed from its tail. */
    for (;;) {
        struct send_chain *oldest = &vc.streams[stream][vc.stream_head[stream] % SEND_CHAINS];
        if (oldest->flying || oldest->bytes == 0)
            break;
        u32 bytes = oldest->bytes;
        oldest->bytes = 0;
        vc.stream_head[stream]++;
        console_output_taken(stream, bytes);
    }
}

static void output_give(enum console_stream stream, struct port *p)
{
    for (u32 i = 0; i < SEND_CHAINS; i++) {
        struct send_chain *s = &vc.streams[stream][(vc.stream_head[stream] + i) % SEND_CHAINS];
        const u8 *bytes;
        if (s->bytes > 0)
            continue;
        if (virtqueue_room(&p->send, &s->chain) == 0)
            break;
        s->bytes = console_output_next(stream, &bytes, SEND_BYTES);
        if (s->bytes == 0)
            break;
        s->flying = true;
        virtqueue_chain_begin(&p->send, &s->chain);
        virtqueue_chain_readable(&p->send, &s->chain, physical_of(bytes).bits, s->bytes);
        virtqueue_chain_submit(&p->send, &s->chain);
    }
    virtqueue_notify(&p->send);
}

/* Nobody takes the bytes any more: they count as gone, so that nobody waits for them. */
static void output_discard(enum console_stream stream)
{
    const u8 *bytes;
    for (u32 i = 0; i < SEND_CHAINS; i++) {
        u32 flying = vc.streams[stream][i].bytes;
        vc.streams[stream][i].bytes = 0;
        console_output_taken(stream, flying);
    }
    u32 length;
    while ((length = console_output_next(stream, &bytes, SEND_BYTES)) > 0)
        console_output_taken(stream, length);
    console_output_taken(stream, 0);
}

/* Bounded: each round gives bytes that the program wrote, and it does not run meanwhile. */
static void ports_output(enum console_stream stream)
{
    struct port *p = port_of_stream(stream);
    if (vc.dead || !p) {
        output_discard(stream);
        return;
    }
    do {
        output_take_back(stream, p);
        output_give(stream, p);
        /* Many devices are done by the time that notifying them returns. */
        output_take_back(stream, p);
        if (!console_output_is_awaited(stream)) {
            virtqueue_interrupts_off(&p->send);
            break;
        }
    } while (is_ok(p->send.failure) && virtqueue_interrupts_on(&p->send));
    if (!is_ok(p->send.failure))
        virtio_service_later(vc.device);
}

/* --- input ------------------------------------------------------------------------------------ */

static void receive_post(struct receive_buffer *r)
{
    struct virtqueue *q = &vc.by_role[ROLE_STDIN]->receive;
    r->length = r->consumed = 0;
    if (virtqueue_room(q, &r->chain) == 0)
        return;
    virtqueue_chain_begin(q, &r->chain);
    virtqueue_chain_writable(q, &r->chain, physical_of(r->bytes).bits, RECEIVE_BYTES);
    virtqueue_chain_submit(q, &r->chain);
}

static void input_start(struct port *p)
{
    vc.receive_memory = allocate(page_heap, RECEIVE_BUFFERS * RECEIVE_BYTES);
    if (!vc.receive_memory) {
        log_error("%s: no memory for stdin", vc.device->name);
        return;
    }
    for (u32 i = 0; i < RECEIVE_BUFFERS; i++) {
        struct receive_buffer *r = &vc.receive_buffers[i];
        virtqueue_chain_init(&r->chain, NULL, 0);
        r->bytes = vc.receive_memory + i * RECEIVE_BYTES;
        receive_post(r);
    }
    virtqueue_notify(&p->receive);
}

/* Queues what has arrived, in order. */
static void input_collect(struct port *p)
{
    struct virtqueue_chain *c;
    do {
        while ((c = virtqueue_take(&p->receive))) {
            struct receive_buffer *r = container_of(c, struct receive_buffer, chain);
            r->length = r->chain.written_bytes;
            u32 place = (vc.receive_first + vc.receive_filled++) % RECEIVE_BUFFERS;
            vc.receive_order[place] = (u8)(r - vc.receive_buffers);
        }
    } while (is_ok(p->receive.failure) && virtqueue_interrupts_on(&p->receive));
}

static u64 ports_available(bool *ended)
{
    struct port *p = vc.by_role[ROLE_STDIN];
    u64 bytes = 0;
    if (p && !vc.dead)
        input_collect(p);
    for (u32 i = 0; i < vc.receive_filled; i++) {
        u32 place = (vc.receive_first + i) % RECEIVE_BUFFERS;
        const struct receive_buffer *r = &vc.receive_buffers[vc.receive_order[place]];
        bytes += r->length - r->consumed;
    }
    *ended = vc.dead || !p || !vc.receive_memory || (vc.stdin_was_open && !p->host_open);
    return bytes;
}

static u64 ports_read(void *to, u64 bytes)
{
    bool ended;
    u64 taken = 0;
    bytes = min(bytes, ports_available(&ended));
    while (vc.receive_filled > 0) {
        struct receive_buffer *r = &vc.receive_buffers[vc.receive_order[vc.receive_first]];
        u32 part = (u32)min(bytes - taken, (u64)(r->length - r->consumed));
        memcpy((u8 *)to + taken, r->bytes + r->consumed, part);
        r->consumed += part;
        taken += part;
        if (r->consumed < r->length)
            break;
        vc.receive_first = (vc.receive_first + 1) % RECEIVE_BUFFERS;
        vc.receive_filled--;
        if (!vc.dead)
            receive_post(r);
    }
    if (taken > 0 && !vc.dead)
        virtqueue_notify(&vc.by_role[ROLE_STDIN]->receive);
    return taken;
}

static const struct console_carrier ports_carrier = {ports_output, ports_available, ports_read};

/* --- the control queues ----------------------------------------------------------------------- */

/* False: no room now; it is tried again when the device is done with a message. */
static bool control_say(u32 port, enum control_event event, u16 value)
{
    struct virtqueue_chain *c;
    while ((c = virtqueue_take(&vc.control_send)))
        vc.send_free |= 1u << (c - vc.send_slots);
    if (vc.send_free == 0)
        return false;
    u32 slot = (u32)__builtin_ctz(vc.send_free);
    c = &vc.send_slots[slot];
    if (virtqueue_room(&vc.control_send, c) == 0)
        return false;
    vc.send_free &= ~(1u << slot);
    vc.send_messages[slot] = (struct control_message){port, (u16)event, value};
    virtqueue_chain_begin(&vc.control_send, c);
    virtqueue_chain_readable(&vc.control_send, c, physical_of(&vc.send_messages[slot]).bits,
                             sizeof(struct control_message));
    virtqueue_chain_submit(&vc.control_send, c);
    return true;
}

static void debts_pay(void)
{
    bool owing;
    if (vc.owes_device_ready)
        vc.owes_device_ready = !control_say(0, DEVICE_READY, 1);
    owing = vc.owes_device_ready;
    for (u32 i = 0; i < vc.port_count; i++) {
        struct port *p = &vc.ports[i];
        if (p->owes_ready)
            p->owes_ready = !control_say(i, PORT_READY, 1);
        if (p->owes_open)
            p->owes_open = !control_say(i, PORT_OPEN, 1);
        owing = owing || p->owes_ready || p->owes_open;
    }
    virtqueue_notify(&vc.control_send);
    if (owing && virtqueue_interrupts_on(&vc.control_send))
        virtio_service_later(vc.device);
}

static enum port_role role_of_name(const u8 *name, u32 length)
{
    static const char *const names[] = {[ROLE_STDIN] = "thunk.stdin",
                                        [ROLE_STDOUT] = "thunk.stdout",
                                        [ROLE_STDERR] = "thunk.stderr",
                                        [ROLE_CONTROL] = "thunk.control",
                                        [ROLE_TRACE] = "thunk.trace"};
    /* Some devices count a terminating zero, some do not. */
    while (length > 0 && name[length - 1] == 0)
        length--;
    for (enum port_role role = ROLE_STDIN; role <= ROLE_TRACE; role++)
        if (strlen(names[role]) == length && memcmp(names[role], name, length) == 0)
            return role;
    return ROLE_NONE;
}

static void port_named(struct port *p, const u8 *name, u32 length)
{
    enum port_role role = role_of_name(name, length);
    if (role == ROLE_NONE || p->role != ROLE_NONE || vc.by_role[role])
        return;
    p->role = role;
    vc.by_role[role] = p;
    p->owes_open = true;
    switch (role) {
    case ROLE_STDIN:
        input_start(p);
        console_carry(CONSOLE_STDIN, &ports_carrier);
        break;
    case ROLE_STDOUT:
        console_carry(CONSOLE_STDOUT, &ports_carrier);
        break;
    case ROLE_STDERR:
        console_carry(CONSOLE_STDERR, &ports_carrier);
        break;
    case ROLE_TRACE:
        console_carry(CONSOLE_TRACE, &ports_carrier);
        trace_port_opened();
        break;
    default:
        break;
    }
}

static void port_opened(struct port *p, bool open)
{
    p->host_open = open;
    if (p->role != ROLE_STDIN)
        return;
    if (open)
        vc.stdin_was_open = true;
    else
        console_input_arrived();
}

static void control_event_handle(const u8 *bytes, u32 length)
{
    struct control_message m;
    if (length < sizeof(m))
        return;
    memcpy(&m, bytes, sizeof(m));
    if (m.port >= vc.port_count) {
        if (m.event == PORT_ADD)
            log_info("%s: port %u is not one of the first %u", vc.device->name, m.port,
                     vc.port_count);
        return;
    }
    struct port *p = &vc.ports[m.port];
    if (m.event == PORT_ADD)
        p->owes_ready = true;
    else if (m.event == PORT_NAME)
        port_named(p, bytes + sizeof(m), length - (u32)sizeof(m));
    else if (m.event == PORT_OPEN)
        port_opened(p, m.value != 0);
    else if (m.event == PORT_REMOVE)
        port_opened(p, false);
}

static void control_post(struct control_buffer *b)
{
    if (virtqueue_room(&vc.control_receive, &b->chain) == 0)
        return;
    virtqueue_chain_begin(&vc.control_receive, &b->chain);
    virtqueue_chain_writable(&vc.control_receive, &b->chain, physical_of(b->bytes).bits,
                             CONTROL_BYTES);
    virtqueue_chain_submit(&vc.control_receive, &b->chain);
}

/* One round: at most as many events as there are buffers.  True: there were some. */
static bool control_events_take(void)
{
    struct virtqueue_chain *c;
    u32 taken = 0;
    while (taken < CONTROL_BUFFERS && (c = virtqueue_take(&vc.control_receive))) {
        struct control_buffer *b = container_of(c, struct control_buffer, chain);
        control_event_handle(b->bytes, c->written_bytes);
        control_post(b);
        taken++;
    }
    virtqueue_notify(&vc.control_receive);
    return taken > 0;
}

/* --- service ---------------------------------------------------------------------------------- */

static status queues_failure(void)
{
    if (!is_ok(vc.control_receive.failure))
        return vc.control_receive.failure;
    if (!is_ok(vc.control_send.failure))
        return vc.control_send.failure;
    for (u32 i = 0; i < vc.port_count; i++) {
        if (!is_ok(vc.ports[i].receive.failure))
            return vc.ports[i].receive.failure;
        if (!is_ok(vc.ports[i].send.failure))
            return vc.ports[i].send.failure;
    }
    return STATUS_OK;
}

static void device_give_up(status why)
{
    if (vc.dead)
        return;
    log_error("%s: given up: %s (%llu)", vc.device->name, status_text(why),
              (unsigned long long)why.detail);
    vc.dead = true;
    console_set_control(NULL);
    virtio_fail(vc.device);
    for (enum console_stream stream = CONSOLE_STDOUT; stream < CONSOLE_STREAMS; stream++)
        if (port_of_stream(stream))
            output_discard(stream);
    console_input_arrived();
}

/* The rounds of one service; a device that keeps on talking is heard again after other work. */
#define CONTROL_ROUNDS 16

static void device_serve(void)
{
    for (u32 round = 0; round < CONTROL_ROUNDS; round++) {
        debts_pay();
        if (!control_events_take() && !virtqueue_interrupts_on(&vc.control_receive))
            break;
        if (round == CONTROL_ROUNDS - 1)
            virtio_service_later(vc.device);
    }
    for (enum console_stream stream = CONSOLE_STDOUT; stream < CONSOLE_STREAMS; stream++)
        if (port_of_stream(stream))
            ports_output(stream);
    bool ended = false;
    if (vc.by_role[ROLE_STDIN] && (ports_available(&ended) > 0 || ended))
        console_input_arrived();
    status failure = queues_failure();
    if (!is_ok(failure))
        device_give_up(failure);
}

closure_method(thunk, console_service, struct virtio_console, service)
{
    struct virtio_console *c = owner();
    virtio_service_begin(c->device);
    console_lock();
    if (!c->dead)
        device_serve();
    console_unlock();
}

closure_method(thunk, console_naming_ended, struct virtio_console, naming_ended)
{
    (void)owner();
    const struct console_carrier *serial = serial_carrier();
    console_lock();
    console_carry_rest(serial);
    console_unlock();
}

/* --- the channel to `thunk` ------------------------------------------------------------------- */

/* Waits for the port to be named, and for the line before this one. */
static bool control_port_wait(u64 end_ns)
{
    while (!vc.by_role[ROLE_CONTROL] && !vc.dead && clock_monotonic_ns() < end_ns)
        device_serve();
    struct port *p = vc.by_role[ROLE_CONTROL];
    return p && !vc.dead && !vc.line_flying && virtqueue_room(&p->send, &vc.line_chain) > 0;
}

static bool control_line_send(struct port *p, const char *line, u64 end_ns)
{
    u32 length = (u32)min(strlen(line), LINE_BYTES - 1ull);
    memcpy(vc.line, line, length);
    vc.line[length++] = '\n';
    virtqueue_chain_begin(&p->send, &vc.line_chain);
    virtqueue_chain_readable(&p->send, &vc.line_chain, physical_of(vc.line).bits, length);
    virtqueue_chain_submit(&p->send, &vc.line_chain);
    virtqueue_notify(&p->send);
    vc.line_flying = true;
    do {
        if (virtqueue_take(&p->send))
            vc.line_flying = false;
    } while (vc.line_flying && is_ok(p->send.failure) && clock_monotonic_ns() < end_ns);
    return !vc.line_flying;
}

/* Polls until the device has the line, because the machine may end next; bounded by time. */
static bool control_line(const char *line)
{
    u64 end_ns = clock_monotonic_ns() + CONTROL_LINE_NS;
    console_lock();
    bool sent =
        control_port_wait(end_ns) && control_line_send(vc.by_role[ROLE_CONTROL], line, end_ns);
    console_unlock();
    return sent;
}

/* --- start ------------------------------------------------------------------------------------ */

static status control_start(void)
{
    u8 *memory = allocate(page_heap, PAGE_BYTES);
    _Static_assert(CONTROL_BUFFERS * CONTROL_BYTES + SEND_SLOTS * sizeof(struct control_message) <=
                       PAGE_BYTES,
                   "the control queues' buffers share a page");
    if (!memory)
        return status_error(ENOMEM, "virtio-console: no memory for the control queue", 0);
    for (u32 i = 0; i < CONTROL_BUFFERS; i++) {
        virtqueue_chain_init(&vc.control_buffers[i].chain, NULL, 0);
        vc.control_buffers[i].bytes = memory + i * CONTROL_BYTES;
    }
    vc.send_messages = (void *)(memory + CONTROL_BUFFERS * CONTROL_BYTES);
    vc.send_free = (1u << SEND_SLOTS) - 1;
    status s = virtqueue_start(&vc.control_receive, vc.device, CONTROL_RECEIVE, CONTROL_BUFFERS);
    if (is_ok(s))
        s = virtqueue_start(&vc.control_send, vc.device, CONTROL_SEND, SEND_SLOTS);
    return s;
}

static status ports_start(void)
{
    u32 offered;
    virtio_config(vc.device, CONFIG_PORTS, &offered, sizeof(offered));
    vc.port_count = min(offered, PORTS_MOST);
    for (u32 i = 0; i < vc.port_count; i++) {
        struct port *p = &vc.ports[i];
        u16 queue = queue_of_port(i);
        status s = virtqueue_start(&p->receive, vc.device, queue, STREAM_QUEUE);
        if (is_ok(s))
            s = virtqueue_start(&p->send, vc.device, queue + 1, STREAM_QUEUE);
        if (!is_ok(s))
            return s;
        virtqueue_interrupts_off(&p->send);
    }
    return STATUS_OK;
}

bool virtio_console_expected(void)
{
    return vc.device && !vc.dead;
}

static status device_start(void)
{
    status s = control_start();
    if (is_ok(s))
        s = ports_start();
    if (!is_ok(s))
        return s;
    init_method(&vc.service, console_service);
    init_method(&vc.naming_ended, console_naming_ended);
    vc.device->service = &vc.service;
    virtio_ready(vc.device);
    for (u32 i = 0; i < CONTROL_BUFFERS; i++)
        control_post(&vc.control_buffers[i]);
    virtqueue_notify(&vc.control_receive);
    virtqueue_interrupts_off(&vc.control_send);
    vc.owes_device_ready = true;
    console_set_control(control_line);
    timer_set(&vc.naming, clock_monotonic_ns() + NAMING_NS, &vc.naming_ended);
    return STATUS_OK;
}

status virtio_console_start(struct virtio_device *d)
{
    if (vc.device)
        return status_error(EBUSY, "virtio-console: there is one already", 0);
    status s = virtio_begin(d, VIRTIO_CONSOLE_F_MULTIPORT);
    if (!is_ok(s))
        return s;
    if (!virtio_has(d, VIRTIO_CONSOLE_F_MULTIPORT))
        return status_error(EOPNOTSUPP, "virtio-console: a console without named ports", 0);
    vc.device = d;
    s = device_start();
    if (!is_ok(s)) {
        vc.dead = true;
        return s;
    }
    console_lock();
    device_serve();
    console_unlock();
    return STATUS_OK;
}
