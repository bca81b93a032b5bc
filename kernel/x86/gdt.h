/* Segments and the task state, laid out as SYSCALL and SYSRET want them (Intel SDM 3A, 5.8.8). */
#pragma once

#include "runtime/types.h"

#define SELECTOR_KERNEL_CODE 0x08
#define SELECTOR_KERNEL_DATA 0x10
#define SELECTOR_USER_BASE   0x1b /* STAR[63:48]: SYSRET adds 8 for SS, 16 for CS */
#define SELECTOR_USER_DATA   0x23
#define SELECTOR_USER_CODE   0x2b
#define SELECTOR_TSS         0x30
#define SELECTOR_CPU         0x43 /* its limit is the CPU's number, for LSL in user mode: the vDSO */

struct gdt {
    u64 entry[9]; /* null, kernel code and data, 32-bit user code (unused), user data, code, TSS
                     (two), the CPU's number */
};

#define IST_DOUBLE_FAULT  1
#define IST_NMI           2
#define IST_MACHINE_CHECK 3

struct tss { /* Intel SDM 3A, 7.7 */
    u32 reserved0;
    u64 rsp[3];
    u64 reserved1;
    u64 ist[7];
    u64 reserved2;
    u16 reserved3;
    u16 io_map;
} __attribute__((packed, aligned(4)));

_Static_assert(sizeof(struct tss) == 104, "the TSS as the CPU reads it");
