/* A database's way to write, and the power cut at every request: a journal is written and synced,
   then the pages change in place and are synced, then the journal is emptied.  After each cut the
   database is recovered as its own recovery would do it, and must be the state after a transaction
   that had been committed, or after the one that was under way, whole. */
#include "test/host/crash_machine.h"

#include "runtime/hash64.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGES        24u
#define TOUCHED_MOST 5u
#define TRANSACTIONS 60u
#define PAGE         4096u
#define DISK_BYTES   (2 * MiB)
#define CUTS         2000u
#define CUTS_SOAK    20000u

/* A page says which transaction wrote it, all over. */
struct journal {
    u64 transaction, count, check;
    u64 pages[TOUCHED_MOST];
};

struct database {
    u64 seed;
    struct crash_machine machine;
    struct faulty_disk disk;
    struct random random;
    struct inode *journal, *file;
    u64 versions[TRANSACTIONS + 1][PAGES]; /* after each transaction */
    u64 committed_at[TRANSACTIONS + 1];    /* the event from which on it is promised */
    bool ignores_flush;
    u64 begun; /* the clock of the disk's events */
};

static void page_fill(u8 *page, u64 number, u64 transaction)
{
    u64 word = hash64_of(number * 1000 + transaction);
    for (u32 at = 0; at < PAGE; at += 8)
        memcpy(page + at, &word, sizeof(word));
    memcpy(page, &transaction, sizeof(transaction));
}

static u64 journal_check(const struct journal *j)
{
    struct journal copy = *j;
    copy.check = 0;
    return hash64(1, &copy, sizeof(copy));
}

static void put(struct database *d, struct inode *i, u64 offset, const void *bytes, u64 count)
{
    must(is_ok(crash_machine_write(&d->machine, i, offset, bytes, count)));
}

static void sync_file(struct database *d, struct inode *i, enum sync_kind kind)
{
    must(is_ok(crash_machine_sync(&d->machine, i, kind)));
}

static struct inode *file_make(struct database *d, const char *name)
{
    struct inode_initial initial = {.mode = 0600};
    struct inode *i;
    status s;
    while (status_errno(s = inode_create(filesystem_root(d->machine.fs), name, strlen(name),
                                         INODE_FILE, &initial, &i)) == EAGAIN)
        must(is_ok(crash_machine_room(&d->machine)));
    must(is_ok(s));
    return i;
}

static void transaction_run(struct database *d, u64 t)
{
    u8 page[PAGE];
    struct journal j = {.transaction = t, .count = 1 + random_below(&d->random, TOUCHED_MOST)};
    memcpy(d->versions[t], d->versions[t - 1], sizeof(d->versions[t]));
    for (u64 n = 0; n < j.count; n++) {
        j.pages[n] = random_below(&d->random, PAGES);
        d->versions[t][j.pages[n]] = t;
        page_fill(page, j.pages[n], t);
        put(d, d->journal, (1 + n) * PAGE, page, PAGE);
    }
    j.check = journal_check(&j);
    put(d, d->journal, 0, &j, sizeof(j));
    sync_file(d, d->journal, SYNC_DATA);
    d->committed_at[t] = d->disk.event_count;
    for (u64 n = 0; n < j.count; n++) {
        page_fill(page, j.pages[n], t);
        put(d, d->file, j.pages[n] * PAGE, page, PAGE);
    }
    sync_file(d, d->file, random_below(&d->random, 2) ? SYNC_DATA : SYNC_ALL);
    must(is_ok(crash_machine_truncate(&d->machine, d->journal, 0)));
    sync_file(d, d->journal, SYNC_DATA);
}

static void database_run(struct database *d)
{
    struct machine_image image = {.bytes = DISK_BYTES, .seed = d->seed};
    u8 page[PAGE];
    random_init(&d->random, d->seed);
    crash_machine_init(&d->machine, 0);
    faulty_disk_init(&d->disk, DISK_BYTES, &d->machine.x.e, d->seed);
    crash_machine_build(&d->machine, &image, &d->disk);
    d->disk.faults.reorder = true;
    d->disk.faults.ignores_flush = d->ignores_flush;
    must(is_ok(crash_machine_mount(&d->machine, &d->disk)));
    d->journal = file_make(d, "journal");
    d->file = file_make(d, "database");
    for (u64 n = 0; n < PAGES; n++) {
        page_fill(page, n, 0);
        put(d, d->file, n * PAGE, page, PAGE);
    }
    must(is_ok(crash_machine_sync(&d->machine, NULL, SYNC_ALL)));
    d->disk.clock = &d->begun;
    faulty_disk_log(&d->disk);
    for (u64 t = 1; t <= TRANSACTIONS; t++) {
        d->begun = t;
        transaction_run(d, t);
    }
    crash_machine_unmount(&d->machine);
}

/* --- recovery --------------------------------------------------------------------------------- */

static struct inode *file_find(struct crash_machine *c, const char *name)
{
    struct inode *i;
    return is_ok(inode_lookup(filesystem_root(c->fs), name, strlen(name), &i)) ? i : NULL;
}

static u64 bytes_read(struct crash_machine *c, struct inode *i, u8 *to, u64 most)
{
    u64 got = 0;
    status s = apply(&c->reader, i, 0, to, most, &got);
    return is_ok(s) ? got : 0;
}

/* What the database's own recovery would do. */
static void recover(u8 *pages, const u8 *log, u64 bytes)
{
    struct journal j;
    if (bytes < sizeof(j))
        return;
    memcpy(&j, log, sizeof(j));
    if (j.count == 0 || j.count > TOUCHED_MOST || j.check != journal_check(&j) ||
        bytes < (1 + j.count) * PAGE)
        return;
    for (u64 n = 0; n < j.count; n++)
        memcpy(pages + j.pages[n] * PAGE, log + (1 + n) * PAGE, PAGE);
}

static bool state_is(const struct database *d, const u8 *pages, u64 t)
{
    u8 page[PAGE];
    for (u64 n = 0; n < PAGES; n++) {
        page_fill(page, n, d->versions[t][n]);
        if (memcmp(page, pages + n * PAGE, PAGE))
            return false;
    }
    return true;
}

static bool recovered_right(const struct database *d, struct crash_machine *c, u64 position)
{
    static u8 pages[PAGES * PAGE], log[(1 + TOUCHED_MOST) * PAGE];
    struct inode *journal = file_find(c, "journal"), *file = file_find(c, "database");
    if (!journal || !file || bytes_read(c, file, pages, sizeof(pages)) != sizeof(pages))
        return false;
    recover(pages, log, bytes_read(c, journal, log, sizeof(log)));
    u64 promised = 0, begun = position ? d->disk.events[position - 1].time : 0;
    while (promised < TRANSACTIONS && d->committed_at[promised + 1] <= position)
        promised++;
    for (u64 t = promised; t <= max(begun, promised); t++)
        if (state_is(d, pages, t))
            return true;
    return false;
}

static bool cut_right(const struct database *d, struct faulty_image *image, struct crash_machine *c,
                      u64 position)
{
    faulty_image_cut(image, position, hash64_of(d->seed + position));
    if (!is_ok(crash_machine_mount(c, &image->to)))
        return false;
    bool right = recovered_right(d, c, position);
    crash_machine_unmount(c);
    return right;
}

/* All cuts of one run; how many. */
static u64 cut_all(u64 seed, bool ignores_flush, u64 *wrong)
{
    static struct database d;
    struct faulty_image image;
    struct crash_machine c;
    d = (struct database){.seed = seed, .ignores_flush = ignores_flush};
    database_run(&d);
    crash_machine_init(&c, 0);
    faulty_image_init(&image, &d.disk, &c.x.e);
    u64 cuts = d.disk.event_count + 1;
    for (u64 k = 0; k < cuts; k++) {
        if (cut_right(&d, &image, &c, k))
            continue;
        if ((*wrong)++ < 10 && !ignores_flush)
            note("seed %llu, cut %llu: not the state after a transaction", (unsigned long long)seed,
                 (unsigned long long)k);
    }
    faulty_image_destroy(&image);
    crash_machine_destroy(&c);
    faulty_disk_destroy(&d.disk);
    crash_machine_destroy(&d.machine);
    return cuts;
}

int main(void)
{
    u64 seed = test_seed(), cuts = 0, wrong = 0, lost = 0;
    for (u64 n = 0; cuts < (getenv("SOAK") ? CUTS_SOAK : CUTS) && wrong < 10; n++)
        cuts += cut_all(seed + n, false, &wrong);
    ok(wrong == 0, "%llu power cuts: every committed transaction is there, none in part",
       (unsigned long long)cuts);
    cut_all(seed, true, &lost);
    ok(lost, "on a disk that ignores FLUSH %llu cuts lose some", (unsigned long long)lost);
    return done_testing();
}
