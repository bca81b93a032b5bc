/* Data between the device and the log: what a commit does with data that has arrived, what becomes
   of it when its file is cut meanwhile, and which inodes a commit has to write.

   Between arrival and the commit's FLUSH a struct data_write stands for its pages.  It is then
   either mapped (data_commit_flushed), or its pages are dirty again (data_commit_failed). */
#include "fs/checkpoint.h"
#include "fs/writeback.h"

/* --- beginning and end ------------------------------------------------------------------------ */

status data_start(struct filesystem *fs)
{
    struct data *d = allocate_zero(fs->environment.heap, sizeof(*d));
    if (!d)
        return status_error(ENOMEM, "fs: no memory for writing", 0);
    u64 most = fs->environment.dirty_pages_most;
    d->dirty_most = max(most ? most : DIRTY_PAGES_USUAL, (u64)DIRTY_PAGES_LEAST);
    d->dirty_most = min(d->dirty_most, (u64)DIRTY_PAGES_MOST);
    d->fs = fs;
    list_init(&d->files);
    list_init(&d->flight);
    list_init(&d->arrived);
    list_init(&d->committing);
    list_init(&d->writebacks);
    list_init(&d->rooms);
    list_init(&d->syncs);
    list_init(&d->flush.waiting);
    list_init(&d->flush.answering);
    list_init(&d->flush.writes);
    d->stamp = 1;
    d->number = 1;
    fs->data = d;
    return STATUS_OK;
}

static void writes_discard(struct list *writes)
{
    while (!list_empty(writes)) {
        struct data_write *w = container_of(writes->next, struct data_write, state);
        w->maps = 0; /* the log has gone before */
        data_write_free(w);
    }
}

void data_stop(struct filesystem *fs)
{
    struct data *d = fs->data;
    if (!d)
        return;
    assert(d->in_flight == 0);
    writes_discard(&d->arrived);
    writes_discard(&d->committing);
    writes_discard(&d->flush.writes);
    space_stop(fs);
    deallocate(fs->environment.heap, d, sizeof(*d));
    fs->data = NULL;
}

/* --- room ------------------------------------------------------------------------------------- */

bool data_throttled(const struct filesystem *fs)
{
    const struct data *d = fs->data;
    return d && d->dirty + d->written >= d->dirty_most;
}

static void rooms_end(struct data *d, status s)
{
    struct list waiting, *first;
    list_init(&waiting);
    while ((first = list_pop_front(&d->rooms)))
        list_push_back(&waiting, first);
    while ((first = list_pop_front(&waiting))) {
        status_handler done = container_of(first, struct room_wait, link)->done;
        apply(done, s);
    }
}

void data_room(struct filesystem *fs)
{
    if (!list_empty(&fs->data->rooms) && !data_throttled(fs))
        rooms_end(fs->data, STATUS_OK);
}

closure_method(status_handler, data_commit_ended, struct data, commit_done, status s)
{
    struct data *d = owner();
    d->commit_asked = false;
    list_for_each (&d->writebacks, at) {
        struct writeback *b = container_of(at, struct writeback, link);
        if (b->blocked && is_ok(b->failure))
            b->failure = s;
        b->blocked = false;
    }
    if (!is_ok(s))
        rooms_end(d, s);
    writebacks_step(d->fs);
}

void data_commit_ask(struct filesystem *fs)
{
    struct data *d = fs->data;
    if (d->commit_asked)
        return;
    d->commit_asked = true;
    init_method(&d->commit_done, data_commit_ended);
    commit_request(fs, &d->commit, &d->commit_done);
}

/* --- the background --------------------------------------------------------------------------- */

static u64 pages_arrived(const struct data *d)
{
    return d->written - min(d->written, (u64)d->in_flight * WRITE_PAGES_MOST);
}

closure_method(status_handler, background_ended, struct data, background_done, status s)
{
    struct data *d = owner();
    d->background_runs = false;
    if (!is_ok(s)) {
        d->failing = true; /* out of memory too: it is not begun again at once */
        rooms_end(d, s);
    }
    if (d->interval || (is_ok(s) && data_throttled(d->fs)))
        data_commit_ask(d->fs);
    d->interval = false;
    data_room(d->fs);
}

static void background_start(struct filesystem *fs)
{
    struct data *d = fs->data;
    if (d->background_runs)
        return;
    d->background_runs = true;
    init_method(&d->background_done, background_ended);
    d->background = (struct writeback){.most = FLIGHT_BACKGROUND, .done = &d->background_done};
    writeback_start(fs, &d->background);
}

/* Write-back begins when half of what may be dirty is, and a commit makes room when half of that
   has arrived. */
void data_balance(struct filesystem *fs)
{
    struct data *d = fs->data;
    if (d->dirty > d->dirty_most / 2 && !d->failing)
        background_start(fs);
    if (pages_arrived(d) > d->dirty_most / 4)
        data_commit_ask(fs);
}

void data_wait_room(struct filesystem *fs, struct room_wait *w)
{
    struct data *d = fs->data;
    list_push_back(&d->rooms, &w->link);
    background_start(fs); /* after a failure too: this is somebody's attempt */
    if (d->dirty == 0 || pages_arrived(d))
        data_commit_ask(fs);
}

void data_interval(struct filesystem *fs)
{
    struct data *d = fs->data;
    if (!d || (d->dirty == 0 && d->written == 0)) {
        commit_request(fs, NULL, NULL);
        return;
    }
    d->failing = false;
    d->interval = true;
    background_start(fs);
}

/* --- what commits wait for -------------------------------------------------------------------- */

struct ordering {
    struct writeback writeback;
    struct status_handler done;
};

closure_method(status_handler, ordering_ended, struct ordering, done, status s)
{
    struct ordering *o = owner();
    struct data *d = o->writeback.fs->data;
    (void)s; /* the length in the log does not run ahead of what was not written */
    deallocate(d->fs->environment.heap, o, sizeof(*o));
    if (--d->ordered || !d->ordered_done)
        return;
    status_handler done = d->ordered_done;
    d->ordered_done = NULL;
    apply(done, STATUS_OK);
}

/* Who writes on and on does not keep a rename from happening: it has what was dirty at first. */
#define ORDERS_MOST 8u

status data_order(struct inode *i)
{
    struct filesystem *fs = i->fs;
    struct inode_live *l = i->live;
    if (!l || !fs->data)
        return STATUS_OK;
    bool logged = l->dirty_pages == 0 && list_empty(&l->writes) && i->bytes == l->logged_bytes;
    if (logged || l->orders >= ORDERS_MOST) {
        l->orders = 0;
        return STATUS_OK;
    }
    l->orders++;
    struct ordering *o = allocate(fs->environment.heap, sizeof(*o));
    if (!o)
        return status_error(ENOMEM, "fs: no memory for writing back", i->number);
    init_method(&o->done, ordering_ended);
    o->writeback = (struct writeback){
        .inode = i, .end = ~0ull, .most = FLIGHT_SYNC, .ordered = true, .done = &o->done};
    fs->data->ordered++;
    writeback_start(fs, &o->writeback);
    return status_error(EAGAIN, "fs: the data of what replaces a file is on its way", i->number);
}

bool data_ordered(struct filesystem *fs, status_handler done)
{
    struct data *d = fs->data;
    if (!d || d->ordered == 0)
        return true;
    d->ordered_done = done;
    return false;
}

/* --- commits ---------------------------------------------------------------------------------- */

bool data_commit_begin(struct filesystem *fs)
{
    struct data *d = fs->data;
    if (!d)
        return false;
    space_commit_begin(fs);
    struct list *first;
    /* What waits for a FLUSH of its own is covered by ours too, which may end first; a length that
       the commit logs must not wait for the other one. */
    while ((first = list_pop_front(&d->flush.writes)))
        list_push_back(&d->committing, first);
    while ((first = list_pop_front(&d->arrived)))
        list_push_back(&d->committing, first);
    return !list_empty(&d->committing);
}

/* A MAP record that grows while what follows goes on where it ends. */
struct map_run {
    struct filesystem *fs;
    struct inode *inode;
    u64 file_block, disk_block, blocks;
    u32 reserved;
};

static void map_run_log(struct map_run *r)
{
    if (r->blocks) {
        struct record_map record = {.inode = r->inode->number,
                                    .file_block = r->file_block,
                                    .disk_block = r->disk_block,
                                    .blocks = (u32)r->blocks};
        log_begin_commit(r->fs, sizeof(record));
        log_record(r->fs, &record.r, sizeof(record), RECORD_MAP, NULL, 0, NULL, 0);
        log_end(r->fs);
        r->inode->live->position = log_position(r->fs);
    }
    log_dirty_unreserve(r->fs, r->reserved);
    extents_unpromise(r->fs, r->reserved * EXTENTS_FOR_ONE_MAP);
    r->blocks = r->reserved = 0;
}

static void map_run_add(struct map_run *r, struct data_write *w, u32 at, u32 blocks)
{
    u64 file_block = w->first + at, disk_block = w->disk_block + at;
    if (r->blocks && (r->inode != w->inode || r->file_block + r->blocks != file_block ||
                      r->disk_block + r->blocks != disk_block))
        map_run_log(r);
    if (r->blocks == 0) {
        r->inode = w->inode;
        r->file_block = file_block;
        r->disk_block = disk_block;
    }
    r->blocks += blocks;
    extent_install(w->inode, file_block, disk_block, blocks, 0);
}

/* Maps what was not voided, and lets the pages go. */
static void write_flushed(struct data_write *w, struct map_run *r)
{
    struct data *d = w->fs->data;
    bool maps = w->kind != WRITE_IN_PLACE;
    if (maps)
        checkpoint_before_inode(w->inode);
    u32 run = 0;
    for (u32 n = 0; n < w->blocks; n++) {
        struct page *p = w->pages[n];
        run = p ? run + 1 : 0;
        if (!p)
            continue;
        if (maps && (n + 1 == w->blocks || !w->pages[n + 1]))
            map_run_add(r, w, n + 1 - run, run);
        p->writes--;
        p->moves -= w->kind == WRITE_NEW;
        d->written--;
        cache_page_settled(p);
    }
    r->reserved += w->maps;
    w->maps = 0;
    data_write_free(w);
}

void data_write_settled(struct data_write *w)
{
    struct map_run none = {.fs = w->fs};
    assert(w->kind == WRITE_IN_PLACE);
    write_flushed(w, &none);
}

void data_commit_flushed(struct filesystem *fs)
{
    struct data *d = fs->data;
    struct map_run r = {.fs = fs};
    if (!d)
        return;
    d->installing = true;
    while (!list_empty(&d->committing))
        write_flushed(container_of(d->committing.next, struct data_write, state), &r);
    map_run_log(&r);
    d->installing = false;
    data_room(fs);
}

static void writes_fail(struct list *writes, status s)
{
    while (!list_empty(writes))
        data_write_failed(container_of(writes->next, struct data_write, state), s);
}

/* A FLUSH that failed may have lost whatever had arrived, not only what was this commit's. */
void data_commit_failed(struct filesystem *fs, status s)
{
    struct data *d = fs->data;
    if (!d)
        return;
    writes_fail(&d->committing, s);
    writes_fail(&d->flush.writes, s);
    writes_fail(&d->arrived, s);
}

/* --- inodes ----------------------------------------------------------------------------------- */

static bool inode_is_dirty(const struct inode *i)
{
    return i->live && !list_empty(&i->live->dirty);
}

status inode_dirty(struct inode *i)
{
    struct filesystem *fs = i->fs;
    if (inode_is_dirty(i))
        return STATUS_OK;
    status s = log_dirty_reserve(fs, 1);
    if (!is_ok(s))
        return s;
    if (!inode_live(i)) {
        log_dirty_unreserve(fs, 1);
        return status_error(ENOMEM, "fs: no memory for an inode", i->number);
    }
    list_push_back(&fs->dirty_inodes, &i->live->dirty);
    commit_soon(fs);
    return STATUS_OK;
}

void inode_clean(struct inode *i)
{
    if (!inode_is_dirty(i))
        return;
    list_remove(&i->live->dirty);
    log_dirty_unreserve(i->fs, 1);
}

/* The first page from `from` on that is not on the disk as memory has it; ~0: none. */
static u64 first_volatile(struct inode *i, u64 from)
{
    struct page *p = cache_first_dirty(i, from);
    u64 first = p ? p->index : ~0ull;
    list_for_each (&i->live->writes, at) {
        const struct data_write *w = container_of(at, struct data_write, link);
        if (w->first + w->blocks <= from || w->first >= first)
            continue;
        for (u32 n = w->first < from ? (u32)(from - w->first) : 0; n < w->blocks; n++) {
            if (!(w->voided >> n & 1)) {
                first = min(first, w->first + n);
                break;
            }
        }
    }
    return first;
}

/* What a sync has brought to the disk, though it was changed again meanwhile. */
static u64 length_promised(const struct inode_live *l)
{
    u64 first = ~0ull; /* the first write that is not on the disk for sure */
    if (!list_empty(&l->writes))
        first = container_of(l->writes.next, struct data_write, link)->number;
    u64 bytes = l->issued_until <= first ? l->issued_bytes : 0;
    list_for_each (&l->promises, at) {
        const struct data_promise *p = container_of(at, struct data_promise, link);
        if (p->until && p->until <= first)
            bytes = max(bytes, p->bytes);
    }
    return bytes;
}

/* What the log may say: no byte that is not on the disk. */
static u64 length_to_log(struct inode *i)
{
    u64 logged = i->live->logged_bytes;
    if (i->bytes <= logged)
        return i->bytes;
    u64 first = first_volatile(i, logged >> BLOCK_ORDER);
    u64 most = first >> (64 - BLOCK_ORDER) ? i->bytes : max(logged, first << BLOCK_ORDER);
    return min(max(most, length_promised(i->live)), i->bytes);
}

static void inode_commit(struct inode *i)
{
    struct filesystem *fs = i->fs;
    struct inode_live *l = i->live;
    struct record_inode record;
    checkpoint_before_inode(i);
    inode_record(i, &record);
    bool whole = true;
    if (i->type == INODE_FILE) {
        record.bytes = length_to_log(i);
        whole = record.bytes == i->bytes;
        l->logged_bytes = record.bytes;
    }
    log_begin_commit(fs, sizeof(record));
    log_record(fs, &record.r, sizeof(record), RECORD_INODE, NULL, 0, NULL, 0);
    log_end(fs);
    l->position = log_position(fs);
    if (whole)
        inode_clean(i);
}

void inodes_commit(struct filesystem *fs)
{
    list_for_each_safe (&fs->dirty_inodes, at)
        inode_commit(container_of(at, struct inode_live, dirty)->inode);
    if (!list_empty(&fs->dirty_inodes)) /* those whose data is still on its way */
        commit_soon(fs);
}
