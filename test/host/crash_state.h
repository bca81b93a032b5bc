/* What crash_model.c and crash_verify.c share: one number for a state of all names, a sum, so that
   each change adds and subtracts what it changes. */
#pragma once

#include "test/host/crash_model.h"

u64 crash_entry_hash(u64 directory, const char *name, u64 name_bytes, u64 inode,
                     enum inode_type type);
u64 crash_text_hash(const void *text, u64 bytes);
u64 crash_xattr_hash(u64 inode, const char *name, u64 name_bytes, const void *value, u64 bytes);
u64 crash_inode_hash(u64 inode, u64 target_hash, u64 xattr_sum);
/* Of all extended attributes of a mounted inode. */
u64 crash_xattr_sum(struct inode *i, u64 number);
