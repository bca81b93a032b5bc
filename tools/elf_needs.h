/* What a program of this machine needs beside itself: its interpreter, its shared libraries, and
   what those name in turn, found as the dynamic linker would find them. */
#pragma once

#include "tools/tree.h"

/* Why a file cannot be run; texts in elf_refusal_text order. */
enum elf_refusal {
    ELF_RUNNABLE,
    ELF_MISSING,
    ELF_UNREADABLE,
    ELF_DIRECTORY,
    ELF_SPECIAL,
    ELF_SCRIPT,
    ELF_FOREIGN,
    ELF_TRUNCATED,
    ELF_32_BIT,
    ELF_OTHER_MACHINE,
};

/* Looks at the file's first bytes.  */
enum elf_refusal elf_refuse(const char *path);
const char *elf_refusal_text(enum elf_refusal r);

/* Adds what `path` (an ELF file that elf_refuse passed) needs to the tree, at the paths they have
   here.  NEEDS_ALL ends the command when something is missing, naming who wants it; NEEDS_FOUND,
   for files that were only added, leaves it out and says so with -v. */
enum needs_manner { NEEDS_ALL, NEEDS_FOUND };
void elf_needs_add(struct tree *t, const char *path, enum needs_manner manner);
