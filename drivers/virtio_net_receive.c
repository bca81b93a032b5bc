/* virtio-net: frames in, and the buffers that they come in.

   The device always has room for the longest frame (with less, it would wait for ever): the
   buffers of a frame are replaced before the frame is handed up, and when they cannot be (the
   network keeps too many, or memory is short) the frame is copied if it is small, or dropped and
   counted, and its buffers go back to the ring.  Tiny frames are always copied: an acknowledgement
   that waits somewhere must not hold a whole buffer.  What buffers and copies together may take is
   bounded by the pool.

   Of what the device writes, lengths, counts and offsets are checked here; a frame that cannot be
   right is dropped and counted as malformed. */
#include "drivers/virtio_net.h"

#include "kernel/memory.h"
#include "kernel/run_loop.h"
#include "runtime/trace.h"

#define PASS_FRAMES    64  /* handed up at once; then others get their turn */
#define COPIED_BYTES   256 /* a frame up to that size is copied; COPY_MOST for huge buffers */
#define FREE_BUFFERS   128 /* kept by the pool */
#define FREE_COPIES    64
#define SMALL_MACHINE  (64 * MiB)
#define LARGE_MACHINE  (128 * MiB)
#define BUFFER_SMALL   2048u
#define BUFFER_LARGE   4096u
#define BUFFER_HUGE    (16 * 1024u)
#define BUFFER_MOST    (64 * 1024u)
#define MEMORY_PART    8  /* the pool's part of the machine's memory */
#define POSTED_PART    64 /* the part of it that a pair's ring holds */
#define POSTED_SPARE   16 /* beyond what the longest frame needs */
#define POOL_LEAST     MiB
#define COPY_ALIGNMENT 2 /* so that IP's header is aligned */

struct vnet_copy {
    struct net_buffer net;
    u32 allocated;
    u8 bytes[];
};
#define COPY_LARGE 2048u /* the slabs' largest */
#define COPY_SMALL 384u  /* the pool keeps some of that size */
#define COPY_MOST  (COPY_LARGE - sizeof(struct vnet_copy) - COPY_ALIGNMENT)
_Static_assert(COPIED_BYTES + sizeof(struct vnet_copy) + COPY_ALIGNMENT <= COPY_SMALL,
               "small copies are large enough");

/* --- the pool --------------------------------------------------------------------------------- */

static struct vnet_buffer *buffer_of(struct virtqueue_chain *c)
{
    return container_of(c, struct vnet_buffer, chain);
}

static struct vnet_buffer *buffer_make(struct vnet *n)
{
    struct vnet_pool *pool = &n->pool;
    if (pool->bytes + pool->buffer_bytes > pool->bytes_most)
        return NULL;
    struct vnet_buffer *b = allocate(general_heap, pool->buffer_bytes);
    if (!b)
        return NULL;
    pool->bytes += pool->buffer_bytes;
    virtqueue_chain_init(&b->chain, NULL, 0);
    b->physical = physical_of(b).bits;
    b->net.release = &n->release;
    return b;
}

static struct vnet_buffer *pool_take(struct vnet *n)
{
    struct vnet_pool *pool = &n->pool;
    struct net_buffer *b = pool->free;
    if (!b)
        return buffer_make(n);
    pool->free = b->next;
    pool->free_count--;
    return container_of(b, struct vnet_buffer, net);
}

static void buffer_end(struct vnet_pool *pool, struct vnet_buffer *b)
{
    pool->bytes -= pool->buffer_bytes;
    deallocate(general_heap, b, pool->buffer_bytes);
}

static void pool_give(struct vnet_pool *pool, struct vnet_buffer *b)
{
    if (pool->free_count >= FREE_BUFFERS) {
        buffer_end(pool, b);
        return;
    }
    b->net.next = pool->free;
    pool->free = &b->net;
    pool->free_count++;
}

/* Memory for a copy, `bytes` with the struct; its release is set. */
static struct vnet_copy *copy_take(struct vnet *n, u32 bytes)
{
    struct vnet_pool *pool = &n->pool;
    struct net_buffer *b = pool->free_copies;
    if (likely(b && bytes <= COPY_SMALL)) {
        pool->free_copies = b->next;
        pool->free_copy_count--;
        return container_of(b, struct vnet_copy, net);
    }
    bytes = bytes <= COPY_SMALL ? COPY_SMALL : COPY_LARGE;
    if (pool->bytes + bytes > pool->bytes_most)
        return NULL;
    struct vnet_copy *c = allocate(general_heap, bytes);
    if (!c)
        return NULL;
    pool->bytes += bytes;
    c->allocated = bytes;
    c->net.release = &n->release_copy;
    return c;
}

static void copy_end(struct vnet_pool *pool, struct vnet_copy *c)
{
    pool->bytes -= c->allocated;
    deallocate(general_heap, c, c->allocated);
}

void virtio_net_pool_empty(struct vnet *n)
{
    while (n->pool.free_count > 0)
        buffer_end(&n->pool, pool_take(n));
    while (n->pool.free_copy_count > 0)
        copy_end(&n->pool, copy_take(n, COPY_SMALL));
}

static bool pair_starves(const struct vnet_pair *p)
{
    return p->posted < p->posted_least;
}

closure_method(net_buffer_release, vnet_release, struct vnet, release, struct net_buffer *b)
{
    struct vnet *n = owner();
    n->pool.lent--;
    pool_give(&n->pool, container_of(b, struct vnet_buffer, net));
    if (unlikely(n->pool.starved && !n->dead)) {
        n->pool.starved = false;
        virtio_service_later(n->virtio);
    }
}

closure_method(net_buffer_release, vnet_release_copy, struct vnet, release_copy,
               struct net_buffer *b)
{
    struct vnet_pool *pool = &owner()->pool;
    struct vnet_copy *c = container_of(b, struct vnet_copy, net);
    pool->lent--;
    if (c->allocated != COPY_SMALL || pool->free_copy_count >= FREE_COPIES) {
        copy_end(pool, c);
        return;
    }
    b->next = pool->free_copies;
    pool->free_copies = b;
    pool->free_copy_count++;
}

/* --- the ring --------------------------------------------------------------------------------- */

static void buffer_post(struct vnet_pair *p, struct vnet_buffer *b)
{
    const struct vnet *n = p->net;
    struct virtqueue *q = &p->receive;
    u64 header = b->physical + VNET_FRAME_OFFSET - n->header_bytes;
    u32 bytes = n->pool.buffer_bytes - VNET_FRAME_OFFSET;
    p->posted++;
    if (likely(!n->header_apart)) {
        virtqueue_chain_give(q, &b->chain, header, n->header_bytes + bytes);
        return;
    }
    virtqueue_chain_begin(q, &b->chain);
    virtqueue_chain_writable(q, &b->chain, header, n->header_bytes);
    virtqueue_chain_writable(q, &b->chain, header + n->header_bytes, bytes);
    virtqueue_chain_submit(q, &b->chain);
}

bool virtio_net_fill(struct vnet_pair *p)
{
    struct vnet_buffer *b;
    while (p->posted < p->posted_most && (b = pool_take(p->net)))
        buffer_post(p, b);
    if (unlikely(p->posted < p->posted_most))
        p->net->pool.starved = true;
    if (virtqueue_unnotified(&p->receive) >= p->posted_most / 4)
        virtqueue_notify(&p->receive);
    return !pair_starves(p);
}

/* The buffers of a frame that goes no further. */
static void buffers_post_again(struct vnet_pair *p, struct net_buffer *b)
{
    while (b) {
        struct net_buffer *next = b->next;
        buffer_post(p, container_of(b, struct vnet_buffer, net));
        b = next;
    }
}

void virtio_net_buffers_reclaim(struct vnet_pair *p)
{
    struct virtqueue_chain *c;
    while ((c = virtqueue_reclaim(&p->receive)))
        pool_give(&p->net->pool, buffer_of(c));
    p->posted = 0;
}

/* --- a frame ---------------------------------------------------------------------------------- */

static bool checksum_read(const struct vnet *n, const struct vnet_header *h, struct net_frame_in *f)
{
    bool told = virtio_has(n->virtio, VNET_F_GUEST_CSUM);
    f->checksum_good = told && h->flags & (VNET_NEEDS_CHECKSUM | VNET_CHECKSUM_VALID);
    if (!(h->flags & VNET_NEEDS_CHECKSUM))
        return true;
    return told && h->checksum_start >= NET_ETHERNET_BYTES &&
           (u32)h->checksum_start + h->checksum_offset + sizeof(u16) <= f->bytes;
}

static bool segments_read(const struct vnet *n, const struct vnet_header *h, struct net_frame_in *f)
{
    u64 needed = 0;
    f->segment_bytes = h->segmenting ? h->segment_bytes : 0;
    switch (h->segmenting & ~VNET_SEGMENT_ECN) {
    case 0:
        return h->segmenting == 0;
    case VNET_SEGMENT_TCP4:
        needed = VNET_F_GUEST_TSO4;
        break;
    case VNET_SEGMENT_TCP6:
        needed = VNET_F_GUEST_TSO6;
        break;
    default:
        return false;
    }
    return virtio_has(n->virtio, needed) && h->segment_bytes > 0 && h->segment_bytes < f->bytes;
}

/* The next buffer that the device is done with, as it would be in the middle of a frame. */
static struct net_buffer *buffer_next(struct vnet_pair *p)
{
    struct virtqueue_chain *c = virtqueue_take(&p->receive);
    if (!c)
        return NULL;
    struct vnet_buffer *b = buffer_of(c);
    p->posted--;
    b->net.next = NULL;
    b->net.data = (u8 *)b + VNET_FRAME_OFFSET - p->net->header_bytes;
    b->net.bytes = c->written_bytes;
    return &b->net;
}

/* Adds the further buffers of a frame.  False: they cannot be right. */
static bool buffers_join(struct vnet_pair *p, struct net_frame_in *f, u32 count)
{
    struct net_buffer *last = f->buffers;
    if (count == 0 || count > p->receive.size)
        return false;
    while (--count > 0) {
        last->next = buffer_next(p);
        last = last->next;
        if (!last || last->bytes == 0)
            return false;
        f->bytes += last->bytes;
    }
    return f->bytes <= NET_FRAME_BYTES;
}

/* f->buffers is the first one.  False: the frame cannot be right. */
static bool frame_read(struct vnet_pair *p, struct net_frame_in *f)
{
    const struct vnet *n = p->net;
    struct net_buffer *first = f->buffers;
    struct vnet_header h = {.buffer_count = 1};
    /* Once: the device could change it under our eyes. */
    memcpy(&h, first->data, n->header_bytes);
    asm volatile("" : : : "memory");
    u32 count = n->mergeable ? h.buffer_count : 1;
    if (first->bytes < n->header_bytes + NET_ETHERNET_BYTES) {
        f->bytes = 0;
        buffers_join(p, f, count);
        return false;
    }
    first->data += n->header_bytes;
    first->bytes -= n->header_bytes;
    f->bytes = first->bytes;
    if (unlikely(count != 1) && !buffers_join(p, f, count))
        return false;
    if (likely((h.flags | h.segmenting) == 0)) {
        f->checksum_good = false;
        f->segment_bytes = 0;
        return f->bytes <= NET_FRAME_BYTES;
    }
    return f->bytes <= NET_FRAME_BYTES && checksum_read(n, &h, f) && segments_read(n, &h, f);
}

/* --- handing up ------------------------------------------------------------------------------- */

/* Puts the frame into memory of its own and gives its buffers to the ring.  False: there is no
   memory, and nothing was done. */
static bool frame_copy(struct vnet_pair *p, struct net_frame_in *f)
{
    struct vnet_copy *c =
        copy_take(p->net, (u32)sizeof(struct vnet_copy) + COPY_ALIGNMENT + f->bytes);
    if (!c)
        return false;
    c->net.next = NULL;
    c->net.data = c->bytes + COPY_ALIGNMENT;
    c->net.bytes = f->bytes;
    u8 *to = c->net.data;
    for (const struct net_buffer *b = f->buffers; b; b = b->next) {
        memcpy(to, b->data, b->bytes);
        to += b->bytes;
    }
    buffers_post_again(p, f->buffers);
    f->buffers = &c->net;
    return true;
}

/* Makes sure that the ring does not need this frame's buffers.  False: it does. */
static bool frame_keep(struct vnet_pair *p, struct net_frame_in *f)
{
    u32 copied = p->net->pool.buffer_bytes >= BUFFER_HUGE ? COPY_MOST : COPIED_BYTES;
    if (f->bytes <= copied && frame_copy(p, f))
        return true;
    return virtio_net_fill(p) || (f->bytes <= COPY_MOST && frame_copy(p, f));
}

static void frame_hand_up(struct vnet_pair *p, struct net_frame_in *f)
{
    struct vnet *n = p->net;
    if (unlikely(!n->device.receive || !frame_keep(p, f))) {
        n->device.statistics.dropped_in++;
        buffers_post_again(p, f->buffers);
        return;
    }
    n->device.statistics.frames_in++;
    n->device.statistics.bytes_in += f->bytes;
    for (const struct net_buffer *b = f->buffers; b; b = b->next)
        n->pool.lent++;
    TRACE(NET_IN, f->bytes, f->segment_bytes, f->checksum_good);
    apply(n->device.receive, f);
}

/* False: there is none. */
static bool frame_take(struct vnet_pair *p)
{
    struct net_frame_in f = {.buffers = buffer_next(p)};
    if (!f.buffers)
        return false;
    if (likely(frame_read(p, &f))) {
        frame_hand_up(p, &f);
    } else {
        p->net->device.statistics.malformed++;
        buffers_post_again(p, f.buffers);
    }
    return true;
}

bool virtio_net_receive(struct vnet_pair *p)
{
    struct virtqueue *q = &p->receive;
    u32 left = PASS_FRAMES;
    virtqueue_interrupts_off(q);
    while (left > 0 && frame_take(p))
        left--;
    virtio_net_fill(p);
    virtqueue_notify(q);
    return left == 0 || (is_ok(q->failure) && virtqueue_interrupts_on(q));
}

/* --- start ------------------------------------------------------------------------------------ */

/* Huge ones make a frame of 64 KiB a matter of five descriptors, not of seventeen, and let a ring
   of 256 hold as much as a window; frames that would waste most of such a buffer are copied. */
static u32 buffer_bytes_for(u64 memory)
{
    if (memory < SMALL_MACHINE)
        return BUFFER_SMALL;
    return memory < LARGE_MACHINE ? BUFFER_LARGE : BUFFER_HUGE;
}

void virtio_net_receive_init(struct vnet *n)
{
    u64 memory = memory_statistics().total_bytes;
    struct vnet_pool *pool = &n->pool;
    init_method(&n->release, vnet_release);
    init_method(&n->release_copy, vnet_release_copy);
    pool->buffer_bytes = buffer_bytes_for(memory);
    pool->bytes_most = max(memory / MEMORY_PART, POOL_LEAST);
}

/* What a buffer can hold; in a ring of few descriptors they are longer, so that the longest frame
   fits: a device that has no room for it waits for ever. */
static u32 buffer_room(struct vnet *n, u64 descriptors)
{
    struct vnet_pool *pool = &n->pool;
    u64 longest = NET_FRAME_BYTES + sizeof(struct vnet_header);
    while (n->mergeable && pool->bytes == 0 && pool->buffer_bytes < BUFFER_MOST &&
           descriptors * (pool->buffer_bytes - VNET_FRAME_OFFSET) < longest)
        pool->buffer_bytes *= 2;
    return pool->buffer_bytes - VNET_FRAME_OFFSET;
}

void virtio_net_receive_size(struct vnet_pair *p)
{
    struct vnet *n = p->net;
    u64 fits = min(p->receive.size, (u16)VNET_RING_MOST) / (n->header_apart ? 2 : 1);
    u32 room = buffer_room(n, fits);
    u32 frame = n->mergeable ? NET_FRAME_BYTES + (u32)sizeof(struct vnet_header) : room;
    u64 part = memory_statistics().total_bytes / POSTED_PART / n->pool.buffer_bytes;
    u64 least = frame / room + 1;
    p->posted_most = (u16)min(max(part, least + POSTED_SPARE), fits);
    p->posted_least = min((u16)least, p->posted_most);
}
