/* The virtual tree: /dev, /proc and /sys, mounted over the image's tree.

   A node is static; what depends on the process comes from its functions.  An `index` tells nodes
   of one kind apart (a descriptor's number, a thread's tid).  The three roots are found by name in
   the image's root directory whether or not the image has such directories, but only those that it
   has are listed there, so that a listing of the image is the image's. */
#pragma once

#include "unix/file.h"

/* Text that is being made; failed: memory ran out, and the rest is missing. */
struct text {
    char *bytes;
    u64 used, capacity;
    bool failed;
};
void text_add(struct text *to, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_add_bytes(struct text *to, const void *from, u64 bytes);

struct virtual_entry {
    const char *name; /* terminated; lives until the next call */
    struct node node;
    u64 cookie;
};

struct virtual_node {
    const char *name;                  /* NULL: the process's number */
    u32 mode;                          /* with S_IFMT */
    u64 number;                        /* st_ino */
    const struct virtual_node *parent; /* NULL for a root */
    /* Directories: the fixed entries, then the dynamic ones. */
    const struct virtual_node *const *children; /* ended by NULL; may be NULL */
    s64 (*lookup)(struct process *p, u32 index, const char *name, u64 bytes, struct node *found);
    bool (*next)(struct process *p, u32 index, u64 cookie, struct virtual_entry *entry);
    /* Regular files: the whole text, which never changes, or is made when the file is opened. */
    const char *constant;
    void (*text)(struct thread *t, u32 index, struct text *to);
    /* Symlinks: the text that readlink gives; and, for magic ones, where they lead. */
    s64 (*target)(struct process *p, u32 index, char *to, u64 most);
    s64 (*jump)(struct process *p, u32 index, struct node *to);
    /* Character devices. */
    const struct file_operations *device;
    u64 special;
};

/* The root of that name, or NULL. */
const struct virtual_node *virtual_root(const char *name, u64 bytes);
/* Does a path from the root, [text, end) without its slash, go through one? */
bool virtual_leads(const char *text, const char *end);
s64 virtual_lookup(struct process *p, const struct node *directory, const char *name, u64 bytes,
                   struct node *found);
/* The entry after `cookie` (0: the first); false at the end.  "." and ".." are not among them. */
bool virtual_next(struct process *p, const struct node *directory, u64 cookie,
                  struct virtual_entry *entry);
/* Lives until the next call. */
const char *virtual_name(struct process *p, const struct node *n);
s64 virtual_open(struct thread *t, const struct node *n, u32 flags, struct file **opened);
void virtual_attributes(const struct node *n, struct file_attributes *to);

extern const struct virtual_node virtual_dev, virtual_proc, virtual_sys;

/* A decimal number that is the whole name; false when it is not one. */
bool name_number(const char *name, u64 bytes, u32 *number);

extern const struct file_operations device_zero;

/* The program's standard streams (unix/console_file.c): 0, 1, 2; a new description. */
struct file *console_file_create(u32 stream, u32 flags);
