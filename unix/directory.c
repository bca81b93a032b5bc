/* Directories: getdents in the image's order, and the working directory. */
#include "kernel/user_copy.h"
#include "unix/descriptor.h"
#include "unix/virtual.h"

/* A directory's position (what lseek and d_off show): 0 and 1 are "." and "..", and an entry with
   cookie c ends at c + 2. */
#define COOKIE_BASE 2

struct entry {
    const char *name;
    u64 name_bytes;
    u64 number;
    u8 type;
    u64 next; /* the position after it */
};

static u8 entry_type(const struct node *n)
{
    return (u8)(node_type(n) >> 12);
}

static void entry_dot(struct process *p, const struct node *directory, u64 position,
                      struct entry *e)
{
    struct file_attributes a;
    struct node n = position ? node_parent(p, directory) : *directory;
    node_attributes(&n, &a);
    *e = (struct entry){position ? ".." : ".", position + 1, a.number, DT_DIR, position + 1};
}

/* The entry at `position`; false at the end. */
static bool entry_at(struct process *p, const struct node *directory, u64 position, struct entry *e)
{
    struct file_attributes a;
    if (position < COOKIE_BASE) {
        entry_dot(p, directory, position, e);
        return true;
    }
    if (directory->inode) {
        struct directory_entry d;
        if (!directory_next(directory->inode, position - COOKIE_BASE, &d))
            return false;
        struct node n = node_of_inode(d.inode);
        node_attributes(&n, &a);
        *e = (struct entry){d.name, d.name_bytes, a.number, entry_type(&n), d.cookie + COOKIE_BASE};
        return true;
    }
    struct virtual_entry v;
    if (!virtual_next(p, directory, position - COOKIE_BASE, &v))
        return false;
    node_attributes(&v.node, &a);
    *e = (struct entry){v.name, strlen(v.name), a.number, entry_type(&v.node),
                        v.cookie + COOKIE_BASE};
    return true;
}

struct user_dirent64 { /* linux/dirent.h */
    u64 number;
    s64 next;
    u16 bytes;
    u8 type;
    char name[];
};
#define DIRENT64_NAME 19

struct user_dirent { /* the old form; its type is the last byte of the record */
    u64 number;
    u64 next;
    u16 bytes;
    char name[];
};
#define DIRENT_NAME 18

union record {
    struct user_dirent64 new_form;
    struct user_dirent old_form;
    u8 bytes[DIRENT64_NAME + LINUX_NAME_MOST + 1 + 8];
};

static u64 record_new(union record *r, const struct entry *e)
{
    u64 bytes = align_up(DIRENT64_NAME + e->name_bytes + 1, 8);
    memset(r->bytes + bytes - 8, 0, 8);
    r->new_form.number = e->number;
    r->new_form.next = (s64)e->next;
    r->new_form.bytes = (u16)bytes;
    r->new_form.type = e->type;
    memcpy(r->bytes + DIRENT64_NAME, e->name, e->name_bytes);
    r->bytes[DIRENT64_NAME + e->name_bytes] = 0;
    return bytes;
}

static u64 record_old(union record *r, const struct entry *e)
{
    u64 bytes = align_up(DIRENT_NAME + e->name_bytes + 2, 8);
    memset(r->bytes + bytes - 8, 0, 8);
    r->old_form.number = e->number;
    r->old_form.next = e->next;
    r->old_form.bytes = (u16)bytes;
    memcpy(r->bytes + DIRENT_NAME, e->name, e->name_bytes);
    r->bytes[DIRENT_NAME + e->name_bytes] = 0;
    r->bytes[bytes - 1] = e->type;
    return bytes;
}

typedef u64 record_maker(union record *r, const struct entry *e);

static bool directory_removed(struct process *p, struct inode *i)
{
    return inode_parent(i) == i && i != p->root;
}

/* Nothing has happened when memory is missing, so the whole call can start again: the position
   moves at the end. */
static s64 entries_out(struct thread *t, s32 fd, u64 buffer, u32 most, record_maker *make)
{
    struct file *f = descriptor_get(t->process, fd);
    if (!f)
        return -EBADF;
    if (f->operations != &file_directory)
        return -ENOTDIR;
    if (f->node.inode && directory_removed(t->process, f->node.inode))
        return -ENOENT;
    s64 ready = user_prepare(t, buffer, min((u64)most, USER_PREPARE_MOST), USER_WRITE);
    if (ready == SYSCALL_LATER)
        return ready;
    u64 position = f->position, used = 0;
    struct entry e;
    if (f->node.inode && !(f->flags & O_NOATIME))
        inode_accessed(f->node.inode);
    while (entry_at(t->process, &f->node, position, &e)) {
        union record r;
        u64 bytes = make(&r, &e);
        if (used + bytes > most) {
            if (!used)
                return -EINVAL;
            break;
        }
        if (copy_out(buffer + used, &r, bytes)) {
            if (!used)
                return -EFAULT;
            break;
        }
        used += bytes;
        position = e.next;
    }
    f->position = position;
    return (s64)used;
}

s64 sys_getdents64(struct thread *t, s32 fd, u64 buffer, u32 bytes)
{
    return entries_out(t, fd, buffer, bytes, record_new);
}

s64 sys_getdents(struct thread *t, s32 fd, u64 buffer, u32 bytes)
{
    return entries_out(t, fd, buffer, bytes, record_old);
}

/* --- the working directory -------------------------------------------------------------------- */

s64 sys_getcwd(struct thread *t, u64 buffer, u64 most)
{
    char text[LINUX_PATH_MOST];
    struct process *p = t->process;
    struct node cwd = process_directory(p);
    s64 bytes = path_text(p, &cwd, NULL, 0, text, sizeof(text));
    if (bytes == -ERANGE)
        return -ENAMETOOLONG;
    if (bytes < 0)
        return bytes;
    if ((u64)bytes > most)
        return -ERANGE;
    s64 r = user_prepare(t, buffer, (u64)bytes, USER_WRITE);
    if (r)
        return r;
    return copy_out(buffer, text, (u64)bytes) ? -EFAULT : bytes;
}

static void directory_change(struct process *p, const struct node *to)
{
    struct inode *above = p->files->cwd_above;
    p->files->cwd = *to;
    if (above)
        inode_release(above);
    p->files->cwd_above = NULL;
    if (to->inode) {
        inode_hold(to->inode);
        inode_release(p->cwd);
        p->cwd = to->inode;
    }
}

s64 sys_chdir(struct thread *t, u64 path)
{
    struct path_result found;
    s64 r = path_at(t, AT_FDCWD, path, WALK_FOLLOW | WALK_DIRECTORY, false, &found);
    if (!r)
        directory_change(t->process, &found.node);
    return r;
}

s64 sys_fchdir(struct thread *t, s32 fd)
{
    struct file *f = descriptor_file(t->process, fd);
    if (!f)
        return -EBADF;
    if (node_is_none(&f->node) || !node_is_directory(&f->node))
        return -ENOTDIR;
    directory_change(t->process, &f->node);
    return 0;
}
