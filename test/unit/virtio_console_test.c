/* The console driver against a device made of software: the ports' protocol, bytes both ways, the
   end of stdin, the control channel, and devices that write what they like into their rings.

   The driver is compiled into this file, on a kernel of a few functions.  A "physical" address is
   an address. */
#include "drivers/console.c"
#include "drivers/virtio.c"
#include "drivers/virtio_console.c"
#include "drivers/virtqueue.c"
#include "kernel/machine.h"
#include "runtime/random.h"
#include "test/host/harness.h"

/* --- the kernel ------------------------------------------------------------------------------- */

static struct counting_heap counting;
heap general_heap = &counting.h;
heap page_heap = &counting.h;
u64 direct_map_base;
static u64 now_ns;
static struct timer *timer_only;

physical physical_of(const void *address)
{
    return physical_at((u64)address);
}

/* Each look takes a while, so that waiting with a limit ends. */
u64 clock_monotonic_ns(void)
{
    return now_ns += 1000;
}

void timer_set(struct timer *t, u64 expires_ns, thunk expired)
{
    t->expires_ns = expires_ns;
    t->expired = expired;
    timer_only = t;
}

void run_later(thunk t)
{
    host_run_later(t);
}

void run_later_status(status_handler done, status s)
{
    host_run_later_status(done, s);
}

void run_bottom_half(thunk t)
{
    host_run_later(t);
}

void log_line(__attribute__((unused)) enum log_level level,
              __attribute__((unused)) const char *format, ...)
{
}

status virtio_blk_start(__attribute__((unused)) struct virtio_device *d,
                        __attribute__((unused)) block_attach attach)
{
    return STATUS_OK;
}

status virtio_net_start(__attribute__((unused)) struct virtio_device *d,
                        __attribute__((unused)) net_attach attach)
{
    return STATUS_OK;
}

/* Nothing is traced, and there is memory for the buffers. */
void trace_port_opened(void)
{
}

void machine_exit(__attribute__((unused)) u8 exit_status)
{
    must(false);
    __builtin_unreachable();
}

/* Where there are no ports, the serial port takes all there is. */
static u64 serial_bytes;

static void serial_output_fake(enum console_stream stream)
{
    const u8 *bytes;
    u32 length;
    while ((length = console_output_next(stream, &bytes, 4096)) > 0) {
        serial_bytes += length;
        console_output_taken(stream, length);
    }
    console_output_taken(stream, 0);
}

static u64 serial_available_fake(bool *ended)
{
    *ended = true;
    return 0;
}

static u64 serial_read_fake(__attribute__((unused)) void *to, __attribute__((unused)) u64 bytes)
{
    return 0;
}

const struct console_carrier *serial_carrier(void)
{
    static const struct console_carrier carrier = {serial_output_fake, serial_available_fake,
                                                   serial_read_fake};
    return &carrier;
}

/* --- the device ------------------------------------------------------------------------------- */

#define FAKE_QUEUES  16
#define FAKE_PORTS   5
#define FAKE_PENDING 64
#define FAKE_BYTES   (1 * MiB)

struct fake_queue {
    struct virtqueue *q;
    u16 seen;
    u32 first, count; /* of pending, a ring */
    struct virtio_descriptor pending[FAKE_PENDING];
    u16 heads[FAKE_PENDING];
};

struct fake {
    struct virtio_device device;
    u64 offered;
    u8 status;
    u16 selected;
    bool nameless; /* its ports are not ours */
    u32 hostility; /* mutates a ring at one answer in that many; 0: never */
    struct random chance;
    struct fake_queue queues[FAKE_QUEUES];
    u64 received[FAKE_PORTS]; /* bytes from the driver */
    u8 *input, *output;       /* FAKE_BYTES each: for stdin, and what came on stdout */
    u64 input_bytes, input_given;
    bool closed;
    char line[LINE_BYTES];
};

static struct fake *fake_of(struct virtio_device *d)
{
    return container_of(d, struct fake, device);
}

static u64 fake_features(struct virtio_device *d)
{
    return fake_of(d)->offered;
}

static void fake_accept(__attribute__((unused)) struct virtio_device *d,
                        __attribute__((unused)) u64 features)
{
}

static u8 fake_status_read(struct virtio_device *d)
{
    return fake_of(d)->status;
}

static void fake_status_write(struct virtio_device *d, u8 value)
{
    fake_of(d)->status = value;
    if (value == 0)
        memset(fake_of(d)->queues, 0, sizeof(fake_of(d)->queues));
}

static u16 fake_queue_most(__attribute__((unused)) struct virtio_device *d, u16 index)
{
    return index < FAKE_QUEUES ? 64 : 0;
}

static status fake_queue_start(struct virtio_device *d, struct virtqueue *q)
{
    fake_of(d)->queues[q->index].q = q;
    return STATUS_OK;
}

static void fake_notify(struct virtqueue *q)
{
    struct fake *f = fake_of(q->device);
    struct fake_queue *fq = &f->queues[q->index];
    while (fq->seen != q->available->index) {
        u16 head = q->available->ring[fq->seen++ & (q->size - 1)];
        u32 place = (fq->first + fq->count++) % FAKE_PENDING;
        must(head < q->size);
        /* A driver that was told lies gives what the device still has. */
        must(fq->count <= q->size || f->hostility);
        if (fq->count > FAKE_PENDING)
            fq->count = FAKE_PENDING;
        fq->heads[place] = head;
        fq->pending[place] = q->descriptors[head];
    }
    *(u16 *)&q->used->ring[q->size] = fq->seen;
}

static void fake_config_read(__attribute__((unused)) struct virtio_device *d,
                             __attribute__((unused)) u32 offset, void *to, u32 bytes)
{
    u32 ports = FAKE_PORTS;
    memcpy(to, &ports, bytes);
}

static u32 fake_config_generation(__attribute__((unused)) struct virtio_device *d)
{
    return 0;
}

static const struct virtio_transport fake_transport = {
    .features = fake_features,
    .accept = fake_accept,
    .status_read = fake_status_read,
    .status_write = fake_status_write,
    .queue_most = fake_queue_most,
    .queue_start = fake_queue_start,
    .notify = fake_notify,
    .config_read = fake_config_read,
    .config_generation = fake_config_generation,
};

static void ring_mutate(struct fake *f, struct virtqueue *q)
{
    u64 slot = random_below(&f->chance, q->size);
    switch (random_below(&f->chance, 4)) {
    case 0:
        q->used->ring[slot].id = (u32)random_below(&f->chance, 2ull * q->size);
        break;
    case 1:
        q->used->ring[slot].bytes = (u32)random_next(&f->chance);
        break;
    case 2:
        q->used->index += (u16)random_below(&f->chance, 3);
        break;
    default:
        random_fill(&f->chance, q->used, 4 + q->size * sizeof(struct virtio_used_element));
    }
}

/* Gives the oldest buffer of a queue back. */
static void fake_answer(struct fake *f, struct fake_queue *fq, u32 written)
{
    struct virtqueue *q = fq->q;
    q->used->ring[q->used->index & (q->size - 1)] =
        (struct virtio_used_element){fq->heads[fq->first], written};
    q->used->index++;
    fq->first = (fq->first + 1) % FAKE_PENDING;
    fq->count--;
    if (f->hostility && random_below(&f->chance, f->hostility) == 0)
        ring_mutate(f, q);
}

static void fake_event(struct fake *f, u32 port, enum control_event event, u16 value,
                       const char *name)
{
    struct fake_queue *fq = &f->queues[CONTROL_RECEIVE];
    u8 bytes[CONTROL_BYTES];
    struct control_message m = {port, (u16)event, value};
    if (!fq->q)
        return;
    if (fq->count == 0) {
        must(f->hostility); /* an honest device lost an event for want of a buffer */
        return;
    }
    memcpy(bytes, &m, sizeof(m));
    memcpy(bytes + sizeof(m), name, strlen(name));
    if (f->hostility && random_below(&f->chance, f->hostility) == 0)
        random_fill(&f->chance, bytes, 1 + random_below(&f->chance, sizeof(bytes)));
    u32 length = (u32)(sizeof(m) + strlen(name));
    memcpy((void *)fq->pending[fq->first].address, bytes, length);
    fake_answer(f, fq, length);
}

static void fake_control(struct fake *f, const struct control_message *m)
{
    static const char *const names[FAKE_PORTS] = {"", "thunk.stdin", "thunk.stdout", "thunk.stderr",
                                                  "thunk.control"};
    if (m->event == DEVICE_READY)
        for (u32 port = 1; port < FAKE_PORTS; port++)
            fake_event(f, port, PORT_ADD, 1, "");
    if (m->event != PORT_READY)
        return;
    must(m->port < FAKE_PORTS);
    fake_event(f, m->port, PORT_NAME, 1, f->nameless ? "org.other" : names[m->port]);
    fake_event(f, m->port, PORT_OPEN, 1, "");
}

/* The driver wrote: the oldest buffer of a queue that sends. */
static void fake_take(struct fake *f, u32 index)
{
    struct fake_queue *fq = &f->queues[index];
    struct virtio_descriptor d = fq->pending[fq->first];
    const u8 *bytes = (const u8 *)d.address;
    u32 port = index / 2 - 1;
    if (index == CONTROL_SEND) {
        struct control_message m;
        must(d.bytes == sizeof(m));
        memcpy(&m, bytes, sizeof(m));
        fake_answer(f, fq, 0);
        fake_control(f, &m);
        return;
    }
    if (port == 2 && f->received[port] + d.bytes <= FAKE_BYTES)
        memcpy(f->output + f->received[port], bytes, d.bytes);
    if (port == 4)
        memcpy(f->line, bytes, min((u64)d.bytes, sizeof(f->line) - 1));
    f->received[port] += d.bytes;
    fake_answer(f, fq, 0);
}

/* Puts some of the input where the driver wants it; closes the port behind the last byte. */
static bool fake_give(struct fake *f)
{
    struct fake_queue *fq = &f->queues[queue_of_port(1)];
    if (!fq->q || fq->count == 0)
        return false;
    if (f->input_given < f->input_bytes) {
        u64 room = 1 + random_below(&f->chance, fq->pending[fq->first].bytes);
        u64 part = min(room, f->input_bytes - f->input_given);
        memcpy((void *)fq->pending[fq->first].address, f->input + f->input_given, part);
        f->input_given += part;
        fake_answer(f, fq, (u32)part);
        return true;
    }
    if (!f->closed) {
        f->closed = true;
        fake_event(f, 1, PORT_OPEN, 0, "");
        return true;
    }
    return false;
}

/* Does one thing, and says whether there was one. */
static bool fake_step(struct fake *f)
{
    bool worked = random_below(&f->chance, 2) && fake_give(f);
    for (u32 index = CONTROL_SEND; index < FAKE_QUEUES && !worked; index += 2) {
        if (!f->queues[index].q || f->queues[index].count == 0)
            continue;
        fake_take(f, index);
        worked = true;
    }
    worked = worked || fake_give(f);
    if (worked)
        virtio_interrupt(&f->device);
    return worked;
}

static void fake_init(struct fake *f, u64 seed)
{
    u8 *input = f->input, *output = f->output;
    memset(f, 0, sizeof(*f));
    f->input = input ? input : allocate(host_heap, FAKE_BYTES);
    f->output = output ? output : allocate(host_heap, FAKE_BYTES);
    random_init(&f->chance, seed);
    random_fill(&f->chance, f->input, FAKE_BYTES);
    f->device.transport = &fake_transport;
    f->device.id = VIRTIO_ID_CONSOLE;
    f->device.ring_alignment = 4;
    f->offered = VIRTIO_F_VERSION_1 | VIRTIO_CONSOLE_F_MULTIPORT;
    if (random_below(&f->chance, 2))
        f->offered |= VIRTIO_F_EVENT_IDX;
    if (random_below(&f->chance, 2))
        f->offered |= VIRTIO_F_INDIRECT_DESC;
    console_init();
}

static void fake_start(struct fake *f)
{
    static const struct device_users users;
    virtio_attach(&f->device, "fake", &users);
}

/* The console is one for the life of a kernel; here it begins anew. */
static void fake_end(void)
{
    host_run();
    virtqueue_free(&vc.control_receive);
    virtqueue_free(&vc.control_send);
    for (u32 i = 0; i < vc.port_count; i++) {
        virtqueue_free(&vc.ports[i].receive);
        virtqueue_free(&vc.ports[i].send);
    }
    deallocate(page_heap, vc.receive_memory, RECEIVE_BUFFERS * RECEIVE_BYTES);
    deallocate(page_heap, vc.control_buffers[0].bytes, PAGE_BYTES);
    for (u32 stream = CONSOLE_STDOUT; stream < CONSOLE_STREAMS; stream++)
        deallocate(page_heap, console.outputs[stream].bytes, OUTPUT_BYTES);
    memset(&vc, 0, sizeof(vc));
    memset(&console, 0, sizeof(console));
    console.lock = SPINLOCK(RANK_DEVICE, "console");
}

/* --- a program that copies its input to its output -------------------------------------------- */

struct program {
    struct status_handler readable, writable, drained;
    u8 buffer[3000];
    u64 have, given; /* bytes of the buffer */
    u64 total;
    bool done;
};

closure_method(status_handler, program_drained, struct program, drained,
               __attribute__((unused)) status s)
{
    owner()->done = true;
}

static void program_go(struct program *p);

closure_method(status_handler, program_readable, struct program, readable,
               __attribute__((unused)) status s)
{
    program_go(owner());
}

closure_method(status_handler, program_writable, struct program, writable,
               __attribute__((unused)) status s)
{
    program_go(owner());
}

static bool program_write(struct program *p)
{
    while (p->given < p->have) {
        u64 taken = console_write(CONSOLE_STDOUT, p->buffer + p->given, p->have - p->given);
        p->given += taken;
        if (taken == 0) {
            init_method(&p->writable, program_writable);
            console_wait_writable(CONSOLE_STDOUT, &p->writable);
            return false;
        }
    }
    return true;
}

static void program_go(struct program *p)
{
    bool ended = false;
    while (program_write(p)) {
        if (console_available(&ended) > 0) {
            p->have = console_read(p->buffer, sizeof(p->buffer));
            p->given = 0;
            p->total += p->have;
        } else if (ended) {
            init_method(&p->drained, program_drained);
            console_drain(&p->drained);
            return;
        } else {
            init_method(&p->readable, program_readable);
            console_wait_readable(&p->readable);
            return;
        }
    }
}

/* Until neither has anything to do. */
static void both_run(struct fake *f)
{
    do
        host_run();
    while (fake_step(f));
    host_run();
}

static void program_run(struct fake *f, struct program *p)
{
    memset(p, 0, sizeof(*p));
    program_go(p);
    both_run(f);
}

/* --- tests ------------------------------------------------------------------------------------ */

static struct fake f;
static struct program p;

static void test_copies(u64 seed)
{
    for (u32 run = 0; run < 40; run++) {
        fake_init(&f, seed + run);
        f.input_bytes = run == 0 ? 0 : random_below(&f.chance, run < 20 ? 10000 : FAKE_BYTES);
        fake_start(&f);
        program_run(&f, &p);
        must(p.done && p.total == f.input_bytes);
        must(f.received[2] == f.input_bytes && f.received[3] == 0);
        must(memcmp(f.input, f.output, f.input_bytes) == 0);
        fake_end();
    }
    ok(true, "stdin comes out of stdout, byte for byte, up to its end");
}

static void test_backpressure(void)
{
    static u8 bytes[100000];
    fake_init(&f, 1);
    f.input_bytes = FAKE_BYTES; /* so that it stays open */
    is(console_write(CONSOLE_STDOUT, bytes, sizeof(bytes)), OUTPUT_BYTES,
       "what is written before there is a device waits in the buffer");
    is(console_write(CONSOLE_STDOUT, bytes, 1), 0, "until that is full");
    fake_start(&f);
    struct host_result writable, drained;
    console_wait_writable(CONSOLE_STDOUT, host_result_init(&writable));
    console_drain(host_result_init(&drained));
    host_run();
    is(writable.applied + drained.applied, 0, "a writer waits for a device that takes nothing");
    while (fake_step(&f))
        host_run();
    ok(writable.applied == 1 && drained.applied == 1, "and goes on when it does");
    is(f.received[2], OUTPUT_BYTES, "which then has all of it");
    fake_end();
}

/* The control channel works by polling: the device here takes the line when it is notified. */
static void eager_notify(struct virtqueue *q)
{
    fake_notify(q);
    for (u32 index = CONTROL_SEND; index < FAKE_QUEUES; index += 2)
        while (f.queues[index].q && f.queues[index].count > 0)
            fake_take(&f, index);
}

static void test_control(void)
{
    struct virtio_transport eager = fake_transport;
    eager.notify = eager_notify;
    ok(!console_control("exit 0"), "without a device there is no control channel");
    fake_init(&f, 2);
    f.device.transport = &eager;
    fake_start(&f);
    ok(console_is_carried(CONSOLE_STDOUT), "a quick device is ready when the start returns");
    ok(console_control("exit 139"), "a line is sent");
    is_string(f.line, "exit 139\n", "and arrives");
    fake_end();
    fake_init(&f, 3);
    fake_start(&f);
    ok(!console_control("exit 1"), "a device that does not answer is not waited for for ever");
    fake_end();
}

static void test_serial_instead(void)
{
    fake_init(&f, 4);
    f.nameless = true;
    fake_start(&f);
    is(console_write(CONSOLE_STDERR, "text", 4), 4, "a byte may be written before ports are named");
    while (fake_step(&f))
        host_run();
    serial_bytes = 0;
    apply(timer_only->expired);
    is(serial_bytes, 4, "what no port carries goes over the serial port");
    fake_end();
}

static void test_hostile(u64 seed)
{
    u32 dead = 0;
    for (u32 run = 0; run < 250; run++) {
        fake_init(&f, seed + run);
        f.hostility = 3 + run % 60;
        f.input_bytes = 200000;
        fake_start(&f);
        program_run(&f, &p);
        /* Whoever waits for a name that never comes gets the serial port. */
        apply(timer_only->expired);
        both_run(&f);
        dead += vc.dead;
        must(!vc.dead || p.done);
        /* Those of a device that lives but lost our bytes may still wait. */
        if (!p.done && vc.device && !vc.dead) {
            console_lock();
            device_give_up(status_error(EIO, "the test ends it", 0));
            console_unlock();
            host_run();
        }
        must(p.done);
        fake_end();
    }
    ok(dead > 0, "250 hostile devices: the program came to its end (%u were given up)", dead);
}

int main(void)
{
    u64 seed = test_seed();
    counting_heap_init(&counting, "pages");
    test_copies(seed);
    test_backpressure();
    test_control();
    test_serial_instead();
    test_hostile(seed);
    counting_heap_close(&counting);
    deallocate(host_heap, f.input, FAKE_BYTES);
    deallocate(host_heap, f.output, FAKE_BYTES);
    return done_testing();
}
