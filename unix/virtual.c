/* The virtual tree's mechanics: looking up, listing, opening; unix/virtual.h has the rules.  What
   is in the tree is in device_files.c, proc_files.c and proc_process.c. */
#include "unix/virtual.h"
#include "kernel/memory.h"
#include "runtime/format.h"
#include "runtime/text_word.h"

/* st_dev of the three mounts; any number without a disk will do. */
#define DEVICE_OF_DEV  5
#define DEVICE_OF_PROC 21
#define DEVICE_OF_SYS  22

/* --- text that is being made ------------------------------------------------------------------ */

#define TEXT_FIRST 1024
#define TEXT_MOST  (4 * MiB)

static bool text_room(struct text *to, u64 bytes)
{
    u64 wanted = to->used + bytes;
    if (to->failed || wanted <= to->capacity)
        return !to->failed;
    u64 capacity = max(to->capacity * 2, (u64)TEXT_FIRST);
    while (capacity < wanted)
        capacity *= 2;
    char *grown = capacity > TEXT_MOST ? NULL : allocate(general_heap, capacity);
    if (!grown) {
        to->failed = true;
        return false;
    }
    if (to->used)
        memcpy(grown, to->bytes, to->used);
    deallocate(general_heap, to->bytes, to->capacity);
    to->bytes = grown;
    to->capacity = capacity;
    return true;
}

void text_add_bytes(struct text *to, const void *from, u64 bytes)
{
    if (!text_room(to, bytes))
        return;
    memcpy(to->bytes + to->used, from, bytes);
    to->used += bytes;
}

void text_add(struct text *to, const char *format, ...)
{
    char line[512];
    va_list arguments;
    va_start(arguments, format);
    u64 bytes = format_text_list(line, sizeof(line), format, arguments);
    va_end(arguments);
    text_add_bytes(to, line, min(bytes, sizeof(line) - 1));
}

/* --- looking up ------------------------------------------------------------------------------- */

static bool name_is(const char *text, const char *name, u64 bytes)
{
    return strlen(text) == bytes && !memcmp(text, name, bytes);
}

/* Both are on the way of nearly every absolute path, so the first word decides. */
#define WORD_DEV  0x766564ull /* "dev" */
#define WORD_SYS  0x737973ull
#define WORD_PROC 0x636f7270ull

const struct virtual_node *virtual_root(const char *name, u64 bytes)
{
    switch (bytes <= 4 ? text_head(name, bytes) : 0) {
    case WORD_DEV:
        return &virtual_dev;
    case WORD_SYS:
        return &virtual_sys;
    case WORD_PROC:
        return &virtual_proc;
    default:
        return NULL;
    }
}

bool virtual_leads(const char *text, const char *end)
{
    u64 word = text_head(text, (u64)(end - text));
    u32 four = (u32)word;
    return four == (WORD_DEV | '/' << 24) || four == (WORD_SYS | '/' << 24) ||
           (four == WORD_PROC && (u8)(word >> 32) == '/');
}

bool name_number(const char *name, u64 bytes, u32 *number)
{
    u64 value = 0;
    if (!bytes || bytes > 9 || (name[0] == '0' && bytes > 1))
        return false;
    for (u64 i = 0; i < bytes; i++) {
        if (name[i] < '0' || name[i] > '9')
            return false;
        value = value * 10 + (u64)(name[i] - '0');
    }
    *number = (u32)value;
    return true;
}

s64 virtual_lookup(struct process *p, const struct node *directory, const char *name, u64 bytes,
                   struct node *found)
{
    const struct virtual_node *v = directory->virtual;
    for (const struct virtual_node *const *c = v->children; c && *c; c++) {
        if (name_is((*c)->name, name, bytes)) {
            *found = (struct node){NULL, *c, NULL, directory->index};
            return 0;
        }
    }
    return v->lookup ? v->lookup(p, directory->index, name, bytes, found) : -ENOENT;
}

const char *virtual_name(struct process *p, const struct node *n)
{
    static char number[16];
    if (n->virtual->name)
        return n->virtual->name;
    format_text(number, sizeof(number), "%u", p->pid);
    return number;
}

bool virtual_next(struct process *p, const struct node *directory, u64 cookie,
                  struct virtual_entry *entry)
{
    const struct virtual_node *v = directory->virtual;
    u64 fixed = 0;
    for (; v->children && v->children[fixed]; fixed++) {
        if (fixed == cookie) {
            const struct virtual_node *child = v->children[fixed];
            *entry = (struct virtual_entry){
                child->name, {NULL, child, NULL, directory->index}, cookie + 1};
            return true;
        }
    }
    if (!v->next || !v->next(p, directory->index, cookie - fixed, entry))
        return false;
    entry->cookie += fixed;
    return true;
}

/* --- attributes ------------------------------------------------------------------------------- */

static u64 node_device(const struct virtual_node *v)
{
    while (v->parent)
        v = v->parent;
    return v == &virtual_dev ? DEVICE_OF_DEV : v == &virtual_proc ? DEVICE_OF_PROC : DEVICE_OF_SYS;
}

void virtual_attributes(const struct node *n, struct file_attributes *to)
{
    const struct virtual_node *v = n->virtual;
    bool directory = (v->mode & S_IFMT) == S_IFDIR;
    s64 now = (s64)clock_realtime_ns();
    *to = (struct file_attributes){
        .device = node_device(v),
        .number = v->number + ((u64)n->index << 16),
        .mode = v->mode,
        .links = directory ? 2 : 1,
        .special_device = v->special,
        .block_bytes = node_device(v) == DEVICE_OF_DEV ? PAGE_BYTES : 1024,
        .accessed_ns = now,
        .modified_ns = now,
        .changed_ns = now,
    };
}

/* --- opening ---------------------------------------------------------------------------------- */

/* A text file: the text as it was when the file was opened. */
struct text_file {
    struct file file;
    struct text text;
};

static s64 text_file_read(struct file *f, struct transfer *x)
{
    const struct text *text = &container_of(f, struct text_file, file)->text;
    if (x->position >= text->used)
        return 0;
    u64 copied, bytes = min(text->used - x->position, x->left);
    u64 from = x->position;
    s64 error = transfer_out(x, text->bytes + from, bytes, &copied);
    return error ? transfer_stop(x, error) : (s64)x->done;
}

/* Settings cannot be changed: nothing would follow from it. */
static s64 text_file_write(struct file *f, struct transfer *x)
{
    (void)f, (void)x;
    return -EINVAL;
}

static void text_file_close(struct file *f)
{
    struct text *text = &container_of(f, struct text_file, file)->text;
    deallocate(general_heap, text->bytes, text->capacity);
}

static const struct file_operations file_text = {
    .name = "text",
    .bytes = sizeof(struct text_file),
    .read = text_file_read,
    .write = text_file_write,
    .positioned = true,
    .close = text_file_close,
};

s64 virtual_open(struct thread *t, const struct node *n, u32 flags, struct file **opened)
{
    const struct virtual_node *v = n->virtual;
    if ((v->mode & S_IFMT) == S_IFCHR) {
        *opened = v->device ? file_create(v->device, flags, n, NULL) : NULL;
        return *opened ? 0 : v->device ? -ENFILE : -ENXIO;
    }
    if (!v->text && !v->constant)
        return -EACCES;
    if ((flags & O_ACCMODE) != O_RDONLY && !(v->mode & 0222))
        return -EACCES;
    struct file *f = file_create(&file_text, flags, n, NULL);
    if (!f)
        return -ENFILE;
    struct text *text = &container_of(f, struct text_file, file)->text;
    if (v->constant)
        text_add_bytes(text, v->constant, strlen(v->constant));
    else
        v->text(t, n->index, text);
    if (text->failed) {
        file_release(f);
        return -ENOMEM;
    }
    *opened = f;
    return 0;
}
