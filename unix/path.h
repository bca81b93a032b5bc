/* Places in the tree of files, and the walk from a path to one.

   A node is an inode of the image, or a node of the virtual tree that lies over it (/dev, /proc,
   /sys), or an open file without a place (a pipe that /proc/self/fd leads to).  Looking up never
   waits, since the image's metadata is in memory; so a node need only be held when it is kept
   beyond the system call.  Everything here returns 0 or -errno as Linux's namei.c would. */
#pragma once

#include "unix/abi.h"
#include "unix/process.h"

struct virtual_node;
struct file;

struct node {
    struct inode *inode;                /* or NULL */
    const struct virtual_node *virtual; /* or NULL */
    struct file *file;                  /* or NULL */
    u32 index;                          /* of a virtual node: which of its kind (a descriptor) */
};

#define NODE_NONE ((struct node){NULL, NULL, NULL, 0})

static inline struct node node_of_inode(struct inode *i)
{
    return (struct node){i, NULL, NULL, 0};
}

static inline bool node_is_none(const struct node *n)
{
    return !n->inode && !n->virtual && !n->file;
}

/* The S_IFMT bits. */
static inline u32 inode_mode_type(enum inode_type type)
{
    return type == INODE_DIRECTORY ? S_IFDIR
           : type == INODE_SYMLINK ? S_IFLNK
           : type == INODE_SOCKET  ? S_IFSOCK
                                   : S_IFREG;
}
u32 node_type(const struct node *n);
static inline bool node_is_directory(const struct node *n)
{
    return n->inode ? inode_type(n->inode) == INODE_DIRECTORY : node_type(n) == S_IFDIR;
}
/* 0, -EROFS, or -EPERM: the virtual tree, pipes and the like. */
s64 node_may_change(struct process *p, const struct node *n);
bool node_same(const struct node *a, const struct node *b);
void node_hold(const struct node *n);
void node_release(const struct node *n);
/* The directory above; the root's is the root. */
struct node node_parent(struct process *p, const struct node *directory);
/* "." and ".." are not names here. */
s64 node_lookup(struct process *p, const struct node *directory, const char *name, u64 bytes,
                struct node *found);
/* Where the walk starts and "/" leads. */
struct node process_root(struct process *p);
struct node process_directory(struct process *p);

enum walk_flags {
    WALK_FOLLOW = 1,    /* a symlink at the end too */
    WALK_DIRECTORY = 2, /* what is found must be a directory */
    WALK_NO_LINKS = 4,  /* openat2: RESOLVE_NO_SYMLINKS: any symlink is ELOOP */
    WALK_BENEATH = 8,   /* openat2: RESOLVE_BENEATH: leaving the start is EXDEV */
    WALK_IN_ROOT = 16,  /* openat2: RESOLVE_IN_ROOT: the start is "/" */
    WALK_NO_MAGIC = 32, /* openat2: RESOLVE_NO_MAGICLINKS: /proc/self/fd is ELOOP */
    WALK_PARENT = 64,   /* stop before the last component, which need not be there */
};

enum last_type { LAST_NAME, LAST_DOT, LAST_DOTDOT, LAST_ROOT };

struct path_result {
    struct node node;   /* what the path names; none with WALK_PARENT */
    struct node parent; /* the directory that the last component was looked up in */
    const char *last;   /* the last component; in the path's or a symlink's text */
    u64 last_bytes;
    enum last_type type;
    bool slashes; /* something like "name/" */
    bool missing; /* ENOENT was about the last component alone */
};

/* Text that may have no terminator. */
struct path_string {
    const char *text;
    u64 bytes;
};

/* `start` is where a relative path begins. */
s64 path_walk(struct process *p, const struct node *start, struct path_string path, u32 flags,
              struct path_result *to);

/* A path argument of a system call, copied in once. */
struct user_path {
    char text[LINUX_PATH_MOST];
    u64 bytes; /* without the terminator */
};

static inline struct path_string user_path_string(const struct user_path *path)
{
    return (struct path_string){path->text, path->bytes};
}

/* ENOENT (empty), ENAMETOOLONG, EFAULT; SYSCALL_LATER: return it at once. */
s64 user_path_get(struct thread *t, u64 address, struct user_path *to);
/* The same, but "" is allowed. */
s64 user_path_get_or_empty(struct thread *t, u64 address, struct user_path *to);

/* What (fd, path) of an *at call names.  `at_flags`: AT_EMPTY_PATH and AT_SYMLINK_NOFOLLOW count.
   AT_EMPTY_PATH on a pipe or the like gives a node with `file`. */
s64 path_at(struct thread *t, s32 fd, u64 path, u32 walk, bool empty_allowed,
            struct path_result *to);
/* The directory that a relative path starts in: 0, -EBADF, -ENOTDIR. */
s64 path_start(struct thread *t, s32 fd, const char *path, struct node *start);

/* What a new inode in `directory` begins with: the mode without the umask's bits, and the group
   that a directory with S_ISGID hands on. */
struct inode_initial process_initial(struct process *p, const struct inode *directory, u32 mode);

/* The absolute path of a directory, or of `name` in it; terminated.  Returns its length with the
   terminator, -ERANGE, -ENOENT. */
s64 path_text(struct process *p, const struct node *directory, const char *name, u64 name_bytes,
              char *to, u64 most);
