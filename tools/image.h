/* From options to an image in a file. */
#pragma once

#include "tools/options.h"
#include "tools/tree.h"

/* Where programs are looked for, in an image and in the program's PATH. */
extern const char image_path[];

/* Gathers the tree that the options ask for; *program is the path inside it that is run.  Ends the
   command with one line when something is missing. */
void image_gather(const struct options *o, struct tree *t, char **program);

/* Free space that an image gets beyond its contents, unless --size says how large it is.  The file
   has holes there, so it costs nothing before it is used. */
#define ROOM_BUILT     (64 * MiB)
#define ROOM_TEMPORARY (1 * GiB)

struct image_file {
    int fd;           /* open for reading and writing, empty */
    const char *name; /* for messages */
    u64 room_bytes;
    bool temporary; /* gone with this command: nothing of it has to reach the disk */
};
void image_write(const struct options *o, struct tree *t, const char *program,
                 const struct image_file *file);

/* An image of this machine, open for reading, or for writing too, and locked: several may read one,
   and one may write it.  Ends the command with one line when that cannot be. */
enum image_use { IMAGE_READ, IMAGE_WRITE };
int image_open(const char *path, enum image_use use);
u64 image_length(int fd);

/* A file without a name, gone with its last descriptor. */
int image_temporary(void);
