/* The builder's first half: the tree that will be in the image.  See fs/builder.h. */
#include "fs/builder_internal.h"

struct builder *builder_create(heap h)
{
    struct builder *b = allocate_zero(h, sizeof(*b));
    if (!b)
        return NULL;
    b->heap = h;
    b->fs.environment.heap = h;
    arena_init(&b->fs.arena, h);
    b->fs.root = inode_make(&b->fs, INODE_ROOT, INODE_DIRECTORY);
    if (!b->fs.root) {
        builder_destroy(b);
        return NULL;
    }
    b->fs.root->mode = 0755;
    b->fs.linked = 1;
    b->next_inode = INODE_ROOT + 1;
    return b;
}

void builder_destroy(struct builder *b)
{
    inodes_release(&b->fs);
    arena_release(&b->fs.arena);
    deallocate(b->heap, b, sizeof(*b));
}

/* --- paths ------------------------------------------------------------------------------------ */

/* The next component of *path, which moves behind it; false at the end. */
static bool path_component(const char **path, const char **name, u64 *bytes)
{
    const char *at = *path;
    while (*at == '/')
        at++;
    *name = at;
    while (*at && *at != '/')
        at++;
    *bytes = (u64)(at - *name);
    *path = at;
    return *bytes != 0;
}

static bool path_ended(const char *path)
{
    while (*path == '/')
        path++;
    return *path == 0;
}

/* Where a path leads: the directory and the last name in it, and what is there (NULL: nothing). */
struct place {
    struct inode *directory;
    const char *name;
    u64 name_bytes; /* 0: the root itself */
    struct inode *inode;
};

static status path_walk(struct builder *b, const char *path, struct place *to)
{
    *to = (struct place){.directory = b->fs.root, .inode = b->fs.root};
    if (*path != '/')
        return status_error(EINVAL, "builder: a path that does not begin with '/'", 0);
    while (path_component(&path, &to->name, &to->name_bytes)) {
        if (to->name_bytes > NAME_BYTES_MOST)
            return status_error(ENAMETOOLONG, "builder: a name of more than 255 bytes",
                                to->name_bytes);
        if (!name_valid(to->name, to->name_bytes))
            return status_error(EINVAL, "builder: \".\" and \"..\" are no names", 0);
        if (!to->inode)
            return status_error(ENOENT, "builder: the directory of the path does not exist", 0);
        if (to->inode->type != INODE_DIRECTORY)
            return status_error(ENOTDIR, "builder: a part of the path is not a directory",
                                to->inode->number);
        to->directory = to->inode;
        struct entry *e = entry_find(to->directory, to->name, to->name_bytes);
        to->inode = e ? e->inode : NULL;
        if (path_ended(path))
            break;
    }
    return STATUS_OK;
}

bool builder_has(struct builder *b, const char *path)
{
    struct place place;
    return is_ok(path_walk(b, path, &place)) && place.inode;
}

/* --- adding ----------------------------------------------------------------------------------- */

static void attributes_set(struct inode *i, const struct builder_node *node)
{
    i->mode = node->mode & 07777;
    i->uid = node->uid;
    i->gid = node->gid;
    i->accessed_ns = i->modified_ns = i->changed_ns = node->modified_ns;
}

static status node_check(const struct builder_node *node)
{
    if (node->link_to)
        return STATUS_OK;
    if (node->type < INODE_FILE || node->type > INODE_SYMLINK)
        return status_error(EINVAL, "builder: not a file, directory or symbolic link", node->type);
    if (node->type == INODE_FILE && node->bytes > FILE_BYTES_MOST)
        return status_error(EINVAL, "builder: a file of impossible length", node->bytes);
    if (node->type == INODE_FILE && node->bytes && !node->source)
        return status_error(EINVAL, "builder: a file without a source", node->bytes);
    if (node->type != INODE_SYMLINK)
        return STATUS_OK;
    if (!node->target || !*node->target)
        return status_error(EINVAL, "builder: a symbolic link without a target", 0);
    if (strlen(node->target) > TARGET_BYTES_MOST)
        return status_error(ENAMETOOLONG, "builder: a symbolic link of more than 4095 bytes",
                            strlen(node->target));
    return STATUS_OK;
}

static status hard_link(struct builder *b, const struct builder_node *node,
                        const struct place *place)
{
    struct place target;
    status s = path_walk(b, node->link_to, &target);
    if (!is_ok(s))
        return s;
    if (!target.inode)
        return status_error(ENOENT, "builder: a hard link to what does not exist", 0);
    if (target.inode->type == INODE_DIRECTORY)
        return status_error(EINVAL, "builder: a hard link to a directory", target.inode->number);
    return entry_link(place->directory, target.inode, place->name, place->name_bytes);
}

static status file_content(struct builder *b, struct inode *i, const struct builder_node *node)
{
    i->bytes = node->bytes;
    if (node->bytes == 0)
        return STATUS_OK;
    struct build_file *f = arena_allocate(&b->fs.arena, sizeof(*f));
    if (!f)
        return status_error(ENOMEM, "builder: no memory for a file", i->number);
    *f = (struct build_file){.inode = i, .source = node->source};
    *(b->files_last ? &b->files_last->next : &b->files) = f;
    b->files_last = f;
    return STATUS_OK;
}

static status symlink_content(struct builder *b, struct inode *i, const struct builder_node *node)
{
    u64 bytes = strlen(node->target);
    char *target = arena_allocate(&b->fs.arena, bytes);
    if (!target)
        return status_error(ENOMEM, "builder: no memory for a symbolic link", i->number);
    memcpy(target, node->target, bytes);
    i->target = target;
    i->bytes = bytes;
    return STATUS_OK;
}

/* What fails on the way leaves an inode without a name, which is not written. */
static status node_make(struct builder *b, const struct builder_node *node,
                        const struct place *place)
{
    struct inode *i = inode_make(&b->fs, b->next_inode++, (u8)node->type);
    if (!i)
        return status_error(ENOMEM, "builder: no memory for an inode", b->next_inode);
    attributes_set(i, node);
    status s = STATUS_OK;
    if (node->type == INODE_FILE)
        s = file_content(b, i, node);
    else if (node->type == INODE_SYMLINK)
        s = symlink_content(b, i, node);
    return is_ok(s) ? entry_link(place->directory, i, place->name, place->name_bytes) : s;
}

status builder_add(struct builder *b, const struct builder_node *node)
{
    struct place place;
    status s = node_check(node);
    if (is_ok(s))
        s = path_walk(b, node->path, &place);
    if (!is_ok(s))
        return s;
    b->planned = false;
    if (place.inode) {
        if (node->link_to || place.inode->type != INODE_DIRECTORY || node->type != INODE_DIRECTORY)
            return status_error(EEXIST, "builder: the path exists already", place.inode->number);
        attributes_set(place.inode, node);
        b->root_given |= place.inode == b->fs.root;
        return STATUS_OK;
    }
    return node->link_to ? hard_link(b, node, &place) : node_make(b, node, &place);
}

status builder_setting(struct builder *b, const char *name, const char *value)
{
    u64 name_bytes = strlen(name), value_bytes = strlen(value);
    if (name_bytes == 0 || name_bytes > SETTING_NAME_MOST)
        return status_error(EINVAL, "builder: a setting's name has 1 to 64 bytes", name_bytes);
    if (value_bytes > SETTING_VALUE_MOST)
        return status_error(EINVAL, "builder: a setting of more than 64 KiB", value_bytes);
    struct setting *s = arena_allocate(&b->fs.arena, sizeof(*s) + name_bytes + value_bytes + 2);
    if (!s)
        return status_error(ENOMEM, "builder: no memory for a setting", value_bytes);
    s->next = NULL;
    s->name_bytes = (u32)name_bytes;
    memcpy(s->text, name, name_bytes + 1);
    memcpy(s->text + name_bytes + 1, value, value_bytes + 1);
    *(b->fs.settings_last ? &b->fs.settings_last->next : &b->fs.settings) = s;
    b->fs.settings_last = s;
    return STATUS_OK;
}
