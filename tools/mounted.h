/* An image of a file, mounted in this process by the same code that the kernel mounts it with. */
#pragma once

#include "fs/fs.h"
#include "tools/say.h"

struct mounted; /* one image */

/* Ends the command with one line when it cannot be mounted. */
struct mounted *image_mount(const char *path);
/* The same of a descriptor, which is taken over. */
struct mounted *image_mount_open(int fd, const char *path);
void image_unmount(struct mounted *m);
struct filesystem *mounted_filesystem(struct mounted *m);

/* What `path` names in the image; a symlink at its end is followed when `last` says so.  Ends the
   command when there is nothing. */
enum path_last { PATH_LAST_KEPT, PATH_LAST_FOLLOWED };
struct inode *mounted_lookup(struct mounted *m, const char *path, enum path_last last);

/* Whether `path` is a file of the image, symlinks followed. */
bool mounted_has(struct mounted *m, const char *path);

/* Gives the image's setting these values instead of those that it has, durably. */
void mounted_setting(struct mounted *m, const char *name, const struct text_list *values);

/* Reads [offset, offset + bytes) of a file, waiting for it; returns how many bytes there were. */
u64 mounted_read(struct mounted *m, struct inode *i, u64 offset, void *to, u64 bytes);
