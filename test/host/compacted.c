/* See test/host/compacted.h. */
#include "test/host/compacted.h"

bool compaction_wait(struct crash_machine *c)
{
    for (u32 n = 0; c->fs->checkpoint && n < WAIT_STEPS; n++)
        if (!host_executor_step(&c->x))
            host_executor_pass(&c->x, NS_PER_MS);
    return !c->fs->checkpoint;
}

bool compact(struct crash_machine *c)
{
    u64 before = c->fs->super.checkpoint_sequence;
    checkpoint_consider(c->fs, true);
    return compaction_wait(c) && c->fs->super.checkpoint_sequence > before;
}

void compacted_init(struct crash_machine *c, struct faulty_disk *disk,
                    const struct machine_image *image)
{
    crash_machine_init(c, image->seed & 1 ? image->seed : 0);
    faulty_disk_init(disk, image->bytes, &c->x.e, image->seed);
    crash_machine_build(c, image, disk);
    status s = crash_machine_mount(c, disk);
    if (!is_ok(s))
        panic("mount: %s", status_text(s));
}

void compacted_destroy(struct crash_machine *c, struct faulty_disk *disk)
{
    if (c->fs)
        crash_machine_unmount(c);
    faulty_disk_destroy(disk);
    crash_machine_destroy(c);
}

struct inode *compacted_make(struct crash_machine *c, const char *name, status *why)
{
    struct inode_initial initial = {.mode = 0600};
    struct inode *root = filesystem_root(c->fs), *made = NULL;
    for (u32 n = 0; n < 1000; n++) {
        *why = inode_create(root, name, strlen(name), INODE_FILE, &initial, &made);
        if (status_errno(*why) != EAGAIN)
            break;
        must(is_ok(crash_machine_room(c)));
    }
    return is_ok(*why) ? made : NULL;
}

void seeded_fill(u8 *to, u64 bytes, u64 seed)
{
    struct random r;
    random_init(&r, seed);
    random_fill(&r, to, bytes);
}
