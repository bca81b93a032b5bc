/* Between user.c, entry.asm, user_copy.asm and fpu.c: what kernel/user.h does not show. */
#pragma once

#include "kernel/user.h"

/* Sets up SYSCALL and the FPU of this CPU; after cpu_init and cpu_protect. */
void user_init(void);

/* There are several CPUs from now on; on the boot CPU. */
void user_share(void);

/* Saves the state that the registers hold, which stays there too: the thread may go on on another
   CPU. */
void user_leave(void);

/* The hooks' system call, where assembly finds it. */
extern void (*user_syscall_hook)(struct user_frame *frame);

/* entry.asm */
void syscall_entry(void);
void syscall_entry_compatible(void);
__attribute__((noreturn)) void user_return_fast(struct user_frame *frame);
__attribute__((noreturn)) void user_return_full(struct user_frame *frame);

/* Back to user mode with this CPU's frame, by the long way: the hooks first when work is pending,
   then whatever registers are not the frame's yet. */
__attribute__((noreturn)) void user_resume(void);

/* An interrupt came in user mode; `frame` is what it interrupted.  Returns when nothing was queued,
   and then the interrupt returns too. */
struct trap_frame;
void user_interrupted(const struct trap_frame *frame);

/* fpu.c: the state components that the CPU and we know, and their size. */
void fpu_init(void);
void fpu_save(u8 *to);
void fpu_load(const u8 *from);

/* user_copy.asm; see there. */
#define UNROLLED_BYTES_LEAST 1024 /* of the _unrolled forms */
#define PAIRED_BYTES_LEAST   8192 /* of the _paired form */
u64 user_copy_bytes(void *to, const void *from, u64 bytes);
u64 user_copy_bytes_unrolled(void *to, const void *from, u64 bytes);
u64 user_copy_bytes_paired(void *to, const void *from, u64 bytes);
u64 user_zero_bytes(void *to, u64 bytes);
u64 user_zero_bytes_unrolled(void *to, u64 bytes);
s64 user_copy_text(char *to, const char *from, u64 most);
s64 user_load_word(const u32 *from, u32 *value);
s64 user_swap_word(u32 *at, u32 *expected, u32 value);
s64 user_change_word(u32 *at, const u32 change[3], u32 *old);
