/* The machine's edges: options, randomness, port and device access, and the ways to end it. */
#pragma once

#include "runtime/closure.h"
#include "runtime/types.h"

struct boot_info;

/* Reads the command line and what boot gathered.  Once, before any option is asked for. */
void machine_init(const struct boot_info *boot);

/* An option of the kernel's command line: "name=value" or "name".  NULL when absent, "" when it
   has no value.  The text lives for ever. */
const char *boot_option(const char *name);

/* Every "name=value" of a repeatable option, by index; NULL past the last. */
const char *boot_option_at(const char *name, u32 index);

/* The option's value as a number, decimal or 0x...; 0 when it is absent or no number. */
u64 boot_option_number(const char *name);

/* Fills with random bytes: RDRAND when present, mixed with the TSC and boot entropy. */
void random_bytes(void *to, u64 bytes);

u8 port_read8(u16 port);
u16 port_read16(u16 port);
u32 port_read32(u16 port);
void port_write8(u16 port, u8 value);
void port_write16(u16 port, u16 value);
void port_write32(u16 port, u32 value);

/* Tells whoever started this machine the exit status (the control channel), and returns when that
   has left the machine.  One at most; applied once, by machine_exit. */
closure_type(exit_writer, void, u8 exit_status);
void machine_set_exit_writer(exit_writer writer);

/* Ends the machine with the program's exit status (0-255): the registered exit writer (the control
   channel that `thunk` reads), then isa-debug-exit when the boot option exit_port= names it, then
   ACPI S5, then reset. */
__attribute__((noreturn)) void machine_exit(u8 exit_status);
