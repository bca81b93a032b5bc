/* The table of advisory locks: unix/file_lock.h. */
#include "unix/file_lock.h"
#include "runtime/errno.h"

void file_locks_init(struct file_locks *l, heap h)
{
    l->heap = h;
    list_init(&l->locks);
    l->count = 0;
}

static void lock_free(struct file_locks *l, struct file_lock *k)
{
    list_remove(&k->link);
    l->count--;
    deallocate(l->heap, k, sizeof(*k));
}

void file_locks_destroy(struct file_locks *l)
{
    list_for_each_safe (&l->locks, link)
        lock_free(l, container_of(link, struct file_lock, link));
}

static bool lock_meets(const struct file_lock *k, range bytes)
{
    return k->bytes.start < bytes.end && bytes.start < k->bytes.end;
}

const struct file_lock *file_lock_conflict(const struct file_locks *l,
                                           const struct file_lock *wanted)
{
    list_for_each (&l->locks, link) {
        struct file_lock *k = container_of(link, struct file_lock, link);
        if (k->file == wanted->file && k->owner != wanted->owner && lock_meets(k, wanted->bytes) &&
            (k->type == FILE_LOCK_WRITE || wanted->type == FILE_LOCK_WRITE))
            return k;
    }
    return NULL;
}

static struct file_lock *lock_new(struct file_locks *l, const struct file_lock *like, range bytes)
{
    if (l->count >= FILE_LOCKS_MOST)
        return NULL;
    struct file_lock *k = allocate(l->heap, sizeof(*k));
    if (!k)
        return NULL;
    *k = *like;
    k->bytes = bytes;
    list_push_back(&l->locks, &k->link);
    l->count++;
    return k;
}

s64 file_lock_clear(struct file_locks *l, const void *file, const void *owner, range bytes)
{
    list_for_each_safe (&l->locks, link) {
        struct file_lock *k = container_of(link, struct file_lock, link);
        if (k->file != file || k->owner != owner || !lock_meets(k, bytes))
            continue;
        bool before = k->bytes.start<bytes.start, after = k->bytes.end> bytes.end;
        if (before && after) {
            /* The only case that needs memory; nothing else can overlap then, so nothing has
               been changed when it fails. */
            if (!lock_new(l, k, range_of(bytes.end, k->bytes.end)))
                return -ENOLCK;
            k->bytes.end = bytes.start;
        } else if (before) {
            k->bytes.end = bytes.start;
        } else if (after) {
            k->bytes.start = bytes.end;
        } else {
            lock_free(l, k);
        }
    }
    return 0;
}

/* Makes one lock of the new one and those of the same owner and type that touch it. */
static void lock_join(struct file_locks *l, struct file_lock *made)
{
    list_for_each_safe (&l->locks, link) {
        struct file_lock *k = container_of(link, struct file_lock, link);
        if (k == made || k->file != made->file || k->owner != made->owner ||
            k->type != made->type || k->bytes.end < made->bytes.start ||
            made->bytes.end < k->bytes.start)
            continue;
        made->bytes =
            range_of(min(k->bytes.start, made->bytes.start), max(k->bytes.end, made->bytes.end));
        lock_free(l, k);
    }
}

s64 file_lock_set(struct file_locks *l, const struct file_lock *wanted)
{
    if (file_lock_conflict(l, wanted))
        return -EAGAIN;
    struct file_lock *made = lock_new(l, wanted, wanted->bytes);
    if (!made)
        return -ENOLCK;
    /* Out of the list while the owner's older locks give way to it. */
    list_remove(&made->link);
    s64 r = file_lock_clear(l, wanted->file, wanted->owner, wanted->bytes);
    list_push_back(&l->locks, &made->link);
    if (r) {
        lock_free(l, made);
        return r;
    }
    lock_join(l, made);
    return 0;
}

void file_lock_forget(struct file_locks *l, const void *file, const void *owner)
{
    list_for_each_safe (&l->locks, link) {
        struct file_lock *k = container_of(link, struct file_lock, link);
        if (k->file == file && k->owner == owner)
            lock_free(l, k);
    }
}
