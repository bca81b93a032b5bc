/* Directories.  Each has one block of memory: an array of its entries in their order, and behind it
   a hash table of twice as many slots, which says for a name at which place of the array it is.  So
   a directory's names are found without looking at anything of another one.

   An entry's place in the array, counted from 1, is its cookie.  It keeps that while the directory
   is held, so a cookie that somebody may still have stays good.  New entries go behind the last one
   until the array is full; then, when more than a quarter of it is free, they take the free places
   from the front on (who reads the directory meanwhile may miss what is made meanwhile, and nothing
   else), or, when nobody holds the directory, the entries move together.  So the array is never
   much longer than twice what was in the directory at once.  While a checkpoint is under way
   entries keep their places too, since it goes through them bit by bit. */
#include "fs/internal.h"

#include "runtime/text_word.h"

#define PLACES_FIRST  4u
#define PLACES_MOST   (1u << 30)
#define PLACES_SHRINK 1024u /* smaller arrays stay as they are */

/* Eight bytes of which none is zero or a slash. */
static inline bool word_valid(u64 word)
{
    return !(word_zero_bytes(word) | word_bytes_equal(word, '/'));
}

/* Of a name that is shorter than its head. */
static inline bool head_valid(u64 head, u64 bytes)
{
    return bytes && head != '.' && head != ('.' << 8 | '.') &&
           word_valid(head | ~0ull << bytes * 8);
}

REPLAY_CODE __attribute__((noinline)) bool name_valid(const char *name, u64 bytes)
{
    if (bytes > NAME_BYTES_MOST)
        return false;
    if (bytes < 8)
        return head_valid(text_head(name, bytes), bytes);
    for (u64 at = 0; at < bytes; at += 8)
        if (!word_valid(text_load64(name + min(at, bytes - 8))))
            return false;
    return true;
}

#define NAME_MULTIPLIER 0x9e3779b97f4a7c15ull

/* Folding the upper half down before each product lets every byte reach the bits of the result,
   which are the upper ones: the low ones of a product know nothing of the high ones of what was
   multiplied.  A name that is shorter than its head has another head, so the length is not hashed.
 */
static inline u32 head_hash(u64 head)
{
    u64 hash = head * NAME_MULTIPLIER;
    return (u32)(((hash ^ hash >> 32) * NAME_MULTIPLIER) >> 32);
}

/* What follows the head of a longer name. */
static u32 tail_hash(u64 hash, const char *name, u64 bytes)
{
    hash ^= bytes << 32;
    for (u64 at = 8; at < bytes; at += 8) {
        hash = (hash ^ text_load64(name + min(at, bytes - 8))) * NAME_MULTIPLIER;
        hash ^= hash >> 32;
    }
    return (u32)((hash * NAME_MULTIPLIER) >> 32);
}

static u32 entry_hash(const struct entry *e)
{
    u32 hash = head_hash(text_load64(e->name));
    return e->name_bytes <= 8 ? hash : tail_hash(hash, e->name, e->name_bytes);
}

/* --- the hash table ---------------------------------------------------------------------------

   Open addressing.  A slot is 0, or the place counted from 1 in the bits of `mask` and, above them,
   those bits of the hash that did not choose the slot: few entries of another name are looked at.
   At most half of the slots are used. */

static inline u32 *slots_of(const struct inode *directory)
{
    return (u32 *)(directory->entries + directory->places_capacity);
}

static inline u32 slots_mask(const struct inode *directory)
{
    return 2 * directory->places_capacity - 1;
}

static void slot_add(struct inode *directory, u32 hash, u32 place)
{
    u32 *slots = slots_of(directory), mask = slots_mask(directory), at = hash;
    while (slots[at & mask])
        at++;
    slots[at & mask] = (hash & ~mask) | (place + 1);
}

/* What stands behind it moves up, unless its own slot is on the way. */
static void slot_remove(struct inode *directory, const struct entry *e)
{
    u32 *slots = slots_of(directory), mask = slots_mask(directory), at = entry_hash(e);
    while ((slots[at & mask] & mask) != e->place + 1)
        at++;
    for (u32 next = at + 1; slots[next & mask]; next++) {
        u32 slot = slots[next & mask];
        u32 own = entry_hash(directory->entries[(slot & mask) - 1]);
        if (((next - own) & mask) >= ((next - at) & mask)) {
            slots[at & mask] = slot;
            at = next;
        }
    }
    slots[at & mask] = 0;
}

static void slots_rebuild(struct inode *directory)
{
    memset(slots_of(directory), 0, 2 * (u64)directory->places_capacity * sizeof(u32));
    for (u32 place = 0; place < directory->places; place++)
        if (directory->entries[place])
            slot_add(directory, entry_hash(directory->entries[place]), place);
}

/* NULL when no slot from the name's own on leads further. */
static __attribute__((noinline)) struct entry *
entry_find_long(const struct inode *directory, u32 hash, const char *name, u64 bytes)
{
    hash = tail_hash(hash, name, bytes);
    const u32 *slots = slots_of(directory);
    u32 mask = slots_mask(directory), slot;
    for (u32 at = hash; (slot = slots[at & mask]); at++) {
        if ((slot ^ hash) & ~mask)
            continue;
        struct entry *e = directory->entries[(slot & mask) - 1];
        if (e->name_bytes == bytes && memcmp(e->name, name, bytes) == 0)
            return e;
    }
    return NULL;
}

/* Of a name that is in its head, as most are: the first word of a name is read once, for the hash
   and for the comparison, and its zeros tell the length.  Entries are padded with zeros so that
   theirs can be read too.  Apart from the long names, so that this needs no registers but those at
   hand. */
static inline struct entry *entry_find_short(const struct inode *directory, u64 head)
{
    u32 hash = head_hash(head);
    const u32 *slots = slots_of(directory);
    u32 mask = slots_mask(directory), slot;
    for (u32 at = hash; (slot = slots[at & mask]); at++) {
        if ((slot ^ hash) & ~mask)
            continue;
        struct entry *e = directory->entries[(slot & mask) - 1];
        if (text_load64(e->name) == head && (head >> 56 == 0 || e->name_bytes == 8))
            return e;
    }
    return NULL;
}

static inline struct entry *entry_of(const struct inode *directory, const char *name, u64 bytes)
{
    if (unlikely(!directory->places_capacity))
        return NULL;
    u64 head = text_head(name, bytes);
    return bytes <= 8 ? entry_find_short(directory, head)
                      : entry_find_long(directory, head_hash(head), name, bytes);
}

struct entry *entry_find(struct inode *directory, const char *name, u64 bytes)
{
    return entry_of(directory, name, bytes);
}

/* --- places ----------------------------------------------------------------------------------- */

/* An entry's place, and two slots. */
static u64 block_bytes(u32 capacity)
{
    return capacity * (sizeof(struct entry *) + 2 * sizeof(u32));
}

static void block_replace(struct inode *directory, struct entry **entries, u32 capacity)
{
    heap h = directory->fs->environment.heap;
    deallocate(h, directory->entries, block_bytes(directory->places_capacity));
    directory->entries = entries;
    directory->places_capacity = capacity;
}

void directory_release(struct inode *directory)
{
    block_replace(directory, NULL, 0);
    directory->places = directory->place_next = 0;
}

/* Moves the entries together, into an array of `capacity` places. */
static bool places_move(struct inode *directory, u32 capacity)
{
    struct entry **entries = directory->entries;
    if (capacity != directory->places_capacity)
        entries = allocate(directory->fs->environment.heap, block_bytes(capacity));
    if (!entries)
        return false;
    u32 count = 0;
    for (u32 place = 0; place < directory->places; place++) {
        struct entry *e = directory->entries[place];
        if (!e)
            continue;
        e->place = count;
        entries[count++] = e;
    }
    if (entries != directory->entries)
        block_replace(directory, entries, capacity);
    directory->places = directory->place_next = count;
    slots_rebuild(directory);
    return true;
}

static bool places_movable(const struct inode *directory)
{
    return directory->holds == 0 && directory->fs->checkpoint_epoch == 0;
}

static status places_grow(struct inode *directory)
{
    if (directory->places_capacity >= PLACES_MOST)
        return status_error(ENOSPC, "fs: a directory with too many entries", directory->number);
    u32 capacity = max(PLACES_FIRST, directory->places_capacity * 2);
    struct entry **entries = allocate(directory->fs->environment.heap, block_bytes(capacity));
    if (!entries)
        return status_error(ENOMEM, "fs: no memory for a directory", directory->number);
    if (directory->places)
        memcpy(entries, directory->entries, directory->places * sizeof(struct entry *));
    block_replace(directory, entries, capacity);
    slots_rebuild(directory);
    return STATUS_OK;
}

/* The next free place, or the end, from place_next on. */
static void places_skip(struct inode *directory)
{
    u32 place = directory->place_next;
    while (place < directory->places && directory->entries[place])
        place++;
    directory->place_next = place;
}

/* Makes place_next a free place. */
static __attribute__((noinline)) status place_search(struct inode *directory)
{
    places_skip(directory);
    u32 capacity = directory->places_capacity;
    if (directory->place_next < capacity)
        return STATUS_OK;
    if (directory->entries_live >= capacity - capacity / 4)
        return places_grow(directory);
    if (places_movable(directory) && places_move(directory, capacity))
        return STATUS_OK;
    directory->place_next = 0;
    places_skip(directory);
    return STATUS_OK;
}

static inline status place_secure(struct inode *directory)
{
    if (directory->place_next == directory->places &&
        directory->places < directory->places_capacity)
        return STATUS_OK;
    return place_search(directory);
}

static void place_free(struct inode *directory, u32 place)
{
    directory->entries[place] = NULL;
    while (directory->places && !directory->entries[directory->places - 1])
        directory->places--;
    directory->place_next = min(directory->place_next, directory->places);
    u32 capacity = directory->places_capacity;
    if (capacity <= PLACES_SHRINK || directory->entries_live >= capacity / 8)
        return;
    if (directory->entries_live == 0)
        directory_release(directory);
    else if (places_movable(directory))
        places_move(directory, capacity / 4);
}

/* --- linking and unlinking -------------------------------------------------------------------- */

static inline u64 entry_bytes(u64 name_bytes)
{
    return offsetof(struct entry, name) + max(name_bytes, sizeof(u64));
}

/* An entry of which the accounts do not know yet. */
static inline struct entry *entry_make(struct inode *directory, const char *name, u64 bytes)
{
    struct entry *e = arena_allocate(&directory->fs->arena, entry_bytes(bytes));
    if (!e)
        return NULL;
    u64 head = text_head(name, bytes);
    e->directory = directory;
    e->name_bytes = (u8)bytes;
    memcpy(e->name, &head, sizeof(head));
    if (bytes > sizeof(head))
        memcpy(e->name, name, bytes);
    return e;
}

static status entry_no_memory(const struct inode *directory)
{
    return status_error(ENOMEM, "fs: no memory for a directory entry", directory->number);
}

status entry_prepare(struct inode *directory, const char *name, u64 bytes, struct entry **made)
{
    status secured = place_secure(directory);
    if (!is_ok(secured))
        return secured;
    struct entry *e = entry_make(directory, name, bytes);
    if (!e)
        return entry_no_memory(directory);
    e->inode = NULL;
    e->place = entry_hash(e); /* for entry_attach */
    *made = e;
    return STATUS_OK;
}

void entry_discard(struct entry *e)
{
    arena_free(&e->directory->fs->arena, e, entry_bytes(e->name_bytes));
}

/* At place_next, which its slot names already. */
static inline void entry_enter(struct entry *e, struct inode *i)
{
    struct inode *directory = e->directory;
    struct filesystem *fs = directory->fs;
    e->inode = i;
    e->said = fs->checkpoint_epoch;
    e->place = directory->place_next++;
    directory->entries[e->place] = e;
    directory->places = max(directory->places, e->place + 1);
    directory->entries_live++;
    directory->subdirectories += i->type == INODE_DIRECTORY;
    fs->linked += i->links == 0;
    fs->entries++;
    fs->text_bytes += align_up(e->name_bytes, 8);
    i->links++;
    i->entry = e;
}

void entry_attach(struct entry *e, struct inode *i)
{
    slot_add(e->directory, e->place, e->directory->place_next);
    entry_enter(e, i);
}

static inline bool entry_is(const struct entry *e, u64 head, const char *name, u64 bytes)
{
    return text_load64(e->name) == head && e->name_bytes == bytes &&
           (bytes <= 8 || memcmp(e->name, name, bytes) == 0);
}

/* One way through the slots for both: that the name is not there, and where it will be. */
static inline __attribute__((always_inline)) status
link_name(struct inode *directory, struct inode *i, const char *name, u64 bytes)
{
    status secured = place_secure(directory);
    if (!is_ok(secured))
        return secured;
    u64 head = text_head(name, bytes);
    if (unlikely(bytes < 8 ? !head_valid(head, bytes) : !name_valid(name, bytes)))
        return status_error(EINVAL, "fs: an impossible name", directory->number);
    u32 hash = head_hash(head);
    if (bytes > 8)
        hash = tail_hash(hash, name, bytes);
    u32 *slots = slots_of(directory), mask = slots_mask(directory), at = hash, slot;
    for (; (slot = slots[at & mask]); at++)
        if (!((slot ^ hash) & ~mask) &&
            entry_is(directory->entries[(slot & mask) - 1], head, name, bytes))
            return status_error(EEXIST, "fs: the name exists", directory->number);
    struct entry *e = entry_make(directory, name, bytes);
    if (!e)
        return entry_no_memory(directory);
    slots[at & mask] = (hash & ~mask) | (directory->place_next + 1);
    entry_enter(e, i);
    return STATUS_OK;
}

static __attribute__((noinline)) REPLAY_CODE status entry_link_long(struct inode *directory,
                                                                    struct inode *i,
                                                                    const char *name, u64 bytes)
{
    assert(bytes > 8);
    return link_name(directory, i, name, bytes);
}

/* Apart from the long names, as in entry_of. */
REPLAY_CODE status entry_link(struct inode *directory, struct inode *i, const char *name, u64 bytes)
{
    return bytes > 8 ? entry_link_long(directory, i, name, bytes)
                     : link_name(directory, i, name, bytes);
}

/* Another name of an inode whose newest one goes: only messages and ".." use i->entry, and a
   directory has one name only. */
void entry_unlink(struct entry *e)
{
    struct inode *directory = e->directory;
    struct filesystem *fs = directory->fs;
    slot_remove(directory, e);
    directory->entries_live--;
    place_free(directory, e->place);
    directory->subdirectories -= e->inode->type == INODE_DIRECTORY;
    fs->entries--;
    fs->text_bytes -= align_up(e->name_bytes, 8);
    e->inode->links--;
    fs->linked -= e->inode->links == 0;
    if (e->inode->entry == e)
        e->inode->entry = NULL;
    entry_discard(e);
}

bool inode_above(const struct inode *i, struct inode *directory)
{
    for (;; directory = inode_parent(directory)) {
        if (directory == i)
            return true;
        if (!directory->entry)
            return false;
    }
}

struct inode *inode_parent(struct inode *directory)
{
    return directory->entry ? directory->entry->directory : directory;
}

struct inode *directory_find(struct inode *directory, const char *name, u64 name_bytes)
{
    struct entry *e = entry_of(directory, name, name_bytes);
    return e ? e->inode : NULL;
}

/* What a component leads to that fills its head; NULL when it is not there or is the last one.
 *next: behind its slashes. */
static __attribute__((noinline)) struct entry *
component_long(const struct inode *directory, const char *at, const char *end, const char **next)
{
    const char *stop = text_find(at, end, '/');
    u64 bytes = (u64)(stop - at);
    *next = text_skip(stop, end, '/');
    return bytes <= NAME_BYTES_MOST && *next < end ? entry_of(directory, at, bytes) : NULL;
}

/* Every component of every path but the last comes through here.  A word of the text holds most
   names with the slash behind them, and gives the name's length, its hash and what it is compared
   with at once. */
struct inode *directory_descend(struct inode *directory, const char **text, const char *end)
{
    const char *at = *text;
    for (;;) {
        const char *next;
        struct entry *e = NULL;
        u64 word = text_head(at, (u64)(end - at));
        u64 slash = word_bytes_equal(word, '/');
        if ((char)word == '.' || unlikely(!directory->places_capacity))
            break;
        if (likely(slash)) {
            next = text_skip(at + word_first(slash) + 1, end, '/');
            if (next == end)
                break;
            e = entry_find_short(directory, word & (slash ^ (slash - 1)) >> 8);
        } else if (end - at > 8) {
            e = component_long(directory, at, end, &next);
        }
        if (!e || e->inode->type != INODE_DIRECTORY)
            break;
        directory = e->inode;
        at = next;
    }
    *text = at;
    return directory;
}

status inode_lookup(struct inode *directory, const char *name, u64 name_bytes, struct inode **found)
{
    if (directory->type != INODE_DIRECTORY)
        return status_error(ENOTDIR, "fs: not a directory", directory->number);
    if (name_bytes > NAME_BYTES_MOST && directory_attached(directory))
        return status_error(ENAMETOOLONG, "fs: a name of more than 255 bytes", name_bytes);
    struct entry *e =
        name_bytes <= NAME_BYTES_MOST ? entry_find(directory, name, name_bytes) : NULL;
    if (!e)
        return status_error(ENOENT, "fs: no such file or directory", directory->number);
    *found = e->inode;
    return STATUS_OK;
}

bool directory_next(struct inode *directory, u64 cookie, struct directory_entry *entry)
{
    if (directory->type != INODE_DIRECTORY)
        return false;
    for (u64 place = cookie; place < directory->places; place++) {
        struct entry *e = directory->entries[place];
        if (!e)
            continue;
        *entry = (struct directory_entry){
            .name = e->name, .name_bytes = e->name_bytes, .inode = e->inode, .cookie = place + 1};
        return true;
    }
    return false;
}
