/* CRC-32C (Castagnoli: reflected polynomial 0x82f63b78, as iSCSI and ext4 use it), of metadata.
   Any context, any CPU. */
#pragma once

#include "runtime/types.h"

/* crc32c("123456789") == 0xe3069283. */
u32 crc32c(const void *data, u64 bytes);

/* Goes on from the value of what came before; 0 to begin. */
u32 crc32c_extend(u32 before, const void *data, u64 bytes);

/* Uses the SSE 4.2 instruction from now on when `hardware` and CPUID has it.  Returns whether it is
   used.  Software, eight bytes at a time, is the default: under emulation the instruction may be
   slower, or absent. */
bool crc32c_select(bool hardware);
