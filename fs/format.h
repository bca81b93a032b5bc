/* What is on the disk, as C: fs/FORMAT.md in structs.  Section numbers below are that file's.

   The machine is little-endian, as the format is; all fields lie at multiples of their size, so
   these structs are laid over the bytes that were read.  Whoever reads checks every field first. */
#pragma once

#include "runtime/hash64.h"

#define BLOCK_ORDER       12
#define BLOCK_BYTES       (1ull << BLOCK_ORDER)
#define BLOCK_SECTORS     (BLOCK_BYTES / 512)
#define DEVICE_BLOCKS_MIN 32ull
#define DEVICE_BLOCKS_END (1ull << 48)

/* Section 1 and 2. */
#define SUPERBLOCK_A     0ull
#define SUPERBLOCK_B     16ull
#define FIRST_BLOCK      17ull
#define SUPERBLOCK_BYTES 512ull
#define SUPERBLOCK_MAGIC 0x0053466b6e756854ull /* "ThunkFS\0" */
#define FORMAT_VERSION   1
#define SUPERBLOCK_CLEAN 1ull

/* Incompatible features. */
#define FEATURE_SOCKETS 1ull /* there may be inodes of type 5 */
#define FEATURES_KNOWN  FEATURE_SOCKETS

struct superblock {
    u64 magic;
    u32 crc;
    u32 version;
    u64 generation;
    u8 uuid[16];
    u32 block_order;
    u32 group_order;
    u64 device_blocks;
    u64 features_compatible;
    u64 features_incompatible;
    u64 features_read_only;
    u64 checkpoint_block;
    u32 checkpoint_blocks;
    u32 zero;
    u64 checkpoint_sequence;
    u64 reach_sequence;
    u64 reach_bytes;
    u64 head_block;
    u64 flags;
    s64 created_ns;
    u64 next_inode;
    char label[64];
    u8 rest[296];
};
_Static_assert(sizeof(struct superblock) == SUPERBLOCK_BYTES, "FORMAT.md, section 2");
_Static_assert(offsetof(struct superblock, checkpoint_block) == 80, "FORMAT.md, section 2");
_Static_assert(offsetof(struct superblock, label) == 152, "FORMAT.md, section 2");

/* Section 3. */
#define SEGMENT_BLOCKS_MIN  2u
#define SEGMENT_BLOCKS_MOST 65536u

/* Section 4. */
#define GROUP_MAGIC      0x476b6854u /* "ThkG" */
#define GROUP_BYTES_MOST 131072u
#define GROUP_ORDER_MIN  9u
#define GROUP_ORDER_MOST 12u

struct group {
    u32 magic;
    u32 sum; /* group_sum */
    u64 sequence;
    u64 durable;
    u64 sector;
    u64 volume;
    u32 length;
    u32 records;
};
_Static_assert(sizeof(struct group) == 48, "FORMAT.md, section 4");

/* A fast sum, since mount reads all groups. */
static inline u32 group_sum(const struct group *g)
{
    u64 from = offsetof(struct group, sequence);
    return (u32)hash64(0, (const u8 *)g + from, g->length - from);
}

/* Section 5. */
enum record_type {
    RECORD_SEGMENT = 1,
    RECORD_NEXT = 2,
    RECORD_CHECKPOINT_BEGIN = 3,
    RECORD_CHECKPOINT_END = 4,
    RECORD_SETTING = 5,
    RECORD_INODE = 6,
    RECORD_LINK = 7,
    RECORD_UNLINK = 8,
    RECORD_RENAME = 9,
    RECORD_SYMLINK = 10,
    RECORD_MAP = 11,
    RECORD_UNMAP = 12,
    RECORD_TRUNCATE = 13,
    RECORD_XATTR_SET = 14,
    RECORD_XATTR_REMOVE = 15,
    RECORD_RESERVE = 16,
    RECORD_RELEASE = 17,
    RECORD_FORGET = 18,
    RECORD_TYPES = 19,
};

#define RECORD_MAY_IGNORE 1u

struct record {
    u16 type;
    u16 flags;
    u32 length;
};

struct record_segment {
    struct record r;
    u64 number, block; /* number: the sequence of the group that it is in */
    u32 blocks, zero;
};

struct record_next {
    struct record r;
    u64 block;
    u32 blocks, zero;
    u64 sequence; /* of the first group there */
};

#define SEQUENCE_END (1ull << 63)

struct record_checkpoint {
    struct record r;
    u64 generation, inodes, entries, extents;
};

struct record_checkpoint_end {
    struct record r;
    u64 generation, inodes, entries, extents, next_inode;
};

#define SETTING_APPEND     1
#define SETTING_REMOVE     2
#define SETTING_NAME_MOST  64u
#define SETTING_VALUE_MOST 65536u

struct record_setting {
    struct record r;
    u16 name_bytes, operation;
    u32 value_bytes;
    char text[];
};

struct record_inode {
    struct record r;
    u64 number;
    u8 type, zero;
    u16 mode;
    u32 uid, gid, zero_2;
    u64 bytes;
    s64 accessed_ns, modified_ns, changed_ns, created_ns;
    u64 device;
};

/* LINK and UNLINK. */
struct record_link {
    struct record r;
    u64 directory, inode;
    u16 name_bytes, zero[3];
    char name[];
};

#define RENAME_RECORD_EXCHANGE 1u
#define RENAME_RECORD_REPLACE  2u

struct record_rename {
    struct record r;
    u64 from_directory, to_directory;
    u16 from_bytes, to_bytes;
    u32 flags;
    char names[];
};

struct record_symlink {
    struct record r;
    u64 inode;
    u32 target_bytes, zero;
    char target[];
};

#define MAP_UNWRITTEN   1u
#define MAP_SUMS_INLINE 2u
#define MAP_SUMS_RUN    4u

#define CHECKSUM_NONE  0
#define CHECKSUM_XXH64 1 /* the low 32 bits, seed 0 */

struct record_map {
    struct record r;
    u64 inode, file_block, disk_block;
    u32 blocks;
    u16 flags;
    u8 algorithm, checksum_order;
    u64 run_block;
    u32 run_index, zero;
    u32 sums[];
};
_Static_assert(offsetof(struct record_map, sums) == 56, "FORMAT.md, section 5");

struct record_unmap {
    struct record r;
    u64 inode, file_block, blocks;
};

struct record_truncate {
    struct record r;
    u64 inode, bytes;
    s64 modified_ns;
};

struct record_xattr_set {
    struct record r;
    u64 inode;
    u16 name_bytes, zero;
    u32 value_bytes;
    char text[];
};

struct record_xattr_remove {
    struct record r;
    u64 inode;
    u16 name_bytes, zero[3];
    char name[];
};

/* RESERVE and RELEASE. */
enum reserve_kind { RESERVE_CHECKSUMS = 1, RESERVE_OTHER = 2 };

struct record_reserve {
    struct record r;
    u64 block, blocks;
    u32 kind, zero;
};

struct record_forget {
    struct record r;
    u64 inode;
};

/* Section 6. */
#define RUN_MAGIC        0x536b6854u /* "ThkS" */
#define RUN_SUMS         1018u       /* in one checksum block */
#define INLINE_SUMS_MOST 256u

struct checksum_block {
    u32 magic;
    u32 crc;
    u64 block;
    u64 volume;
    u32 sums[RUN_SUMS];
};
_Static_assert(sizeof(struct checksum_block) == BLOCK_BYTES, "FORMAT.md, section 6");

/* Section 12. */
#define NAME_BYTES_MOST    255u
#define TARGET_BYTES_MOST  4095u
#define FILE_BYTES_MOST    0x7fffffffffffffffull
#define FILE_BLOCKS_MOST   (1ull << 51)
#define EXTENT_BLOCKS_MOST 0x7fffffffu
#define XATTR_VALUE_MOST   65536u
#define XATTRS_MOST        256u
#define INODE_ROOT         1ull
#define INODE_NUMBER_MOST  0x7fffffffffffffffull
