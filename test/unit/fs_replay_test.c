/* Replay of logs that no builder writes: each record's rules, and the end of the log (torn tails,
   and damage that must not be taken for one). */
#include "fs/builder_internal.h"
#include "runtime/crc32c.h"
#include "test/host/fs_fixture.h"
#include "test/host/harness.h"

#include <stdlib.h>

/* The tree that every log here begins with; inode numbers follow the order. */
enum { D = 2, E = 3, A = 4, B = 5, SYM = 6 }; /* /d /d/e /d/a (20 blocks) /b (3 blocks) /s */

static struct test_tree tree;

static void tree_make(void)
{
    test_tree_init(&tree);
    struct tree_node *d = test_tree_add(&tree, NULL, "d", INODE_DIRECTORY);
    test_tree_add(&tree, d, "e", INODE_DIRECTORY);
    test_tree_add(&tree, d, "a", INODE_FILE)->bytes = 20 * 4096 - 7;
    test_tree_add(&tree, NULL, "b", INODE_FILE)->bytes = 3 * 4096;
    struct tree_node *s = test_tree_add(&tree, NULL, "s", INODE_SYMLINK);
    memcpy(s->target, "b", 2);
}

closure_function(thunk, poll_queue, ())
{
    host_run();
}

/* Builds with `tail` behind the checkpoint. */
static void image_with(struct host_disk *disk, builder_tail tail)
{
    struct builder_options o = {.uuid = "fedcba987654321", .data_checksums = true};
    struct builder *b = builder_create(host_heap);
    static const char *const names[] = {"/d", "/d/e", "/d/a", "/b", "/s"};
    must(b);
    for (u32 n = 0; n < countof(names); n++) {
        struct tree_node *t = &tree.nodes[n + 1];
        struct builder_node node = {.path = names[n],
                                    .type = t->type,
                                    .mode = t->mode,
                                    .bytes = t->bytes,
                                    .source = &t->source,
                                    .target = t->target};
        must(is_ok(builder_add(b, &node)));
    }
    b->tail = tail;
    host_disk_init(disk, builder_size(b, &o) + 16 * BLOCK_BYTES);
    must(is_ok(builder_write(b, &o, &disk->device, stack_closure(poll_queue))));
    builder_destroy(b);
}

/* --- records ---------------------------------------------------------------------------------- */

static void put_link(struct log_writer *w, u16 type, u64 directory, u64 inode, const char *name)
{
    struct record_link l = {
        .directory = directory, .inode = inode, .name_bytes = (u16)strlen(name)};
    log_put(w, &l.r, sizeof(l), type, name, strlen(name), NULL, 0);
}

static void put_rename(struct log_writer *w, u64 from, const char *name, u64 to,
                       const char *new_name, u32 flags)
{
    struct record_rename r = {.from_directory = from,
                              .to_directory = to,
                              .from_bytes = (u16)strlen(name),
                              .to_bytes = (u16)strlen(new_name),
                              .flags = flags};
    log_put(w, &r.r, sizeof(r), RECORD_RENAME, name, strlen(name), new_name, strlen(new_name));
}

static void put_inode(struct log_writer *w, u64 number, u8 type, u64 bytes)
{
    struct record_inode i = {.number = number, .type = type, .mode = 0600, .bytes = bytes};
    log_put(w, &i.r, sizeof(i), RECORD_INODE, NULL, 0, NULL, 0);
}

static void put_map(struct log_writer *w, u64 inode, u64 file_block, u64 disk_block, u32 blocks,
                    u16 flags)
{
    struct record_map m = {.inode = inode,
                           .file_block = file_block,
                           .disk_block = disk_block,
                           .blocks = blocks,
                           .flags = flags};
    log_put(w, &m.r, sizeof(m), RECORD_MAP, NULL, 0, NULL, 0);
}

static void put_unmap(struct log_writer *w, u64 inode, u64 file_block, u64 blocks)
{
    struct record_unmap u = {.inode = inode, .file_block = file_block, .blocks = blocks};
    log_put(w, &u.r, sizeof(u), RECORD_UNMAP, NULL, 0, NULL, 0);
}

static void put_truncate(struct log_writer *w, u64 inode, u64 bytes)
{
    struct record_truncate t = {.inode = inode, .bytes = bytes, .modified_ns = 5};
    log_put(w, &t.r, sizeof(t), RECORD_TRUNCATE, NULL, 0, NULL, 0);
}

static void put_forget(struct log_writer *w, u64 inode)
{
    struct record_forget f = {.inode = inode};
    log_put(w, &f.r, sizeof(f), RECORD_FORGET, NULL, 0, NULL, 0);
}

static void put_reserve(struct log_writer *w, u16 type, u64 block, u64 blocks)
{
    struct record_reserve r = {.block = block, .blocks = blocks, .kind = RESERVE_OTHER};
    log_put(w, &r.r, sizeof(r), type, NULL, 0, NULL, 0);
}

static void put_xattr(struct log_writer *w, u64 inode, const char *name, const char *value)
{
    struct record_xattr_set x = {
        .inode = inode, .name_bytes = (u16)strlen(name), .value_bytes = (u32)strlen(value)};
    log_put(w, &x.r, sizeof(x), RECORD_XATTR_SET, name, strlen(name), value, strlen(value));
}

static void put_xattr_remove(struct log_writer *w, u64 inode, const char *name)
{
    struct record_xattr_remove x = {.inode = inode, .name_bytes = (u16)strlen(name)};
    log_put(w, &x.r, sizeof(x), RECORD_XATTR_REMOVE, name, strlen(name), NULL, 0);
}

/* --- what a writer does ----------------------------------------------------------------------- */

/* A block that nothing uses: behind the log. */
static u64 free_block(const struct log_writer *w)
{
    return w->layout->log_block + w->layout->log_blocks + 1;
}

closure_function(builder_tail, write_a_life, (), struct log_writer *w)
{
    put_inode(w, 10, INODE_FILE, 5000);
    put_link(w, RECORD_LINK, 1, 10, "new");
    put_map(w, 10, 0, free_block(w), 2, 0);
    put_link(w, RECORD_LINK, D, 10, "new-too");
    log_group_end(w);
    put_rename(w, D, "e", 1, "moved", 0);                         /* /d/e -> /moved */
    put_rename(w, 1, "b", D, "a", RENAME_RECORD_EXCHANGE);        /* /b <-> /d/a */
    put_rename(w, 1, "new", D, "new-too", RENAME_RECORD_REPLACE); /* one name is left */
    put_unmap(w, A, 5, 3);
    put_truncate(w, B, 4097);
    log_group_end(w);
    put_inode(w, 11, INODE_FILE, 100);
    put_link(w, RECORD_LINK, 1, 11, "gone");
    put_map(w, 11, 0, free_block(w) + 4, 1, MAP_UNWRITTEN);
    put_xattr(w, 11, "user.a", "1");
    put_xattr(w, 11, "user.a", "22");
    put_xattr_remove(w, 11, "user.a");
    put_link(w, RECORD_UNLINK, 1, 11, "gone");
    put_forget(w, 11);
    put_reserve(w, RECORD_RESERVE, free_block(w) + 4, 1);
    put_reserve(w, RECORD_RELEASE, free_block(w) + 4, 1);
    put_inode(w, 12, INODE_FILE, 100); /* unlinked while open, when the power went */
    put_link(w, RECORD_LINK, 1, 12, "open");
    put_map(w, 12, 0, free_block(w) + 4, 1, MAP_UNWRITTEN);
    put_link(w, RECORD_UNLINK, 1, 12, "open");
    put_link(w, RECORD_UNLINK, 1, SYM, "s");
    put_map(w, A, 1, free_block(w) + 2, 1, MAP_UNWRITTEN); /* over what was there */
}

static struct filesystem *mount_again(struct host_disk *disk, status *why)
{
    return test_mount(disk, host_heap, host_heap, 100, why);
}

static void check_life(struct filesystem *fs)
{
    struct inode_attributes attributes;
    static u8 got[20 * 4096], expected[20 * 4096];
    u64 bytes;
    ok(test_lookup(fs, "/moved") && !test_lookup(fs, "/d/e"), "a directory was moved");
    ok(!test_lookup(fs, "/new") && !test_lookup(fs, "/gone") && !test_lookup(fs, "/open"),
       "what was renamed or unlinked is gone");
    struct inode *a = test_lookup(fs, "/b"), *b = test_lookup(fs, "/d/a");
    struct inode *n = test_lookup(fs, "/d/new-too");
    must(a && b && n);
    inode_attributes(n, &attributes);
    is(attributes.links, 1, "a rename over another name of the same file leaves one");
    is(attributes.blocks, 16, "blocks of a mapped file");
    inode_attributes(b, &attributes);
    is(attributes.bytes, 4097, "truncated");
    is(attributes.blocks, 16, "blocks behind the end were unmapped");
    inode_attributes(a, &attributes);
    is(attributes.blocks, (20 - 3) * 8, "blocks punched out and replaced");
    must(is_ok(test_read(a, 0, got, sizeof(got), &bytes)));
    tree_content(&tree.nodes[A - 1], 0, expected, sizeof(expected));
    memset(expected + 5 * 4096, 0, 3 * 4096);
    memset(expected + 4096, 0, 4096);
    ok(bytes == 20 * 4096 - 7 && memcmp(got, expected, bytes) == 0,
       "holes and unwritten blocks read as zero, the rest as before");
    is(fs->linked, 6, "inodes are counted: /, d, e, a, b, new");
    u32 orphans = 0;
    for (struct inode_live *l = fs->orphans; l; l = l->orphan_next)
        orphans += l->inode->links == 0;
    is(orphans, 2, "unlinked inodes wait for their FORGET");
    is(fs->inodes, fs->linked + orphans, "and there are no others");
    is(fs->entries, 5, "entries are counted");
}

static void test_life(void)
{
    struct host_disk disk;
    status why;
    image_with(&disk, stack_closure(write_a_life));
    struct filesystem *fs = mount_again(&disk, &why);
    ok(fs, "a log with every record mounts (%s)", status_text(why));
    if (fs) {
        check_life(fs);
        test_unmount(fs);
    }
    host_disk_destroy(&disk);
}

/* --- rules ------------------------------------------------------------------------------------ */

static void break_names(struct log_writer *w, u32 rule)
{
    switch (rule) {
    case 0:
        put_link(w, RECORD_LINK, 1, 99, "x");
        break;
    case 1:
        put_link(w, RECORD_LINK, 99, A, "x");
        break;
    case 2:
        put_link(w, RECORD_LINK, A, B, "x");
        break;
    case 3:
        put_link(w, RECORD_LINK, 1, A, "d");
        break;
    case 4:
        put_link(w, RECORD_LINK, 1, E, "x");
        break;
    case 5:
        put_link(w, RECORD_LINK, 1, A, "x/y");
        break;
    case 6:
        put_link(w, RECORD_LINK, 1, A, "..");
        break;
    case 7:
        put_link(w, RECORD_LINK, 1, A, "");
        break;
    case 8:
        put_link(w, RECORD_UNLINK, 1, D, "d");
        break;
    case 9:
        put_link(w, RECORD_UNLINK, 1, A, "b");
        break;
    case 10:
        put_link(w, RECORD_UNLINK, 1, A, "z");
        break;
    case 11:
        put_rename(w, 1, "d", E, "x", 0);
        break;
    case 12:
        put_rename(w, 1, "d", D, "e", RENAME_RECORD_EXCHANGE);
        break;
    case 13:
        put_rename(w, 1, "b", D, "a", 0);
        break;
    case 14:
        put_rename(w, 1, "b", D, "x", RENAME_RECORD_REPLACE);
        break;
    case 15:
        put_rename(w, 1, "b", D, "e", RENAME_RECORD_REPLACE);
        break;
    case 16:
        put_rename(w, 1, "b", 1, "b", RENAME_RECORD_REPLACE);
        break;
    }
}

static void break_maps(struct log_writer *w, u32 rule)
{
    u64 block = free_block(w);
    switch (rule) {
    case 21:
        put_map(w, D, 0, block, 1, 0);
        break;
    case 22:
        put_map(w, B, 0, FIRST_BLOCK, 1, 0);
        break;
    case 23:
        put_map(w, A, 0, 0, 1, 0);
        break;
    case 24:
        put_map(w, A, 0, w->layout->log_block, 1, 0);
        break;
    case 25:
        put_map(w, A, 0, 1ull << 40, 1, 0);
        break;
    case 26:
        put_map(w, A, 0, ~0ull, 2, 0);
        break;
    case 27:
        put_map(w, A, ~0ull, block, 1, 0);
        break;
    case 28:
        put_map(w, A, 0, block, 0, 0);
        break;
    case 29:
        put_map(w, A, 0, block, 0xffffffff, 0);
        break;
    case 30:
        put_map(w, A, 0, block, 1, 0x100);
        break;
    case 31:
        put_map(w, A, 0, block, 1, MAP_SUMS_INLINE);
        break;
    case 32:
        put_map(w, A, 0, block, 1, MAP_SUMS_RUN);
        break;
    case 33:
        put_unmap(w, A, 1, ~0ull);
        break;
    }
}

static void break_inodes(struct log_writer *w, u32 rule)
{
    u64 block = free_block(w);
    struct record unknown = {.flags = 0};
    switch (rule) {
    case 17:
        put_inode(w, A, INODE_DIRECTORY, 0);
        break;
    case 18:
        put_inode(w, 0, INODE_FILE, 0);
        break;
    case 19:
        put_inode(w, 50, INODE_DIRECTORY, 1);
        break;
    case 20:
        put_inode(w, 50, INODE_FILE, ~0ull);
        break;
    case 34:
        put_truncate(w, D, 1);
        break;
    case 35:
        put_forget(w, A);
        break;
    case 36:
        put_forget(w, 1);
        break;
    case 37:
        put_reserve(w, RECORD_RESERVE, 3, 1);
        break;
    case 38:
        put_reserve(w, RECORD_RELEASE, block, 1);
        break;
    case 39:
        put_xattr_remove(w, A, "user.none");
        break;
    case 40:
        put_xattr(w, A, "", "x");
        break;
    case 41:
        log_put(w, &unknown, sizeof(unknown), 99, NULL, 0, NULL, 0);
        break;
    case 42:
        log_put(w, &unknown, sizeof(unknown), RECORD_LINK, NULL, 0, NULL, 0);
        break;
    case 43:
        put_inode(w, 50, 7, 0);
        break;
    case 44:
        put_inode(w, 50, INODE_SYMLINK, 0);
        put_link(w, RECORD_LINK, 1, 50, "x");
        break;
    case 45:
        put_inode(w, 50, INODE_DIRECTORY, 0);
        put_inode(w, 51, INODE_DIRECTORY, 0);
        put_link(w, RECORD_LINK, 50, 51, "x");
        break;
    }
}

closure_function(builder_tail, break_rule, (u32 rule), struct log_writer *w)
{
    u32 rule = bound(rule);
    if (rule <= 16)
        break_names(w, rule);
    else if (rule >= 21 && rule <= 33)
        break_maps(w, rule);
    else
        break_inodes(w, rule);
}

#define RULES 46

closure_function(builder_tail, write_unknown, (), struct log_writer *w)
{
    struct record unknown = {.flags = RECORD_MAY_IGNORE};
    log_put(w, &unknown, sizeof(unknown), 99, "12345678", 8, NULL, 0);
}

static void test_rules(void)
{
    struct host_disk disk;
    status why;
    for (u32 rule = 0; rule < RULES; rule++) {
        image_with(&disk, stack_closure(break_rule, rule));
        struct filesystem *fs = mount_again(&disk, &why);
        int error = status_errno(why);
        ok(!fs && (error == EBADMSG || error == EINVAL), "rule %u: %s", rule, status_text(why));
        if (fs)
            test_unmount(fs);
        host_disk_destroy(&disk);
    }
    image_with(&disk, stack_closure(write_unknown));
    struct filesystem *fs = mount_again(&disk, &why);
    ok(fs, "an unknown record that may be ignored is ignored");
    if (fs)
        test_unmount(fs);
    host_disk_destroy(&disk);
}

/* --- the end of the log ----------------------------------------------------------------------- */

closure_function(builder_tail, write_groups, (), struct log_writer *w)
{
    static const char *const names[] = {"one", "two", "three"};
    for (u32 n = 0; n < countof(names); n++) {
        put_inode(w, 20 + n, INODE_FILE, 0);
        put_link(w, RECORD_LINK, 1, 20 + n, names[n]);
        log_group_end(w);
    }
}

static void supers_change(struct host_disk *disk, u64 reach, u64 flags)
{
    struct superblock *s = (struct superblock *)disk->bytes;
    s->reach_sequence = reach;
    s->flags = flags;
    s->crc = 0;
    s->crc = crc32c(s, sizeof(*s));
    memcpy(disk->bytes + SUPERBLOCK_B * BLOCK_BYTES, s, sizeof(*s));
}

static struct group *group_at(struct host_disk *disk, u64 sequence)
{
    for (u64 at = 0; at < disk->length; at += BLOCK_BYTES) {
        struct group *g = (struct group *)(disk->bytes + at);
        if (g->magic == GROUP_MAGIC && g->sequence == sequence)
            return g;
    }
    return NULL;
}

/* The checkpoint is group 1; groups 2, 3 and 4 make the files one, two and three. */
static void expect_files(struct host_disk *disk, u32 files, const char *what)
{
    static const char *const names[] = {"/one", "/two", "/three"};
    status why;
    struct filesystem *fs = mount_again(disk, &why);
    bool right = fs;
    for (u32 n = 0; fs && n < countof(names); n++)
        right = right && (test_lookup(fs, names[n]) != NULL) == (n < files);
    ok(right, "%s: %u files (%s)", what, files, status_text(why));
    if (fs)
        test_unmount(fs);
}

static void expect_damage(struct host_disk *disk, const char *what)
{
    status why;
    struct filesystem *fs = mount_again(disk, &why);
    ok(!fs && status_errno(why) == EBADMSG, "%s: refused: %s", what, status_text(why));
    if (fs)
        test_unmount(fs);
}

static void test_tail(void)
{
    struct host_disk disk;
    image_with(&disk, stack_closure(write_groups));
    expect_files(&disk, 3, "as built");
    supers_change(&disk, 1, 0);
    expect_files(&disk, 3, "not clean, and the log goes on behind reach_sequence");
    supers_change(&disk, 2, SUPERBLOCK_CLEAN);
    expect_files(&disk, 1, "clean at group 2: what follows is not looked at");
    supers_change(&disk, 4, SUPERBLOCK_CLEAN);
    struct group *third = group_at(&disk, 3), *fourth = group_at(&disk, 4);
    if (!third || !fourth)
        panic("a group is not where it was written");
    third->sum ^= 1;
    expect_damage(&disk, "clean, a group in the middle damaged");
    supers_change(&disk, 3, 0);
    expect_damage(&disk, "not clean, a group that must be there damaged");
    supers_change(&disk, 2, 0);
    expect_files(&disk, 1, "a torn tail ends the log");
    fourth->durable = 3;
    fourth->sum = group_sum(fourth);
    expect_damage(&disk, "a group is invalid that a later one knew to be durable");
    fourth->sum ^= 1;
    expect_files(&disk, 1, "that later one is torn itself");
    memset(third, 0, third->length);
    memset(fourth, 0, fourth->length);
    expect_files(&disk, 1, "zeroes behind the log");
    supers_change(&disk, 1, 0);
    memset(group_at(&disk, 1), 0, 100);
    expect_damage(&disk, "the checkpoint is gone");
    host_disk_destroy(&disk);
}

/* --- the chain of segments -------------------------------------------------------------------- */

struct chain {
    u64 sequence; /* that NEXT says */
    u64 number;   /* that SEGMENT says */
    u64 written;  /* that the group has */
};

/* The log goes on in blocks of its own behind the image's. */
closure_function(builder_tail, write_chain, (const struct chain *chain), struct log_writer *w)
{
    const struct chain *c = bound(chain);
    u64 block = free_block(w) + 2;
    struct record_next n = {.block = block, .blocks = 4, .sequence = c->sequence};
    log_put(w, &n.r, sizeof(n), RECORD_NEXT, NULL, 0, NULL, 0);
    log_group_end(w);
    if (!w->device)
        return;
    u64 at = w->at;
    w->at = (block - w->layout->log_block) * BLOCK_BYTES;
    w->sequence = c->written;
    struct record_segment s = {.number = c->number, .block = block, .blocks = 4};
    log_put(w, &s.r, sizeof(s), RECORD_SEGMENT, NULL, 0, NULL, 0);
    put_inode(w, 20, INODE_FILE, 0);
    put_link(w, RECORD_LINK, 1, 20, "one");
    log_group_end(w);
    w->at = at;
}

static void test_chain(void)
{
    static const struct {
        struct chain chain;
        bool right;
        const char *what;
    } cases[] = {
        {{3, 3, 3}, true, "the next segment's sequence is the next one"},
        {{1ull << 40, 1ull << 40, 1ull << 40}, true, "it is a later one"},
        {{2, 2, 2}, false, "it is the sequence of the group with NEXT"},
        {{1, 1, 9}, false, "it is an earlier one"},
        {{1ull << 63, 1ull << 63, 1ull << 63}, false, "it is beyond the last one"},
        {{9, 3, 9}, false, "the segment's number is another one"},
        {{9, 9, 10}, false, "the group there has another one"},
    };
    for (u32 n = 0; n < countof(cases); n++) {
        struct host_disk disk;
        image_with(&disk, stack_closure(write_chain, &cases[n].chain));
        if (cases[n].right)
            expect_files(&disk, 1, cases[n].what);
        else
            expect_damage(&disk, cases[n].what);
        host_disk_destroy(&disk);
    }
}

static void test_versions(void)
{
    struct host_disk disk;
    status why;
    image_with(&disk, stack_closure(write_groups));
    struct superblock *s = (struct superblock *)disk.bytes;
    s->features_read_only = s->features_compatible = 1;
    supers_change(&disk, 4, SUPERBLOCK_CLEAN);
    expect_files(&disk, 3, "unknown compatible and read-only features");
    s->features_incompatible = 4;
    supers_change(&disk, 4, SUPERBLOCK_CLEAN);
    must(!mount_again(&disk, &why));
    is(status_errno(why), EINVAL, "an unknown feature: %s", status_text(why));
    s->version = 2;
    supers_change(&disk, 4, SUPERBLOCK_CLEAN);
    must(!mount_again(&disk, &why));
    is(status_errno(why), EINVAL, "an unknown version: %s", status_text(why));
    memset(disk.bytes, 0, disk.length);
    must(!mount_again(&disk, &why));
    is(status_errno(why), EINVAL, "an empty disk: %s", status_text(why));
    host_disk_destroy(&disk);
}

int main(void)
{
    tree_make();
    test_life();
    test_rules();
    test_tail();
    test_chain();
    test_versions();
    test_tree_destroy(&tree);
    return done_testing();
}
