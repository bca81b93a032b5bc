/* An image of a file, mounted in this process by the same code that the kernel mounts it with.  It
   can be changed when its descriptor is open for writing. */
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

/* The same, symlinks followed; NULL when there is nothing. */
struct inode *mounted_find(struct mounted *m, const char *path);
/* Whether `path` is a file of the image, symlinks followed. */
bool mounted_has(struct mounted *m, const char *path);

/* Gives the image's setting these values instead of those that it has, durably. */
void mounted_setting(struct mounted *m, const char *name, const struct text_list *values);

/* For changes: true when `s` is EAGAIN, after waiting for what it asks for (the page `fetch` of i,
   or room), so that the change can be tried again; false when `s` is anything else.  Ends the
   command when that goes on for ever. */
bool mounted_again(struct mounted *m, status s, struct inode *i, u64 fetch);

/* Makes all changes durable; ends the command when that fails. */
void mounted_sync(struct mounted *m);
/* The same, and marks the image as ended cleanly; ends the command when that fails.
   Only image_unmount may follow. */
void mounted_end(struct mounted *m);

/* Reads [offset, offset + bytes) of a file, waiting for it; returns how many bytes there were. */
u64 mounted_read(struct mounted *m, struct inode *i, u64 offset, void *to, u64 bytes);
