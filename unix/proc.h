/* What the two halves of /proc share: proc_files.c (the machine), proc_process.c (a process). */
#pragma once

#include "unix/virtual.h"

extern const struct virtual_node proc_self, proc_thread_self;

/* /proc/PID: the directories of processes, found by number. */
s64 proc_process_lookup(struct process *p, u32 index, const char *name, u64 bytes,
                        struct node *found);
bool proc_process_next(struct process *p, u32 index, u64 cookie, struct virtual_entry *entry);

void mounts_text(struct thread *t, u32 index, struct text *to);
