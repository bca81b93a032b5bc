/* The log's buffer: changes become records in groups in memory.  See fs/log.h.

   Two kinds of groups are not durable yet: those that changes fill, LOG_GROUPS_MOST at most, and
   those that commits fill with what was only counted before (attributes, extents).  For the latter
   memory is there before it is needed: `ready` has a group for each COMMIT_GROUP_BYTES of reserved
   records when a commit begins, and while none runs.  A commit that cannot have it fails with
   ENOMEM before it has done anything, and the next one tries again.

   Called by whoever changes something. */
#include "fs/log_state.h"

#include "fs/checkpoint.h"

u64 log_position(const struct filesystem *fs)
{
    return fs->log ? fs->log->position : 0;
}

u64 log_durable(const struct filesystem *fs)
{
    return fs->log ? fs->log->durable : 0;
}

u32 log_dirty_records(const struct filesystem *fs)
{
    return fs->log ? fs->log->dirty_records : 0;
}

/* --- mount and unmount ------------------------------------------------------------------------ */

status log_make(struct filesystem *fs, const struct log_end *end)
{
    heap h = fs->environment.heap;
    struct log *log = allocate_zero(h, sizeof(*log));
    u8 *sector = allocate(h, SUPERBLOCK_BYTES);
    if (!log || !sector) {
        deallocate(h, log, sizeof(*log));
        deallocate(h, sector, SUPERBLOCK_BYTES);
        return status_error(ENOMEM, "fs: no memory for the log", sizeof(*log));
    }
    log->fs = fs;
    log->super_sector = sector;
    list_init(&log->ready);
    list_init(&log->spares);
    list_init(&log->supers);
    stream_init(&log->stream, fs, segment_take);
    stream_place(&log->stream, end->block, end->blocks, end->at, end->sequence);
    log->stream.durable = end->sequence - 1;
    log->stream.barriers = true;
    log->super_due = end->super_due;
    if (end->torn) {
        u64 start = (end->block << BLOCK_ORDER) + end->at;
        u64 left = ((u64)end->blocks << BLOCK_ORDER) - end->at;
        log->tail.at = start;
        log->tail.end = start + left;
    }
    commit_init(log);
    fs->log = log;
    return STATUS_OK;
}

static struct log_group *ready_pop(struct log *log)
{
    struct list *l = list_pop_front(&log->ready);
    if (!l)
        return NULL;
    log->ready_count--;
    return container_of(l, struct log_group, link);
}

void log_release(struct filesystem *fs)
{
    struct log *log = fs->log;
    heap h = fs->environment.heap;
    if (!log)
        return;
    stream_release(&log->stream);
    while (log->ready_count)
        group_free(fs, ready_pop(log));
    groups_spare_release(log);
    deallocate(h, log->tail.zeros, GROUP_BYTES_MOST);
    deallocate(h, log->super_sector, SUPERBLOCK_BYTES);
    deallocate(h, log, sizeof(*log));
    fs->log = NULL;
}

/* --- changes ---------------------------------------------------------------------------------- */

static status log_full(struct log *log)
{
    commit_request(log->fs, NULL, NULL);
    return status_error(EAGAIN, "fs: the log's buffer is full", log->stream.count);
}

/* A compaction was begun, or one is under way: then there is more room. */
static status room_compacting(struct log *log)
{
    return status_error(EAGAIN, "fs: the log is being compacted", log->position);
}

static status room_none(struct log *log)
{
    return status_error(ENOSPC, "fs: no space for the log", log->position);
}

/* For what grows: a compaction makes room when anything was changed since the last one that was
   begun here (a change that is refused may still leave a dirty inode, which commits log). */
static status room_compact_growing(struct log *log)
{
    if (log->forced_changes == log->changes + 1)
        return room_none(log);
    checkpoint_consider(log->fs, true);
    if (!log->fs->checkpoint)
        return room_none(log);
    log->forced_changes = log->changes + 1;
    return room_compacting(log);
}

/* For what shrinks: a compaction leaves a fresh segment, which has room.  Only when that failed
   there is none, and whoever asks the next time has it tried again. */
static status room_compact_shrinking(struct log *log)
{
    bool again = log->forced_position == log->position + 1;
    if (!again && segment_compaction_fits(log->fs))
        checkpoint_consider(log->fs, true);
    log->forced_position = log->fs->checkpoint ? log->position + 1 : 0;
    return log->fs->checkpoint ? room_compacting(log) : room_none(log);
}

/* What is buffered takes less when it is written. */
static status room_compact(struct log *log, enum log_growth growth)
{
    if (!list_empty(&log->stream.groups))
        return log_full(log);
    if (log->fs->checkpoint)
        return room_compacting(log);
    return growth == LOG_GROWS ? room_compact_growing(log) : room_compact_shrinking(log);
}

static u32 ready_needed(const struct log *log)
{
    return (u32)(((u64)log->dirty_records * COMMIT_RECORD_BYTES + COMMIT_GROUP_BYTES - 1) /
                 COMMIT_GROUP_BYTES);
}

/* What the commits' own records take: whole blocks, and what is left at the ends of their groups.
 */
static u64 dirty_bytes(const struct log *log)
{
    u64 bytes = align_up((u64)log->dirty_records * COMMIT_RECORD_BYTES, BLOCK_BYTES);
    return bytes + (u64)ready_needed(log) * COMMIT_BEGIN_MOST;
}

/* Everything that room was asked for, and `bytes` more. */
static u64 bytes_asked(const struct log *log, u64 bytes)
{
    const struct log_stream *s = &log->stream;
    u64 granted = s->open && s->open->bytes < log->granted ? log->granted - s->open->bytes : 0;
    return stream_bytes(s) + granted + dirty_bytes(log) + bytes;
}

/* The disk has room for that, wherever groups end.  Of a segment that is longer than usual no more
   counts than the next one has: what commits have yet to log may come after a cut. */
static bool room_suffices(const struct log *log, u64 bytes)
{
    const struct log_stream *s = &log->stream;
    u64 asked = align_up(bytes_asked(log, bytes), BLOCK_BYTES);
    u64 left = ((u64)s->blocks << BLOCK_ORDER) - s->at;
    left -= min(left, 2 * BLOCK_BYTES);
    left = min(left, segment_bytes(log->fs->segments->usual));
    return asked <= left || segment_log_suffices(log->fs, asked);
}

/* Room for `bytes` more in the open group, or in a new one: for all that fits into a group when
   there is so much, so what joins it asks for nothing; else for what is needed. */
static status room_grant(struct log *log, u64 bytes, enum log_growth growth, u64 *granted)
{
    bool joins = stream_has_room(&log->stream, bytes);
    u64 used = joins ? log->stream.open->bytes : sizeof(struct group);
    u64 counted = joins ? max(used, log->granted) : 0;
    bool grows = growth == LOG_GROWS;
    *granted = GROUP_BYTES_MOST;
    if ((!grows || segment_standby_plenty(log->fs, *granted - used)) &&
        room_suffices(log, *granted - counted))
        return STATUS_OK;
    *granted = used + bytes;
    if ((!grows || segment_standby_suffices(log->fs, bytes)) &&
        room_suffices(log, max(*granted, counted) - counted))
        return STATUS_OK;
    return room_compact(log, growth);
}

/* A new group for changes. */
static status log_open_group(struct log *log)
{
    status s = stream_open(&log->stream);
    if (is_ok(s) && log->stream.count == LOG_GROUPS_MANY)
        commit_request(log->fs, NULL, NULL);
    return s;
}

/* The open group has room for the change, in memory and on the disk. */
static status log_make_room(struct log *log, u64 bytes, enum log_growth growth)
{
    bool joins = stream_has_room(&log->stream, bytes);
    if (!joins && log->stream.count >= LOG_GROUPS_MOST)
        return log_full(log);
    u64 granted;
    status s = room_grant(log, bytes, growth, &granted);
    if (is_ok(s) && !joins)
        s = log_open_group(log);
    if (is_ok(s)) {
        log->granted = joins ? max(granted, log->granted) : granted;
        log->granted_growing = growth == LOG_GROWS ? granted : joins ? log->granted_growing : 0;
    }
    return s;
}

status log_begin(struct filesystem *fs, u64 bytes, enum log_growth growth)
{
    struct log *log = fs->log;
    assert(bytes <= LOG_CHANGE_MOST);
    if (!fs->writable || (log->ending && growth == LOG_GROWS))
        return status_error(EROFS, "fs: the filesystem cannot be changed", fs->volume);
    assert(!log->begun);
    u64 granted = growth == LOG_GROWS ? log->granted_growing : log->granted;
    if (!stream_has_room(&log->stream, bytes) || log->stream.open->bytes + bytes > granted) {
        status s = log_make_room(log, bytes, growth);
        if (!is_ok(s))
            return s;
    }
    log->changes++;
    log->begun = true;
    return STATUS_OK;
}

void log_record(struct filesystem *fs, struct record *fixed, u64 fixed_bytes, u16 type,
                const void *text, u64 text_bytes, const void *more, u64 more_bytes)
{
    struct log *log = fs->log;
    assert(log->begun);
    log->position += stream_record(&log->stream, type,
                                   &(struct record_parts){.fixed = fixed,
                                                          .fixed_bytes = fixed_bytes,
                                                          .text = text,
                                                          .text_bytes = text_bytes,
                                                          .more = more,
                                                          .more_bytes = more_bytes});
    log->stream.open->position = log->position;
}

void log_end(struct filesystem *fs)
{
    assert(fs->log->begun);
    fs->log->begun = false;
    commit_soon(fs);
}

/* --- what commits write ----------------------------------------------------------------------- */

status log_commit_secure(struct log *log)
{
    u32 needed = ready_needed(log);
    while (log->ready_count < needed) {
        struct log_group *g = group_make(log->fs, GROUP_BYTES_MOST);
        if (!g)
            return status_error(ENOMEM, "fs: no memory for the log", GROUP_BYTES_MOST);
        list_push_back(&log->ready, &g->link);
        log->ready_count++;
    }
    /* Each group that is not sealed may turn to another segment, those too that this commit opens.
     */
    return stream_stock(&log->stream, (log->stream.count + needed + 1) * STREAM_TURNS_OF_A_GROUP);
}

void log_begin_commit(struct filesystem *fs, u64 bytes)
{
    struct log *log = fs->log;
    assert(!log->begun && bytes <= COMMIT_BEGIN_MOST);
    if (!stream_has_room(&log->stream, bytes)) {
        struct log_group *g = ready_pop(log);
        assert(g); /* log_commit_secure */
        stream_open_with(&log->stream, g);
    }
    log->begun = true;
}

status log_dirty_reserve(struct filesystem *fs, u32 records)
{
    struct log *log = fs->log;
    if (!is_ok(fs->broken))
        return status_error(EIO, "fs: the log can no longer be written", fs->broken.detail);
    if (!fs->writable)
        return status_error(EROFS, "fs: the filesystem cannot be changed", fs->volume);
    if (records > DIRTY_RECORDS_MOST - log->dirty_records) {
        commit_request(fs, NULL, NULL);
        return status_error(EAGAIN, "fs: too much waits for the next commit", log->dirty_records);
    }
    u64 before = dirty_bytes(log);
    log->dirty_records += records;
    status s = STATUS_OK;
    if (dirty_bytes(log) > before && !room_suffices(log, 0))
        s = room_compact(log, LOG_SHRINKS);
    if (is_ok(s))
        s = log_commit_secure(log);
    if (!is_ok(s))
        log->dirty_records -= records;
    return s;
}

void log_dirty_unreserve(struct filesystem *fs, u32 records)
{
    struct log *log = fs->log;
    assert(records <= log->dirty_records);
    log->dirty_records -= records;
    while (log->ready_count > ready_needed(log) + 1 && !log->commit.landed)
        group_free(fs, ready_pop(log));
}

/* --- compaction ------------------------------------------------------------------------------- */

status log_cut(struct filesystem *fs, struct log_cut *cut)
{
    struct log *log = fs->log;
    struct log_stream *s = &log->stream;
    assert(!log->begun);
    status stocked = stream_stock(s, (s->count + 1) * STREAM_TURNS_OF_A_GROUP);
    if (!is_ok(stocked))
        return stocked;
    if (!stream_seal(s)) {
        log_break(fs, status_error(EIO, "fs: no segment is left for the log", s->block));
        return status_error(ENOSPC, "fs: no segment is left for the log", s->block);
    }
    if (!segment_cut(fs, &cut->block, &cut->blocks))
        return status_error(ENOSPC, "fs: no segment is left for a checkpoint", s->block);
    cut->from_sequence = s->sequence + 1;
    cut->to_sequence = s->sequence + CUT_SEQUENCES;
    stream_turn(s, cut->block, cut->blocks, cut->to_sequence);
    return STATUS_OK;
}

bool log_cut_durable(const struct filesystem *fs, const struct log_cut *cut)
{
    return fs->log->stream.durable + 1 >= cut->from_sequence;
}
