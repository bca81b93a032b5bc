/* The walk from a path to a node, component by component, as Linux's fs/namei.c does it: the same
   errors in the same order.  Symlinks are not spliced into the path; the texts that are still to
   be walked form a stack, so nothing is copied or allocated.

   Callers: every system call that takes a path, and the process side through path_find. */
#include "kernel/user_copy.h"
#include "runtime/text_word.h"
#include "unix/descriptor.h"
#include "unix/virtual.h"

/* --- nodes ------------------------------------------------------------------------------------ */

u32 node_type(const struct node *n)
{
    if (n->inode) {
        return inode_mode_type(inode_type(n->inode));
    }
    if (n->virtual)
        return n->virtual->mode & S_IFMT;
    if (n->file) {
        struct file_attributes a;
        file_attributes(n->file, &a);
        return a.mode & S_IFMT;
    }
    return 0;
}

s64 node_may_change(struct process *p, const struct node *n)
{
    return !n->inode ? -EPERM : filesystem_read_only(p->fs) ? -EROFS : 0;
}

bool node_same(const struct node *a, const struct node *b)
{
    return a->inode == b->inode && a->virtual == b->virtual && a->file == b->file &&
           a->index == b->index;
}

void node_hold(const struct node *n)
{
    if (n->inode)
        inode_hold(n->inode);
}

void node_release(const struct node *n)
{
    if (n->inode)
        inode_release(n->inode);
}

struct node process_root(struct process *p)
{
    return node_of_inode(p->root);
}

struct node process_directory(struct process *p)
{
    return p->files && p->files->cwd.virtual ? p->files->cwd : node_of_inode(p->cwd);
}

struct node node_parent(struct process *p, const struct node *directory)
{
    if (directory->virtual) {
        const struct virtual_node *above = directory->virtual->parent;
        return above ? (struct node){NULL, above, NULL, directory->index} : process_root(p);
    }
    struct inode *above = inode_parent(directory->inode);
    if (unlikely(above == directory->inode && above == p->cwd && p->files->cwd_above))
        above = p->files->cwd_above;
    return node_of_inode(above);
}

static inline s64 node_find(struct process *p, const struct node *directory, const char *name,
                            u64 bytes, struct node *found)
{
    if (bytes > LINUX_NAME_MOST)
        return -ENAMETOOLONG;
    if (unlikely(directory->virtual))
        return virtual_lookup(p, directory, name, bytes, found);
    *found = NODE_NONE;
    if (directory->inode == p->root) {
        found->virtual = virtual_root(name, bytes);
        if (found->virtual)
            return 0;
    }
    found->inode = directory_find(directory->inode, name, bytes);
    return found->inode ? 0 : -ENOENT;
}

s64 node_lookup(struct process *p, const struct node *directory, const char *name, u64 bytes,
                struct node *found)
{
    return node_find(p, directory, name, bytes, found);
}

/* --- the walk --------------------------------------------------------------------------------- */

/* Text that is still to be walked: the path, and above it the targets of symlinks.  `at` is never
   at a slash. */
struct walk_text {
    const char *at, *end;
};

struct walk {
    struct process *process;
    struct path_result *result;
    const struct node *start;
    struct node at;
    u32 flags;
    u32 links;    /* followed so far */
    u32 depth;    /* of the stack */
    bool slashes; /* behind the last component, which may have been a symlink since */
    struct walk_text stack[LINUX_LINKS_MOST + 1];
    char target[32]; /* of a virtual symlink: /proc/self */
};

struct component {
    const char *name;
    u64 bytes;
    bool slash; /* follows */
    bool last;  /* nothing but slashes follows, in any text */
};

static inline const char *skip_slashes(const char *at, const char *end)
{
    return text_skip(at, end, '/');
}

/* Walks through what is plain: directories of the image in the middle of a text.  What is left of
   the text begins with the component that takes more care (dots, symlinks, the virtual tree, names
   that are not there, the last one), and that one is in *c. */
static void walk_down(struct walk *w, struct walk_text *text, struct component *c)
{
    struct inode *at = w->at.inode;
    if (node_is_directory(&w->at) && at &&
        !(at == w->process->root && virtual_leads(text->at, text->end)))
        w->at.inode = directory_descend(at, &text->at, text->end);
    const char *stop = text_find(text->at, text->end, '/');
    c->name = text->at;
    c->bytes = (u64)(stop - text->at);
    text->at = skip_slashes(stop, text->end);
    c->slash = text->at != stop;
}

/* Takes the next component that is not plain off the stack; false when all texts have ended. */
static bool walk_component(struct walk *w, struct component *c)
{
    while (w->depth && w->stack[w->depth - 1].at == w->stack[w->depth - 1].end)
        w->depth--;
    if (!w->depth)
        return false;
    walk_down(w, &w->stack[w->depth - 1], c);
    c->last = true;
    for (u32 i = w->depth; i-- > 0 && c->last;)
        c->last = w->stack[i].at == w->stack[i].end;
    w->slashes |= c->last && c->slash;
    return true;
}

/* Goes to where "/" leads. */
static s64 walk_to_root(struct walk *w)
{
    if (w->flags & WALK_BENEATH)
        return -EXDEV;
    w->at = w->flags & WALK_IN_ROOT ? *w->start : process_root(w->process);
    return 0;
}

static s64 walk_up(struct walk *w)
{
    if (node_same(&w->at, w->start) && (w->flags & (WALK_BENEATH | WALK_IN_ROOT)))
        return w->flags & WALK_BENEATH ? -EXDEV : 0;
    w->at = node_parent(w->process, &w->at);
    return 0;
}

/* A magic link is no text: it leads straight to a node. */
static s64 walk_jump(struct walk *w, const struct node *link)
{
    if (w->flags & (WALK_NO_MAGIC | WALK_NO_LINKS))
        return -ELOOP;
    if (w->flags & (WALK_BENEATH | WALK_IN_ROOT))
        return -EXDEV;
    return link->virtual->jump(w->process, link->index, &w->at);
}

static s64 walk_link(struct walk *w, const struct node *link)
{
    if (w->flags & WALK_NO_LINKS || ++w->links > LINUX_LINKS_MOST)
        return -ELOOP;
    const char *text = w->target;
    u64 bytes;
    if (link->inode) {
        text = symlink_target(link->inode, &bytes);
    } else if (link->virtual->jump) {
        return walk_jump(w, link);
    } else {
        s64 length = link->virtual->target(w->process, link->index, w->target, sizeof(w->target));
        if (length < 0)
            return length;
        bytes = (u64)length;
    }
    if (!bytes)
        return -ENOENT;
    /* A text whose end is reached makes room for the next one: the stack is as deep as links nest,
       and they were counted. */
    while (w->depth && w->stack[w->depth - 1].at == w->stack[w->depth - 1].end)
        w->depth--;
    assert(w->depth < countof(w->stack));
    const char *end = text + bytes;
    w->stack[w->depth++] = (struct walk_text){skip_slashes(text, end), end};
    return text[0] == '/' ? walk_to_root(w) : 0;
}

static enum last_type component_type(const struct component *c)
{
    if (c->bytes == 1 && c->name[0] == '.')
        return LAST_DOT;
    return c->bytes == 2 && c->name[0] == '.' && c->name[1] == '.' ? LAST_DOTDOT : LAST_NAME;
}

static void walk_note(struct walk *w, const struct component *c, enum last_type type)
{
    struct path_result *to = w->result;
    to->parent = w->at;
    to->last = c->name;
    to->last_bytes = c->bytes;
    to->type = type;
    to->slashes = w->slashes;
}

static bool node_is_link(const struct node *n)
{
    return n->inode ? inode_type(n->inode) == INODE_SYMLINK : node_type(n) == S_IFLNK;
}

/* One component; `found` is where it leads unless a symlink was pushed instead. */
static s64 walk_step(struct walk *w, const struct component *c)
{
    if (!node_is_directory(&w->at))
        return -ENOTDIR;
    enum last_type type = component_type(c);
    if (c->last)
        walk_note(w, c, type);
    if (c->last && w->flags & WALK_PARENT)
        return 0;
    if (type != LAST_NAME)
        return type == LAST_DOT ? 0 : walk_up(w);
    struct node found;
    s64 r = node_find(w->process, &w->at, c->name, c->bytes, &found);
    if (r) {
        w->result->missing = r == -ENOENT && c->last;
        return r;
    }
    if (node_is_link(&found) && (!c->last || w->slashes || w->flags & WALK_FOLLOW))
        return walk_link(w, &found);
    w->at = found;
    if (c->last && (w->slashes || w->flags & WALK_DIRECTORY) && !node_is_directory(&found))
        return -ENOTDIR;
    return 0;
}

s64 path_walk(struct process *p, const struct node *start, struct path_string path, u32 flags,
              struct path_result *to)
{
    struct walk w;
    w.process = p;
    w.result = to;
    w.start = start;
    w.flags = flags;
    w.links = 0;
    w.depth = 1;
    w.slashes = false;
    const char *end = path.text + path.bytes;
    w.stack[0] = (struct walk_text){skip_slashes(path.text, end), end};
    to->node = NODE_NONE;
    to->parent = flags & WALK_IN_ROOT ? *start : process_root(p);
    to->last = "";
    to->last_bytes = 0;
    to->type = LAST_ROOT;
    to->slashes = to->missing = false;
    if (!path.bytes)
        return -ENOENT;
    s64 r = 0;
    if (path.text[0] == '/')
        r = walk_to_root(&w);
    else
        w.at = *start;
    struct component c;
    while (!r && walk_component(&w, &c)) {
        r = walk_step(&w, &c);
        if (c.last && flags & WALK_PARENT)
            break;
    }
    if (!r && flags & WALK_DIRECTORY && !node_is_directory(&w.at))
        r = -ENOTDIR;
    if (!r && !(flags & WALK_PARENT))
        to->node = w.at;
    return r;
}

/* --- arguments of system calls ---------------------------------------------------------------- */

static s64 path_get_slowly(struct thread *t, u64 address, struct user_path *to)
{
    for (u32 attempt = 0; attempt < 2; attempt++) {
        s64 length = copy_in_string(to->text, address, sizeof(to->text));
        if (length >= 0) {
            to->bytes = (u64)length;
            return 0;
        }
        if (length == -2)
            return -ENAMETOOLONG;
        /* The string goes on in a page that is not there; at least its first byte must be. */
        s64 r = user_prepare(t, address, 1, USER_READ);
        if (r)
            return r;
        u64 next = align_up(address + 1, PAGE_BYTES);
        r = user_prepare(t, next, 1, USER_READ);
        if (r == SYSCALL_LATER)
            return r;
    }
    return -EFAULT;
}

static inline s64 path_get(struct thread *t, u64 address, struct user_path *to)
{
    s64 length = copy_in_string(to->text, address, sizeof(to->text));
    if (unlikely(length < 0))
        return path_get_slowly(t, address, to);
    to->bytes = (u64)length;
    return 0;
}

s64 user_path_get_or_empty(struct thread *t, u64 address, struct user_path *to)
{
    return path_get(t, address, to);
}

s64 user_path_get(struct thread *t, u64 address, struct user_path *to)
{
    s64 r = path_get(t, address, to);
    return r ? r : to->bytes ? 0 : -ENOENT;
}

static inline s64 path_begin(struct thread *t, s32 fd, bool absolute, struct node *start)
{
    if (likely(absolute || fd == AT_FDCWD)) {
        *start = process_directory(t->process);
        return 0;
    }
    struct file *f = descriptor_file(t->process, fd);
    if (!f)
        return -EBADF;
    *start = f->node;
    return node_is_none(start) || !node_is_directory(start) ? -ENOTDIR : 0;
}

s64 path_start(struct thread *t, s32 fd, const char *path, struct node *start)
{
    return path_begin(t, fd, path[0] == '/', start);
}

/* AT_EMPTY_PATH with "": the descriptor itself. */
static s64 path_of_descriptor(struct thread *t, s32 fd, struct path_result *to)
{
    *to = (struct path_result){.type = LAST_ROOT, .last = ""};
    if (fd == AT_FDCWD) {
        to->node = process_directory(t->process);
        return 0;
    }
    struct file *f = descriptor_file(t->process, fd);
    if (!f)
        return -EBADF;
    to->node = f->node;
    to->parent = f->parent;
    if (node_is_none(&to->node))
        to->node.file = f;
    return 0;
}

s64 path_at(struct thread *t, s32 fd, u64 path, u32 walk, bool empty_allowed,
            struct path_result *to)
{
    struct user_path text;
    s64 r = path_get(t, path, &text);
    if (r)
        return r;
    if (!text.bytes)
        return empty_allowed ? path_of_descriptor(t, fd, to) : -ENOENT;
    struct node start;
    /* With the start as the root, "/" begins there too. */
    r = path_begin(t, fd, text.text[0] == '/' && !(walk & WALK_IN_ROOT), &start);
    if (r)
        return r;
    r = path_walk(t->process, &start, user_path_string(&text), walk, to);
    to->last = ""; /* the text ends with this call */
    return r;
}

s64 path_find(struct process *p, const char *path, struct inode **found)
{
    struct path_result at;
    struct node start = process_directory(p);
    struct path_string text = {path, strlen(path)};
    s64 r = path_walk(p, &start, text, WALK_FOLLOW, &at);
    if (r)
        return r;
    if (!at.node.inode)
        return -EACCES; /* nothing of the virtual tree is a program or a library */
    inode_hold(at.node.inode);
    *found = at.node.inode;
    return 0;
}

/* --- from a node to its path ------------------------------------------------------------------ */

/* The name of a directory in its parent; NULL when it has none. */
static const char *directory_name(struct process *p, const struct node *n, u64 *bytes)
{
    if (n->virtual) {
        const char *name = virtual_name(p, n);
        *bytes = strlen(name);
        return name;
    }
    struct directory_entry e = {.cookie = 0};
    struct inode *above = inode_parent(n->inode);
    while (directory_next(above, e.cookie, &e)) {
        if (e.inode == n->inode) {
            *bytes = e.name_bytes;
            return e.name;
        }
    }
    return NULL;
}

/* Written from the end of the buffer forwards, since the walk goes upwards. */
s64 path_text(struct process *p, const struct node *directory, const char *name, u64 name_bytes,
              char *to, u64 most)
{
    u64 at = most;
    struct node n = *directory;
    struct node root = process_root(p);
    if (!at)
        return -ERANGE;
    to[--at] = 0;
    bool more = name_bytes != 0;
    while (more || !node_same(&n, &root)) {
        if (!more) {
            name = directory_name(p, &n, &name_bytes);
            if (!name)
                return -ENOENT;
            n = node_parent(p, &n);
        }
        more = false;
        if (at < name_bytes + 1)
            return -ERANGE;
        at -= name_bytes;
        memcpy(to + at, name, name_bytes);
        to[--at] = '/';
    }
    if (at == most - 1) {
        if (!at)
            return -ERANGE;
        to[--at] = '/';
    }
    memmove(to, to + at, most - at);
    return (s64)(most - at);
}
