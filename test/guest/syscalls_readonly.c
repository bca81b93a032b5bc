/* What would change the tree, on the machine's read-only mount: each call fails with what Linux
   gives there (fs/namei.c checks names, then asks for write access).  And what of the machine can
   only be looked at inside: the virtual files.  Prints what is not as expected, and a last line. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

static int wrong;

static void expect(const char *what, long result, int error)
{
    if ((error && result == -1 && errno == error) || (!error && result >= 0))
        return;
    wrong++;
    printf("%s: %ld, errno %d instead of %d\n", what, result, result < 0 ? errno : 0, error);
}

#define FAILS(error, name, ...)                                                                    \
    expect(#name "(" #__VA_ARGS__ ")", syscall(SYS_##name, __VA_ARGS__), error)

static void test_names(void)
{
    FAILS(EROFS, open, "new", O_CREAT | O_WRONLY, 0600);
    FAILS(EROFS, open, "dangling", O_CREAT | O_WRONLY, 0600);
    FAILS(ENOENT, open, "nowhere/new", O_CREAT | O_WRONLY, 0600);
    FAILS(EISDIR, open, "new/", O_CREAT | O_WRONLY, 0600);
    FAILS(EROFS, open, "file", O_WRONLY);
    FAILS(EROFS, open, "file", O_RDWR);
    FAILS(EROFS, open, "file", O_RDONLY | O_TRUNC);
    FAILS(EROFS, creat, "file", 0600);
    FAILS(EISDIR, open, "dir", O_WRONLY);
    FAILS(EROFS, open, "dir", O_TMPFILE | O_RDWR, 0600);
    FAILS(EROFS, mkdir, "new", 0700);
    FAILS(EROFS, mkdir, "new/", 0700);
    FAILS(EEXIST, mkdir, "dir", 0700);
    FAILS(EROFS, mknod, "new", S_IFREG | 0600, 0);
    FAILS(EROFS, symlink, "file", "new");
    FAILS(EROFS, link, "file", "new");
    FAILS(ENOENT, link, "nowhere", "new");
    FAILS(EROFS, unlink, "file");
    FAILS(EROFS, unlink, "nowhere");
    FAILS(EROFS, rmdir, "dir");
    FAILS(EROFS, rename, "file", "other");
    FAILS(EROFS, chmod, "file", 0600);
    FAILS(EROFS, chown, "file", 1, 1);
    FAILS(EROFS, lchown, "link", 1, 1);
    FAILS(EROFS, utimensat, AT_FDCWD, "file", NULL, 0);
    FAILS(EROFS, truncate, "file", 0L);
    FAILS(EISDIR, truncate, "dir", 0L);
    FAILS(EROFS, access, "file", W_OK);
    FAILS(0, access, "file", R_OK);
    FAILS(ENODATA, getxattr, "file", "user.x", NULL, 0L);
    int fd = open("file", O_RDONLY);
    FAILS(EROFS, fchmod, fd, 0600);
    FAILS(EROFS, fchown, fd, 0, 0);
    FAILS(EINVAL, ftruncate, fd, 0L);
    FAILS(EBADF, write, fd, "x", 1L);
    FAILS(0, fsync, fd);
    close(fd);
}

static void test_link(const char *path, const char *expected)
{
    char text[200];
    ssize_t n = readlink(path, text, sizeof(text) - 1);
    text[n < 0 ? 0 : n] = 0;
    if (strcmp(text, expected)) {
        wrong++;
        printf("%s leads to %s instead of %s\n", path, text, expected);
    }
}

static void test_text(const char *path, const char *start)
{
    static char text[20000];
    int fd = open(path, O_RDONLY);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    close(fd);
    text[n < 0 ? 0 : n] = 0;
    if (n < 0 || !strstr(text, start)) {
        wrong++;
        printf("%s has no %s (%zd, errno %d):\n%s\n", path, start, n, errno, text);
    }
}

static void test_virtual(void)
{
    test_text("/proc/self/status", "Threads:\t1\n");
    test_text("/proc/self/stat", ") R ");
    test_text("/proc/self/statm", " ");
    test_text("/proc/self/maps", "[stack]\n");
    test_text("/proc/self/maps", "/syscalls_readonly\n");
    test_text("/proc/self/cmdline", "syscalls_readonly");
    test_text("/proc/self/comm", "syscalls_readon\n");
    test_text("/proc/self/limits", "Max open files");
    test_text("/proc/thread-self/status", "Name:\tsyscalls_readon\n");
    test_text("/proc/cpuinfo", "processor\t: 0\n");
    test_text("/proc/meminfo", "MemTotal:");
    test_text("/proc/stat", "btime");
    test_text("/proc/uptime", ".");
    test_text("/proc/version", "Linux version 6");
    test_text("/proc/mounts", " / ");
    test_text("/proc/sys/kernel/osrelease", "6.");
    test_text("/proc/sys/kernel/random/boot_id", "-4");
    test_text("/sys/devices/system/cpu/online", "0\n");
    test_text("/sys/devices/system/cpu/possible", "0\n");
    FAILS(EACCES, open, "/proc/version", O_WRONLY);
    FAILS(ENOENT, open, "/proc/new", O_WRONLY | O_CREAT, 0600);
    FAILS(0, chdir, "/proc/self/fd");
    char text[200], process[40];
    syscall(SYS_getcwd, text, sizeof(text));
    snprintf(process, sizeof(process), "/proc/%d/fd", getpid());
    if (strcmp(text, process)) {
        wrong++;
        printf("getcwd in /proc: %s\n", text);
    }
    FAILS(0, chdir, "/proc/../sys/devices");
    syscall(SYS_getcwd, text, sizeof(text));
    if (strcmp(text, "/sys/devices")) {
        wrong++;
        printf("getcwd in /sys: %s\n", text);
    }
    FAILS(0, chdir, "..");
    FAILS(0, chdir, "..");
    FAILS(0, chdir, "/data");
    int fd = open("dir/hard", O_RDONLY);
    char name[40];
    snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
    test_link(name, "/data/dir/hard");
    test_link("/proc/self/cwd", "/data");
    test_link("/proc/self/root", "/");
    test_link("/dev/stdin", "/proc/self/fd/0");
    struct stat a, b;
    if (stat(name, &a) || fstat(fd, &b) || a.st_ino != b.st_ino) {
        wrong++;
        printf("%s is another file\n", name);
    }
    FAILS(ENXIO, open, "/dev/tty", O_RDWR);
    FAILS(0, open, "/dev/stdout", O_WRONLY);
}

static void test_identity(void)
{
    struct utsname u;
    struct rlimit l;
    struct sysinfo s;
    struct statfs f;
    FAILS(0, uname, &u);
    FAILS(0, getrlimit, RLIMIT_NOFILE, &l);
    FAILS(EINVAL, getrlimit, 99, &l);
    l.rlim_cur = 16;
    FAILS(0, setrlimit, RLIMIT_NOFILE, &l);
    FAILS(0, fcntl, 0, F_DUPFD, 15);
    FAILS(EMFILE, fcntl, 0, F_DUPFD, 15);
    FAILS(EINVAL, fcntl, 0, F_DUPFD, 16);
    FAILS(0, sysinfo, &s);
    FAILS(0, statfs, ".", &f);
    FAILS(EINVAL, prctl, 9999, 0, 0, 0, 0);
    FAILS(0, getrandom, &f, sizeof(f), 0);
    FAILS(EFAULT, getrandom, (void *)8, 16L, 0);
}

int main(void)
{
    test_names();
    test_virtual();
    test_identity();
    printf("%d unexpected\n", wrong);
    return wrong != 0;
}
