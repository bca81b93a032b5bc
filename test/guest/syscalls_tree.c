/* The calls that change the tree: names, attributes, extended attributes; with right and wrong
   arguments.  Works in a directory of its own, "tree", below the working directory, and takes it
   away again.  Prints every result, so that the output in the machine can be compared with the
   output on Linux.  Raw system calls: the C library's own checks would come first. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tell.h"

static char buffer[70000];
static char long_name[300], long_path[5000];

#define CALL(name, ...) tell(#name "(" #__VA_ARGS__ ")", syscall(SYS_##name, __VA_ARGS__))

static void show(const char *path)
{
    struct stat s;
    if (lstat(path, &s)) {
        printf("  %s: E%d\n", path, errno);
        return;
    }
    printf("  %s: %o %u:%u", path, s.st_mode, s.st_uid, s.st_gid);
    if (S_ISDIR(s.st_mode))
        printf(" links %lu\n", (unsigned long)s.st_nlink);
    else
        printf(" links %lu size %ld\n", (unsigned long)s.st_nlink, (long)s.st_size);
}

static void make_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        printf("cannot make %s: %d\n", path, errno);
    close(fd);
}

static void content(const char *path)
{
    int fd = open(path, O_RDONLY);
    ssize_t n = fd < 0 ? -1 : read(fd, buffer, 100);
    if (n < 0)
        printf("  %s: E%d\n", path, errno);
    else
        printf("  %s holds \"%.*s\"\n", path, (int)n, buffer);
    close(fd);
}

static int name_order(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void list(const char *path)
{
    char *names[100];
    int count = 0;
    DIR *d = opendir(path);
    struct dirent *e;
    while (d && (e = readdir(d)) && count < 100)
        names[count++] = strdup(e->d_name);
    if (d)
        closedir(d);
    qsort(names, (size_t)count, sizeof(names[0]), name_order);
    printf("  %s:", path);
    for (int i = 0; i < count; i++) {
        printf(" %s", names[i]);
        free(names[i]);
    }
    printf("\n");
}

static void test_mknod(void)
{
    CALL(mknod, "n", S_IFREG | 0666, 0);
    show("n");
    CALL(mknod, "n", S_IFREG | 0666, 0);
    CALL(mknod, "n2", 0666, 0);
    CALL(mknod, "n3", S_IFDIR | 0666, 0);
    CALL(mknod, "n3", 0150000, 0);
    CALL(unlink, "n");
    CALL(unlink, "n2");
    CALL(umask, 022);
}

static void test_unnamed(void)
{
    struct stat s;
    CALL(open, "a", O_RDONLY | O_TMPFILE, 0600);
    CALL(open, "a", O_RDWR | O_TMPFILE, 0600);
    CALL(open, "nowhere", O_RDWR | O_TMPFILE, 0600);
    long fd = CALL(open, ".", O_RDWR | O_TMPFILE, 0666);
    CALL(write, fd, "unnamed", 7);
    CALL(fstat, fd, &s);
    printf("  %o links %lu size %ld\n", s.st_mode, (unsigned long)s.st_nlink, (long)s.st_size);
    char link[40];
    snprintf(link, sizeof(link), "/proc/self/fd/%ld", fd);
    tell("linkat of the descriptor",
         syscall(SYS_linkat, AT_FDCWD, link, AT_FDCWD, "named", AT_SYMLINK_FOLLOW));
    show("named");
    tell("linkat again", syscall(SYS_linkat, fd, "", AT_FDCWD, "named2", AT_EMPTY_PATH));
    show("named2");
    CALL(close, fd);
    content("named");
    CALL(unlink, "named");
    CALL(unlink, "named2");
    fd = CALL(open, ".", O_RDWR | O_TMPFILE | O_EXCL, 0666);
    tell("linkat after O_EXCL", syscall(SYS_linkat, fd, "", AT_FDCWD, "named", AT_EMPTY_PATH));
    show("named");
    CALL(write, fd, "unnamed", 7);
    CALL(close, fd);
}

static void test_create(void)
{
    CALL(umask, 027);
    long fd = CALL(open, "a", O_CREAT | O_WRONLY, 0666);
    show("a");
    CALL(read, fd, buffer, 1);
    CALL(write, fd, "hello", 5);
    CALL(close, fd);
    CALL(open, "a", O_CREAT | O_EXCL | O_WRONLY, 0666);
    CALL(close, CALL(open, "a", O_CREAT | O_RDONLY, 0));
    show("a");
    CALL(close, CALL(open, "a", O_TRUNC | O_RDONLY));
    show("a");
    CALL(close, CALL(creat, "b", 07777));
    show("b");
    CALL(close, CALL(open, "none", O_CREAT | O_RDWR, 0));
    show("none");
    CALL(open, "c/", O_CREAT | O_RDWR, 0600);
    CALL(open, "nowhere/c", O_CREAT | O_RDWR, 0600);
    CALL(open, "a/c", O_CREAT | O_RDWR, 0600);
    CALL(open, long_name, O_CREAT | O_RDWR, 0600);
    CALL(open, long_path, O_CREAT | O_RDWR, 0600);
    CALL(open, ".", O_CREAT | O_RDWR, 0600);
    CALL(open, "..", O_CREAT | O_RDONLY, 0600);
    CALL(symlink, "target", "s");
    CALL(open, "s", O_CREAT | O_EXCL | O_RDWR, 0600);
    CALL(open, "s", O_CREAT | O_NOFOLLOW | O_RDWR, 0600);
    CALL(close, CALL(open, "s", O_CREAT | O_RDWR, 0600));
    show("target");
    show("s");
    CALL(unlink, "s");
    CALL(unlink, "target");
    test_mknod();
    test_unnamed();
    CALL(unlink, "none");
    CALL(unlink, "b");
    CALL(unlink, "a");
    list(".");
    struct rlimit l, few;
    getrlimit(RLIMIT_NOFILE, &l);
    few = l;
    few.rlim_cur = 3;
    setrlimit(RLIMIT_NOFILE, &few);
    CALL(open, "late", O_CREAT | O_RDWR, 0600);
    setrlimit(RLIMIT_NOFILE, &l);
    show("late");
}
static void test_directories(void)
{
    CALL(mkdir, "d", 0777);
    show("d");
    show(".");
    CALL(mkdir, "d", 0777);
    CALL(mkdir, "d/", 0777);
    CALL(mkdir, "d/e/", 0700);
    CALL(mkdir, "nowhere/e", 0700);
    CALL(mkdir, "d/.", 0700);
    CALL(mkdir, long_name, 0700);
    show("d");
    CALL(rmdir, "d");
    CALL(unlink, "d");
    CALL(rmdir, "d/e/.");
    CALL(rmdir, "d/e/..");
    CALL(rmdir, "d/e/");
    CALL(rmdir, "d/e");
    show("d");
    CALL(chmod, "d", 02755);
    CALL(chown, "d", -1, 77);
    show("d");
    CALL(mkdir, "d/sub", 07777);
    show("d/sub");
    CALL(close, CALL(open, "d/file", O_CREAT | O_WRONLY, 07777));
    show("d/file");
    CALL(symlink, "x", "d/link");
    show("d/link");
    CALL(unlink, "d/link");
    CALL(unlink, "d/file");
    CALL(unlink, "d/file");
    CALL(unlinkat, AT_FDCWD, "d/sub", 0);
    CALL(unlinkat, AT_FDCWD, "d/sub", AT_REMOVEDIR);
    /* The working directory goes away. */
    CALL(mkdir, "d/gone", 0700);
    CALL(chdir, "d/gone");
    CALL(rmdir, "../gone");
    CALL(open, "x", O_CREAT | O_RDWR, 0600);
    CALL(mkdir, "x", 0700);
    CALL(getcwd, buffer, 1000);
    CALL(open, "../x", O_RDONLY);
    list(".");
    CALL(chdir, "..");
    CALL(chdir, "..");
    CALL(rmdir, "d");
}

static void test_links(void)
{
    struct stat s;
    make_file("a", "one");
    CALL(link, "a", "b");
    show("a");
    CALL(link, "a", "b");
    CALL(link, "nowhere", "c");
    CALL(link, "a", "nowhere/c");
    CALL(link, "a", "c/");
    CALL(link, "a", long_name);
    CALL(mkdir, "d", 0700);
    CALL(link, "d", "e");
    CALL(link, "a", "d");
    CALL(symlink, "a", "l");
    CALL(symlink, "a", "l");
    CALL(symlink, "", "m");
    CALL(symlink, "a", "m/");
    CALL(symlink, long_path, "m");
    CALL(link, "l", "l2");
    show("l2");
    CALL(linkat, AT_FDCWD, "l", AT_FDCWD, "l3", AT_SYMLINK_FOLLOW);
    show("l3");
    CALL(linkat, AT_FDCWD, "l", AT_FDCWD, "l4", 1);
    CALL(unlink, "a");
    show("b");
    content("b");
    long fd = CALL(open, "b", O_RDWR);
    CALL(unlink, "b");
    CALL(unlink, "l3");
    CALL(unlink, "l2");
    CALL(unlink, "l");
    CALL(fstat, fd, &s);
    printf("  links %lu size %ld\n", (unsigned long)s.st_nlink, (long)s.st_size);
    CALL(pwrite64, fd, "more", 4L, 3L);
    CALL(pread64, fd, buffer, 100L, 0L);
    printf("  \"%.7s\"\n", buffer);
    char link[40];
    snprintf(link, sizeof(link), "/proc/self/fd/%ld", fd);
    tell("linkat of what was unlinked",
         syscall(SYS_linkat, AT_FDCWD, link, AT_FDCWD, "again", AT_SYMLINK_FOLLOW));
    CALL(fsync, fd);
    CALL(close, fd);
    CALL(unlink, "d/");
    CALL(rmdir, "d");
    make_file("f", "");
    CALL(unlink, "f/");
    CALL(rmdir, "f");
    CALL(unlink, "f");
    list(".");
}

#define NOREPLACE 1
#define EXCHANGE  2
#define WHITEOUT  4

static void test_rename_flags(void)
{
    make_file("a", "A");
    CALL(renameat2, AT_FDCWD, "a", AT_FDCWD, "b", NOREPLACE);
    CALL(renameat2, AT_FDCWD, "a", AT_FDCWD, "n", NOREPLACE);
    CALL(renameat2, AT_FDCWD, "n", AT_FDCWD, "b", EXCHANGE);
    content("n");
    content("b");
    CALL(renameat2, AT_FDCWD, "n", AT_FDCWD, "d", EXCHANGE);
    show("n");
    show("d");
    show(".");
    CALL(renameat2, AT_FDCWD, "n", AT_FDCWD, "d", EXCHANGE);
    CALL(renameat2, AT_FDCWD, "n", AT_FDCWD, "nowhere", EXCHANGE);
    CALL(renameat2, AT_FDCWD, "d", AT_FDCWD, "d/inner", EXCHANGE);
    CALL(renameat2, AT_FDCWD, "d/inner", AT_FDCWD, "d", EXCHANGE);
    CALL(renameat2, AT_FDCWD, "n", AT_FDCWD, "b", NOREPLACE | EXCHANGE);
    CALL(renameat2, AT_FDCWD, "n", AT_FDCWD, "b", 64);
}

static void test_rename_open(void)
{
    /* Over an open file, and two names of one. */
    long fd = CALL(open, "b", O_RDONLY);
    CALL(rename, "n", "b");
    CALL(read, fd, buffer, 10);
    printf("  still \"%.1s\"\n", buffer);
    CALL(close, fd);
    CALL(link, "b", "b2");
    CALL(rename, "b", "b2");
    show("b");
    show("b2");
    CALL(rename, "b", "/proc/x");
    CALL(rename, "/proc/self/status", "x");
    CALL(unlink, "b");
    CALL(unlink, "b2");
}

static void test_rename(void)
{
    make_file("a", "A");
    make_file("b", "B");
    CALL(mkdir, "d", 0700);
    CALL(mkdir, "d/inner", 0700);
    CALL(mkdir, "empty", 0700);
    CALL(rename, "a", "c");
    content("c");
    content("a");
    CALL(rename, "c", "b");
    content("b");
    CALL(rename, "nowhere", "b");
    CALL(rename, "b", "nowhere/b");
    CALL(rename, "b", "d");
    CALL(rename, "d", "b");
    CALL(rename, "d", "empty");
    list("empty");
    CALL(rename, "empty", "d");
    CALL(mkdir, "empty", 0700);
    CALL(rename, "empty", "d");
    CALL(rename, "d", "d/inner/x");
    CALL(rename, "d", "d/inner");
    CALL(rename, "d/inner", "d");
    CALL(rename, "b", "b");
    CALL(rename, "b/", "c");
    CALL(rename, "b", "c/");
    CALL(rename, "d/", "e/");
    CALL(rename, "e", "d");
    CALL(rename, "b", "d/inner/b");
    CALL(rename, "d/inner/b", "b");
    CALL(rename, ".", "x");
    CALL(rename, "d/..", "x");
    CALL(rename, "d", "..");
    CALL(rename, long_name, "x");
    CALL(rename, "b", long_name);
    test_rename_flags();
    test_rename_open();
    CALL(rename, "d/inner", "inner");
    show("d");
    show(".");
    CALL(rmdir, "inner");
    CALL(rmdir, "d");
    CALL(rmdir, "empty");
    list(".");
}

static void test_modes(void)
{
    make_file("a", "A");
    CALL(symlink, "a", "l");
    CALL(chmod, "a", 0);
    show("a");
    CALL(access, "a", R_OK | W_OK);
    CALL(access, "a", X_OK);
    CALL(chmod, "a", 06775);
    show("a");
    CALL(chown, "a", 5, -1);
    show("a");
    CALL(chmod, "a", 06765);
    CALL(chown, "a", -1, -1);
    show("a");
    CALL(chmod, "l", 0600);
    show("l");
    show("a");
    CALL(lchown, "l", 3, 4);
    show("l");
    CALL(fchownat, AT_FDCWD, "l", 7, 8, 0);
    CALL(fchownat, AT_FDCWD, "l", 9, 9, AT_SYMLINK_NOFOLLOW);
    show("l");
    show("a");
    CALL(fchownat, AT_FDCWD, "l", 7, 8, 1);
    CALL(chmod, "nowhere", 0600);
    CALL(fchmod, 77, 0600);
    CALL(fchown, 77, 0, 0);
    long fd = CALL(open, "a", O_RDONLY);
    CALL(fchmod, fd, 0604);
    CALL(fchown, fd, 1, 2);
    show("a");
    CALL(fchownat, fd, "", 0, 0, AT_EMPTY_PATH);
    show("a");
    CALL(close, fd);
    fd = CALL(open, "a", O_PATH);
    CALL(fchmod, fd, 0600);
    CALL(fchown, fd, 1, 2);
    CALL(close, fd);
    CALL(access, "a", W_OK);
    CALL(unlink, "l");
    CALL(unlink, "a");
}

static void times(const char *path)
{
    struct stat s;
    if (lstat(path, &s)) {
        printf("  %s: E%d\n", path, errno);
        return;
    }
    printf("  accessed %ld.%09ld modified %ld.%09ld\n", (long)s.st_atim.tv_sec, s.st_atim.tv_nsec,
           (long)s.st_mtim.tv_sec, s.st_mtim.tv_nsec);
}

static void test_times(void)
{
    struct timespec t[2] = {{1000000000, 123456789}, {1500000000, 987654321}};
    long pair[4] = {1100000000, 999999, 1200000000, 1};
    long two[2] = {1300000000, 1400000000};
    struct stat before, after;
    make_file("a", "A");
    CALL(symlink, "a", "l");
    CALL(utimensat, AT_FDCWD, "a", t, 0);
    times("a");
    CALL(utimensat, AT_FDCWD, "l", t, AT_SYMLINK_NOFOLLOW);
    times("l");
    CALL(utimes, "a", pair);
    times("a");
    CALL(futimesat, AT_FDCWD, "a", pair);
    CALL(utime, "a", two);
    times("a");
    t[0].tv_nsec = 0x3ffffffe; /* UTIME_OMIT */
    CALL(utimensat, AT_FDCWD, "a", t, 0);
    times("a");
    t[1].tv_nsec = 0x3ffffffe;
    CALL(utimensat, AT_FDCWD, "nowhere", t, 0);
    t[1].tv_nsec = 1000000000;
    CALL(utimensat, AT_FDCWD, "a", t, 0);
    CALL(utimensat, AT_FDCWD, "a", (void *)8, 0);
    CALL(utimensat, AT_FDCWD, "a", NULL, 7);
    CALL(utimensat, AT_FDCWD, NULL, NULL, 0);
    CALL(utimensat, 77, NULL, NULL, 0);
    pair[1] = 1000000;
    CALL(utimes, "a", pair);
    stat("a", &before);
    CALL(utimensat, AT_FDCWD, "a", NULL, 0);
    stat("a", &after);
    printf("  now: %d %d\n", after.st_mtim.tv_sec > before.st_mtim.tv_sec,
           after.st_mtim.tv_sec == after.st_atim.tv_sec);
    long fd = CALL(open, "a", O_RDWR);
    t[0] = t[1] = (struct timespec){5, 6};
    CALL(utimensat, fd, NULL, t, 0);
    times("a");
    CALL(utimensat, fd, "", t, AT_EMPTY_PATH);
    CALL(write, fd, "B", 1);
    stat("a", &after);
    printf("  written: %d %d\n", after.st_mtim.tv_sec > 5, after.st_atim.tv_sec == 5);
    t[1].tv_sec = 20;
    t[0].tv_sec = 10;
    CALL(utimensat, fd, NULL, t, 0);
    CALL(read, fd, buffer, 1);
    CALL(close, fd);
    /* What of a change is seen in the directory, and in the time of the inode's change. */
    CALL(mkdir, "d", 0700);
    CALL(utimensat, AT_FDCWD, "d", t, 0);
    make_file("d/x", "");
    stat("d", &after);
    printf("  directory: %d %d\n", after.st_mtim.tv_sec > 20, after.st_atim.tv_sec == 10);
    CALL(utimensat, AT_FDCWD, "d", t, 0);
    CALL(chmod, "d", 0755);
    times("d");
    CALL(unlink, "d/x");
    stat("d", &after);
    printf("  directory: %d\n", after.st_mtim.tv_sec > 20);
    CALL(rmdir, "d");
    CALL(unlink, "l");
    CALL(unlink, "a");
}

static void xattr_names(const char *path)
{
    char *names[64];
    int count = 0;
    long n = syscall(SYS_llistxattr, path, buffer, sizeof(buffer));
    for (long at = 0; at < n && count < 64; at += (long)strlen(buffer + at) + 1)
        if (strncmp(buffer + at, "security.selinux", 16))
            names[count++] = buffer + at;
    qsort(names, (size_t)count, sizeof(names[0]), name_order);
    printf("  %ld:", n);
    for (int i = 0; i < count; i++)
        printf(" %s", names[i]);
    printf("\n");
}

static void test_xattrs(void)
{
    static char value[70000], name[300];
    make_file("a", "A");
    CALL(symlink, "a", "l");
    CALL(mkdir, "d", 0700);
    memset(value, 'v', sizeof(value));
    memset(name, 'n', sizeof(name) - 1);
    memcpy(name, "user.", 5);
    CALL(getxattr, "a", "user.x", buffer, 100L);
    CALL(setxattr, "a", "user.x", "one", 3L, XATTR_REPLACE);
    CALL(setxattr, "a", "user.x", "one", 3L, XATTR_CREATE);
    CALL(setxattr, "a", "user.x", "two", 3L, XATTR_CREATE);
    CALL(setxattr, "a", "user.x", "three", 5L, XATTR_REPLACE);
    CALL(getxattr, "a", "user.x", buffer, 100L);
    printf("  %.5s\n", buffer);
    CALL(getxattr, "a", "user.x", buffer, 4L);
    CALL(getxattr, "a", "user.x", NULL, 0L);
    CALL(getxattr, "a", "user.x", (void *)8, 5L);
    CALL(setxattr, "a", "user.empty", "", 0L, 0);
    CALL(getxattr, "a", "user.empty", buffer, 100L);
    CALL(setxattr, "a", "user.", "x", 1L, 0);
    CALL(setxattr, "a", "", "x", 1L, 0);
    CALL(setxattr, "a", "nonsense", "x", 1L, 0);
    CALL(setxattr, "a", "other.x", "x", 1L, 0);
    CALL(setxattr, "a", name, "x", 1L, 0);
    name[255] = 0;
    CALL(setxattr, "a", name, "x", 1L, 0);
    CALL(removexattr, "a", name);
    CALL(setxattr, "a", "user.x", value, 70000L, 0);
    CALL(setxattr, "a", "user.x", (void *)8, 10L, 0);
    CALL(setxattr, "a", "user.x", "x", 1L, 8);
    CALL(setxattr, "a", "user.big", value, 3000L, 0);
    CALL(getxattr, "a", "user.big", buffer, 70000L);
    CALL(setxattr, "a", "trusted.x", "t", 1L, 0);
    CALL(setxattr, "a", "security.x", "s", 1L, 0);
    xattr_names("a");
    CALL(listxattr, "a", buffer, 5L);
    CALL(listxattr, "a", NULL, 0L);
    CALL(setxattr, "l", "user.y", "why", 3L, 0);
    CALL(lsetxattr, "l", "user.y", "why", 3L, 0);
    CALL(lsetxattr, "l", "trusted.y", "why", 3L, 0);
    CALL(lgetxattr, "l", "user.y", buffer, 100L);
    CALL(lgetxattr, "l", "trusted.y", buffer, 100L);
    xattr_names("l");
    xattr_names("a");
    CALL(setxattr, "d", "user.d", "dir", 3L, 0);
    xattr_names("d");
    CALL(removexattr, "a", "user.big");
    CALL(removexattr, "a", "user.big");
    CALL(removexattr, "nowhere", "user.big");
    CALL(lremovexattr, "l", "trusted.y");
    long fd = CALL(open, "a", O_RDONLY);
    CALL(fsetxattr, fd, "user.f", "eff", 3L, 0);
    CALL(fgetxattr, fd, "user.f", buffer, 3L);
    CALL(flistxattr, fd, buffer, 1000L);
    CALL(fremovexattr, fd, "user.f");
    CALL(fgetxattr, fd, "user.f", buffer, 3L);
    CALL(close, fd);
    CALL(fgetxattr, 77, "user.f", buffer, 3L);
    CALL(setxattr, "nowhere", "user.x", "x", 1L, 0);
    CALL(setxattr, "a", (void *)8, "x", 1L, 0);
    xattr_names("a");
    CALL(unlink, "a");
    CALL(unlink, "l");
    CALL(rmdir, "d");
}

static void test_virtual(void)
{
    CALL(mkdir, "/proc/x", 0700);
    CALL(unlink, "/proc/self/status");
    CALL(unlink, "/proc/nothing");
    CALL(rmdir, "/proc");
    CALL(rmdir, "/dev");
    CALL(link, "/proc/self/status", "x");
    make_file("a", "");
    CALL(link, "a", "/proc/x");
    CALL(unlink, "a");
    CALL(fsync, CALL(open, "/dev/null", O_RDWR));
}

int main(void)
{
    setvbuf(stdout, NULL, _IONBF, 0);
    memset(long_name, 'n', sizeof(long_name) - 1);
    memset(long_path, '/', sizeof(long_path) - 1);
    umask(022);
    CALL(mkdir, "tree", 0755);
    CALL(chdir, "tree");
    test_create();
    test_directories();
    test_links();
    test_rename();
    test_modes();
    test_times();
    test_xattrs();
    test_virtual();
    list(".");
    CALL(chdir, "..");
    CALL(rmdir, "tree");
    return 0;
}
