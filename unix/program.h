/* Making a process out of an ELF file; internal to unix/exec*.c and process.c. */
#pragma once

#include "unix/elf.h"
#include "unix/process.h"

/* NULL when out of memory. */
struct process *process_create(struct filesystem *fs, process_ended ended);
/* One that never ran. */
void process_destroy(struct process *p);

/* One ELF file that is to be mapped: the program or its interpreter. */
struct program_file {
    struct inode *inode; /* held */
    struct elf_image image;
    u64 bias; /* added to the image's addresses */
};

struct program {
    struct process *process;
    struct program_file main, interpreter; /* interpreter.inode: NULL when there is none */
    char interpreter_path[PROCESS_PATH_MOST];
    const char *text;      /* what is wrong, for the one line of error */
    u8 failure;            /* exit status: 126 or 127 */
    struct inode *missing; /* what has to be fetched before it can go on */
    u64 missing_page;
};

/* Reads the headers of the program and its interpreter, p->process->path first.  0; -EAGAIN: a page
   has to be fetched (missing), then again from the start; -errno with text and failure set. */
s64 program_read(struct program *g);

/* Chooses addresses, makes the regions.  0 or -errno with text. */
s64 program_map(struct program *g);

/* Writes arguments, environment and auxiliary vector to the stack; *sp is where it begins. */
s64 program_stack(struct program *g, u64 *sp);
