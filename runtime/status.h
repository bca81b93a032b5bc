/* status: the outcome of an operation, two words by value.

   The first word points to static information made where the error is known; the second is one
   number of detail (an address, a sector, an inode).  All zero is success.  A status is passed up
   unchanged, is not an int, and becomes an errno only in unix/ (or an exit status in tools/). */
#pragma once

#include "runtime/errno.h"
#include "runtime/types.h"

struct status_info {
    int error; /* Linux errno, positive */
    int line;  /* where it was made */
    const char *file;
    const char *text; /* what is wrong, in words, naming the subsystem: "virtio_blk: ..." */
};

typedef struct {
    const struct status_info *info; /* NULL: success */
    u64 detail;
} status;

#define STATUS_OK ((status){NULL, 0})

/* A failure with a fixed text (a string literal) and one number of detail. */
#define status_error(errno_value, literal, number)                                                 \
    ({                                                                                             \
        static const struct status_info info_ = {(errno_value), __LINE__, __FILE__, "" literal};   \
        (status){&info_, (u64)(number)};                                                           \
    })

static inline bool is_ok(status s)
{
    return s.info == NULL;
}

/* The errno of a failure, positive; 0 for success.  For unix/, tools/ and tests. */
static inline int status_errno(status s)
{
    return s.info ? s.info->error : 0;
}

static inline const char *status_text(status s)
{
    return s.info ? s.info->text : "success";
}
