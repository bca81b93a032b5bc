/* Open file descriptions and their wait queues: unix/file.h has the rules. */
#include "unix/epoll.h"

/* --- waiting ---------------------------------------------------------------------------------- */

void wait_queue_init(struct wait_queue *q)
{
    list_init(&q->waiters);
}

void wait_queue_add(struct wait_queue *q, struct waiter *w)
{
    list_push_back(&q->waiters, &w->link);
}

void waiter_remove(struct waiter *w)
{
    list_remove(&w->link);
}

void wait_queue_wake(struct wait_queue *q, u32 events)
{
    struct list before, *link;
    bool exclusive_woken = false;
    if (list_empty(&q->waiters))
        return;
    /* A list of its own, so that who comes back onto the queue is not met again. */
    list_insert_after(&q->waiters, &before);
    list_remove(&q->waiters);
    while ((link = list_pop_front(&before))) {
        struct waiter *w = container_of(link, struct waiter, link);
        if (!(events & (w->events | POLLERR | POLLHUP)) || (w->exclusive && exclusive_woken)) {
            list_push_back(&q->waiters, link);
            continue;
        }
        exclusive_woken |= w->exclusive;
        apply(w->wake, w);
    }
}

/* --- descriptions ----------------------------------------------------------------------------- */

struct file *file_create(const struct file_operations *operations, u32 flags,
                         const struct node *node, const struct node *parent)
{
    static u64 numbers = 1; /* st_ino of pipes and the like */
    struct file *f = allocate_zero(general_heap, operations->bytes);
    if (!f)
        return NULL;
    f->operations = operations;
    f->references = 1;
    f->flags = flags;
    f->number = numbers++;
    if (node)
        f->node = *node;
    if (parent)
        f->parent = *parent;
    node_hold(&f->node);
    node_hold(&f->parent);
    if (f->node.inode)
        f->failures_seen = inode_failures_seen(f->node.inode);
    return f;
}

void file_hold(struct file *f)
{
    f->references++;
}

void file_release(struct file *f)
{
    assert(f->references);
    if (--f->references)
        return;
    if (unlikely(f->watchers.next != NULL))
        epoll_file_closed(f);
    if (f->operations->close)
        f->operations->close(f);
    node_release(&f->node);
    node_release(&f->parent);
    deallocate(general_heap, f, f->operations->bytes);
}
