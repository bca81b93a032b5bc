/* The calls about files, with right and wrong arguments, on the tree that syscalls.t makes in the
   working directory.  Prints every result, so that the output in the machine can be compared with
   the output on Linux.  Raw system calls: the C library's own checks would come first. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tell.h"

static char buffer[70000];
static char long_name[300], long_path[5000];

#define CALL(name, ...) tell(#name "(" #__VA_ARGS__ ")", syscall(SYS_##name, __VA_ARGS__))

static void test_open(void)
{
    CALL(close, CALL(open, "file", O_RDONLY));
    CALL(open, "nowhere", O_RDONLY);
    CALL(open, "", O_RDONLY);
    CALL(open, "file/", O_RDONLY);
    CALL(open, "file/x", O_RDONLY);
    CALL(open, "file/.", O_RDONLY);
    CALL(open, "file/..", O_RDONLY);
    CALL(open, "nowhere/x", O_RDONLY);
    CALL(open, "loop", O_RDONLY);
    CALL(open, "loop/x", O_RDONLY);
    CALL(open, "dangling", O_RDONLY);
    CALL(open, "link", O_RDONLY | O_NOFOLLOW);
    CALL(close, CALL(open, "linkdir/", O_RDONLY | O_NOFOLLOW | O_DIRECTORY));
    CALL(open, "linkdir", O_RDONLY | O_NOFOLLOW | O_DIRECTORY);
    CALL(open, "link", O_RDONLY | O_DIRECTORY);
    CALL(open, "file", O_RDONLY | O_DIRECTORY);
    CALL(open, "dir", O_WRONLY);
    CALL(open, "dir", O_RDWR);
    CALL(open, "dir", O_RDONLY | O_CREAT, 0600);
    CALL(open, "file", O_RDONLY | O_CREAT | O_EXCL, 0600);
    CALL(open, "dangling", O_RDONLY | O_CREAT | O_EXCL, 0600);
    CALL(open, "loop", O_RDONLY | O_CREAT | O_EXCL, 0600);
    CALL(open, "new/", O_RDONLY | O_CREAT, 0600);
    CALL(open, "nowhere/new", O_RDONLY | O_CREAT, 0600);
    CALL(open, long_name, O_RDONLY);
    CALL(open, long_path, O_RDONLY);
    CALL(open, (char *)8, O_RDONLY);
    CALL(close, CALL(open, "dir/../file", O_RDONLY));
    CALL(close, CALL(open, "linkdir/../link", O_RDONLY));
    CALL(close, CALL(open, "dir//sub///", O_RDONLY));
    CALL(openat, 99, "file", O_RDONLY);
    CALL(openat, -5, "file", O_RDONLY);
    long fd = CALL(open, "file", O_RDONLY);
    CALL(openat, fd, "file", O_RDONLY);
    CALL(close, fd);
    long dir = CALL(open, "dir", O_RDONLY | O_DIRECTORY);
    CALL(close, CALL(openat, dir, "../file", O_RDONLY));
    CALL(openat, dir, "", O_RDONLY);
    CALL(close, dir);
    CALL(close, 77);
    CALL(close, -1);
    long path = CALL(open, "link", O_PATH | O_NOFOLLOW);
    CALL(read, path, buffer, 1);
    CALL(fcntl, path, F_GETFD, 0);
    CALL(readlinkat, path, "", buffer, 100);
    CALL(close, path);
}

static void test_read(void)
{
    long fd = CALL(open, "file", O_RDONLY);
    CALL(read, fd, buffer, 10);
    CALL(read, fd, buffer, 0);
    CALL(read, fd, (char *)8, 10);
    CALL(read, fd, (char *)-4096, 10);
    CALL(read, fd, buffer, -1);
    CALL(write, fd, "x", 1);
    CALL(lseek, fd, 0, SEEK_CUR);
    CALL(read, fd, buffer, sizeof(buffer));
    CALL(read, fd, buffer, sizeof(buffer));
    CALL(lseek, fd, -1, SEEK_SET);
    CALL(lseek, fd, 1L << 40, SEEK_SET);
    CALL(read, fd, buffer, 10);
    CALL(lseek, fd, -10, SEEK_END);
    CALL(read, fd, buffer, 100);
    CALL(lseek, fd, 0, 9);
    CALL(lseek, fd, -100000, SEEK_CUR);
    CALL(lseek, fd, 0, SEEK_DATA);
    CALL(lseek, fd, 1000000, SEEK_DATA);
    CALL(lseek, fd, 0, SEEK_HOLE);
    CALL(pread64, fd, buffer, 100, 9990);
    CALL(pread64, fd, buffer, 100, 20000);
    CALL(pread64, fd, buffer, 100, -1L);
    CALL(pwrite64, fd, buffer, 100, 0L);
    struct iovec v[3] = {{buffer, 3}, {NULL, 0}, {buffer + 10, 5}};
    CALL(lseek, fd, 0, SEEK_SET);
    CALL(readv, fd, v, 3);
    printf("%.3s %.5s\n", buffer, buffer + 10);
    CALL(readv, fd, v, 0);
    CALL(readv, fd, v, -1);
    CALL(readv, fd, v, 1025);
    CALL(readv, fd, (void *)8, 1);
    CALL(preadv, fd, v, 3, 100L, 0L);
    v[2].iov_len = -1;
    CALL(readv, fd, v, 3);
    CALL(ftruncate, fd, 0L);
    CALL(fsync, fd);
    CALL(ioctl, fd, TCGETS, buffer);
    CALL(close, fd);
    fd = CALL(open, "dir", O_RDONLY);
    CALL(read, fd, buffer, 10);
    CALL(pread64, fd, buffer, 10, 0L);
    CALL(close, fd);
    CALL(read, 77, buffer, 1);
    /* The buffer ends in the middle of the read. */
    char *edge = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(edge + 4096, 4096);
    fd = CALL(open, "file", O_RDONLY);
    tell("read over the end of memory", syscall(SYS_read, fd, edge + 4000, 200));
    tell("read beyond it", syscall(SYS_read, fd, edge + 4096, 200));
    CALL(close, fd);
}

struct extended_stat { /* the start of struct statx (linux/stat.h) */
    unsigned mask, block_bytes;
    unsigned long long attributes;
    unsigned links, uid, gid;
    unsigned short mode, spare;
    unsigned long long number, size, rest[26];
};
_Static_assert(sizeof(struct extended_stat) == 256, "struct statx");

static void print_stat(const char *name, const struct stat *s)
{
    printf("%s: %o links %lu uid %u gid %u size %ld blksize %ld rdev %lx mtime %ld\n", name,
           s->st_mode, S_ISDIR(s->st_mode) ? 0 : (unsigned long)s->st_nlink, s->st_uid, s->st_gid,
           S_ISDIR(s->st_mode) ? 0 : (long)s->st_size, (long)s->st_blksize,
           (unsigned long)s->st_rdev, s->st_mtim.tv_sec);
}

static void test_stat(void)
{
    struct stat s, again;
    static const char *const names[] = {"file", "empty", "dir", "link", "linkdir", "dir/sub", "."};
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (!lstat(names[i], &s))
            print_stat(names[i], &s);
    }
    CALL(stat, "dangling", &s);
    CALL(lstat, "dangling", &s);
    CALL(lstat, "dangling/", &s);
    CALL(stat, "loop", &s);
    CALL(lstat, "loop", &s);
    CALL(lstat, "link/", &s);
    CALL(lstat, "linkdir/", &s);
    CALL(stat, "file/", &s);
    CALL(stat, "", &s);
    CALL(stat, "file", (void *)8);
    CALL(fstat, 77, &s);
    CALL(newfstatat, AT_FDCWD, "", &s, 0);
    CALL(newfstatat, AT_FDCWD, "", &s, AT_EMPTY_PATH);
    CALL(newfstatat, AT_FDCWD, "file", &s, 0x8000);
    CALL(newfstatat, 99, "file", &s, 0);
    stat("file", &s);
    stat("dir/hard", &again);
    printf("hard link: %d %d\n", s.st_ino == again.st_ino, s.st_dev == again.st_dev);
    struct extended_stat x;
    CALL(statx, AT_FDCWD, "file", 0, 0x7ff, &x);
    printf("statx %o %llu %u\n", x.mode, x.size, x.links);
    CALL(statx, AT_FDCWD, "file", 0x6000, 0x7ff, &x);
    CALL(statx, AT_FDCWD, "nowhere", 0, 0x7ff, &x);
    CALL(access, "file", R_OK);
    CALL(access, "file", X_OK);
    CALL(access, "executable", X_OK);
    CALL(access, "dir", X_OK);
    CALL(access, "nowhere", F_OK);
    CALL(access, "file", 8);
    CALL(faccessat, AT_FDCWD, "dangling", F_OK);
    CALL(faccessat2, AT_FDCWD, "dangling", F_OK, AT_SYMLINK_NOFOLLOW);
    CALL(faccessat2, AT_FDCWD, "file", F_OK, 0x8000);
    CALL(readlink, "link", buffer, 100);
    CALL(readlink, "link", buffer, 2);
    CALL(readlink, "link", buffer, 0);
    CALL(readlink, "link", buffer, -1);
    CALL(readlink, "file", buffer, 100);
    CALL(readlink, "nowhere", buffer, 100);
    CALL(readlink, "link", (char *)8, 100);
    CALL(readlink, "linkdir/", buffer, 100);
}

static void test_names(void)
{
    CALL(mkdir, "dir", 0700);
    CALL(mkdir, "file", 0700);
    CALL(mkdir, "file/x", 0700);
    CALL(mkdir, "nowhere/x", 0700);
    CALL(mkdir, ".", 0700);
    CALL(mkdir, "dir/..", 0700);
    CALL(mkdir, "/", 0700);
    CALL(mkdir, "", 0700);
    CALL(mkdir, "dangling", 0700);
    CALL(mkdir, long_name, 0700);
    CALL(mknod, "file", S_IFREG | 0600, 0);
    CALL(mknod, "x", S_IFDIR | 0600, 0);
    CALL(symlink, "x", "file");
    CALL(symlink, "", "x");
    CALL(symlink, "x", "new/");
    CALL(link, "nowhere", "x");
    CALL(link, "file", "dir");
    CALL(unlink, ".");
    CALL(unlink, "dir/..");
    CALL(unlink, "/");
    CALL(unlink, "");
    CALL(unlink, "nowhere/x");
    CALL(unlink, "file/x");
    CALL(rmdir, ".");
    CALL(rmdir, "dir/..");
    CALL(rmdir, "/");
    CALL(rmdir, "file/x");
    CALL(unlinkat, AT_FDCWD, "x", 1);
    CALL(rename, "nowhere/a", "b");
    CALL(rename, ".", "b");
    CALL(rename, "file", "..");
    CALL(rename, "file", "file/x");
    CALL(truncate, "dir", 0L);
    CALL(truncate, "nowhere", 0L);
    CALL(truncate, "file", -1L);
    CALL(chmod, "nowhere", 0600);
    CALL(utimensat, AT_FDCWD, "nowhere", NULL, 0);
    CALL(utimensat, AT_FDCWD, "file", NULL, 0x8000);
    CALL(chdir, "file");
    CALL(chdir, "nowhere");
    CALL(chdir, "loop");
    CALL(fchdir, 77);
    CALL(chdir, "dir/sub");
    CALL(close, CALL(open, "../../file", O_RDONLY));
    CALL(getcwd, buffer, 1);
    CALL(getcwd, (char *)8, 1000);
    tell("getcwd", syscall(SYS_getcwd, buffer, 4000) > 0);
    printf("%s\n", strstr(buffer, "/dir/sub") ? "in dir/sub" : buffer);
    CALL(chdir, "../..");
}

static int name_order(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void test_directory(void)
{
    static char names[64][300];
    char *sorted[64];
    int count = 0;
    long fd = CALL(open, "dir", O_RDONLY | O_DIRECTORY), n;
    tell("getdents64 of 10 bytes", syscall(SYS_getdents64, fd, buffer, 10));
    while ((n = syscall(SYS_getdents64, fd, buffer, 96)) > 0) {
        for (long at = 0; at < n;) {
            struct dirent64 *e = (void *)(buffer + at);
            snprintf(names[count], sizeof(names[0]), "%s type %d", e->d_name, e->d_type);
            sorted[count] = names[count];
            count++;
            at += e->d_reclen;
        }
    }
    qsort(sorted, (size_t)count, sizeof(sorted[0]), name_order);
    for (int i = 0; i < count; i++)
        printf("entry %s\n", sorted[i]);
    tell("getdents64 at the end", syscall(SYS_getdents64, fd, buffer, 1000));
    CALL(lseek, fd, 0, SEEK_SET);
    tell("getdents64 from the start", syscall(SYS_getdents64, fd, buffer, 1000) > 0);
    CALL(close, fd);
    fd = CALL(open, "file", O_RDONLY);
    CALL(getdents64, fd, buffer, 100);
    CALL(close, fd);
    CALL(getdents64, 77, buffer, 100);
}

static void test_descriptors(void)
{
    long fd = CALL(open, "file", O_RDONLY | O_CLOEXEC);
    CALL(fcntl, fd, F_GETFD, 0);
    CALL(fcntl, fd, F_SETFD, 0);
    CALL(fcntl, fd, F_GETFD, 0);
    CALL(fcntl, fd, F_GETFL, 0);
    CALL(fcntl, fd, F_SETFL, O_NONBLOCK | O_APPEND);
    CALL(fcntl, fd, F_GETFL, 0);
    CALL(fcntl, fd, 999, 0);
    CALL(fcntl, 77, F_GETFD, 0);
    CALL(fcntl, fd, F_DUPFD, 20);
    CALL(fcntl, fd, F_DUPFD_CLOEXEC, 20);
    CALL(fcntl, 21, F_GETFD, 0);
    CALL(fcntl, fd, F_DUPFD, -1);
    CALL(fcntl, fd, F_DUPFD, 1 << 30);
    CALL(dup, fd);
    CALL(dup, 77);
    CALL(dup2, fd, 30);
    CALL(dup2, fd, fd);
    CALL(dup2, 77, 77);
    CALL(dup2, fd, -1);
    CALL(dup2, fd, 1 << 30);
    CALL(dup3, fd, fd, 0);
    CALL(dup3, fd, 31, 1);
    CALL(dup3, fd, 31, O_CLOEXEC);
    CALL(fcntl, 31, F_GETFD, 0);
    CALL(lseek, fd, 5, SEEK_SET);
    CALL(lseek, 30, 0, SEEK_CUR);
    CALL(close_range, 20, 40, 0);
    CALL(close_range, 20, 10, 0);
    CALL(close_range, 20, 40, 99);
    CALL(fcntl, 30, F_GETFD, 0);
    CALL(close, 4);
    CALL(close, fd);
}

static void test_locks(void)
{
    struct flock k = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 10, .l_len = 10};
    long a = CALL(open, "file", O_RDONLY), b = CALL(open, "file", O_RDONLY);
    CALL(fcntl, a, F_SETLK, &k);
    CALL(fcntl, b, F_SETLK, &k);
    k.l_type = F_WRLCK;
    CALL(fcntl, a, F_SETLK, &k);
    CALL(fcntl, a, F_GETLK, &k);
    printf("type %d\n", k.l_type);
    k.l_type = 7;
    CALL(fcntl, a, F_SETLK, &k);
    k = (struct flock){.l_type = F_RDLCK, .l_whence = 9};
    CALL(fcntl, a, F_SETLK, &k);
    k = (struct flock){.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = -5};
    CALL(fcntl, a, F_SETLK, &k);
    k = (struct flock){.l_type = F_RDLCK, .l_whence = SEEK_END, .l_start = -5, .l_len = -5};
    CALL(fcntl, a, F_OFD_SETLK, &k);
    k = (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET};
    CALL(fcntl, b, F_OFD_GETLK, &k);
    printf("type %d start %ld length %ld pid %d\n", k.l_type, (long)k.l_start, (long)k.l_len,
           k.l_pid == getpid());
    CALL(fcntl, a, F_SETLK, (void *)8);
    CALL(flock, a, LOCK_EX | LOCK_NB);
    CALL(flock, b, LOCK_SH | LOCK_NB);
    CALL(flock, a, LOCK_SH | LOCK_NB);
    CALL(flock, b, LOCK_SH | LOCK_NB);
    CALL(flock, b, LOCK_EX | LOCK_NB);
    CALL(flock, a, LOCK_UN);
    CALL(flock, b, LOCK_EX | LOCK_NB);
    CALL(flock, b, 16);
    CALL(flock, 77, LOCK_EX);
    CALL(close, a);
    CALL(close, b);
}

static void test_pipes(void)
{
    int p[2];
    struct stat s;
    CALL(pipe2, p, 0x10);
    CALL(pipe2, (int *)8, 0);
    CALL(pipe2, p, O_NONBLOCK);
    CALL(fcntl, p[0], F_GETFL, 0);
    CALL(fcntl, p[1], F_GETFL, 0);
    CALL(fcntl, p[1], F_GETPIPE_SZ, 0);
    fstat(p[0], &s);
    printf("pipe mode %o size %ld\n", s.st_mode, (long)s.st_size);
    CALL(read, p[0], buffer, 10);
    CALL(write, p[0], buffer, 10);
    CALL(read, p[1], buffer, 10);
    CALL(write, p[1], "hello", 5);
    int bytes = 0;
    CALL(ioctl, p[0], FIONREAD, &bytes);
    printf("readable %d\n", bytes);
    CALL(read, p[0], buffer, 3);
    CALL(read, p[0], buffer + 3, 10);
    printf("%.5s\n", buffer);
    CALL(write, p[1], buffer, 70000);
    CALL(write, p[1], buffer, 1);
    CALL(read, p[0], buffer, 100);
    CALL(write, p[1], buffer, 4096);
    CALL(lseek, p[0], 0, SEEK_SET);
    CALL(pread64, p[0], buffer, 1, 0L);
    CALL(ioctl, p[0], TCGETS, buffer);
    CALL(fsync, p[0]);
    struct pollfd polled[3] = {{p[0], POLLIN, 0}, {p[1], POLLOUT, 0}, {77, POLLIN, 0}};
    CALL(poll, polled, 3, 0);
    printf("revents %x %x %x\n", polled[0].revents, polled[1].revents, polled[2].revents);
    CALL(close, p[1]);
    while (read(p[0], buffer, sizeof(buffer)) > 0)
        ;
    CALL(read, p[0], buffer, 10);
    CALL(poll, polled, 1, 0);
    printf("revents %x\n", polled[0].revents);
    CALL(close, p[0]);
    signal(SIGPIPE, SIG_IGN);
    CALL(pipe2, p, 0);
    CALL(close, p[0]);
    CALL(write, p[1], "x", 1);
    polled[1].fd = p[1];
    CALL(poll, polled + 1, 1, 0);
    printf("revents %x\n", polled[1].revents);
    CALL(close, p[1]);
    CALL(poll, NULL, 0, 1);
    CALL(poll, (void *)8, 1, 0);
    CALL(poll, NULL, 1 << 30, 0);
    CALL(pipe2, p, 0);
    fd_set in, out;
    FD_ZERO(&in);
    FD_ZERO(&out);
    FD_SET(p[0], &in);
    FD_SET(p[1], &out);
    struct timeval none = {0, 0};
    CALL(select, p[1] + 1, &in, &out, NULL, &none);
    printf("in %d out %d\n", !!FD_ISSET(p[0], &in), !!FD_ISSET(p[1], &out));
    FD_SET(50, &in);
    CALL(select, 51, &in, NULL, NULL, &none);
    CALL(select, -1, &in, NULL, NULL, &none);
    CALL(close, p[0]);
    CALL(close, p[1]);
}

static void test_devices(void)
{
    static const char *const names[] = {"/dev/null", "/dev/zero", "/dev/full", "/dev/urandom"};
    struct stat s;
    for (unsigned i = 0; i < 4; i++) {
        if (!stat(names[i], &s))
            printf("%s %o %lx\n", names[i], s.st_mode & S_IFMT, (unsigned long)s.st_rdev);
        long fd = syscall(SYS_open, names[i], O_RDWR);
        printf("%s\n", names[i]);
        tell("read", syscall(SYS_read, fd, buffer, 10000));
        tell("write", syscall(SYS_write, fd, buffer, 10000));
        tell("read of nothing", syscall(SYS_read, fd, buffer, 0));
        tell("write of bad memory", syscall(SYS_write, fd, (char *)8, 10));
        tell("read to bad memory", syscall(SYS_read, fd, (char *)8, 10));
        tell("pread", syscall(SYS_pread64, fd, buffer, 10, 100L));
        syscall(SYS_close, fd);
    }
    CALL(open, "/dev/nothing", O_RDONLY);
    CALL(open, "/dev/null/x", O_RDONLY);
    CALL(open, "/dev/null", O_RDONLY | O_DIRECTORY);
    CALL(open, "/proc/self/nothing", O_RDONLY);
    CALL(open, "/proc/self/fd/99", O_RDONLY);
    CALL(mkdir, "/dev/null", 0700);
    CALL(chdir, "/dev/null");
}

int main(void)
{
    setvbuf(stdout, NULL, _IOFBF, 1 << 16);
    memset(long_name, 'n', sizeof(long_name) - 1);
    memset(long_path, '/', sizeof(long_path) - 1);
    test_open();
    test_read();
    test_stat();
    test_names();
    test_directory();
    test_descriptors();
    test_locks();
    test_pipes();
    test_devices();
    return 0;
}
