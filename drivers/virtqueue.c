/* Split virtqueues.  drivers/virtqueue.h says what they are and what is believed of the device.

   x86 keeps stores in order, so publishing an index needs only a release; the one place where a
   store must be seen before a later load (index written, then the device's wish for notifications
   read, and its mirror image for interrupts) is a sequentially consistent store. */
#include "drivers/virtqueue.h"
#include "drivers/virtio.h"
#include "kernel/memory.h"

/* virtio 1.2, 2.7.5, 2.7.6.1 and 2.7.8.1 */
#define DESCRIPTOR_NEXT        1
#define DESCRIPTOR_WRITE       2
#define DESCRIPTOR_INDIRECT    4
#define AVAILABLE_NO_INTERRUPT 1
#define USED_NO_NOTIFY         1

static u16 *used_event(struct virtqueue *q)
{
    return &q->available->ring[q->size];
}

static u16 avail_event(const struct virtqueue *q)
{
    const u16 *event = (const u16 *)&q->used->ring[q->size];
    return __atomic_load_n(event, __ATOMIC_ACQUIRE);
}

/* --- memory ----------------------------------------------------------------------------------- */

struct ring_layout {
    u64 available;
    u64 used;
    u64 bytes;
};

/* virtio 1.2, 2.7 and 2.7.2: the three parts one after the other, as a legacy device finds them. */
static struct ring_layout ring_layout_of(u16 size, u64 alignment)
{
    struct ring_layout l;
    l.available = size * sizeof(struct virtio_descriptor);
    l.used = align_up(l.available + 2 * (3 + (u64)size), alignment);
    l.bytes = align_up(l.used + 6 + size * sizeof(struct virtio_used_element), PAGE_BYTES);
    return l;
}

static u64 private_bytes_of(u16 size)
{
    return size * (sizeof(struct virtqueue_chain *) + sizeof(u16));
}

status virtqueue_allocate(struct virtqueue *q, u16 size, u64 alignment)
{
    struct ring_layout l = ring_layout_of(size, alignment);
    u8 *ring = allocate(page_heap, l.bytes);
    u8 *private = allocate(general_heap, private_bytes_of(size));
    if (!ring || !private) {
        deallocate(page_heap, ring, l.bytes);
        deallocate(general_heap, private, private_bytes_of(size));
        return status_error(ENOMEM, "virtio: no memory for a ring", size);
    }
    q->size = size;
    q->ring_bytes = l.bytes;
    q->descriptors = (void *)ring;
    q->available = (void *)(ring + l.available);
    q->used = (void *)(ring + l.used);
    q->owner = (void *)private;
    q->next = (void *)(private + size * sizeof(struct virtqueue_chain *));
    virtqueue_clear(q);
    return STATUS_OK;
}

void virtqueue_free(struct virtqueue *q)
{
    deallocate(page_heap, q->descriptors, q->ring_bytes);
    deallocate(general_heap, q->owner, private_bytes_of(q->size));
    q->descriptors = NULL;
    q->owner = NULL;
}

/* An empty ring, all descriptors free.  The device does not use it at this time. */
void virtqueue_clear(struct virtqueue *q)
{
    for (u16 i = 0; i < q->size; i++) {
        q->next[i] = i + 1;
        q->owner[i] = NULL;
    }
    memset(q->available, 0, 2 * (3 + (u64)q->size));
    memset(q->used, 0, 6 + q->size * sizeof(struct virtio_used_element));
    q->free_head = 0;
    q->free_count = q->size;
    q->available_next = q->available_notified = q->used_next = q->flying = 0;
    q->failure = STATUS_OK;
}

status virtqueue_start(struct virtqueue *q, struct virtio_device *device, u16 index, u16 most)
{
    u16 offered = device->transport->queue_most(device, index);
    if (offered == 0)
        return status_error(ENODEV, "virtio: the device lacks a queue", index);
    if (q->descriptors) {
        virtqueue_clear(q);
    } else {
        u16 size = device->transport->queue_size_fixed ? offered : min(offered, most);
        u32 order = 31 - (u32)__builtin_clz(size);
        status s = virtqueue_allocate(q, (u16)(1u << order), device->ring_alignment);
        if (!is_ok(s))
            return s;
    }
    if (offered < q->size)
        return status_error(EIO, "virtio: a queue became smaller", index);
    q->device = device;
    q->index = index;
    q->indirect = virtio_has(device, VIRTIO_F_INDIRECT_DESC);
    q->event_index = virtio_has(device, VIRTIO_F_EVENT_IDX);
    return device->transport->queue_start(device, q);
}

/* --- giving ----------------------------------------------------------------------------------- */

void virtqueue_chain_init(struct virtqueue_chain *c, struct virtio_descriptor *table, u16 size)
{
    *c = (struct virtqueue_chain){.table = table, .table_size = size};
    if (table)
        c->table_physical = physical_of(table).bits;
}

static bool chain_is_indirect(const struct virtqueue *q, const struct virtqueue_chain *c)
{
    return q->indirect && c->table;
}

u16 virtqueue_room(const struct virtqueue *q, const struct virtqueue_chain *c)
{
    if (!is_ok(q->failure) || q->free_count == 0)
        return 0;
    return chain_is_indirect(q, c) ? c->table_size : q->free_count;
}

static u16 descriptor_take(struct virtqueue *q)
{
    assert(q->free_count > 0);
    u16 taken = q->free_head;
    q->free_head = q->next[taken];
    q->free_count--;
    return taken;
}

void virtqueue_chain_begin(struct virtqueue *q, struct virtqueue_chain *c)
{
    c->count = 0;
    c->writable_bytes = 0;
    c->written_bytes = 0;
    if (chain_is_indirect(q, c))
        c->head = descriptor_take(q);
}

static inline void chain_add(struct virtqueue *q, struct virtqueue_chain *c, u64 address, u32 bytes,
                             u16 flags)
{
    struct virtio_descriptor *d;
    if (chain_is_indirect(q, c)) {
        assert(c->count < c->table_size);
        d = &c->table[c->count];
        if (c->count > 0) {
            d[-1].flags |= DESCRIPTOR_NEXT;
            d[-1].next = c->count;
        }
    } else {
        u16 taken = descriptor_take(q);
        d = &q->descriptors[taken];
        if (c->count == 0) {
            c->head = taken;
        } else {
            q->descriptors[c->last].flags |= DESCRIPTOR_NEXT;
            q->descriptors[c->last].next = taken;
            q->next[c->last] = taken;
        }
        c->last = taken;
    }
    *d = (struct virtio_descriptor){.address = address, .bytes = bytes, .flags = flags};
    c->count++;
}

void virtqueue_chain_readable(struct virtqueue *q, struct virtqueue_chain *c, u64 address,
                              u32 bytes)
{
    assert(c->writable_bytes == 0);
    chain_add(q, c, address, bytes, 0);
}

void virtqueue_chain_writable(struct virtqueue *q, struct virtqueue_chain *c, u64 address,
                              u32 bytes)
{
    chain_add(q, c, address, bytes, DESCRIPTOR_WRITE);
    c->writable_bytes += bytes;
}

static void chain_show(struct virtqueue *q, struct virtqueue_chain *c)
{
    q->owner[c->head] = c;
    q->flying++;
    q->available->ring[q->available_next & (q->size - 1)] = c->head;
    q->available_next++;
}

void virtqueue_chain_give(struct virtqueue *q, struct virtqueue_chain *c, u64 address, u32 bytes)
{
    assert(!c->table);
    c->head = c->last = descriptor_take(q);
    c->count = 1;
    c->writable_bytes = bytes;
    q->descriptors[c->head] =
        (struct virtio_descriptor){.address = address, .bytes = bytes, .flags = DESCRIPTOR_WRITE};
    chain_show(q, c);
}

void virtqueue_chain_submit(struct virtqueue *q, struct virtqueue_chain *c)
{
    assert(c->count > 0);
    if (chain_is_indirect(q, c))
        q->descriptors[c->head] =
            (struct virtio_descriptor){.address = c->table_physical,
                                       .bytes = c->count * (u32)sizeof(struct virtio_descriptor),
                                       .flags = DESCRIPTOR_INDIRECT};
    chain_show(q, c);
}

/* What was stored before is seen by the device before anything is loaded after; virtio 1.2,
   2.7.13.4.1 and 2.7.7.1 ask for that.  On a machine with one CPU the translator of QEMU 7.2 leaves
   out fences, and the LOCK of an exchange, though the device is served by a thread beside it. PAUSE
   leaves the translated code and takes the emulator's lock, which is a fence; so it is what is
   needed where a look found nothing, and something may have come that will not be told. */
static void device_fence(void)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    __builtin_ia32_pause();
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static bool event_is_passed(const struct virtqueue *q, u16 before, u16 now)
{
    return (u16)(now - avail_event(q) - 1) < (u16)(now - before);
}

/* virtio 1.2, 2.7.10 and 2.7.13.4.1 */
bool virtqueue_must_notify(struct virtqueue *q)
{
    u16 before = q->available_notified, now = q->available_next;
    if (before == now)
        return false;
    __atomic_store_n(&q->available->index, now, __ATOMIC_SEQ_CST);
    q->available_notified = now;
    if (q->event_index) {
        if (event_is_passed(q, before, now))
            return true;
        device_fence();
        return event_is_passed(q, before, now);
    }
    device_fence();
    return !(__atomic_load_n(&q->used->flags, __ATOMIC_ACQUIRE) & USED_NO_NOTIFY);
}

void virtqueue_notify(struct virtqueue *q)
{
    if (virtqueue_must_notify(q))
        q->device->transport->notify(q);
}

/* --- taking back ------------------------------------------------------------------------------ */

static void chain_release(struct virtqueue *q, struct virtqueue_chain *c)
{
    u16 tail = chain_is_indirect(q, c) ? c->head : c->last;
    q->next[tail] = q->free_head;
    q->free_head = c->head;
    q->free_count += chain_is_indirect(q, c) ? 1 : c->count;
    q->owner[c->head] = NULL;
    q->flying--;
}

struct virtqueue_chain *virtqueue_take(struct virtqueue *q)
{
    if (!is_ok(q->failure))
        return NULL;
    u16 used_index = __atomic_load_n(&q->used->index, __ATOMIC_ACQUIRE);
    if (used_index == q->used_next)
        return NULL;
    if ((u16)(used_index - q->used_next) > q->flying) {
        q->failure = status_error(EIO, "virtio: more answers than there were requests", used_index);
        return NULL;
    }
    /* The element is read once: the device could change it under our eyes. */
    const struct virtio_used_element *e = &q->used->ring[q->used_next & (q->size - 1)];
    u32 id = __atomic_load_n(&e->id, __ATOMIC_RELAXED);
    u32 bytes = __atomic_load_n(&e->bytes, __ATOMIC_RELAXED);
    if (id >= q->size || !q->owner[id]) {
        q->failure = status_error(EIO, "virtio: an answer to a request that was not made", id);
        return NULL;
    }
    struct virtqueue_chain *c = q->owner[id];
    /* Legacy devices are known to put the length of what they read there too. */
    if (bytes > c->writable_bytes && !q->device->legacy) {
        q->failure = status_error(EIO, "virtio: an answer longer than its buffers", bytes);
        return NULL;
    }
    c->written_bytes = min(bytes, c->writable_bytes);
    q->used_next++;
    chain_release(q, c);
    return c;
}

/* As many answers at least. */
static bool answers_came(const struct virtqueue *q, u16 answers)
{
    if ((u16)(__atomic_load_n(&q->used->index, __ATOMIC_ACQUIRE) - q->used_next) >= answers)
        return true;
    device_fence();
    return (u16)(__atomic_load_n(&q->used->index, __ATOMIC_ACQUIRE) - q->used_next) >= answers;
}

bool virtqueue_interrupts_on(struct virtqueue *q)
{
    if (q->event_index)
        __atomic_store_n(used_event(q), q->used_next, __ATOMIC_SEQ_CST);
    else
        __atomic_store_n(&q->available->flags, 0, __ATOMIC_SEQ_CST);
    return answers_came(q, 1);
}

bool virtqueue_interrupt_after(struct virtqueue *q, u16 answers)
{
    assert(answers > 0);
    if (!q->event_index)
        return virtqueue_interrupts_on(q);
    __atomic_store_n(used_event(q), (u16)(q->used_next + answers - 1), __ATOMIC_SEQ_CST);
    return answers_came(q, answers);
}

void virtqueue_interrupts_off(struct virtqueue *q)
{
    /* The furthest point from where the ring is: no answer reaches it before it is moved again. */
    if (q->event_index)
        __atomic_store_n(used_event(q), (u16)(q->used_next - 1), __ATOMIC_RELEASE);
    else
        __atomic_store_n(&q->available->flags, AVAILABLE_NO_INTERRUPT, __ATOMIC_RELEASE);
}

struct virtqueue_chain *virtqueue_reclaim(struct virtqueue *q)
{
    for (u16 i = 0; q->flying > 0 && i < q->size; i++) {
        struct virtqueue_chain *c = q->owner[i];
        if (c) {
            q->owner[i] = NULL;
            q->flying--;
            return c;
        }
    }
    return NULL;
}
