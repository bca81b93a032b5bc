/* Where an address lies; see unix/where.h.  Inodes of files do not know their names, so the tree
   is searched: a message about a dying program may take that time. */
#include "unix/where.h"

#include "runtime/format.h"

#define DEPTH_MOST   40
#define ENTRIES_MOST 200000 /* looked at in one search */

struct search {
    struct inode *wanted;
    char *to;
    u64 bytes;
    u32 left;
};

static bool search_directory(struct search *s, struct inode *directory, u64 used, u32 depth)
{
    struct directory_entry e;
    for (u64 cookie = 0; s->left && directory_next(directory, cookie, &e); cookie = e.cookie) {
        s->left--;
        u64 length =
            used + format_text(s->to + used, s->bytes - used, "/%.*s", (int)e.name_bytes, e.name);
        if (length >= s->bytes)
            continue;
        if (e.inode == s->wanted)
            return true;
        if (inode_type(e.inode) == INODE_DIRECTORY && depth < DEPTH_MOST &&
            search_directory(s, e.inode, length, depth + 1))
            return true;
    }
    return false;
}

bool where_inode(struct filesystem *fs, struct inode *inode, char *to, u64 bytes)
{
    struct search s = {.wanted = inode, .to = to, .bytes = bytes, .left = ENTRIES_MOST};
    return search_directory(&s, filesystem_root(fs), 0, 0);
}

void where_text(struct process *p, u64 address, char *to, u64 bytes)
{
    struct region *r = region_at_or_next(&p->memory, address);
    if (!r || r->range.r.start > address) {
        format_text(to, bytes, "no mapping");
        return;
    }
    u64 offset = address - r->range.r.start;
    if (!r->inode) {
        format_text(to, bytes, "%s+%#llx", r->name ? r->name : "anonymous memory",
                    (unsigned long long)offset);
        return;
    }
    char path[WHERE_BYTES];
    const char *name = path;
    if (r->inode == p->executable)
        name = p->path;
    else if (!where_inode(p->fs, r->inode, path, sizeof(path)))
        name = "a mapped file";
    format_text(to, bytes, "%s+%#llx", name, (unsigned long long)(r->offset + offset));
}
