/* The check and the repair of filesystems: images with bits flipped anywhere, cut short, with torn
   tails; each allocation and each request failing.

   What must hold: a check changes nothing, finds what mount or reading finds, and calls an image
   without damage clean.  A repair leaves a filesystem that checks clean, or nothing changed; and a
   file that still is where it was has the bytes that it had. */
#include "fs/builder_internal.h"
#include "fs/check.h"
#include "runtime/crc32c.h"
#include "test/host/fs_fixture.h"
#include "test/host/harness.h"

#include <stdio.h>
#include <stdlib.h>

#define FLIPS 300 /* ten times that with SOAK */

closure_function(thunk, poll_queue, ())
{
    host_run();
}

static char first_line[1500];
static u64 lines;

closure_function(check_line, line_keep, (), const char *line)
{
    if (lines++ == 0)
        snprintf(first_line, sizeof(first_line), "%s", line);
}

static status check_with(struct host_disk *disk, heap h, struct check_result *r)
{
    struct check_options o = {.device = &disk->device,
                              .poll = stack_closure(poll_queue),
                              .heap = h,
                              .data = true,
                              .line = stack_closure(line_keep)};
    first_line[0] = 0;
    lines = 0;
    return filesystem_check(&o, r);
}

static struct check_result check(struct host_disk *disk)
{
    struct check_result r;
    status s = check_with(disk, host_heap, &r);
    must(is_ok(s) || status_errno(s) == EINVAL);
    must(is_ok(s) || r.problems);
    return r;
}

static status repair_with(struct host_disk *disk, heap h, struct repair_result *r)
{
    struct check_options o = {.device = &disk->device,
                              .poll = stack_closure(poll_queue),
                              .heap = h,
                              .data = true,
                              .line = stack_closure(line_keep)};
    return filesystem_repair(&o, r);
}

/* --- images without damage -------------------------------------------------------------------- */

static void test_clean(struct random *random)
{
    for (u32 n = 0; n < 6; n++) {
        struct test_tree t;
        struct host_disk disk;
        struct image_options o = {
            .extra_bytes = n * 50000, .no_checksums = n == 4, .segment_blocks = n & 1 ? 66 : 0};
        test_tree_init(&t);
        test_tree_random(&t, random, n == 5 ? 3000 : 200, n == 5 ? 3000 : 60000);
        test_image(&t, &o, &disk);
        u32 before = crc32c(disk.bytes, disk.length);
        struct check_result r = check(&disk);
        is(r.problems, 0, "image %u: no problems (%s)", n, first_line);
        is(r.notes, 0, "image %u: and nothing to note", n);
        ok(r.clean && !r.torn && r.groups && r.segments, "image %u: ended cleanly", n);
        u64 inodes = 0;
        for (u32 k = 0; k < t.count; k++)
            inodes += !t.nodes[k].link_to;
        is(r.inodes, inodes, "image %u: all inodes", n);
        is(r.entries, t.count - 1, "image %u: all names", n);
        ok((r.blocks_verified != 0) == !o.no_checksums, "image %u: data is looked at", n);
        is(crc32c(disk.bytes, disk.length), before, "image %u: is not changed", n);
        struct repair_result fixed;
        ok(is_ok(repair_with(&disk, host_heap, &fixed)) && !fixed.changed &&
               crc32c(disk.bytes, disk.length) == before,
           "image %u: nothing is repaired", n);
        host_disk_destroy(&disk);
        test_tree_destroy(&t);
    }
}

/* --- damage ----------------------------------------------------------------------------------- */

static void damage_tree(struct test_tree *t, struct random *random)
{
    test_tree_init(t);
    test_tree_random(t, random, 500, 6000);
    test_tree_add(t, NULL, "long", INODE_FILE)->bytes = 300 * 4096 + 9;
    struct tree_node *sparse = test_tree_add(t, NULL, "sparse", INODE_FILE);
    sparse->bytes = 400000;
    sparse->sparse = true;
}

/* What the mount of a damaged image says. */
struct seen {
    bool refused, unreadable;
    u64 wrong_contents; /* of files that are where they were */
};

static bool content_right(struct inode *i, const struct tree_node *n, bool *unreadable)
{
    bool right = inode_bytes(i) == n->bytes;
    u8 *got = malloc(n->bytes + 4096), *expected = malloc(n->bytes + 1);
    u64 read = n->bytes;
    must(got && expected);
    if (right && n->bytes) {
        status s = test_read(i, 0, got, align_up(n->bytes, 4096), &read);
        tree_content(n, 0, expected, n->bytes);
        *unreadable |= !is_ok(s);
        right = !is_ok(s) || (read == n->bytes && !memcmp(got, expected, n->bytes));
    }
    free(got);
    free(expected);
    return right;
}

static struct seen look(struct host_disk *disk, struct test_tree *t)
{
    struct seen seen = {.refused = false};
    status why;
    struct filesystem *fs = test_mount(disk, host_heap, host_heap, 4000, &why);
    if (!fs)
        return (struct seen){.refused = true};
    for (u32 k = 0; k < t->count; k++) {
        const struct tree_node *n = t->nodes[k].link_to ? t->nodes[k].link_to : &t->nodes[k];
        struct inode *i = test_lookup(fs, t->nodes[k].path);
        if (i && (inode_type(i) != n->type ||
                  (n->type == INODE_FILE && !content_right(i, n, &seen.unreadable)))) {
            if (!seen.wrong_contents++)
                note("%s has other contents", t->nodes[k].path);
        }
    }
    test_unmount(fs);
    return seen;
}

struct damage_counts {
    u64 found, repaired, refused;
};

/* The disk is damaged; `pristine` is what it was. */
static void damage_handle(struct host_disk *disk, struct test_tree *t, struct damage_counts *counts)
{
    u32 before = crc32c(disk->bytes, disk->length);
    struct check_result r = check(disk);
    struct seen seen = look(disk, t);
    must(crc32c(disk->bytes, disk->length) == before);
    must(!seen.wrong_contents);
    must(r.problems || (!seen.refused && !seen.unreadable));
    must((r.problems == 0) == (lines == 0) || r.notes);
    if (!r.problems)
        return;
    counts->found++;
    struct repair_result fixed;
    lines = 0;
    status s = repair_with(disk, host_heap, &fixed);
    if (!is_ok(s)) {
        must(!fixed.changed && crc32c(disk->bytes, disk->length) == before);
        if (counts->refused++ == 0)
            note("refused: %s (%llu)", status_text(s), (unsigned long long)s.detail);
        return;
    }
    must(fixed.changed);
    r = check(disk);
    if (r.problems)
        note("after the repair: %s", first_line);
    must(!r.problems);
    seen = look(disk, t);
    must(!seen.refused && !seen.unreadable && !seen.wrong_contents);
    counts->repaired++;
}

/* A place that matters: half of the flips are in the log or the superblocks. */
static u64 flip_place(const struct host_disk *disk, const u8 *pristine, struct random *random)
{
    struct superblock super;
    memcpy(&super, pristine, sizeof(super));
    switch (random_below(random, 4)) {
    case 0:
        return random_below(random, 2) * 16 * 4096 + random_below(random, 512);
    case 1:
    case 2:
        return super.checkpoint_block * 4096 + random_below(random, super.checkpoint_blocks * 4096);
    default:
        return random_below(random, disk->length);
    }
}

static void test_flips(struct random *random)
{
    struct test_tree t;
    struct host_disk disk;
    struct image_options o = {.extra_bytes = 1 * MiB};
    struct damage_counts counts = {.found = 0};
    damage_tree(&t, random);
    test_image(&t, &o, &disk);
    u8 *pristine = malloc(disk.length);
    must(pristine);
    memcpy(pristine, disk.bytes, disk.length);
    u32 flips = getenv("SOAK") ? 10 * FLIPS : FLIPS;
    for (u32 n = 0; n < flips; n++) {
        memcpy(disk.bytes, pristine, disk.length);
        for (u32 k = 0; k <= n % 4; k++) {
            u64 at = flip_place(&disk, pristine, random);
            disk.bytes[at] ^= (u8)(1u << random_below(random, 8));
        }
        damage_handle(&disk, &t, &counts);
    }
    ok(counts.found > flips / 4, "%u images with bits flipped: damage is found in %llu", flips,
       (unsigned long long)counts.found);
    ok(counts.repaired > counts.found / 3, "%llu are repaired, %llu refused and left as they are",
       (unsigned long long)counts.repaired, (unsigned long long)counts.refused);
    free(pristine);
    host_disk_destroy(&disk);
    test_tree_destroy(&t);
}

/* Whole blocks of zeroes or of noise. */
static void test_blocks(struct random *random)
{
    struct test_tree t;
    struct host_disk disk;
    struct image_options o = {.extra_bytes = 1 * MiB, .segment_blocks = 66};
    struct damage_counts counts = {.found = 0};
    damage_tree(&t, random);
    test_image(&t, &o, &disk);
    u8 *pristine = malloc(disk.length);
    must(pristine);
    memcpy(pristine, disk.bytes, disk.length);
    for (u32 n = 0; n < FLIPS / 3; n++) {
        memcpy(disk.bytes, pristine, disk.length);
        u64 block = flip_place(&disk, pristine, random) / 4096;
        for (u64 k = 0; k < 4096; k++)
            disk.bytes[block * 4096 + k] = n & 1 ? 0 : (u8)random_next(random);
        damage_handle(&disk, &t, &counts);
    }
    ok(counts.repaired, "blocks overwritten: %llu of %llu repaired",
       (unsigned long long)counts.repaired, (unsigned long long)counts.found);
    u64 length = disk.length;
    counts = (struct damage_counts){.found = 0};
    for (u32 n = 0; n < 20; n++) {
        memcpy(disk.bytes, pristine, length);
        disk.length = (length / 21 * (n + 1)) & ~4095ull;
        disk.device.sectors = disk.length / SECTOR_BYTES;
        struct check_result r = check(&disk);
        must(r.problems);
        damage_handle(&disk, &t, &counts);
    }
    is(counts.found, 20, "images cut short are damaged; %llu repaired",
       (unsigned long long)counts.repaired);
    free(pristine);
    host_disk_destroy(&disk);
    test_tree_destroy(&t);
}

/* --- torn tails ---------------------------------------------------------------------------------
 */

closure_function(builder_tail, write_more, (), struct log_writer *w)
{
    log_group_end(w); /* the checkpoint's last group */
    for (u64 n = 0; n < 3; n++) {
        struct record_inode i = {.number = 1000 + n, .type = INODE_FILE, .mode = 0600};
        struct record_link l = {.directory = 1, .inode = 1000 + n, .name_bytes = 1};
        char name = (char)('x' + n);
        log_put(w, &i.r, sizeof(i), RECORD_INODE, NULL, 0, NULL, 0);
        log_put(w, &l.r, sizeof(l), RECORD_LINK, &name, 1, NULL, 0);
        log_group_end(w);
    }
}

/* Both superblocks promise `groups` groups and no end. */
static void supers_change(struct host_disk *disk, u64 groups)
{
    for (u32 n = 0; n < 2; n++) {
        struct superblock *s = (struct superblock *)(disk->bytes + n * 16 * 4096);
        s->flags = 0;
        s->reach_sequence = groups;
        s->crc = 0;
        s->crc = crc32c(s, sizeof(*s));
    }
}

/* A checkpoint of one group, and three groups behind it. */
static void image_with_tail(struct host_disk *disk)
{
    struct builder_options o = {.uuid = "fedcba987654321"};
    struct builder *b = builder_create(host_heap);
    must(b);
    b->tail = stack_closure(write_more);
    host_disk_init(disk, builder_size(b, &o) + 64 * BLOCK_BYTES);
    must(is_ok(builder_write(b, &o, &disk->device, stack_closure(poll_queue))));
    builder_destroy(b);
}

static u8 *group_bytes(struct host_disk *disk, u64 sequence)
{
    for (u64 at = 0; at + 4096 <= disk->length; at += 4096) {
        struct group *g = (struct group *)(disk->bytes + at);
        if (g->magic == GROUP_MAGIC && g->sequence == sequence)
            return disk->bytes + at;
    }
    must(!"the group is there");
    return NULL;
}

static void test_tails(void)
{
    struct host_disk disk;
    struct repair_result fixed;
    image_with_tail(&disk);
    supers_change(&disk, 1);
    struct check_result r = check(&disk);
    ok(!r.problems && r.torn && r.groups == 4 && r.inodes == 4,
       "an end that was not marked is one");
    group_bytes(&disk, 4)[100] ^= 1;
    r = check(&disk);
    ok(!r.problems && r.torn && r.notes && r.groups == 3, "a torn last group is no damage");
    ok(is_ok(repair_with(&disk, host_heap, &fixed)) && !fixed.changed, "and not repaired");
    group_bytes(&disk, 3)[100] ^= 1;
    r = check(&disk);
    ok(!r.problems && r.torn && r.groups == 2, "two torn groups neither");
    supers_change(&disk, 3);
    r = check(&disk);
    ok(r.problems && !r.torn && r.groups == 2, "but they are when the superblock promises them");
    lines = 0;
    ok(is_ok(repair_with(&disk, host_heap, &fixed)) && fixed.changed && fixed.lost,
       "a repair keeps what is before them, and says so: %s", first_line);
    r = check(&disk);
    ok(!r.problems && r.inodes == 2 && r.clean, "and then nothing is wrong");
    host_disk_destroy(&disk);
}

/* A later group that knew a lost one to be durable makes it damage. */
static void test_durable(void)
{
    struct host_disk disk;
    image_with_tail(&disk);
    supers_change(&disk, 1);
    struct group *g = (struct group *)group_bytes(&disk, 4);
    g->durable = 3;
    g->sum = group_sum(g);
    is(check(&disk).problems, 0, "a group may say that the one before it was durable");
    group_bytes(&disk, 3)[100] ^= 1;
    ok(check(&disk).problems, "then that one's loss is damage: %s", first_line);
    g->durable = 4;
    g->sum = group_sum(g);
    group_bytes(&disk, 3)[100] ^= 1;
    ok(check(&disk).problems, "but not that it was so itself: %s", first_line);
    host_disk_destroy(&disk);
}

/* --- what mount passes over ----------------------------------------------------------------------
 */

static void group_seal(struct group *g)
{
    g->sum = group_sum(g);
}

/* The first record of that type in a group. */
static struct record *record_in(struct group *g, u16 type)
{
    u8 *at = (u8 *)(g + 1), *end = (u8 *)g + g->length;
    for (; at < end; at += ((struct record *)at)->length)
        if (((struct record *)at)->type == type)
            return (struct record *)at;
    must(!"the record is there");
    return NULL;
}

static void test_passed_over(void)
{
    struct host_disk disk;
    image_with_tail(&disk);
    supers_change(&disk, 4);
    struct group *first = (struct group *)group_bytes(&disk, 1);
    struct group *last = (struct group *)group_bytes(&disk, 4);
    struct record_link *l = (struct record_link *)record_in(last, RECORD_LINK);
    l->zero[1] = 5;
    group_seal(last);
    is(check(&disk).problems, 1, "a field that has to be zero: %s", first_line);
    l->zero[1] = 0;
    l->name[5] = 1;
    group_seal(last);
    is(check(&disk).problems, 1, "padding that has to be zero: %s", first_line);
    l->name[5] = 0;
    struct record_inode *i = (struct record_inode *)record_in(last, RECORD_INODE);
    i->device = 7;
    group_seal(last);
    is(check(&disk).problems, 1, "a file with a device: %s", first_line);
    i->device = 0;
    group_seal(last);
    struct record_checkpoint_end *e =
        (struct record_checkpoint_end *)record_in(first, RECORD_CHECKPOINT_END);
    e->next_inode = 1;
    group_seal(first);
    ok(check(&disk).problems, "a next inode that exists: %s", first_line);
    e->next_inode = 2;
    group_seal(first);
    disk.bytes[16 * 4096 + 400] = 1;
    is(check(&disk).problems, 1, "a superblock that is not read: %s", first_line);
    host_disk_destroy(&disk);
}

/* --- failing memory and disks --------------------------------------------------------------------
 */

static void fault_image(struct random *random, struct test_tree *t, struct host_disk *disk)
{
    struct image_options o = {.extra_bytes = 300000};
    test_tree_init(t);
    test_tree_random(t, random, 12, 30000);
    test_tree_add(t, NULL, "long", INODE_FILE)->bytes = 40 * 4096 + 9;
    test_image(t, &o, disk);
    disk->bytes[17 * 4096] ^= 1; /* data of a file */
    must(check(disk).problems);
}

struct faulty {
    struct host_disk *disk;
    const u8 *pristine;
};

closure_function(allocation_test, check_allocations, (struct faulty f), heap h)
{
    struct check_result r;
    struct faulty f = bound(f);
    status s = check_with(f.disk, h, &r);
    must(is_ok(s) ? r.problems != 0 : status_errno(s) == ENOMEM);
    return is_ok(s);
}

closure_function(allocation_test, repair_allocations, (struct faulty f), heap h)
{
    struct repair_result r;
    struct faulty f = bound(f);
    memcpy(f.disk->bytes, f.pristine, f.disk->length);
    status s = repair_with(f.disk, h, &r);
    must(is_ok(s) || status_errno(s) == ENOMEM);
    must(is_ok(s) == (check(f.disk).problems == 0));
    return is_ok(s);
}

static void test_faults(struct random *random)
{
    struct test_tree t;
    struct host_disk disk;
    fault_image(random, &t, &disk);
    u8 *pristine = malloc(disk.length);
    must(pristine);
    memcpy(pristine, disk.bytes, disk.length);
    struct faulty f = {.disk = &disk, .pristine = pristine};
    fail_each_allocation("check", stack_closure(check_allocations, f));
    fail_each_allocation("repair", stack_closure(repair_allocations, f));
    u64 failures = 0, repaired = 0;
    for (u64 n = 1;; n++) {
        memcpy(disk.bytes, pristine, disk.length);
        disk.calls = disk.failed = 0;
        disk.fail_at = n;
        struct repair_result r;
        status s = repair_with(&disk, host_heap, &r);
        u64 failed = disk.failed;
        disk.fail_at = 0;
        struct check_result after = check(&disk);
        must(!is_ok(s) || !after.problems);
        must(!look(&disk, &t).wrong_contents);
        repaired += is_ok(s);
        failures += failed != 0;
        if (!failed)
            break;
    }
    ok(failures > 10 && repaired, "each request of a repair failed in turn: %llu",
       (unsigned long long)failures);
    for (u64 n = 1;; n++) {
        memcpy(disk.bytes, pristine, disk.length);
        disk.calls = disk.failed = 0;
        disk.fail_at = n;
        must(check(&disk).problems);
        if (!disk.failed)
            break;
    }
    ok(true, "and each of a check: it is a problem that is found");
    disk.fail_at = 0;
    disk.device.read_only = true;
    struct repair_result r;
    status s = repair_with(&disk, host_heap, &r);
    ok(status_errno(s) == EROFS && !r.changed, "a disk that is read-only is refused");
    free(pristine);
    host_disk_destroy(&disk);
    test_tree_destroy(&t);
}

static void test_no_room(struct random *random)
{
    struct test_tree t;
    struct host_disk disk;
    struct image_options o = {.no_checksums = true};
    test_tree_init(&t);
    test_tree_random(&t, random, 300, 30000);
    test_image(&t, &o, &disk);
    group_bytes(&disk, 1)[1000] ^= 1;
    u32 before = crc32c(disk.bytes, disk.length);
    struct repair_result r;
    status s = repair_with(&disk, host_heap, &r);
    ok(status_errno(s) == ENOSPC && !r.changed && crc32c(disk.bytes, disk.length) == before,
       "without room for a new checkpoint nothing is changed");
    u64 larger = disk.length + 1 * MiB;
    disk.bytes = realloc(disk.bytes, larger);
    must(disk.bytes);
    memset(disk.bytes + disk.length, 0, larger - disk.length);
    disk.length = larger;
    disk.device.sectors = larger / SECTOR_BYTES;
    s = repair_with(&disk, host_heap, &r);
    ok(is_ok(s) && check(&disk).problems == 0, "on a larger disk there is some");
    host_disk_destroy(&disk);
    test_tree_destroy(&t);
}

int main(void)
{
    struct random random;
    random_init(&random, test_seed());
    test_clean(&random);
    test_tails();
    test_durable();
    test_passed_over();
    test_no_room(&random);
    test_faults(&random);
    test_blocks(&random);
    test_flips(&random);
    return done_testing();
}
