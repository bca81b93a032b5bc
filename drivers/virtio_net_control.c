/* virtio-net: the control queue.  One command is of use to us, that of how many queue pairs the
   device may use; until it has agreed, one pair is.  See drivers/virtio_net.h. */
#include "drivers/virtio_net.h"

#include "kernel/log.h"
#include "kernel/memory.h"

/* virtio 1.2, 5.1.6.5 */
enum { CONTROL_MQ = 4, CONTROL_MQ_PAIRS_SET = 0, CONTROL_OK = 0, CONTROL_UNANSWERED = 0xff };

void virtio_net_control_ask(struct vnet *n)
{
    struct vnet_control *c = &n->control;
    u64 message = physical_of(&c->message).bits;
    c->message.class = CONTROL_MQ;
    c->message.command = CONTROL_MQ_PAIRS_SET;
    c->message.pairs = (u16)n->pair_count;
    c->message.answer = CONTROL_UNANSWERED;
    virtqueue_chain_init(&c->chain, NULL, 0);
    if (virtqueue_room(&c->queue, &c->chain) < 3) {
        log_warning("%s: its control queue is too small; one queue pair is used", n->virtio->name);
        return;
    }
    virtqueue_chain_begin(&c->queue, &c->chain);
    virtqueue_chain_readable(&c->queue, &c->chain, message, 2);
    virtqueue_chain_readable(&c->queue, &c->chain, message + offsetof(typeof(c->message), pairs),
                             sizeof(u16));
    virtqueue_chain_writable(&c->queue, &c->chain, message + offsetof(typeof(c->message), answer),
                             sizeof(u8));
    virtqueue_chain_submit(&c->queue, &c->chain);
    c->flying = true;
    virtqueue_interrupts_on(&c->queue);
    virtqueue_notify(&c->queue);
}

void virtio_net_control_take(struct vnet *n)
{
    struct vnet_control *c = &n->control;
    if (!c->flying || !virtqueue_take(&c->queue))
        return;
    c->flying = false;
    u8 answer = __atomic_load_n(&c->message.answer, __ATOMIC_RELAXED);
    if (answer == CONTROL_OK)
        n->pairs_active = n->pair_count;
    else
        log_warning("%s: it refuses to use %u queue pairs (%u)", n->virtio->name, n->pair_count,
                    answer);
}
