/* /init of the Linux guest where a benchmark needs its disk: loads the modules named in
   /modules.list, mounts /dev/vda (ext4) on /mnt, and becomes the program named by the words after
   "--" on the kernel's command line, which is what the kernel passes as arguments.  MOUNT=rw among
   the words before it, which the kernel puts into the environment, mounts for writing. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static void load(const char *path)
{
    int fd = open(path, O_RDONLY);
    if (fd < 0 || syscall(SYS_finit_module, fd, "", 0) < 0)
        perror(path);
    close(fd);
}

int main(int argc, char **argv)
{
    mkdir("/dev", 0755);
    mkdir("/mnt", 0755);
    mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
    FILE *names = fopen("/modules.list", "r");
    char line[256];
    while (names && fgets(line, sizeof(line), names)) {
        line[strcspn(line, "\n")] = 0;
        load(line);
    }
    const char *mode = getenv("MOUNT");
    unsigned long flags = mode && !strcmp(mode, "rw") ? 0 : MS_RDONLY;
    for (int i = 0; i < 200 && mount("/dev/vda", "/mnt", "ext4", flags, NULL) < 0; i++)
        usleep(10000);
    if (argc > 1)
        execv(argv[1], argv + 1);
    perror("linux_init");
    return 1;
}
