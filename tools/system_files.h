/* The few files of a system that programs look for, where an image has none of its own. */
#pragma once

#include "tools/tree.h"

/* Adds /etc/hosts and /etc/resolv.conf, and with `users` /etc/passwd, /etc/group, /tmp and /run,
   each only when the tree has none.  The name servers are those that the kernel learns:
   /etc/resolv.conf leads to /proc/net/pnp, which has its form on Linux too
   (Documentation/admin-guide/nfs/nfsroot.rst). */
void system_files_add(struct tree *t, const char *hostname, bool users);
