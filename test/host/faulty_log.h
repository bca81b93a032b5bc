/* What faulty_disk.c and faulty_image.c share. */
#pragma once

#include "test/host/faulty_disk.h"

#define SECTORS_A_BLOCK 8u

/* Sectors [first, first + sectors) of a write's or discard's event; `data` is the log's. */
void faulty_apply(struct faulty_disk *d, const struct faulty_event *e, const u8 *data, u64 first,
                  u64 sectors);
/* The same, to the place of sector `first` in other memory. */
void faulty_copy(u8 *to, const struct faulty_event *e, const u8 *data, u64 first, u64 sectors);
