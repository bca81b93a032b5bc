/* A virtio-net device that a test plays, the network above the driver, and the kernel below it. The
   driver's own sources are in the same translation unit, so a test sees its state.

   Included once, by test/unit/virtio_net_test.c, behind the driver's sources. */
#pragma once

#include "test/host/virtio_kernel.h"
#include "test/host/virtio_side.h"

/* --- the kernel ------------------------------------------------------------------------------- */

static u64 memory_bytes = 256 * MiB;
static u32 cpu_count = 1;

struct memory_statistics memory_statistics(void)
{
    return (struct memory_statistics){memory_bytes, memory_bytes};
}

u32 cpus_online(void)
{
    return cpu_count;
}

void random_bytes(void *to, u64 bytes)
{
    memset(to, 0xff, bytes);
}

void census_register(__attribute__((unused)) const char *name,
                     __attribute__((unused)) census_writer writer)
{
}

/* The census is only compiled here. */
void census_line(__attribute__((unused)) const char *format, ...)
{
}

const char *census_age(char text[CENSUS_AGE_BYTES], __attribute__((unused)) u64 ns)
{
    return text;
}

status virtio_blk_start(__attribute__((unused)) struct virtio_device *d,
                        __attribute__((unused)) block_attach attach)
{
    return STATUS_OK;
}

status virtio_console_start(__attribute__((unused)) struct virtio_device *d)
{
    return STATUS_OK;
}

/* --- the device ------------------------------------------------------------------------------- */

#define FAKE_QUEUES 9 /* four pairs and the control queue */
#define OUT_MOST    4096

/* What came out of the device, in order. */
struct fake_out {
    struct vnet_header header;
    u32 bytes;
    u64 sum;
};

struct fake {
    struct side_device d;
    struct vnet_config config;
    bool silent;         /* sends nothing, answers nothing */
    u8 control_answer;   /* to commands */
    u16 pairs_commanded; /* by the driver */
    u32 hostility;       /* mutates a ring at one answer in that many; 0: never */
    struct random chance;
    u32 interrupts;
    u64 out_count, out_sum;
    u64 headed_count;              /* frames whose first piece has the header in front of it */
    struct fake_out out[OUT_MOST]; /* of the last ones */

    /* The network. */
    struct net_device *net;
    struct net_receive receive;
    struct net_link_change link_changed;
    struct thunk room;
    u32 rooms, links;
    u64 in_count, in_bytes, in_sum;
    struct net_frame_in last_in;
    struct net_buffer *held; /* by their `room`: they are kept */
    u32 held_count;
    bool holds; /* keeps what it is given */
};

static void fake_publish(struct fake *f, struct side *s, u16 count)
{
    bool wanted = side_publish(s, count);
    if (f->hostility && random_below(&f->chance, f->hostility) == 0)
        ring_mutate(&f->chance, s);
    if (wanted) {
        f->interrupts++;
        virtio_interrupt(&f->d.device);
    }
}

/* --- frames out of the device ----------------------------------------------------------------- */

static u64 bytes_sum(u64 sum, const u8 *bytes, u64 count)
{
    for (u64 i = 0; i < count; i++)
        sum = (sum ^ bytes[i]) * 0x100000001b3ull;
    return sum;
}

static u32 fake_header_bytes(const struct fake *f)
{
    bool whole = !f->d.device.legacy || f->d.offered & VNET_F_MRG_RXBUF;
    return whole ? 12 : 10;
}

static bool fake_takes_any_layout(const struct fake *f)
{
    return !f->d.device.legacy || f->d.offered & VNET_F_ANY_LAYOUT;
}

static void fake_out_record(struct fake *f, const struct side_chain *c)
{
    struct fake_out *o = &f->out[f->out_count % OUT_MOST];
    u32 skip = fake_header_bytes(f);
    bool apart = c->descriptors[0].bytes == skip;
    must(apart ? c->count >= 2 : c->descriptors[0].bytes > skip && fake_takes_any_layout(f));
    f->headed_count += !apart;
    *o = (struct fake_out){.sum = 0};
    memcpy(&o->header, (const void *)c->descriptors[0].address, skip);
    for (u32 i = 0; i < c->count; i++) {
        const struct virtio_descriptor *d = &c->descriptors[i];
        must(!(d->flags & DESCRIPTOR_WRITE));
        o->sum = bytes_sum(o->sum, (const u8 *)d->address + skip, d->bytes - skip);
        o->bytes += d->bytes - skip;
        skip = 0;
    }
    f->out_count++;
    f->out_sum += o->sum;
}

/* Sends up to `most` frames of a pair, in any order.  How many there were. */
static u32 fake_send(struct fake *f, u32 pair, u32 most)
{
    struct side *s = &f->d.sides[2 * pair + 1];
    u32 count = 0;
    for (; count < most && s->pending_count > 0; count++) {
        const struct side_chain *c = side_take(s, (u32)random_below(&f->chance, s->pending_count));
        fake_out_record(f, c);
        side_answer_ahead(s, (u16)count, c->head, 0);
    }
    if (count > 0)
        fake_publish(f, s, (u16)count);
    return count;
}

static void fake_control(struct fake *f)
{
    struct side *s = &f->d.sides[2 * f->config.pairs_most];
    if (s->pending_count == 0)
        return;
    const struct side_chain *c = side_take(s, 0);
    const u8 *command = (const u8 *)c->descriptors[0].address;
    must(c->count == 3 && c->descriptors[0].bytes == 2 && c->descriptors[1].bytes == 2);
    must(command[0] == 4 && command[1] == 0); /* MQ, VQ_PAIRS_SET */
    memcpy(&f->pairs_commanded, (const void *)c->descriptors[1].address, 2);
    *(u8 *)c->descriptors[2].address = f->control_answer;
    side_answer_ahead(s, 0, c->head, 1);
    fake_publish(f, s, 1);
}

/* Lets driver and device work until neither has anything to do. */
static void fake_work(struct fake *f)
{
    for (u32 sent = 1; sent > 0;) {
        host_run();
        sent = 0;
        if (f->silent)
            return;
        if (f->config.pairs_most > 1)
            fake_control(f);
        for (u32 pair = 0; pair < VNET_PAIRS_MOST; pair++)
            sent += fake_send(f, pair, 1 + (u32)random_below(&f->chance, 20));
    }
    host_run();
}

/* --- frames into the device ------------------------------------------------------------------- */

/* Writes over one buffer's descriptors from `offset` on; how many bytes went in. */
static u32 buffer_write(const struct side_chain *c, u32 offset, const u8 *from, u32 bytes)
{
    u32 written = 0, at = 0;
    for (u32 i = 0; i < c->count; i++) {
        const struct virtio_descriptor *d = &c->descriptors[i];
        must(d->flags & DESCRIPTOR_WRITE);
        u32 skip = offset > at ? min(offset - at, d->bytes) : 0;
        u32 take = min(d->bytes - skip, bytes - written);
        memcpy((u8 *)d->address + skip, from + written, take);
        written += take;
        at += d->bytes;
    }
    return written;
}

/* Fills buffers with a header and a frame, `ahead` of what the driver sees.  How many; 0: there is
   no room for it. */
static u32 fake_fill(struct fake *f, u32 pair, u16 ahead, struct vnet_header h, const u8 *frame,
                     u32 bytes)
{
    struct side *s = &f->d.sides[2 * pair];
    u32 header = fake_header_bytes(f), done = 0, count = 0;
    const struct side_chain *first = NULL;
    while (done < bytes || count == 0) {
        if (s->pending_count == 0)
            return 0; /* the test made too large a frame, or the ring is empty */
        const struct side_chain *c = side_take(s, 0);
        u32 offset = count == 0 ? header : 0;
        u32 written = buffer_write(c, offset, frame + done, bytes - done);
        side_answer_ahead(s, (u16)(ahead + count), c->head, written + offset);
        done += written;
        if (count++ == 0)
            first = c;
    }
    if (h.buffer_count == 0)
        h.buffer_count = (u16)count;
    else if (h.buffer_count == UINT16_MAX)
        h.buffer_count = 0;
    buffer_write(first, 0, (const u8 *)&h, header);
    return count;
}

/* A frame arrives; false: there was no room for it. */
static bool fake_arrive(struct fake *f, u32 pair, struct vnet_header h, const u8 *frame, u32 bytes)
{
    u32 count = fake_fill(f, pair, 0, h, frame, bytes);
    if (count > 0)
        fake_publish(f, &f->d.sides[2 * pair], (u16)count);
    return count > 0;
}

/* --- the network ------------------------------------------------------------------------------ */

static void buffers_release(struct net_buffer *b)
{
    while (b) {
        struct net_buffer *next = b->next;
        memset(b->room, 0xee, sizeof(b->room));
        apply(b->release, b);
        b = next;
    }
}

static void held_release(struct fake *f)
{
    struct net_buffer *b = f->held;
    f->held = NULL;
    f->held_count = 0;
    buffers_release(b);
}

closure_method(net_receive, fake_receive, struct fake, receive, const struct net_frame_in *in)
{
    struct fake *f = owner();
    u64 sum = 0;
    u32 bytes = 0;
    struct net_buffer *last = NULL;
    for (struct net_buffer *b = in->buffers; b; b = b->next) {
        sum = bytes_sum(sum, b->data, b->bytes);
        bytes += b->bytes;
        last = b;
    }
    must(bytes == in->bytes && bytes >= NET_ETHERNET_BYTES && bytes <= NET_FRAME_BYTES);
    must(in->buffers->bytes >= NET_ETHERNET_BYTES);
    f->in_count++;
    f->in_bytes += bytes;
    f->in_sum += sum;
    f->last_in = *in;
    f->last_in.buffers = NULL;
    if (!f->holds) {
        buffers_release(in->buffers);
        return;
    }
    last->next = f->held;
    f->held = in->buffers;
    f->held_count++;
}

closure_method(net_link_change, fake_link_changed, struct fake, link_changed, bool up)
{
    must(owner()->net->link_up == up);
    owner()->links++;
}

closure_method(thunk, fake_room, struct fake, room)
{
    owner()->rooms++;
}

closure_function(net_attach, fake_attached, (struct fake * f), struct net_device *d)
{
    struct fake *f = bound(f);
    f->net = d;
    d->receive = &f->receive;
    d->link_changed = &f->link_changed;
    d->room = &f->room;
}

/* A frame of the test's own on its way out, in pieces that were allocated alone. */
struct test_frame {
    struct net_frame_out out;
    u32 applied;
    u64 sum;
};

closure_method(thunk, test_frame_sent, struct test_frame, out.sent)
{
    struct test_frame *t = owner();
    t->applied++;
    for (u32 i = 0; i < t->out.count; i++) {
        u32 room = i ? 0 : t->out.headroom;
        deallocate(host_heap, (u8 *)(u64)t->out.pieces[i].data - room,
                   t->out.pieces[i].bytes + room);
    }
}

static void test_frame_make(struct test_frame *t, struct random *chance, u32 pieces, u32 bytes)
{
    memset(t, 0, sizeof(*t));
    t->out.count = pieces;
    t->out.bytes = bytes;
    t->out.headroom = (u32)random_below(chance, 3) * 8; /* 8 is too little */
    for (u32 i = 0; i < pieces; i++) {
        u32 left = pieces - 1 - i;
        u32 length = left ? 1 + (u32)random_below(chance, bytes - left) : bytes;
        u32 room = i ? 0 : t->out.headroom;
        u8 *data = (u8 *)allocate(host_heap, length + room) + room;
        random_fill(chance, data, length);
        t->sum = bytes_sum(t->sum, data, length);
        t->out.pieces[i] = (struct net_piece){data, length};
        bytes -= length;
    }
    init_method(&t->out.sent, test_frame_sent);
}

/* --- starting and ending ---------------------------------------------------------------------- */

/* The usual device; what differs is set before fake_start. */
static void fake_init(struct fake *f, u64 seed)
{
    static const u8 address[] = {0x52, 0x54, 0, 1, 2, 3};
    memset(f, 0, sizeof(*f));
    random_init(&f->chance, seed);
    side_device_init(&f->d, VIRTIO_ID_NET, FAKE_QUEUES);
    f->d.config = &f->config;
    f->d.config_bytes = sizeof(f->config);
    f->d.offered = VIRTIO_F_VERSION_1 | VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX | VNET_F_CSUM |
                   VNET_F_GUEST_CSUM | VNET_F_MTU | VNET_F_MAC | VNET_F_GUEST_TSO4 |
                   VNET_F_GUEST_TSO6 | VNET_F_HOST_TSO4 | VNET_F_HOST_TSO6 | VNET_F_MRG_RXBUF |
                   VNET_F_STATUS | VNET_F_CTRL_VQ | VNET_F_MQ;
    f->config = (struct vnet_config){.status = CONFIG_LINK_UP, .pairs_most = 1, .mtu = 1400};
    memcpy(f->config.hardware_address, address, sizeof(address));
    init_method(&f->receive, fake_receive);
    init_method(&f->link_changed, fake_link_changed);
    init_method(&f->room, fake_room);
}

static bool fake_start(struct fake *f)
{
    struct device_users users = {.net = stack_closure(fake_attached, f)};
    virtio_attach(&f->d.device, "fake", &users);
    return f->net != NULL;
}

static struct vnet *driver_of(struct fake *f)
{
    return container_of(f->net, struct vnet, device);
}

/* Drivers live for ever, but this program's heaps are to be empty at its end. */
static void fake_end(struct fake *f)
{
    struct vnet *n = driver_of(f);
    held_release(f);
    fake_work(f);
    apply(f->net->flush);
    host_run();
    for (u32 i = 0; i < n->pair_count; i++)
        must(n->pairs[i].transmit.flying == 0 || f->silent);
    timer_cancel(&n->timer);
    must(n->pool.lent == 0);
    vnet_free(n);
}
