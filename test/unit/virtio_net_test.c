/* The network driver against a device made of software: an honest one in all its shapes, one that
   stops, and hostile ones that write what they like into rings and headers.

   The driver is compiled into this file, on the few functions of test/host/virtio_kernel.h. */
#include "drivers/virtio.c"
#include "drivers/virtio_net.c"
#include "drivers/virtio_net_census.c"
#include "drivers/virtio_net_control.c"
#include "drivers/virtio_net_receive.c"
#include "drivers/virtio_net_start.c"
#include "drivers/virtio_net_transmit.c"
#include "drivers/virtqueue.c"
#include "test/unit/virtio_net_fake.h"

#define FRAMES 400

static u8 bytes_random[NET_FRAME_BYTES + 4096];
static const struct vnet_header plain;

/* --- start ------------------------------------------------------------------------------------ */

static void test_start(void)
{
    static struct fake f;
    fake_init(&f, 1);
    must(fake_start(&f));
    is_string(f.net->name, "virtio-net fake", "the device has a name");
    is(f.net->mtu, 1400, "its MTU is the device's");
    is(f.net->hardware_address[5], 3, "and so is its address");
    is(f.net->offloads,
       NET_CHECKSUM_OUT | NET_CHECKSUM_IN | NET_SEGMENT_V4 | NET_SEGMENT_V6 | NET_LARGE_IN,
       "it offers what the device does");
    ok(f.net->link_up, "its link is up");
    fake_end(&f);
    fake_init(&f, 1);
    f.d.offered &= ~(VNET_F_CSUM | VNET_F_MAC | VNET_F_MTU | VNET_F_MRG_RXBUF | VNET_F_STATUS);
    f.config.status = 0;
    must(fake_start(&f));
    is(f.net->offloads, NET_CHECKSUM_IN,
       "segments without checksums, and large frames without buffers that join, are not used");
    is(f.net->mtu, 1500, "no MTU said: 1500");
    is(f.net->hardware_address[0], 0xfe, "no address said: one of local administration");
    ok(f.net->link_up, "no status: the link counts as up");
    fake_end(&f);
    fake_init(&f, 1);
    f.config.mtu = 20;
    f.config.hardware_address[0] = 1;
    f.config.status = 0;
    must(fake_start(&f));
    is(f.net->mtu, 1500, "an MTU that cannot be is not believed");
    is(f.net->hardware_address[0], 0xfe, "nor is an address of a group");
    ok(!f.net->link_up, "the link may be down from the beginning");
    fake_end(&f);
}

static bool starts(struct fake *f)
{
    bool started = fake_start(f);
    if (started)
        fake_end(f);
    return started;
}

static void spoil_ring(struct side_device *s)
{
    s->offered &= ~VIRTIO_F_INDIRECT_DESC;
    s->queue_most = 16;
}

static bool starts_spoilt(side_spoil *spoil)
{
    static struct fake f;
    fake_init(&f, 2);
    spoil(&f.d);
    return starts(&f);
}

static void test_refused(void)
{
    test_spoilt(starts_spoilt);
    ok(!starts_spoilt(spoil_ring), "and one whose ring has no room for a frame");
    is(general.live + pages.live, 0, "and all memory is given back");
}

static void test_start_memory(void)
{
    static struct fake f;
    u32 refused = 0, runs = 0;
    for (struct counting_heap *c = &general; c; c = c == &general ? &pages : NULL) {
        for (u64 fail = 1, failed = c->failed;; fail++, runs++) {
            fake_init(&f, 3);
            cpu_count = f.config.pairs_most = 2;
            c->fail_at = c->calls + fail;
            refused += !starts(&f);
            c->fail_at = 0;
            must(general.live + pages.live == 0);
            if (c->failed == failed)
                break;
            failed = c->failed;
        }
    }
    cpu_count = 1;
    ok(refused > 5 && refused < runs, "each allocation of the start may fail: %u of %u end it",
       refused, runs);
}

/* --- an honest device in all its shapes ------------------------------------------------------- */

/* Sends random frames; as they come out in any order, their sums are summed. */
static void round_out(struct fake *f)
{
    static struct test_frame frames[64];
    u32 count = 1 + (u32)random_below(&f->chance, countof(frames)), taken = 0;
    u64 sum = 0, out_before = f->out_count, sum_before = f->out_sum;
    for (u32 i = 0; i < count; i++) {
        struct test_frame *t = &frames[i];
        u32 pieces = 1 + (u32)random_below(&f->chance, random_below(&f->chance, 2) ? 2 : 20);
        test_frame_make(t, &f->chance, pieces, 60 + (u32)random_below(&f->chance, 9000));
        if (!apply(f->net->transmit, &t->out)) {
            apply(&t->out.sent);
            continue;
        }
        sum += t->sum;
        taken++;
    }
    for (u32 i = 0; i < count; i++)
        must(frames[i].applied <= 1);
    apply(f->net->flush);
    fake_work(f);
    apply(f->net->flush);
    host_run();
    for (u32 i = 0; i < count; i++)
        must(frames[i].applied == 1);
    must(taken > 0 && f->out_count - out_before == taken && f->out_sum - sum_before == sum);
}

static u32 frame_bytes_random(struct fake *f)
{
    bool large = f->d.offered & VNET_F_MRG_RXBUF && random_below(&f->chance, 4) == 0;
    u32 most = large ? 20000 : random_below(&f->chance, 2) ? 1514 : 300;
    return NET_ETHERNET_BYTES + (u32)random_below(&f->chance, most - NET_ETHERNET_BYTES);
}

/* Lets random frames arrive, several before an interrupt is looked at. */
static void round_in(struct fake *f)
{
    u64 sum = f->in_sum, count = f->in_count;
    for (u32 i = 0; i < 100; i++) {
        u32 bytes = frame_bytes_random(f);
        u32 pair = (u32)random_below(&f->chance, driver_of(f)->pairs_active);
        random_fill(&f->chance, bytes_random, bytes);
        if (f->d.sides[2 * pair].pending_count * 1700 < bytes)
            fake_work(f);
        must(fake_arrive(f, pair, plain, bytes_random, bytes));
        sum += bytes_sum(0, bytes_random, bytes);
        count++;
        if (random_below(&f->chance, 5) == 0)
            fake_work(f);
        f->holds = random_below(&f->chance, 3) > 0;
        if (random_below(&f->chance, 30) == 0)
            held_release(f);
    }
    fake_work(f);
    must(f->in_count == count && f->in_sum == sum);
    held_release(f);
}

static void shape_choose(struct fake *f, u32 shape)
{
    if (shape & 1)
        f->d.offered &= ~VIRTIO_F_INDIRECT_DESC;
    if (shape & 2)
        f->d.offered &= ~VIRTIO_F_EVENT_IDX;
    if (shape & 4)
        f->d.offered &= ~VNET_F_MRG_RXBUF;
    if (shape & 8) {
        f->d.device.legacy = true;
        f->d.offered &= ~VIRTIO_F_VERSION_1;
        f->d.offered |= random_below(&f->chance, 2) ? VNET_F_ANY_LAYOUT : 0;
    }
    if (shape & 16)
        f->d.queue_most = (u16)(32u << random_below(&f->chance, 2));
    if (shape & 32)
        cpu_count = f->config.pairs_most = 2 + (u16)random_below(&f->chance, 3);
    memory_bytes = random_below(&f->chance, 2) ? 256 * MiB : 16 * MiB;
}

static void test_shapes(u64 seed)
{
    static struct fake f;
    u64 headed = 0;
    for (u32 shape = 0; shape < 64; shape++) {
        fake_init(&f, seed + shape);
        shape_choose(&f, shape);
        must(fake_start(&f));
        fake_work(&f);
        must(driver_of(&f)->pairs_active == f.config.pairs_most);
        for (u32 round = 0; round < 4; round++) {
            round_out(&f);
            round_in(&f);
        }
        must(f.net->statistics.malformed == 0 && f.net->statistics.dropped_in == 0);
        must(f.net->statistics.resets == 0);
        headed += f.headed_count;
        fake_end(&f);
        cpu_count = 1;
        memory_bytes = 256 * MiB;
    }
    ok(true, "64 shapes of device send and receive what they should");
    ok(headed > 0, "of frames with room in front, virtio's header lies there (%llu)",
       (unsigned long long)headed);
}

/* More frames than an index of 16 bits can count, each with the interrupts that were asked for and
   no others. */
static void test_index_wrap(void)
{
    static struct fake f;
    static struct test_frame t;
    fake_init(&f, 4);
    must(fake_start(&f));
    random_fill(&f.chance, bytes_random, 80);
    for (u32 i = 0; i < 70000; i++) {
        if (!fake_arrive(&f, 0, plain, bytes_random, 80))
            must(false);
        if (i % 3 == 0)
            host_run();
        if (i % 2)
            continue;
        test_frame_make(&t, &f.chance, 1, 60);
        must(apply(f.net->transmit, &t.out));
        apply(f.net->flush);
        fake_send(&f, 0, 10);
        apply(f.net->flush);
        must(t.applied == 1);
    }
    host_run();
    is(f.in_count, 70000, "the rings' indexes may wrap: everything arrived");
    is(f.out_count, 35000, "and everything was sent");
    ok(f.interrupts <= 70000 / 3 + 10, "with an interrupt for what was waited for (%u)",
       f.interrupts);
    is(f.net->statistics.resets, 0, "and no reset");
    fake_end(&f);
}

static void test_large(void)
{
    static struct fake f;
    struct vnet_header h = {.flags = VNET_NEEDS_CHECKSUM,
                            .checksum_start = 34,
                            .checksum_offset = 16,
                            .segmenting = VNET_SEGMENT_TCP4,
                            .segment_bytes = 1448};
    fake_init(&f, 5);
    must(fake_start(&f));
    random_fill(&f.chance, bytes_random, sizeof(bytes_random));
    must(fake_arrive(&f, 0, h, bytes_random, NET_FRAME_BYTES));
    host_run();
    is(f.in_bytes, NET_FRAME_BYTES, "a frame of %u bytes comes in one", NET_FRAME_BYTES);
    is(f.in_sum, bytes_sum(0, bytes_random, NET_FRAME_BYTES), "with the bytes it should have");
    ok(f.last_in.checksum_good && f.last_in.segment_bytes == 1448,
       "with its checksum and its segments");
    must(fake_arrive(&f, 0, h, bytes_random, NET_FRAME_BYTES + 1));
    host_run();
    is(f.net->statistics.malformed, 1, "one of a byte more is malformed");
    fake_end(&f);
    fake_init(&f, 5);
    f.d.queue_most = 8;
    must(fake_start(&f));
    for (u32 i = 0; i < 20; i++) {
        must(fake_arrive(&f, 0, h, bytes_random, NET_FRAME_BYTES));
        host_run();
    }
    is(f.in_bytes, 20ull * NET_FRAME_BYTES, "and they fit into a ring of eight, too");
    fake_end(&f);
}

/* --- offloads out ----------------------------------------------------------------------------- */

static void test_offloads_out(void)
{
    static struct fake f;
    struct test_frame t;
    fake_init(&f, 6);
    must(fake_start(&f));
    test_frame_make(&t, &f.chance, 4, 30000);
    t.out.checksum = true;
    t.out.checksum_start = 54;
    t.out.checksum_offset = 16;
    t.out.segmenting = NET_SEGMENT_TCP6;
    t.out.segment_bytes = 1428;
    t.out.header_bytes = 74;
    must(apply(f.net->transmit, &t.out));
    apply(f.net->flush);
    fake_work(&f);
    const struct vnet_header *h = &f.out[0].header;
    ok(h->flags == 1 && h->checksum_start == 54 && h->checksum_offset == 16,
       "the device is told where the checksum is");
    ok(h->segmenting == 4 && h->segment_bytes == 1428 && h->header_bytes == 74,
       "and how to cut the frame");
    is(f.out[0].bytes, 30000, "which is given as a whole");
    is(f.d.sides[1].kicks, 1, "with one doorbell");
    fake_end(&f);
}

/* --- rings that are full or empty ------------------------------------------------------------- */

static u32 frames_send(struct fake *f, struct test_frame *frames, u32 count)
{
    u32 taken = 0;
    for (; taken < count; taken++) {
        test_frame_make(&frames[taken], &f->chance, 1 + taken % 5, 200);
        /* Random ports: they are spread over the pairs. */
        frames[taken].out.checksum = true;
        if (!apply(f->net->transmit, &frames[taken].out)) {
            apply(&frames[taken].out.sent);
            break;
        }
    }
    apply(f->net->flush);
    return taken;
}

static u32 frames_applied(const struct test_frame *frames, u32 count)
{
    u32 applied = 0;
    for (u32 i = 0; i < count; i++) {
        must(frames[i].applied <= 1);
        applied += frames[i].applied;
    }
    return applied;
}

static void test_transmit_full(void)
{
    static struct fake f;
    static struct test_frame frames[FRAMES];
    for (u32 shape = 0; shape < 4; shape++) {
        fake_init(&f, 7);
        if (shape & 1)
            f.d.offered &= ~VIRTIO_F_INDIRECT_DESC;
        if (shape & 2)
            f.d.offered &= ~VIRTIO_F_EVENT_IDX;
        must(fake_start(&f));
        f.silent = true;
        u32 taken = frames_send(&f, frames, FRAMES);
        host_run();
        must(taken > 30 && taken < FRAMES && f.rooms == 0 && frames_applied(frames, taken) == 0);
        f.interrupts = 0;
        fake_send(&f, 0, taken / 2);
        host_run();
        u32 early = f.interrupts;
        fake_send(&f, 0, FRAMES);
        host_run();
        must(f.rooms == 1 && f.interrupts == 1 && early == (shape & 2) / 2);
        time_move(VNET_TICK_NS);
        must(frames_applied(frames, taken) == taken);
        f.silent = false;
        fake_end(&f);
    }
    ok(true, "a full ring refuses frames, and says once when there is room again");
}

/* `sent` comes although nobody sends or receives, and the device interrupts nobody. */
static void test_sent_in_time(void)
{
    static struct fake f;
    static struct test_frame frames[10];
    fake_init(&f, 8);
    must(fake_start(&f));
    f.interrupts = 0;
    frames_send(&f, frames, 10);
    fake_send(&f, 0, 10);
    host_run();
    is(f.interrupts, 0, "no interrupt tells that frames were sent");
    time_move(VNET_TICK_NS);
    is(frames_applied(frames, 10), 10, "yet `sent` is applied within 10 ms");
    ok(!timer_only->pending, "and then no timer runs on");
    fake_end(&f);
}

/* The network keeps all it gets. */
static void test_receive_starved(void)
{
    static struct fake f;
    u32 least = UINT32_MAX;
    fake_init(&f, 9);
    memory_bytes = 4 * MiB;
    must(fake_start(&f));
    f.holds = true;
    random_fill(&f.chance, bytes_random, 3000);
    for (u32 i = 0; i < 5000; i++) {
        u32 bytes = i % 2 ? 1000 : 3000;
        least = min(least, f.d.sides[0].pending_count);
        must(fake_arrive(&f, 0, plain, bytes_random, bytes));
        host_run();
        must(driver_of(&f)->pool.bytes <= driver_of(&f)->pool.bytes_most);
    }
    u64 dropped = f.net->statistics.dropped_in, copied = driver_of(&f)->pool.lent;
    ok(dropped > 1000 && f.in_count + dropped == 5000, "frames beyond the pool are dropped: %llu",
       (unsigned long long)dropped);
    ok(least >= NET_FRAME_BYTES / (BUFFER_SMALL - VNET_FRAME_OFFSET),
       "the ring always has room for the longest frame (%u)", least);
    ok(copied > 300, "small ones are copied as long as there is memory");
    held_release(&f);
    host_run();
    is(driver_of(&f)->pairs[0].posted, driver_of(&f)->pairs[0].posted_most,
       "when the buffers come back the ring is filled");
    u64 before = f.in_count;
    must(fake_arrive(&f, 0, plain, bytes_random, 3000));
    host_run();
    is(f.in_count, before + 1, "and frames arrive as before");
    memory_bytes = 256 * MiB;
    fake_end(&f);
}

static void test_receive_memory(void)
{
    static struct fake f;
    u32 dropped = 0;
    for (u32 fail = 1; fail < 60; fail++) {
        fake_init(&f, 10);
        must(fake_start(&f));
        f.holds = true;
        general.fail_at = general.calls + fail;
        for (u32 i = 0; i < 60; i++) {
            must(fake_arrive(&f, 0, plain, bytes_random, i % 3 ? 100 : 2000));
            host_run();
        }
        general.fail_at = 0;
        must(f.in_count + f.net->statistics.dropped_in == 60);
        dropped += (u32)f.net->statistics.dropped_in;
        fake_end(&f);
    }
    is(dropped, 0, "an allocation that fails while frames arrive costs none of them");
    fake_init(&f, 10);
    must(fake_start(&f));
    f.holds = true;
    general.bytes_most = 1;
    for (u32 i = 0; i < 600; i++) {
        must(fake_arrive(&f, 0, plain, bytes_random, i % 3 ? 100 : 2000));
        host_run();
    }
    general.bytes_most = 0;
    ok(f.net->statistics.dropped_in > 300 && f.net->statistics.resets == 0,
       "without any memory they are dropped, and the ring goes on");
    fake_end(&f);
}

static void test_budget(void)
{
    static struct fake f;
    fake_init(&f, 11);
    must(fake_start(&f));
    for (u32 i = 0; i < 200; i++)
        must(fake_arrive(&f, 0, plain, bytes_random, 100));
    is(f.interrupts, 1, "many frames, one interrupt");
    apply(&driver_of(&f)->service);
    is(f.in_count, PASS_FRAMES, "one pass hands up a bounded number of frames");
    host_run();
    is(f.in_count, 200, "and the rest follows without another interrupt");
    is(f.interrupts, 1, "for there was none");
    fake_end(&f);
}

/* --- link, control queue ---------------------------------------------------------------------- */

static void test_link(void)
{
    static struct fake f;
    fake_init(&f, 12);
    must(fake_start(&f));
    f.config.status = 0;
    virtio_config_interrupt(&f.d.device);
    host_run();
    ok(!f.net->link_up && f.links == 1, "the link goes down");
    virtio_config_interrupt(&f.d.device);
    host_run();
    is(f.links, 1, "what has not changed is not told");
    f.config.status = CONFIG_LINK_UP;
    virtio_config_interrupt(&f.d.device);
    host_run();
    ok(f.net->link_up && f.links == 2, "and comes up again");
    u32 before = f.d.resets;
    f.d.status |= VIRTIO_NEEDS_RESET;
    virtio_config_interrupt(&f.d.device);
    host_run();
    ok(f.d.resets > before && f.net->statistics.resets == 1,
       "a device that asks for a reset gets it");
    must(fake_arrive(&f, 0, plain, bytes_random, 100));
    host_run();
    is(f.in_count, 1, "and works again");
    fake_end(&f);
}

static void test_pairs(void)
{
    static struct fake f;
    static struct test_frame frames[60];
    fake_init(&f, 13);
    cpu_count = 3;
    f.config.pairs_most = 4;
    must(fake_start(&f));
    is(driver_of(&f)->pairs_active, 1, "one pair is used until the device has agreed");
    fake_work(&f);
    is(f.pairs_commanded, 3, "it is asked for as many as there are CPUs");
    is(driver_of(&f)->pairs_active, 3, "and then they are used");
    f.silent = true;
    u32 taken = frames_send(&f, frames, countof(frames));
    f.d.status |= VIRTIO_NEEDS_RESET;
    virtio_config_interrupt(&f.d.device);
    host_run();
    is(frames_applied(frames, taken), taken, "a reset takes the frames of all of them back");
    is(driver_of(&f)->pairs_active, 1, "one pair is used again");
    f.silent = false;
    fake_work(&f);
    is(driver_of(&f)->pairs_active, 3, "until the device has agreed again");
    round_in(&f);
    fake_end(&f);
    fake_init(&f, 13);
    f.config.pairs_most = 4;
    f.control_answer = 1;
    must(fake_start(&f));
    fake_work(&f);
    is(driver_of(&f)->pairs_active, 1, "a device that refuses keeps one");
    round_out(&f);
    round_in(&f);
    fake_end(&f);
    cpu_count = 1;
}

/* --- a device that stops ---------------------------------------------------------------------- */

static void time_pass(struct fake *f, u64 ns)
{
    for (u64 end = now_ns + ns; now_ns < end;) {
        u64 next = timer_only->pending ? min(timer_only->expires_ns, end) : end;
        time_move(next - now_ns);
        host_run();
    }
    fake_work(f);
}

static void test_stuck(void)
{
    static struct fake f;
    static struct test_frame frames[20];
    fake_init(&f, 14);
    must(fake_start(&f));
    f.silent = true;
    must(frames_send(&f, frames, 20) == 20);
    time_pass(&f, VNET_STALL_NS - NS_PER_SECOND);
    is(f.net->statistics.resets, 0, "a device may take its time");
    time_pass(&f, 3 * NS_PER_SECOND);
    is(f.net->statistics.resets, 1, "one that sends nothing for 5 s is reset");
    is(frames_applied(frames, 20), 20, "its frames are lost: `sent` is applied");
    f.silent = false;
    round_out(&f);
    round_in(&f);
    is(f.net->statistics.resets, 1, "and then it works as before");
    fake_end(&f);
}

static void test_stopped_machine(void)
{
    static struct fake f;
    static struct test_frame frames[20];
    fake_init(&f, 15);
    must(fake_start(&f));
    must(frames_send(&f, frames, 20) == 20);
    time_move(3600 * NS_PER_SECOND);
    is(f.net->statistics.resets, 0, "a machine that was stopped for an hour blames no device");
    fake_work(&f);
    time_move(NS_PER_SECOND);
    is(frames_applied(frames, 20), 20, "which sends its frames");
    fake_end(&f);
}

static void test_given_up(void)
{
    static struct fake f;
    static struct test_frame frames[20];
    u32 applied = 0;
    fake_init(&f, 16);
    must(fake_start(&f));
    f.silent = true;
    u32 rounds = 0;
    for (; !driver_of(&f)->dead && rounds < 100; rounds++) {
        must(frames_send(&f, frames, 5) == 5);
        time_pass(&f, 45 * NS_PER_SECOND);
        applied += frames_applied(frames, 5);
    }
    is(rounds, VNET_RESETS_MOST + 1, "a device that never sends is given up after some resets");
    is(applied, 5 * rounds, "every frame's `sent` was applied");
    ok(!f.net->link_up && f.links == 1, "the link is down, and that was told");
    is(frames_send(&f, frames, 1), 0, "it takes no more frames");
    fake_end(&f);
    fake_init(&f, 16);
    must(fake_start(&f));
    f.silent = true;
    must(frames_send(&f, frames, 20) == 20);
    f.d.reset_stuck = true;
    time_pass(&f, 7 * NS_PER_SECOND);
    ok(driver_of(&f)->dead && frames_applied(frames, 20) == 20,
       "one that does not reset is given up at once");
    f.d.reset_stuck = false;
    fake_end(&f);
}

/* --- hostile devices -------------------------------------------------------------------------- */

/* Headers that cannot be, before a frame of 200 bytes. */
static const struct vnet_header malformed[] = {
    {.buffer_count = UINT16_MAX}, /* 0 on the wire */
    {.buffer_count = 2},
    {.buffer_count = 300},
    {.flags = VNET_NEEDS_CHECKSUM, .checksum_start = 200, .checksum_offset = 0},
    {.flags = VNET_NEEDS_CHECKSUM, .checksum_start = 199, .checksum_offset = 0},
    {.flags = VNET_NEEDS_CHECKSUM, .checksum_start = 34, .checksum_offset = 165},
    {.flags = VNET_NEEDS_CHECKSUM, .checksum_start = 65535, .checksum_offset = 65535},
    {.flags = VNET_NEEDS_CHECKSUM, .checksum_start = 0, .checksum_offset = 16},
    {.segmenting = VNET_SEGMENT_TCP4, .segment_bytes = 0},
    {.segmenting = VNET_SEGMENT_TCP6, .segment_bytes = 200},
    {.segmenting = 3, .segment_bytes = 100},
    {.segmenting = 77, .segment_bytes = 100},
    {.segmenting = VNET_SEGMENT_ECN, .segment_bytes = 100},
};

static void test_malformed(void)
{
    static struct fake f;
    for (u32 i = 0; i < countof(malformed); i++) {
        fake_init(&f, 17);
        must(fake_start(&f));
        must(fake_arrive(&f, 0, malformed[i], bytes_random, 200));
        host_run();
        must(f.in_count == 0 && f.net->statistics.malformed == 1);
        must(fake_arrive(&f, 0, plain, bytes_random, 200));
        host_run();
        must(f.in_count == 1 && f.net->statistics.resets == 0);
        fake_end(&f);
    }
    ok(true, "%u headers that cannot be: each frame is dropped and counted",
       (u32)countof(malformed));
    fake_init(&f, 17);
    must(fake_start(&f));
    for (u32 bytes = 0; bytes < NET_ETHERNET_BYTES; bytes++)
        must(fake_arrive(&f, 0, plain, bytes_random, bytes));
    host_run();
    is(f.net->statistics.malformed, NET_ETHERNET_BYTES, "so are frames without an Ethernet header");
    fake_end(&f);
}

static void test_not_agreed(void)
{
    static struct fake f;
    struct vnet_header valid = {.flags = VNET_CHECKSUM_VALID}, part = valid, large = valid;
    fake_init(&f, 18);
    f.d.offered &= ~(VNET_F_GUEST_CSUM | VNET_F_GUEST_TSO4 | VNET_F_GUEST_TSO6);
    must(fake_start(&f));
    must(fake_arrive(&f, 0, valid, bytes_random, 200));
    host_run();
    ok(f.in_count == 1 && !f.last_in.checksum_good,
       "a checksum that was not agreed on is not believed");
    part.flags = VNET_NEEDS_CHECKSUM;
    part.checksum_start = 34;
    must(fake_arrive(&f, 0, part, bytes_random, 200));
    large.segmenting = VNET_SEGMENT_TCP4;
    large.segment_bytes = 100;
    must(fake_arrive(&f, 0, large, bytes_random, 200));
    host_run();
    is(f.net->statistics.malformed, 2, "nor are a part of one, or joined segments");
    fake_end(&f);
}

static void hostile_traffic(struct fake *f)
{
    static struct test_frame frames[30];
    for (u32 round = 0; round < 60; round++) {
        u32 taken = frames_send(f, frames, countof(frames));
        for (u32 i = 0; i < 20; i++) {
            struct vnet_header h = plain;
            if (random_below(&f->chance, 3) == 0)
                random_fill(&f->chance, &h, sizeof(h));
            if (f->d.sides[0].queue)
                fake_arrive(f, 0, h, bytes_random, (u32)random_below(&f->chance, 9000));
            f->holds = random_below(&f->chance, 2);
            host_run();
        }
        fake_work(f);
        /* What got lost in a ring ends with a reset. */
        for (u32 i = 0; i < 200 && frames_applied(frames, taken) < taken; i++)
            time_pass(f, NS_PER_SECOND);
        must(frames_applied(frames, taken) == taken);
        if (random_below(&f->chance, 3) == 0)
            held_release(f);
        now_ns += random_below(&f->chance, 100) * NS_PER_SECOND;
    }
}

static void test_hostile(u64 seed)
{
    static struct fake f;
    u64 given_up = 0, resets = 0, bad = 0;
    for (u32 run = 0; run < 100; run++) {
        fake_init(&f, seed + run);
        if (run & 1)
            f.d.offered &= ~VIRTIO_F_INDIRECT_DESC;
        if (run & 2)
            f.d.offered &= ~VIRTIO_F_EVENT_IDX;
        if (run & 4)
            f.d.offered &= ~VNET_F_MRG_RXBUF;
        must(fake_start(&f));
        f.hostility = 4 + run % 60;
        hostile_traffic(&f);
        given_up += driver_of(&f)->dead;
        resets += f.net->statistics.resets;
        bad += f.net->statistics.malformed;
        f.hostility = 0;
        fake_end(&f);
    }
    /* How many are given up is chance; that one can be is tested above. */
    ok(resets > 0 && bad > 0 && errors_logged > 0,
       "100 hostile devices: every frame ended once (%llu resets, %llu malformed, %llu given up)",
       (unsigned long long)resets, (unsigned long long)bad, (unsigned long long)given_up);
}

int main(void)
{
    u64 seed = test_seed();
    kernel_begin();
    test_start();
    test_refused();
    test_start_memory();
    test_shapes(seed);
    test_index_wrap();
    test_large();
    test_offloads_out();
    test_transmit_full();
    test_sent_in_time();
    test_receive_starved();
    test_receive_memory();
    test_budget();
    test_link();
    test_pairs();
    test_stuck();
    test_stopped_machine();
    test_given_up();
    test_malformed();
    test_not_agreed();
    test_hostile(seed);
    return kernel_end();
}
