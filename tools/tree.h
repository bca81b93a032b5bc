/* The tree of files that an image will hold, gathered before anything is written.

   Entries are ordered by path, so parents come before their children.  What is added later takes
   the place of what was there; a path that leads through a symlink of the tree is put where the
   link points, as on a running system.  Files stay where they are on this machine and are read
   when the image is written.  Single-threaded. */
#pragma once

#include "fs/builder.h"
#include "runtime/rbtree.h"

struct tree_entry {
    struct rbnode node;
    char *path; /* absolute in the image, normal form; "" is the root */
    enum inode_type type;
    u32 mode, uid, gid;
    s64 modified_ns;
    u64 bytes;
    char *host;       /* the file on this machine; NULL for one held in memory */
    const void *data; /* then its bytes */
    char *target;     /* symlinks */
    u64 device, inode;
    struct builder_source source; /* gives the file's bytes to the builder */
    bool linked;                  /* has other names on this machine */
};

struct tree {
    struct rbtree entries;
    struct rb_key_compare compare;
    bool owned_by_root; /* entries added now belong to 0:0, whatever this machine says */
};

void tree_init(struct tree *t);

/* Adds a file, or a folder with all that is in it.  Ends the command when `host` is not there. */
void tree_add(struct tree *t, const char *host, const char *guest);

/* Adds the file at the same absolute path, with the symlinks that lead to it on this machine. */
void tree_add_as_here(struct tree *t, const char *path);

void tree_add_memory(struct tree *t, const char *guest, const void *data, u64 bytes, u32 mode);
void tree_add_folder(struct tree *t, const char *guest, u32 mode);
void tree_add_symlink(struct tree *t, const char *guest, const char *target);

/* The entry that `path` names, symlinks followed; NULL when there is none. */
struct tree_entry *tree_lookup(struct tree *t, const char *path);

/* Applied to each entry, in order; the handler may add others. */
closure_type(tree_visitor, void, struct tree_entry *e);
void tree_visit(struct tree *t, tree_visitor visitor);

/* Hands every entry to the builder. */
status tree_build(struct tree *t, struct builder *b);

/* "/a/./b//c/" and the like in normal form, absolute, "" for the root; the caller's to free. */
char *path_normal(const char *path);
