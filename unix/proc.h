/* What the parts of /proc and /sys share: proc_files.c (the machine), proc_process.c (a process),
   proc_net.c and proc_net_tree.c (the network). */
#pragma once

#include "unix/virtual.h"

extern const struct virtual_node proc_self, proc_thread_self;

/* /proc/PID: the directories of processes, found by number. */
s64 proc_process_lookup(struct process *p, u32 index, const char *name, u64 bytes,
                        struct node *found);
bool proc_process_next(struct process *p, u32 index, u64 cookie, struct virtual_entry *entry);

extern const struct virtual_node proc_sys;     /* /proc/sys */
extern const struct virtual_node proc_net;     /* /proc/net */
extern const struct virtual_node proc_sys_net; /* /proc/sys/net */
extern const struct virtual_node sys_class;    /* /sys/class */

/* The texts of /proc/net (unix/proc_net.c). */
void net_tcp_text(struct thread *t, u32 index, struct text *to);
void net_tcp6_text(struct thread *t, u32 index, struct text *to);
void net_udp_text(struct thread *t, u32 index, struct text *to);
void net_udp6_text(struct thread *t, u32 index, struct text *to);
void net_unix_text(struct thread *t, u32 index, struct text *to);
void net_device_text(struct thread *t, u32 index, struct text *to);
void net_route_text(struct thread *t, u32 index, struct text *to);
void net_inet6_text(struct thread *t, u32 index, struct text *to);
void net_snmp_text(struct thread *t, u32 index, struct text *to);
void net_netstat_text(struct thread *t, u32 index, struct text *to);
void net_sockstat_text(struct thread *t, u32 index, struct text *to);
void net_pnp_text(struct thread *t, u32 index, struct text *to);

void mounts_text(struct thread *t, u32 index, struct text *to);

/* Nodes of the tree. */
#define DIRECTORY(variable, text, inode_number, above, list)                                       \
    static const struct virtual_node variable = {.name = (text),                                   \
                                                 .mode = S_IFDIR | 0555,                           \
                                                 .number = (inode_number),                         \
                                                 .parent = (above),                                \
                                                 .children = (list)}
#define TEXT(variable, label, inode_number, above, function)                                       \
    static const struct virtual_node variable = {.name = (label),                                  \
                                                 .mode = S_IFREG | 0444,                           \
                                                 .number = (inode_number),                         \
                                                 .parent = (above),                                \
                                                 .text = (function)}
#define CONSTANT(variable, label, inode_number, above, literal)                                    \
    static const struct virtual_node variable = {.name = (label),                                  \
                                                 .mode = S_IFREG | 0444,                           \
                                                 .number = (inode_number),                         \
                                                 .parent = (above),                                \
                                                 .constant = literal}
