/* virtio-blk against a real disk, and mounting an image from another.

   The first disk is scratch: its contents are lost.  The second holds an image of our filesystem
   whose file /mark has MARK_BYTES bytes, byte n being n % 251.  A test without its disk is skipped.
 */
#include "drivers/drivers.h"
#include "fs/fs.h"
#include "kernel/log.h"
#include "kernel/memory.h"
#include "runtime/memory.h"
#include "runtime/merge.h"
#include "test/kernel/kernel_test.h"

#define IN_FLIGHT     48
#define REQUEST_BYTES (4 * KiB)
#define LARGE_BYTES   (256 * KiB)
#define MARK_BYTES    10000ull

static struct block_device *scratch, *image;

struct transfer {
    struct block_request request;
    struct sg_list sg;
    u8 *memory;
};

static struct transfer transfers[IN_FLIGHT];

closure_function(block_attach, disk_attach, (), struct block_device *device)
{
    test_note("%s: %llu sectors%s", device->name, (unsigned long long)device->sectors,
              device->read_only ? ", read only" : "");
    if (device->read_only)
        image = device;
    else
        scratch = device;
}

static bool disk_there(const struct block_device *disk)
{
    if (!disk)
        test_skip("the machine has no such disk");
    return disk != NULL;
}

closure_function(net_attach, network_ignore, (), __attribute__((unused)) struct net_device *device)
{
}

static void disks_found(void)
{
    static struct block_attach attach;
    attach = *stack_closure(disk_attach);
    static struct net_attach networks;
    networks = *stack_closure(network_ignore);
    drivers_start(&attach, &networks);
    if (disk_there(scratch))
        test_pass();
}

static u8 pattern(u32 transfer, u64 at)
{
    return (u8)(transfer * 31 + at + (at >> 8));
}

static bool transfer_issue(u32 i, enum block_operation operation, u64 sector, u64 bytes,
                           status_handler done)
{
    struct transfer *t = &transfers[i];
    sg_init(&t->sg, general_heap);
    if (!sg_add(&t->sg, t->memory, bytes))
        return false;
    t->request = (struct block_request){
        .operation = operation,
        .sector = sector,
        .sectors = bytes / SECTOR_BYTES,
        .sg = &t->sg,
        .done = done,
    };
    apply(scratch->io, &t->request);
    return true;
}

/* All transfers at once, joined by a merge. */
static bool transfers_issue(enum block_operation operation, status_handler done)
{
    merge m = done ? allocate_merge(general_heap, done) : NULL;
    if (!m)
        return false;
    for (u32 i = 0; i < IN_FLIGHT; i++)
        if (!transfer_issue(i, operation, i * REQUEST_BYTES / SECTOR_BYTES, REQUEST_BYTES,
                            apply_merge(m)))
            return false;
    merge_finish(m);
    return true;
}

closure_function(status_handler, transfers_read, (), status s)
{
    closure_finish();
    expect(is_ok(s));
    for (u32 i = 0; i < IN_FLIGHT; i++) {
        for (u64 at = 0; at < REQUEST_BYTES; at++)
            expect(transfers[i].memory[at] == pattern(i, at));
        deallocate(general_heap, transfers[i].memory, REQUEST_BYTES);
    }
    test_pass();
}

closure_function(status_handler, transfers_flushed, (), status s)
{
    closure_finish();
    expect(is_ok(s));
    for (u32 i = 0; i < IN_FLIGHT; i++)
        memset(transfers[i].memory, 0, REQUEST_BYTES);
    expect(transfers_issue(BLOCK_READ, closure(general_heap, transfers_read)));
}

static struct block_request flush;

closure_function(status_handler, transfers_written, (), status s)
{
    closure_finish();
    expect(is_ok(s));
    flush = (struct block_request){.operation = BLOCK_FLUSH,
                                   .done = closure(general_heap, transfers_flushed)};
    expect(flush.done);
    apply(scratch->io, &flush);
}

static void disk_keeps_what_is_written(void)
{
    if (!disk_there(scratch))
        return;
    for (u32 i = 0; i < IN_FLIGHT; i++) {
        u8 *memory = transfers[i].memory = allocate(general_heap, REQUEST_BYTES);
        expect(memory);
        for (u64 at = 0; at < REQUEST_BYTES; at++)
            memory[at] = pattern(i, at);
    }
    expect(transfers_issue(BLOCK_WRITE, closure(general_heap, transfers_written)));
}

closure_function(status_handler, large_read, (u8 * memory), status s)
{
    u8 *memory = bound(memory);
    closure_finish();
    expect(is_ok(s));
    for (u64 at = 0; at < IN_FLIGHT * REQUEST_BYTES; at += 97)
        expect(memory[at] == pattern((u32)(at / REQUEST_BYTES), at % REQUEST_BYTES));
    deallocate(general_heap, memory, LARGE_BYTES);
    test_pass();
}

static void disk_reads_much_at_once(void)
{
    if (!disk_there(scratch))
        return;
    u8 *memory = transfers[0].memory = allocate(general_heap, LARGE_BYTES);
    status_handler done = memory ? closure(general_heap, large_read, memory) : NULL;
    expect(done);
    expect(transfer_issue(0, BLOCK_READ, 0, LARGE_BYTES, done));
}

closure_function(status_handler, beyond_refused, (u8 * memory), status s)
{
    u8 *memory = bound(memory);
    closure_finish();
    deallocate(general_heap, memory, REQUEST_BYTES);
    expect(status_errno(s) == ENXIO);
    test_pass();
}

static void disk_ends(void)
{
    if (!disk_there(scratch))
        return;
    u8 *memory = transfers[0].memory = allocate(general_heap, REQUEST_BYTES);
    status_handler done = memory ? closure(general_heap, beyond_refused, memory) : NULL;
    expect(done);
    expect(transfer_issue(0, BLOCK_READ, scratch->sectors - 1, REQUEST_BYTES, done));
}

/* --- mounting --------------------------------------------------------------------------------- */

static void mount_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void mount_warn(const char *format, ...)
{
    test_note("mount: %s", format);
}

static struct sg_list mark_sg;
static u8 mark[MARK_BYTES];
static u64 mark_bytes;

closure_function(status_handler, mark_read, (), status s)
{
    closure_finish();
    expect(is_ok(s) && mark_bytes == MARK_BYTES);
    for (u64 at = 0; at < MARK_BYTES; at++)
        expect(mark[at] == at % 251);
    test_pass();
}

closure_function(mount_handler, image_mounted, (), struct filesystem *fs, status s)
{
    struct inode *inode;
    closure_finish();
    if (!is_ok(s))
        test_note("mount: %s", status_text(s));
    expect(is_ok(s));
    expect(is_ok(inode_lookup(filesystem_root(fs), "mark", 4, &inode)));
    expect(inode_type(inode) == INODE_FILE && inode_bytes(inode) == MARK_BYTES);
    sg_init(&mark_sg, general_heap);
    status_handler done = closure(general_heap, mark_read);
    expect(done && sg_add(&mark_sg, mark, MARK_BYTES));
    file_read(inode, 0, &mark_sg, &mark_bytes, done);
}

static void image_mounts(void)
{
    if (!disk_there(image))
        return;
    static struct filesystem_environment environment;
    environment = (struct filesystem_environment){
        .heap = general_heap,
        .pages = page_heap,
        .block_pages_most = 64,
        .device = image,
        .executor = &kernel_executor,
        .cache_pages_most = 64,
        .warn = mount_warn,
    };
    mount_handler mounted = closure(general_heap, image_mounted);
    expect(mounted);
    filesystem_mount(&environment, mounted);
}

const struct kernel_test disk_tests[] = {
    {"the drivers find a disk", disks_found},
    {"a disk keeps what was written, many requests in flight", disk_keeps_what_is_written},
    {"a disk reads much at once", disk_reads_much_at_once},
    {"a request beyond the end is refused", disk_ends},
    {"an image mounts, and a file of it is read", image_mounts},
    {NULL, NULL},
};
