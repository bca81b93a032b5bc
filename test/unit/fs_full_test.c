/* Small disks that are full: whatever was done until nothing more went in, everything can be
   removed again, and then as much goes in as at first; over many cycles, with mounts and power cuts
   between them, and with requests that fail.

   TEST_SEED repeats a run; FULL_CYCLES=n is how many cycles each disk goes through. */
#include "fs/internal.h"
#include "test/host/fs_fixture.h"
#include "test/host/fs_shadow.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CYCLES       3u
#define STEPS_MOST   3000u
#define REFUSED_MOST 60u   /* ENOSPC in a row: the disk is full */
#define TRIES_MOST   1000u /* waits for room, in a row */
#define BYTES_MOST   30000u

static struct random chance;
static u8 text[BYTES_MOST];
static bool faults; /* requests fail now and then */
static u64 removals, additions, refusals, failures;

static u64 below(u64 limit)
{
    return random_below(&chance, limit);
}

/* --- calls that wait -------------------------------------------------------------------------- */

/* True: the call that said s is to be made again. */
static bool waited(status s, u32 *tries)
{
    if (status_errno(s) != EAGAIN)
        return false;
    must(++*tries < TRIES_MOST);
    (void)writable_wait_room(&shadow_disk); /* a request that fails is asked for again */
    return true;
}

#define WAITING(call)                                                                              \
    ({                                                                                             \
        status s_;                                                                                 \
        u32 tries_ = 0;                                                                            \
        do                                                                                         \
            s_ = (call);                                                                           \
        while (waited(s_, &tries_));                                                               \
        s_;                                                                                        \
    })

static struct inode *root(void)
{
    return filesystem_root(shadow_disk.fs);
}

/* Any entry of the directory; false: it is empty. */
static bool entry_any(struct inode *directory, struct directory_entry *e)
{
    u64 count = 0, chosen, cookie = 0;
    while (directory_next(directory, cookie, e)) {
        cookie = e->cookie;
        count++;
    }
    if (!count)
        return false;
    chosen = below(count);
    cookie = 0;
    do {
        must(directory_next(directory, cookie, e));
        cookie = e->cookie;
    } while (chosen--);
    return true;
}

static struct inode *directory_any(void)
{
    struct directory_entry e;
    if (below(3) && entry_any(root(), &e) && inode_type(e.inode) == INODE_DIRECTORY)
        return e.inode;
    return root();
}

/* A copy of a name: what leads to it may go. */
struct name {
    struct inode *directory, *inode;
    char text[256];
    u64 bytes;
};

static bool name_any(struct name *n)
{
    struct directory_entry e;
    n->directory = directory_any();
    if (!entry_any(n->directory, &e)) {
        n->directory = root();
        if (!entry_any(root(), &e))
            return false;
    }
    memcpy(n->text, e.name, e.name_bytes);
    n->bytes = e.name_bytes;
    n->inode = e.inode;
    return true;
}

static struct inode *file_any(void)
{
    struct name n;
    for (u32 tries = 0; tries < 8; tries++)
        if (name_any(&n) && inode_type(n.inode) == INODE_FILE)
            return n.inode;
    return NULL;
}

static u64 name_new(char *to, u64 most)
{
    u64 bytes = 1 + below(most);
    for (u64 n = 0; n < bytes; n++)
        to[n] = (char)('a' + below(26));
    return bytes;
}

/* --- what adds -------------------------------------------------------------------------------- */

static status add_entry(void)
{
    static const struct inode_initial initial = {.mode = 0644};
    char name[256];
    u64 bytes = name_new(name, 200);
    struct inode *directory = directory_any(), *made, *linked = file_any();
    switch (below(6)) {
    case 0:
        return WAITING(inode_create(root(), name, bytes, INODE_DIRECTORY, &initial, &made));
    case 1:
        return WAITING(
            symlink_create(directory, name, bytes, (const char *)"far away", 8, &initial, &made));
    case 2:
        return linked ? WAITING(inode_link(directory, name, bytes, linked)) : STATUS_OK;
    default:
        return WAITING(inode_create(directory, name, bytes, INODE_FILE, &initial, &made));
    }
}

static status add_data(void)
{
    struct inode *i = file_any();
    if (!i)
        return STATUS_OK;
    u64 at = below(4) ? inode_bytes(i) : below(60) * 5000, bytes = 1 + below(BYTES_MOST);
    switch (below(8)) {
    case 0:
        return shadow_allocate_range(i, below(2) ? ALLOCATE_KEEP_SIZE : 0, at, bytes);
    case 1:
        return shadow_truncate_to(i, at);
    case 2: /* single blocks, with holes between them: each is an extent */
        for (u64 n = 0; n < 20; n++) {
            status s = shadow_write_bytes(i, (at & ~4095ull) + n * 8192, text, 4096);
            if (!is_ok(s))
                return s;
        }
        return STATUS_OK;
    default:
        return shadow_write_bytes(i, at, text, bytes);
    }
}

static status add_attribute(void)
{
    struct name n;
    char name[8];
    if (!name_any(&n))
        return STATUS_OK;
    snprintf(name, sizeof(name), "user.%c", (char)('a' + below(4)));
    return WAITING(xattr_set(n.inode, name, 6, text, below(3000), 0));
}

static status add_longer_name(void)
{
    struct name n;
    char to[256];
    if (!name_any(&n) || inode_type(n.inode) == INODE_DIRECTORY)
        return STATUS_OK;
    u64 bytes = name_new(to, 250);
    return WAITING(
        inode_rename(n.directory, n.text, n.bytes, directory_any(), to, bytes, RENAME_NO_REPLACE));
}

/* False: it was refused because the disk is full. */
static bool add(void)
{
    u64 kind = below(20);
    status s = kind < 5    ? add_entry()
               : kind < 16 ? add_data()
               : kind < 19 ? add_attribute()
                           : add_longer_name();
    bool refused = status_errno(s) == ENOSPC;
    additions += is_ok(s);
    refusals += refused;
    must(is_ok(s) || refused || status_errno(s) == EEXIST || faults);
    return !refused;
}

/* --- what removes ----------------------------------------------------------------------------- */

static status remove_name(const struct name *n)
{
    struct directory_entry e;
    if (inode_type(n->inode) != INODE_DIRECTORY)
        return WAITING(inode_unlink(n->directory, n->text, n->bytes));
    if (directory_next(n->inode, 0, &e))
        return STATUS_OK;
    return WAITING(directory_remove(n->directory, n->text, n->bytes));
}

static status remove_length(const struct name *n)
{
    if (inode_type(n->inode) != INODE_FILE)
        return remove_name(n);
    u64 bytes = inode_bytes(n->inode);
    return shadow_truncate_to(n->inode, below(3) ? below(bytes + 1) & ~4095ull : 0);
}

static status remove_attribute(const struct name *n)
{
    char name[8];
    u64 bytes;
    snprintf(name, sizeof(name), "user.%c", (char)('a' + below(4)));
    if (!is_ok(xattr_get(n->inode, name, 6, NULL, 0, &bytes)))
        return remove_name(n);
    return WAITING(xattr_remove(n->inode, name, 6));
}

/* A name takes another's place, or becomes shorter. */
static status remove_by_rename(const struct name *n)
{
    struct name to;
    if (inode_type(n->inode) == INODE_DIRECTORY || !name_any(&to))
        return remove_name(n);
    if (inode_type(to.inode) != INODE_DIRECTORY)
        return WAITING(
            inode_rename(n->directory, n->text, n->bytes, to.directory, to.text, to.bytes, 0));
    if (n->bytes < 2)
        return STATUS_OK;
    status s = WAITING(inode_rename(n->directory, n->text, n->bytes, n->directory, n->text,
                                    n->bytes - 1, RENAME_NO_REPLACE));
    return status_errno(s) == EEXIST ? STATUS_OK : s;
}

static void removed(status s, const char *what)
{
    removals++;
    if (is_ok(s) || (faults && status_errno(s) != ENOSPC))
        return;
    failures++;
    if (failures < 20)
        note("%s: errno %d, %s", what, status_errno(s), status_text(s));
}

/* False: there is nothing. */
static bool remove_something(void)
{
    struct name n;
    if (!name_any(&n))
        return false;
    switch (below(6)) {
    case 0:
        removed(remove_length(&n), "truncate");
        break;
    case 1:
        removed(remove_attribute(&n), "removexattr");
        break;
    case 2:
        removed(remove_by_rename(&n), "rename");
        break;
    default:
        removed(remove_name(&n), "unlink");
    }
    return true;
}

static void remove_all(void)
{
    struct name n;
    struct directory_entry e;
    for (u32 steps = 0; remove_something() && steps < STEPS_MOST; steps++)
        ;
    for (u32 steps = 0; name_any(&n) && steps < 8 * STEPS_MOST; steps++)
        removed(remove_name(&n), "unlink");
    must(!directory_next(root(), 0, &e));
}

/* --- cycles ----------------------------------------------------------------------------------- */

/* How many blocks one file can have; and it goes again. */
static u64 blocks_measure(void)
{
    u64 blocks = 0;
    struct inode *i = shadow_make("measure");
    status s;
    while (is_ok(s = shadow_write_bytes(i, blocks * BLOCK_BYTES, text, BLOCK_BYTES)))
        blocks++;
    must(status_errno(s) == ENOSPC);
    must(is_ok(writable_sync(&shadow_disk)));
    removed(shadow_remove("measure"), "unlink");
    must(is_ok(writable_sync(&shadow_disk)));
    return blocks;
}

/* A request that fails, a while from now, when the log was compacted since the last one did: what
   is kept for the log outlives one compaction that fails, not many in a row. */
static void fault_next(void)
{
    static u64 compacted;
    u64 now = shadow_disk.fs->super.checkpoint_sequence;
    shadow_disk.disk.fail_at = 0;
    if (!faults || now == compacted || below(3))
        return;
    compacted = now;
    shadow_disk.disk.fail_at = shadow_disk.disk.calls + 1 + below(30);
}

static void fill(void)
{
    u32 refused = 0;
    for (u32 n = 0; n < STEPS_MOST && refused < REFUSED_MOST; n++) {
        if (n % 32 == 0)
            fault_next();
        refused = add() ? 0 : refused + 1;
        if (below(50) == 0)
            (void)writable_sync(&shadow_disk);
        if (below(30) == 0)
            remove_something();
    }
}

/* Full all the time: what little becomes free is used at once. */
static void stay_full(void)
{
    for (u32 n = 0; n < 300; n++) {
        if (n % 32 == 0)
            fault_next();
        if (below(4) == 0)
            remove_something();
        else
            (void)add();
    }
}

static void mount_again(void)
{
    shadow_disk.disk.fail_at = 0;
    u64 kind = below(4);
    status s = STATUS_OK;
    if (kind == 1)
        s = writable_remount(&shadow_disk, true);
    else if (kind == 2)
        s = writable_remount(&shadow_disk, false);
    else if (kind == 3)
        s = writable_cut(&shadow_disk);
    must(is_ok(s));
}

/* The log may have grown since the disk was made; and a compaction is not waited for. */
static void cycles(const struct image_options *o, u32 count)
{
    u64 least = ~0ull, most = 0;
    writable_init_image(&shadow_disk, o, host_heap);
    failures = 0;
    u64 first = blocks_measure();
    for (u32 n = 0; n < count; n++) {
        fill();
        mount_again();
        stay_full();
        mount_again();
        remove_all();
        must(is_ok(writable_sync(&shadow_disk)));
        u64 blocks = blocks_measure();
        least = min(least, blocks);
        most = max(most, blocks);
    }
    is(failures, 0, "%llu KiB, segments of %u: everything could be removed%s",
       (unsigned long long)o->extra_bytes / KiB, o->segment_blocks,
       faults ? ", with requests that fail" : "");
    note("%llu blocks at first, then %llu to %llu", (unsigned long long)first,
         (unsigned long long)least, (unsigned long long)most);
    writable_destroy(&shadow_disk);
}

int main(void)
{
    static const struct image_options disks[] = {
        {.extra_bytes = 1 * MiB},
        {.extra_bytes = 1 * MiB, .segment_blocks = 40},
        {.extra_bytes = 3 * MiB / 2, .segment_blocks = 36},
        {.extra_bytes = 2 * MiB},
        {.extra_bytes = 3 * MiB, .segment_blocks = 64},
        {.extra_bytes = 8 * MiB},
    };
    const char *given = getenv("FULL_CYCLES");
    u32 count = given ? (u32)strtoul(given, NULL, 0) : CYCLES;
    random_init(&chance, test_seed());
    for (u32 n = 0; n < 2 * countof(disks); n++) {
        faults = n >= countof(disks);
        cycles(&disks[n % countof(disks)], count);
    }
    note("%llu additions, %llu refused; %llu removals", (unsigned long long)additions,
         (unsigned long long)refusals, (unsigned long long)removals);
    return done_testing();
}
