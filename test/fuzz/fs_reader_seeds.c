/* Writes the seeds for fs_reader_fuzz into the directory that is its argument: small images of
   different kinds, in the form that the fuzz target takes, each in several modes. */
#include "fs/builder_internal.h"
#include "test/host/fs_fixture.h"
#include "test/host/harness.h"

#include <stdio.h>
#include <stdlib.h>

static void seed_write(const char *directory, const char *name, const struct host_disk *d, u8 mode)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/%s-%u", directory, name, mode);
    FILE *f = fopen(path, "wb");
    must(f);
    u64 from = FIRST_BLOCK * BLOCK_BYTES, end = d->length;
    while (end > from && d->bytes[end - 1] == 0)
        end--;
    must(fwrite(&mode, 1, 1, f) == 1);
    must(fwrite(d->bytes, 1, SUPERBLOCK_BYTES, f) == SUPERBLOCK_BYTES);
    must(fwrite(d->bytes + from, 1, end - from, f) == end - from);
    must(fclose(f) == 0);
}

static void tree_seeds(const char *directory, const char *name, struct test_tree *t,
                       const struct image_options *o)
{
    static const u8 modes[] = {0, 1, 3, 7, 11};
    struct host_disk d;
    test_image(t, o, &d);
    for (u32 n = 0; n < countof(modes); n++)
        seed_write(directory, name, &d, modes[n]);
    host_disk_destroy(&d);
}

int main(int count, char **arguments)
{
    static const struct image_options plain = {.no_checksums = true};
    struct test_tree t;
    if (count != 2) {
        fprintf(stderr, "usage: fs_reader_seeds DIRECTORY\n");
        return 2;
    }
    test_tree_init(&t);
    tree_seeds(arguments[1], "empty", &t, NULL);
    struct tree_node *d = test_tree_add(&t, NULL, "d", INODE_DIRECTORY);
    test_tree_add(&t, d, "file", INODE_FILE)->bytes = 10;
    struct tree_node *link = test_tree_add(&t, d, "link", INODE_SYMLINK);
    snprintf(link->target, sizeof(link->target), "file");
    tree_seeds(arguments[1], "small", &t, NULL);
    tree_seeds(arguments[1], "plain", &t, &plain);
    struct tree_node *sparse = test_tree_add(&t, d, "sparse", INODE_FILE);
    sparse->bytes = 80 * 4096 + 5;
    sparse->sparse = true;
    tree_seeds(arguments[1], "sparse", &t, NULL);
    test_tree_destroy(&t);
    return 0;
}
