/* Files of a system that programs expect: see system_files.h. */
#include "tools/system_files.h"
#include "tools/say.h"

#include <string.h>

/* The numbers are Debian's own, the same on all its systems (base-passwd). */
static const char passwd[] = "root:x:0:0:root:/root:/bin/sh\n"
                             "daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n"
                             "www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin\n"
                             "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n";
static const char group[] = "root:x:0:\ndaemon:x:1:\nadm:x:4:\ntty:x:5:\nwww-data:x:33:\n"
                            "users:x:100:\nnogroup:x:65534:\n";

static void file_add(struct tree *t, const char *path, const char *text)
{
    if (!tree_lookup(t, path))
        tree_add_memory(t, path, text, strlen(text), 0644);
}

static void folder_add(struct tree *t, const char *path, u32 mode)
{
    if (!tree_lookup(t, path))
        tree_add_folder(t, path, mode);
}

void system_files_add(struct tree *t, const char *hostname, bool users)
{
    if (users) {
        file_add(t, "/etc/passwd", passwd);
        file_add(t, "/etc/group", group);
        folder_add(t, "/tmp", 01777);
        folder_add(t, "/run", 0755);
    }
    file_add(t, "/etc/hosts",
             text_of("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
                     "127.0.1.1\t%s\n",
                     hostname));
    if (!tree_lookup(t, "/etc/resolv.conf"))
        tree_add_symlink(t, "/etc/resolv.conf", "/proc/net/pnp");
}
