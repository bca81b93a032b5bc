/* What the tests need in assembly: test/kernel/kernel_test_code.asm. */
#pragma once

#include "runtime/types.h"

/* Executes an invalid instruction that has a fix-up; true when that was taken. */
bool invalid_opcode_caught(void);

/* Programs for user mode, position independent; each begins at its first byte. */
extern const u8 user_program_calls[], user_program_calls_end[];
extern const u8 user_program_faults[], user_program_faults_end[];
extern const u8 user_program_fpu[], user_program_fpu_end[];
extern const u8 user_program_jumps[], user_program_jumps_end[];
extern const u8 user_program_spins[], user_program_spins_end[];
