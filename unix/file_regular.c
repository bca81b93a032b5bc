/* Regular files of the image: reads come from the page cache, and ask for what it has not; writes
   go into it.

   The fast path is regular_read with every page cached: pages_find and a copy for each run.  On a
   miss the pages of the request come through one pages_fetch, with more behind them when the file
   is read in order; and while a run is being copied, the next one is on its way already, so the
   device and the copying overlap.

   A write goes page by page: page_write_begin, copy, page_write_end, with nothing waited for in
   between.  What a page lacks (its contents, room on the disk) is waited for between two pages, and
   meanwhile no other write of the file begins: so writes are seen whole, one after the other, as
   Linux's are, and O_APPEND's go where the file ends. */
#include "kernel/memory.h"
#include "kernel/run_loop.h"
#include "unix/descriptor.h"

#define AHEAD_PAGES_MOST  512 /* of one run of reading ahead: 2 MiB */
#define AHEAD_PAGES_FIRST 32  /* of the first run */
#define FETCH_PAGES_LEAST 16  /* of one miss, however little memory is left */
#define WRITE_PAGES_PASS  32u /* of a write; then what has come meanwhile is done first */

/* What a descriptor remembers to recognise reading in order. */
struct regular_file {
    struct file file;
    u64 expected;    /* the page after the last one read */
    u64 ahead_from;  /* reaching this page starts the next run */
    u64 ahead_end;   /* pages before this one were asked for */
    u32 ahead_count; /* pages of the last run */
    bool ahead_busy;
    bool accessed; /* its reading was noted in the time of access since it was last written */
    struct status_handler ahead_done;
};

/* A run is at most an eighth of what is free, so that small machines do not evict their own. */
static u64 ahead_limit(void)
{
    u64 free_pages = memory_statistics().free_bytes >> PAGE_ORDER;
    return min(free_pages / 8, (u64)AHEAD_PAGES_MOST);
}

closure_method(status_handler, regular_ahead_done, struct regular_file, ahead_done, status s)
{
    struct regular_file *r = owner();
    (void)s; /* who really needs the pages asks again, and is told */
    r->ahead_busy = false;
    file_release(&r->file);
}

/* Starts bringing in [first, first + count), nobody waiting. */
static void regular_ahead(struct regular_file *r, u64 first, u64 count)
{
    u64 pages = align_up(inode_bytes(r->file.node.inode), PAGE_BYTES) >> PAGE_ORDER;
    if (first >= pages) {
        r->ahead_from = ~0ull; /* the end of the file: no further run */
        return;
    }
    count = min(count, pages - first);
    r->ahead_from = first;
    r->ahead_end = first + count;
    r->ahead_count = (u32)count;
    r->ahead_busy = true;
    file_hold(&r->file);
    init_method(&r->ahead_done, regular_ahead_done);
    pages_fetch(r->file.node.inode, first, count, &r->ahead_done);
}

/* The page was not there.  The completion starts the attempt again. */
static s64 regular_miss(struct regular_file *r, struct transfer *x)
{
    struct inode *i = r->file.node.inode;
    u64 first = x->position >> PAGE_ORDER;
    u64 pages = align_up(inode_bytes(i), PAGE_BYTES) >> PAGE_ORDER;
    u64 end = min(align_up(x->position + x->left, PAGE_BYTES) >> PAGE_ORDER, pages);
    u64 limit = max(ahead_limit(), (u64)FETCH_PAGES_LEAST);
    u64 count = min(end - first, limit);
    bool in_order = first == r->expected || first == 0;
    bool coming = r->ahead_busy && first >= r->ahead_from && first < r->ahead_end;
    if (in_order && !coming) {
        /* Nothing is on its way yet: this request's pages and as many again. */
        u64 more = max(count * 2, (u64)AHEAD_PAGES_FIRST);
        more = max(count, more < limit ? more : limit);
        count = min(more, pages - first);
        r->ahead_from = first;
        r->ahead_end = first + count;
        r->ahead_count = (u32)count;
    }
    return transfer_pages(x, i, first, count);
}

/* A page of the last run was reached: start the next, twice as long, up to the limit. */
static void regular_run(struct regular_file *r)
{
    u64 count = min((u64)r->ahead_count * 2, ahead_limit());
    regular_ahead(r, r->ahead_end, max(count, 1ull));
}

void file_regular_will_need(struct file *f, u64 first, u64 count)
{
    struct regular_file *r = container_of(f, struct regular_file, file);
    u64 most = min(count, ahead_limit());
    if (most && !r->ahead_busy)
        regular_ahead(r, first, most);
}

/* O_DIRECT is served through the cache, but what it may be asked for is Linux's rule: whole
   sectors. */
#define DIRECT_BYTES 512u

static bool direct_aligned(const struct transfer *x)
{
    return !((x->position | x->at | x->chunk | x->left) & (DIRECT_BYTES - 1));
}

/* Once for an open file, and again after it wrote: more would not change the time (relatime). */
static void regular_accessed(struct regular_file *r)
{
    r->accessed = true;
    if (!(r->file.flags & O_NOATIME))
        inode_accessed(r->file.node.inode);
}

/* What lies in a row in memory is copied at once.  0: moved; else the attempt's result. */
static inline s64 regular_read_run(struct regular_file *r, struct inode *i, struct transfer *x,
                                   u64 size)
{
    u64 index = x->position >> PAGE_ORDER;
    u64 offset = x->position & (PAGE_BYTES - 1);
    u64 rest = min(size - x->position, x->left);
    struct page_run run;
    u64 count = pages_find(i, index, (offset + rest + PAGE_BYTES - 1) >> PAGE_ORDER, &run);
    if (unlikely(!count))
        return regular_miss(r, x);
    bool ahead_reached = r->ahead_end > index && index + count > r->ahead_from;
    if (unlikely(ahead_reached && !r->ahead_busy) && r->expected - index <= 1)
        regular_run(r);
    u64 copied, bytes = min(count * PAGE_BYTES - offset, rest);
    s64 error = transfer_out(x, run.memory + offset, bytes, &copied);
    page_run_release(&run);
    r->expected = (x->position + PAGE_BYTES - 1) >> PAGE_ORDER;
    return unlikely(error) ? transfer_stop(x, error) : 0;
}

static s64 regular_read(struct file *f, struct transfer *x)
{
    struct regular_file *r = container_of(f, struct regular_file, file);
    struct inode *i = f->node.inode;
    u64 size = inode_bytes(i);
    if (unlikely(f->flags & O_DIRECT) && x->position < size && !direct_aligned(x))
        return transfer_stop(x, -EINVAL);
    if (unlikely(!r->accessed))
        regular_accessed(r);
    while (x->left && x->position < size) {
        s64 result = regular_read_run(r, i, x, size);
        if (unlikely(result))
            return result;
    }
    return (s64)x->done;
}

/* --- writing ---------------------------------------------------------------------------------- */

/* The writes that have moved a part and wait: few, since each is a thread's. */
static struct list writes = {&writes, &writes};

static bool write_under_way(const struct inode *i)
{
    list_for_each (&writes, l)
        if (container_of(l, struct transfer, turn_link)->file->node.inode == i)
            return true;
    return false;
}

void file_turn_take(struct transfer *x)
{
    if (x->owes & OWES_TURN || !x->done || !x->writing || x->file->operations != &file_regular)
        return;
    x->owes |= OWES_TURN;
    list_push_back(&writes, &x->turn_link);
}

void file_turn_end(struct transfer *x)
{
    x->owes &= (u8)~OWES_TURN;
    list_remove(&x->turn_link);
    file_turns_wake();
}

/* A write begins: where, and how much of it the limits allow.  0 or -errno. */
static s64 write_prepare(struct inode *i, struct transfer *x)
{
    u64 most = x->thread->process->files->limits[LIMIT_FSIZE].soft;
    if (x->flags & O_APPEND)
        x->position = inode_bytes(i);
    if (x->flags & O_DIRECT && !x->from_kernel && !direct_aligned(x))
        return -EINVAL;
    if (x->position >= most) {
        signal_raise(x->thread, SIGNAL_XFSZ);
        return -EFBIG;
    }
    x->left = min(x->left, most - x->position);
    x->chunk = min(x->chunk, x->left);
    return 0;
}

/* page_write_begin said no: for now, or for good. */
static s64 write_wait(struct inode *i, struct transfer *x, status s, u64 fetch)
{
    if (status_errno(s) != EAGAIN)
        return transfer_stop(x, syscall_status(s));
    return fetch == NO_PAGE ? transfer_room(x) : transfer_pages(x, i, fetch, 1);
}

/* A write of megabytes would keep the disk, and who waits for it, waiting as long. */
static s64 write_pages(struct inode *i, struct transfer *x)
{
    for (u32 pages = 0; x->left; pages++) {
        if (unlikely(pages == WRITE_PAGES_PASS)) {
            if (run_loop_admit())
                return transfer_pass(x);
            pages = 0;
        }
        u64 at = x->position, offset = at & (PAGE_BYTES - 1), bytes = PAGE_BYTES - offset;
        s64 error = transfer_ready(x, &bytes);
        if (unlikely(error))
            return transfer_stop(x, error);
        struct page_write w;
        status s = page_write_begin(i, at, bytes, &w);
        if (unlikely(!is_ok(s)))
            return write_wait(i, x, s, w.fetch);
        u64 copied = transfer_take(x, (u8 *)page_memory(w.page) + offset, bytes);
        u64 counted = page_write_end(i, at, copied, &w);
        if (unlikely(counted < copied))
            transfer_back(x, copied - counted);
    }
    return (s64)x->done;
}

/* O_SYNC and its like: what was moved is made durable, and others may write meanwhile. */
static s64 write_sync(struct transfer *x)
{
    if (x->owes & OWES_TURN)
        file_turn_end(x);
    return transfer_sync(x, (x->flags & O_SYNC) == O_SYNC ? SYNC_ALL
                            : x->flags & O_DSYNC          ? SYNC_DATA
                                                          : SYNC_WRITE);
}

static s64 regular_write(struct file *f, struct transfer *x)
{
    struct inode *i = f->node.inode;
    if (!x->left)
        return 0;
    container_of(f, struct regular_file, file)->accessed = false;
    if (!(x->owes & OWES_TURN) && unlikely(!list_empty(&writes)) && write_under_way(i))
        return transfer_turn(x);
    s64 r = x->done ? 0 : write_prepare(i, x);
    if (!r)
        r = write_pages(i, x);
    if (unlikely(r < 0 && !x->done && !x->keep_position))
        x->position = f->position; /* an append that failed moved nothing */
    return likely(r <= 0 || !(x->flags & (O_DSYNC | O_DIRECT))) ? r : write_sync(x);
}

const struct file_operations file_regular = {
    .name = "file",
    .bytes = sizeof(struct regular_file),
    .read = regular_read,
    .write = regular_write,
    .positioned = true,
};

static s64 directory_read(struct file *f, struct transfer *x)
{
    (void)f, (void)x;
    return -EISDIR;
}

const struct file_operations file_directory = {
    .name = "directory",
    .bytes = sizeof(struct file),
    .read = directory_read,
    .positioned = true,
};

const struct file_operations file_path_only = {
    .name = "path",
    .bytes = sizeof(struct file),
};
