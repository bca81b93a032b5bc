/* Writing back: dirty pages become requests to the device.

   Who wants pages on the disk starts a struct writeback: a sync for a file or for all of them, the
   background when much is dirty.  Each has a bound of requests in flight, and all together have
   FLIGHT_MOST; what cannot be issued yet is when a request has landed.  Of the writebacks of
   everything one runs at a time, the others wait for their turn.

   What has landed waits in data.arrived for the FLUSH of a commit (data.c) or of a sync that needs
   no more than that (sync.c).

   A write that failed leaves its pages dirty.  The background does not try again by itself then;
   the next sync does, or the next interval. */
#include "fs/writeback.h"

/* --- one request ------------------------------------------------------------------------------ */

/* Where pages from one on go; up to `end` the same holds. */
struct target {
    u64 end;
    u64 disk_block; /* not of WRITE_NEW */
    u8 kind;
};

static struct target target_of(const struct page *p)
{
    const struct inode *i = p->inode;
    struct target t = {.end = p->index + 1, .kind = WRITE_NEW};
    if (p->moves) /* it will be mapped elsewhere: where it is now does not last */
        return t;
    struct range_node *n = i->extents ? range_map_lookup_at_or_next(i->extents, p->index) : NULL;
    if (!n || n->r.start > p->index) {
        t.end = n ? n->r.start : ~0ull;
        return t;
    }
    const struct extent *e = extent_of(n);
    t.end = n->r.end;
    if (extent_in_place(e)) {
        t.kind = e->flags & MAP_UNWRITTEN ? WRITE_CONVERT : WRITE_IN_PLACE;
        t.disk_block = e->disk_block + (p->index - n->r.start);
    }
    return t;
}

/* The pages from p on that can go in one request. */
static u32 run_gather(struct page *p, u64 end, struct target *t, struct page **pages)
{
    struct inode *i = p->inode;
    u32 n = 0;
    *t = target_of(p);
    while (p && p->flags & PAGE_DIRTY && !(p->flags & PAGE_WRITING) && p->index < end) {
        if (p->index >= t->end || p->moves) {
            struct target next = target_of(p);
            if (t->kind != WRITE_NEW || next.kind != WRITE_NEW)
                break;
            t->end = next.end;
        }
        pages[n++] = p;
        if (n == WRITE_PAGES_MOST)
            break;
        p = cache_lookup(i, p->index + 1);
    }
    return n;
}

/* Behind what was allocated for the page before, or behind its extent. */
static u64 goal_for(const struct inode *i, u64 index)
{
    if (i->live->goal_index == index)
        return i->live->goal_block;
    const struct extent *before = index ? extent_at(i, index - 1) : NULL;
    return before ? before->disk_block + range_length(before->node.r) : 0;
}

static struct data_write *data_write_make(struct inode *i, u32 capacity)
{
    struct filesystem *fs = i->fs;
    u64 bytes =
        sizeof(struct data_write) + capacity * (sizeof(struct sg_piece) + sizeof(struct page *));
    struct data_write *w = allocate(fs->environment.heap, bytes);
    if (!w)
        return NULL;
    *w = (struct data_write){
        .fs = fs, .inode = i, .capacity = capacity, .device.operation.scope = NULL};
    list_init(&w->link);
    list_init(&w->state);
    sg_init(&w->sg, NULL);
    w->sg.pieces = (struct sg_piece *)(w + 1);
    w->sg.capacity = capacity;
    w->pages = (struct page **)(w->sg.pieces + capacity);
    return w;
}

void data_write_free(struct data_write *w)
{
    struct filesystem *fs = w->fs;
    if (w->maps) {
        log_dirty_unreserve(fs, w->maps);
        extents_unpromise(fs, w->maps * EXTENTS_FOR_ONE_MAP);
    }
    list_remove(&w->link);
    list_remove(&w->state);
    deallocate(fs->environment.heap, w,
               sizeof(*w) + w->capacity * (sizeof(struct sg_piece) + sizeof(struct page *)));
}

/* What mapping it will need, and its blocks. */
static status data_write_secure(struct data_write *w, const struct target *t, u32 pages)
{
    struct filesystem *fs = w->fs;
    struct inode *i = w->inode;
    w->kind = t->kind;
    w->disk_block = t->disk_block;
    w->blocks = pages;
    if (t->kind == WRITE_IN_PLACE)
        return STATUS_OK;
    status s = extents_need(i);
    if (is_ok(s))
        s = extents_promise(fs, EXTENTS_FOR_ONE_MAP);
    if (!is_ok(s))
        return s;
    s = log_dirty_reserve(fs, 1);
    if (!is_ok(s)) {
        extents_unpromise(fs, EXTENTS_FOR_ONE_MAP);
        return s;
    }
    w->maps = 1;
    if (t->kind != WRITE_NEW)
        return STATUS_OK;
    w->blocks = (u32)space_allocate(fs, goal_for(i, w->first), pages, &w->disk_block);
    if (!w->blocks)
        return status_error(ENOMEM, "fs: no memory to take blocks", i->number);
    i->live->goal_index = w->first + w->blocks;
    i->live->goal_block = w->disk_block + w->blocks;
    return STATUS_OK;
}

/* Behind the end of the file a mapping may have left anything. */
static void tail_zero(struct page *p)
{
    u64 bytes = p->inode->bytes;
    if (bytes >> BLOCK_ORDER == p->index)
        memset((u8 *)p->memory + bytes % BLOCK_BYTES, 0, BLOCK_BYTES - bytes % BLOCK_BYTES);
}

/* The pages are the write's now, and clean unless they are written to again. */
static void data_write_pages(struct data_write *w, struct page **pages)
{
    struct filesystem *fs = w->fs;
    for (u32 n = 0; n < w->blocks; n++) {
        struct page *p = w->pages[n] = pages[n];
        assert(p);
        cache_page_clean(p);
        if (p->flags & PAGE_RESERVED && w->kind != WRITE_NEW)
            space_unreserve(fs, 1); /* it was mapped meanwhile */
        p->flags = (p->flags & ~(u32)PAGE_RESERVED) | PAGE_WRITING;
        p->holds++;
        p->writes++;
        p->moves += w->kind == WRITE_NEW;
        sg_add(&w->sg, p->memory, BLOCK_BYTES);
    }
    if (fs->environment.protect)
        apply(fs->environment.protect, w->inode, range_of(w->first, w->first + w->blocks));
    tail_zero(w->pages[w->blocks - 1]);
    fs->data->written += w->blocks;
    list_push_back(&w->inode->live->writes, &w->link);
}

bool flight_meets(const struct data *d, u64 disk_block, u64 blocks)
{
    list_for_each (&d->flight, at) {
        const struct data_write *w = container_of(at, struct data_write, state);
        if (w->disk_block < disk_block + blocks && disk_block < w->disk_block + w->blocks)
            return true;
    }
    return false;
}

static void write_landed(struct data_write *w, status s);

closure_method(status_handler, data_write_landed, struct data_write, landed, status s)
{
    struct data_write *w = owner();
    write_landed(w, s);
}

/* Hands the dirty pages from p on to the device, as many as one request takes; *issued of them, 0
   when a write that was voided is still on its way to their blocks.  EAGAIN: after the next commit.
   ENOMEM, ECANCELED. */
static status write_issue(struct writeback *b, struct page *p, u64 end, u32 *issued)
{
    struct filesystem *fs = b->fs;
    struct data *d = fs->data;
    struct page *pages[WRITE_PAGES_MOST] = {p};
    struct target t;
    u32 count = run_gather(p, end, &t, pages);
    if (t.kind != WRITE_NEW && flight_meets(d, t.disk_block, count))
        return STATUS_OK;
    struct data_write *w = data_write_make(p->inode, count);
    if (!w)
        return status_error(ENOMEM, "fs: no memory for writing back", p->inode->number);
    w->first = p->index;
    status s = data_write_secure(w, &t, count);
    if (!is_ok(s)) {
        data_write_free(w);
        return s;
    }
    data_write_pages(w, pages);
    w->number = d->number++;
    w->since = log_flush_failures(fs);
    *issued = w->blocks;
    init_method(&w->landed, data_write_landed);
    if (!device_start(fs, &w->device, BLOCK_WRITE, w->disk_block * BLOCK_SECTORS, &w->sg,
                      &w->landed)) {
        s = device_closing(fs);
        write_landed(w, s);
        return s;
    }
    w->owner = b;
    w->in_flight = true;
    b->in_flight++;
    d->in_flight++;
    list_push_back(&d->flight, &w->state);
    return STATUS_OK;
}

/* --- its end ---------------------------------------------------------------------------------- */

/* New blocks that nobody will map: those voided, or those that are not. */
static void blocks_give(struct data_write *w, bool voided)
{
    if (w->kind != WRITE_NEW)
        return;
    for (u32 at = 0, run; at < w->blocks; at += run) {
        run = bits_run(w->voided, at, w->blocks);
        if ((w->voided >> at & 1) == voided)
            space_free_now(w->fs, w->disk_block + at, run);
    }
}

static bool all_voided(const struct data_write *w)
{
    u64 all = w->blocks == 64 ? ~0ull : (1ull << w->blocks) - 1;
    return (w->voided & all) == all;
}

static void page_failed(struct data_write *w, struct page *p)
{
    struct data *d = w->fs->data;
    p->writes--;
    p->moves -= w->kind == WRITE_NEW;
    d->written--;
    if (w->kind == WRITE_NEW && !(p->flags & PAGE_RESERVED)) {
        p->flags |= PAGE_RESERVED; /* the block that was just given back */
        d->reserved++;
    }
    if (!(p->flags & PAGE_DIRTY))
        cache_page_dirty(p);
}

static void promises_break(struct inode_live *l, u64 number)
{
    l->issued_bytes = 0;
    list_for_each (&l->promises, at) {
        struct data_promise *p = container_of(at, struct data_promise, link);
        if (p->until > number)
            p->bytes = 0;
    }
}

void data_write_failed(struct data_write *w, status s)
{
    struct inode_live *l = w->inode->live;
    l->failures++;
    l->failure = s;
    promises_break(l, w->number);
    blocks_give(w, false);
    for (u32 n = 0; n < w->blocks; n++)
        if (w->pages[n])
            page_failed(w, w->pages[n]);
    data_write_free(w);
}

/* The device has let go of the pages; those that were voided are nobody's. */
static void pages_land(struct data_write *w)
{
    for (u32 n = 0; n < w->blocks; n++) {
        struct page *p = w->pages[n];
        p->flags &= ~(u32)PAGE_WRITING;
        if (w->voided >> n & 1)
            w->pages[n] = NULL;
        page_release(p);
    }
    if (w->voided && w->kind == WRITE_NEW) {
        w->fs->data->voided_blocks -= bits_count(w->voided);
        blocks_give(w, true);
    }
}

/* In the order of issue, so that neighbours meet. */
static void arrived_add(struct data *d, struct data_write *w)
{
    struct list *at = d->arrived.previous;
    while (at != &d->arrived && container_of(at, struct data_write, state)->number > w->number)
        at = at->previous;
    list_insert_after(at, &w->state);
}

static bool writeback_wants(const struct writeback *b, const struct data_write *w)
{
    return !b->inode ||
           (b->inode == w->inode && w->first < b->end && w->first + w->blocks > b->first);
}

static void write_failure_tell(struct data_write *w, status s)
{
    struct data *d = w->fs->data;
    d->failing = true;
    list_for_each (&d->writebacks, at) {
        struct writeback *b = container_of(at, struct writeback, link);
        if (writeback_wants(b, w) && is_ok(b->failure))
            b->failure = s;
    }
}

static void write_landed(struct data_write *w, status s)
{
    struct filesystem *fs = w->fs;
    struct data *d = fs->data;
    bool was_in_flight = w->in_flight;
    list_remove(&w->state);
    if (was_in_flight)
        d->in_flight--;
    if (w->owner)
        w->owner->in_flight--;
    w->owner = NULL;
    w->in_flight = false;
    pages_land(w);
    if (is_ok(s) && w->since != log_flush_failures(fs))
        s = status_error(EIO, "fs: a FLUSH failed while data was on its way", w->disk_block);
    if (!w->inode || all_voided(w)) {
        data_write_free(w);
    } else if (is_ok(s)) {
        d->failing = false;
        arrived_add(d, w);
    } else {
        write_failure_tell(w, s);
        data_write_failed(w, s);
    }
    if (was_in_flight)
        writebacks_step(fs);
}

/* --- writebacks ------------------------------------------------------------------------------- */

/* All of the file that was dirty has been issued. */
static void file_issued(const struct writeback *b, struct inode_live *l)
{
    if (b->promises) {
        l->issued_bytes = b->length;
        l->issued_until = b->fs->data->number;
    }
}

/* Of everything: the first file that it has not been through, which is at the front. */
static struct page *next_of_all(struct writeback *b)
{
    struct data *d = b->fs->data;
    while (!list_empty(&d->files)) {
        struct inode_live *l = container_of(d->files.next, struct inode_live, data);
        if (l->data_stamp >= b->stamp)
            return NULL;
        if (b->current != l->inode) {
            b->at = 0;
            b->length = l->inode->bytes;
        }
        b->current = l->inode;
        struct page *p = cache_first_dirty(l->inode, b->at);
        if (p)
            return p;
        file_issued(b, l);
        l->data_stamp = b->stamp; /* what became dirty behind us is for the next one */
        list_remove(&l->data);
        list_push_back(&d->files, &l->data);
        b->current = NULL;
    }
    return NULL;
}

static struct page *writeback_next(struct writeback *b)
{
    if (!b->inode)
        return next_of_all(b);
    struct page *p = cache_first_dirty(b->inode, b->at);
    return p && p->index < b->end ? p : NULL;
}

static void writeback_issued(struct writeback *b)
{
    b->issued = true;
    b->until = b->fs->data->number;
}

/* Issues what it may. */
static void writeback_issue(struct writeback *b)
{
    struct data *d = b->fs->data;
    while (!b->issued && !b->blocked && b->in_flight < b->most && d->in_flight < FLIGHT_MOST) {
        struct page *p = is_ok(b->failure) ? writeback_next(b) : NULL;
        if (!p) {
            writeback_issued(b);
            return;
        }
        if (p->flags & PAGE_WRITING)
            return; /* until that has landed */
        u64 first = p->index;
        u32 count = 0;
        struct inode_live *l = p->inode->live;
        status s = write_issue(b, p, b->inode ? b->end : ~0ull, &count);
        if (is_ok(s) && !count)
            return; /* until that has landed */
        b->at = first + count;
        if (is_ok(s) && l->dirty_pages == 0) /* it is not among the dirty files any more */
            file_issued(b, l);
        if (status_errno(s) == EAGAIN && !b->ordered) {
            b->blocked = true;
            data_commit_ask(b->fs);
        } else if (status_errno(s) == ENOMEM && b->in_flight) {
            return; /* memory comes back with what is in flight */
        } else if (!is_ok(s)) {
            b->failure = s;
        }
    }
}

static bool writeback_over(const struct writeback *b)
{
    if (!b->issued || b->in_flight)
        return false;
    list_for_each (&b->fs->data->flight, at) {
        const struct data_write *w = container_of(at, struct data_write, state);
        if (w->number >= b->until)
            break;
        if (writeback_wants(b, w))
            return false;
    }
    return true;
}

/* One pass; true when the turn of a writeback of everything may have come. */
static bool writebacks_pass(struct data *d, struct list *ended)
{
    bool turn_taken = false, turn_over = false;
    list_for_each_safe (&d->writebacks, at) {
        struct writeback *b = container_of(at, struct writeback, link);
        if (!b->inode && turn_taken)
            continue;
        turn_taken |= !b->inode;
        if (!b->inode && !b->stamp)
            b->stamp = ++d->stamp;
        writeback_issue(b);
        if (!writeback_over(b))
            continue;
        turn_over |= !b->inode;
        list_remove(&b->link);
        list_push_back(ended, &b->link);
    }
    return turn_over;
}

/* The fs outlives this: whoever calls belongs to an operation of its scope. */
void writebacks_step(struct filesystem *fs)
{
    struct data *d = fs->data;
    struct list ended, *first;
    list_init(&ended);
    while (writebacks_pass(d, &ended))
        ;
    while ((first = list_pop_front(&ended))) {
        struct writeback *b = container_of(first, struct writeback, link);
        status_handler done = b->done;
        status s = b->failure;
        apply(done, s);
    }
    data_balance(fs);
}

void writeback_start(struct filesystem *fs, struct writeback *b)
{
    struct data *d = fs->data;
    b->fs = fs;
    b->at = b->first;
    b->current = NULL;
    b->stamp = b->until = 0;
    b->in_flight = 0;
    b->issued = b->blocked = false;
    b->failure = STATUS_OK;
    list_push_back(&d->writebacks, &b->link);
    writebacks_step(fs);
}

void writeback_cancel(struct writeback *b)
{
    list_remove(&b->link);
    list_for_each (&b->fs->data->flight, at) {
        struct data_write *w = container_of(at, struct data_write, state);
        if (w->owner == b)
            w->owner = NULL;
    }
}
