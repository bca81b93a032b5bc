/* The calls that write data: positions, appending, holes, lengths, limits, copying, mapped files,
   syncing; with right and wrong arguments.  Works in a directory of its own, "data", below the
   working directory, and takes it away again.  Prints every result, so that the output in the
   machine can be compared with the output on Linux. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tell.h"

static char buffer[1 << 20] __attribute__((aligned(4096)));

#define CALL(name, ...) tell(#name "(" #__VA_ARGS__ ")", syscall(SYS_##name, __VA_ARGS__))

static unsigned sum(int fd)
{
    unsigned s = 0;
    long n, at = 0;
    while ((n = pread(fd, buffer, sizeof(buffer), at)) > 0) {
        for (long i = 0; i < n; i++)
            s = s * 31 + (unsigned char)buffer[i];
        at += n;
    }
    return s;
}

static void show(int fd)
{
    struct stat s;
    fstat(fd, &s);
    printf("  size %ld sum %08x position %ld\n", (long)s.st_size, sum(fd),
           (long)lseek(fd, 0, SEEK_CUR));
}

static void blocks(int fd)
{
    struct stat s;
    fsync(fd);
    fstat(fd, &s);
    printf("  size %ld blocks %ld\n", (long)s.st_size, (long)s.st_blocks);
}

static void test_write(void)
{
    int fd = (int)CALL(open, "w", O_RDWR | O_CREAT | O_TRUNC, 0644);
    memset(buffer, 'a', 10000);
    CALL(write, fd, buffer, 10000);
    show(fd);
    CALL(write, fd, buffer, 0);
    CALL(write, fd, (void *)8, 0);
    CALL(write, fd, (void *)8, 5);
    CALL(write, fd, (void *)-4096, 5);
    CALL(write, fd, buffer, -1L);
    CALL(pwrite64, fd, "bcd", 3L, 4094L);
    show(fd);
    CALL(pwrite64, fd, "x", 1L, -1L);
    CALL(lseek, fd, 100, SEEK_SET);
    CALL(write, fd, "hello", 5);
    show(fd);
    CALL(lseek, fd, 20000, SEEK_SET);
    CALL(write, fd, "end", 3);
    show(fd);
    struct iovec v[4] = {{"one ", 4}, {NULL, 0}, {"two ", 4}, {buffer, 5000}};
    CALL(writev, fd, v, 4);
    CALL(writev, fd, v, 0);
    CALL(writev, fd, v, -1);
    CALL(writev, fd, (void *)8, 1);
    CALL(pwritev, fd, v, 3, 50L, 0L);
    CALL(pwritev2, fd, v, 3, -1L, 0L, 2);
    CALL(pwritev2, fd, v, 3, 60L, 0L, 16);
    CALL(pwritev2, fd, v, 3, 60L, 0L, 1 << 20);
    show(fd);
    v[2].iov_base = (void *)8;
    CALL(writev, fd, v, 3);
    show(fd);
    char *edge = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(edge, 'e', 4096);
    munmap(edge + 4096, 4096);
    tell("write over the end of memory", syscall(SYS_write, fd, edge + 4000, 200));
    tell("pwrite over the end of memory", syscall(SYS_pwrite64, fd, edge + 4000, 200, 4050L));
    tell("write beyond it", syscall(SYS_write, fd, edge + 4096, 200));
    show(fd);
    close(fd);
    fd = (int)CALL(open, "w", O_RDONLY);
    CALL(write, fd, "x", 1);
    CALL(pwrite64, fd, "x", 1L, 0L);
    CALL(ftruncate, fd, 0L);
    CALL(fallocate, fd, 0, 0L, 10L);
    close(fd);
    fd = (int)CALL(open, "w", O_WRONLY);
    CALL(read, fd, buffer, 1);
    close(fd);
    CALL(open, ".", O_WRONLY);
    CALL(unlink, "w");
}

static void test_append(void)
{
    int fd = (int)CALL(open, "w", O_RDWR | O_CREAT | O_APPEND, 0644);
    int other = (int)CALL(open, "w", O_RDWR);
    CALL(write, fd, "one", 3);
    CALL(write, other, "X", 1);
    CALL(write, fd, "two", 3);
    show(fd);
    CALL(lseek, fd, 0, SEEK_SET);
    CALL(write, fd, "three", 5);
    CALL(pwrite64, fd, "four", 4L, 0L);
    show(fd);
    CALL(fcntl, fd, F_SETFL, 0);
    CALL(write, fd, "F", 1);
    show(fd);
    CALL(fcntl, fd, F_SETFL, O_APPEND);
    CALL(fcntl, fd, F_GETFL, 0);
    CALL(write, fd, "G", 1);
    show(fd);
    int again = dup(fd);
    CALL(write, again, "H", 1);
    show(fd);
    close(again);
    close(other);
    close(fd);
    CALL(unlink, "w");
}

static void test_lengths(void)
{
    int fd = (int)CALL(open, "w", O_RDWR | O_CREAT, 0644);
    memset(buffer, 'l', 10000);
    CALL(write, fd, buffer, 10000);
    CALL(ftruncate, fd, 5000L);
    show(fd);
    CALL(ftruncate, fd, 12000L);
    show(fd);
    CALL(truncate, "w", 4096L);
    show(fd);
    CALL(truncate, "w", 8192L);
    show(fd);
    CALL(ftruncate, fd, -1L);
    CALL(truncate, "w", -1L);
    CALL(truncate, ".", 0L);
    CALL(truncate, "nowhere", 0L);
    CALL(ftruncate, 77, 0L);
    CALL(ftruncate, fd, 5L << 30);
    CALL(pwrite64, fd, "far", 3L, (5L << 30) - 2);
    CALL(pread64, fd, buffer, 100L, (5L << 30) - 5);
    printf("  %d%d%d%.3s\n", buffer[0], buffer[1], buffer[2], buffer + 3);
    blocks(fd);
    CALL(lseek, fd, 0, SEEK_DATA);
    CALL(lseek, fd, 0, SEEK_HOLE);
    CALL(lseek, fd, 5000, SEEK_DATA);
    CALL(lseek, fd, 5000, SEEK_HOLE);
    CALL(lseek, fd, (5L << 30), SEEK_HOLE);
    CALL(lseek, fd, (5L << 30) + 1, SEEK_HOLE);
    CALL(lseek, fd, (5L << 30) + 1, SEEK_DATA);
    CALL(ftruncate, fd, 0L);
    blocks(fd);
    close(fd);
    CALL(unlink, "w");
}

static void test_allocate(void)
{
    int fd = (int)CALL(open, "w", O_RDWR | O_CREAT, 0644);
    CALL(fallocate, fd, 0, 0L, 20000L);
    blocks(fd);
    show(fd);
    memset(buffer, 'p', 20000);
    CALL(pwrite64, fd, buffer, 20000L, 0L);
    CALL(fallocate, fd, 3, 4000L, 9000L);
    show(fd);
    blocks(fd);
    CALL(lseek, fd, 0, SEEK_HOLE);
    CALL(lseek, fd, 4097, SEEK_DATA);
    CALL(fallocate, fd, 2, 0L, 10L);
    CALL(fallocate, fd, 1, 20000L, 20000L);
    blocks(fd);
    CALL(fallocate, fd, 16, 100L, 5000L);
    show(fd);
    CALL(fallocate, fd, 16, 19000L, 5000L);
    show(fd);
    CALL(fallocate, fd, 17, 30000L, 5000L);
    show(fd);
    CALL(fallocate, fd, 0, -1L, 10L);
    CALL(fallocate, fd, 0, 0L, 0L);
    CALL(fallocate, fd, 0, 0L, -1L);
    CALL(fallocate, fd, 0, 1L, ~(1UL << 63));
    CALL(fallocate, fd, 128, 0L, 10L);
    CALL(fallocate, fd, 0x12, 0L, 10L);
    CALL(fallocate, 77, 0, 0L, 10L);
    int p[2];
    if (pipe(p))
        perror("pipe");
    CALL(fallocate, p[1], 0, 0L, 10L);
    CALL(sync_file_range, p[1], 0L, 10L, 2);
    close(p[0]);
    close(p[1]);
    int d = open(".", O_RDONLY);
    CALL(fallocate, d, 0, 0L, 10L);
    close(d);
    close(fd);
    CALL(unlink, "w");
}

static volatile int signals;

static void count_signal(int number)
{
    (void)number;
    signals++;
}

#define LIMIT (1L << 20)

static void test_limits(void)
{
    struct rlimit l, small;
    signal(SIGXFSZ, count_signal);
    getrlimit(RLIMIT_FSIZE, &l);
    small = l;
    small.rlim_cur = LIMIT; /* this program's output may go to a file, too */
    setrlimit(RLIMIT_FSIZE, &small);
    int fd = open("w", O_RDWR | O_CREAT, 0644);
    memset(buffer, 'f', 10000);
    CALL(lseek, fd, LIMIT - 6000L, SEEK_SET);
    CALL(write, fd, buffer, 10000);
    show(fd);
    CALL(lseek, fd, LIMIT, SEEK_SET);
    CALL(write, fd, buffer, 1);
    CALL(pwrite64, fd, buffer, 1L, LIMIT + 1000L);
    CALL(ftruncate, fd, LIMIT + 1L);
    CALL(ftruncate, fd, 100L);
    CALL(ftruncate, fd, LIMIT);
    CALL(fallocate, fd, 0, 0L, LIMIT + 1L);
    printf("  signals %d\n", signals);
    setrlimit(RLIMIT_FSIZE, &l);
    CALL(write, fd, buffer, 1);
    show(fd);
    close(fd);
    CALL(unlink, "w");
}

static void test_copy(void)
{
    int a = open("a", O_RDWR | O_CREAT, 0644), b = open("b", O_RDWR | O_CREAT, 0644);
    for (int i = 0; i < 30000; i++)
        buffer[i] = (char)(i * 7);
    CALL(write, a, buffer, 30000);
    long off = 100, to = 5000;
    CALL(sendfile, b, a, &off, 9000L);
    printf("  offset %ld\n", off);
    show(b);
    CALL(lseek, a, 10, SEEK_SET);
    CALL(sendfile, b, a, NULL, 100000L);
    show(a);
    show(b);
    off = 1;
    CALL(copy_file_range, a, &off, b, &to, 12345L, 0);
    printf("  offsets %ld %ld\n", off, to);
    show(b);
    CALL(lseek, a, 0, SEEK_SET);
    CALL(copy_file_range, a, NULL, b, NULL, 100L, 0);
    show(a);
    show(b);
    CALL(copy_file_range, a, NULL, b, NULL, 100L, 1);
    off = 0;
    to = 50;
    CALL(copy_file_range, a, &off, a, &to, 100L, 0);
    to = 20000;
    CALL(copy_file_range, a, &off, a, &to, 100L, 0);
    off = 30000;
    CALL(copy_file_range, a, &off, b, NULL, 100L, 0);
    CALL(copy_file_range, 77, NULL, b, NULL, 100L, 0);
    int d = open(".", O_RDONLY);
    CALL(copy_file_range, d, NULL, b, NULL, 100L, 0);
    close(d);
    CALL(fcntl, b, F_SETFL, O_APPEND);
    CALL(copy_file_range, a, NULL, b, NULL, 100L, 0);
    CALL(sendfile, b, a, NULL, 100L);
    show(b);
    close(a);
    close(b);
    CALL(unlink, "a");
    CALL(unlink, "b");
}

static void test_sync(void)
{
    struct statfs f;
    int fd = open("w", O_RDWR | O_CREAT | O_DSYNC, 0644);
    CALL(fcntl, fd, F_GETFL, 0);
    CALL(write, fd, "durable", 7);
    CALL(fsync, fd);
    CALL(fdatasync, fd);
    CALL(fsync, 77);
    CALL(syncfs, fd);
    CALL(syncfs, 77);
    tell("sync", syscall(SYS_sync));
    CALL(sync_file_range, fd, 0L, 0L, 7);
    CALL(sync_file_range, fd, 0L, 4096L, 2);
    CALL(sync_file_range, fd, -1L, 4096L, 2);
    CALL(sync_file_range, fd, 0L, 4096L, 8);
    int d = open(".", O_RDONLY);
    CALL(fsync, d);
    CALL(fdatasync, d);
    close(d);
    close(fd);
    fd = open("w", O_RDWR | O_SYNC);
    CALL(fcntl, fd, F_GETFL, 0);
    CALL(pwrite64, fd, "D", 1L, 0L);
    show(fd);
    close(fd);
    CALL(statfs, ".", &f);
    printf("  block %ld name %ld read-only %ld\n", (long)f.f_bsize, (long)f.f_namelen,
           (long)f.f_flags & 1);
    CALL(unlink, "w");
}

static void test_direct(void)
{
    int fd = (int)CALL(open, "w", O_RDWR | O_CREAT | O_DIRECT, 0644);
    memset(buffer, 'd', 65536);
    CALL(write, fd, buffer, 65536);
    CALL(write, fd, buffer, 100);
    CALL(write, fd, buffer + 1, 4096);
    CALL(pwrite64, fd, buffer, 4096L, 8192L);
    CALL(pwrite64, fd, buffer, 4096L, 100L);
    CALL(pread64, fd, buffer + 4096, 4096L, 61440L);
    CALL(pread64, fd, buffer, 4096L, 65536L);
    CALL(pread64, fd, buffer, 100L, 0L);
    CALL(fcntl, fd, F_SETFL, 0);
    CALL(write, fd, buffer, 100);
    CALL(fcntl, fd, F_SETFL, O_DIRECT);
    CALL(pread64, fd, buffer, 4096L, 65536L);
    CALL(fcntl, fd, F_SETFL, 0);
    show(fd);
    close(fd);
    CALL(unlink, "w");
}

static sigjmp_buf escape;
static volatile int bus_code;

static void bus_error(int number, siginfo_t *info, void *context)
{
    (void)number, (void)context;
    bus_code = info->si_code;
    siglongjmp(escape, 1);
}

static void touch(const char *what, volatile char *at)
{
    bus_code = 0;
    if (!sigsetjmp(escape, 1))
        printf("%-60s %d\n", what, *at);
    else
        printf("%-60s SIGBUS %d\n", what, bus_code);
}

static void store(const char *what, volatile char *at)
{
    bus_code = 0;
    if (!sigsetjmp(escape, 1)) {
        *at = 's';
        printf("%-60s stored\n", what);
    } else {
        printf("%-60s signal %d\n", what, bus_code);
    }
}

static void test_mapped_lengths(int fd, char *s, char *p)
{
    /* Longer: what was beyond the end is zero. */
    s[10001] = 'x';
    CALL(ftruncate, fd, 16384L);
    touch("after growing", s + 12288);
    show(fd);
    store("after growing, stored", s + 12288);
    show(fd);
    /* Shorter: SIGBUS behind the end, and the private copy stays where the file is. */
    CALL(ftruncate, fd, 4097L);
    touch("after shrinking, inside", s + 4096);
    touch("after shrinking, behind the end", s + 8192);
    touch("after shrinking, the private copy", p + 6);
    CALL(ftruncate, fd, 16384L);
    touch("after growing again", s + 4097);
    touch("after growing again", s + 8192);
    CALL(fallocate, fd, 3, 0L, 4096L);
    touch("a hole was punched", s + 5);
    touch("a hole was punched, private", p + 6);
    store("in the hole", s + 5);
    show(fd);
}

static void test_mapped_protection(int fd)
{
    /* Protections. */
    int ro = open("w", O_RDONLY), wo = open("w", O_WRONLY);
    CALL(mmap, NULL, 4096L, PROT_READ | PROT_WRITE, MAP_SHARED, ro, 0L);
    CALL(mmap, NULL, 4096L, PROT_READ, MAP_SHARED, wo, 0L);
    char *s = mmap(NULL, 4096, PROT_READ, MAP_SHARED, ro, 0);
    CALL(mprotect, s, 4096L, PROT_READ | PROT_WRITE);
    munmap(s, 4096);
    s = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
    store("read-only", s);
    CALL(mprotect, s, 4096L, PROT_READ | PROT_WRITE);
    store("writable", s);
    CALL(mprotect, s, 4096L, PROT_READ);
    store("read-only again", s);
    munmap(s, 4096);
    show(fd);
    close(ro);
    close(wo);
    close(fd);
    CALL(unlink, "w");
}

static void test_mapped_unnamed(void)
{
    /* A mapping keeps a file that has no name. */
    int fd = open("w", O_RDWR | O_CREAT, 0644);
    CALL(ftruncate, fd, 8192L);
    char *s = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    CALL(unlink, "w");
    s[0] = 1;
    s[8191] = 2;
    printf("unlinked: %d %d\n", s[0], s[8191]);
    CALL(msync, s, 8192L, MS_SYNC);
    munmap(s, 8192);
}

static void test_mapped(void)
{
    struct sigaction bus = {.sa_sigaction = bus_error, .sa_flags = SA_SIGINFO};
    sigaction(SIGBUS, &bus, NULL);
    sigaction(SIGSEGV, &bus, NULL);
    int fd = open("w", O_RDWR | O_CREAT, 0644);
    memset(buffer, 'm', 10000);
    CALL(write, fd, buffer, 10000);
    char *s = mmap(NULL, 16384, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    char *p = mmap(NULL, 16384, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    printf("mapped %d %d\n", s != MAP_FAILED, p != MAP_FAILED);
    s[5] = 'S';
    s[4096] = 'T';
    p[6] = 'P';
    printf("%c%c%c %c%c%c\n", s[5], s[6], s[4096], p[5], p[6], p[4096]);
    show(fd);
    CALL(pwrite64, fd, "WW", 2L, 5L);
    CALL(pwrite64, fd, "V", 1L, 4097L);
    printf("%c%c%c %c%c%c\n", s[5], s[6], s[4097], p[5], p[6], p[4097]);
    printf("beyond the end: %d\n", s[10001]);
    touch("a page beyond the end", s + 12288);
    store("a page beyond the end, stored", s + 12288);
    CALL(msync, s, 16384L, MS_SYNC);
    CALL(msync, s, 16384L, MS_ASYNC);
    CALL(msync, s, 16384L, MS_SYNC | MS_ASYNC);
    CALL(msync, s + 1, 16384L, MS_SYNC);
    CALL(msync, s, 0L, MS_SYNC);
    CALL(msync, s, 16384L, MS_INVALIDATE);
    CALL(msync, (void *)4096, 4096L, MS_SYNC);
    s[7] = 'U';
    CALL(fsync, fd);
    s[7] = 'u';
    CALL(fdatasync, fd);
    show(fd);
    test_mapped_lengths(fd, s, p);
    munmap(s, 16384);
    munmap(p, 16384);
    show(fd);
    test_mapped_protection(fd);
    test_mapped_unnamed();
    signal(SIGBUS, SIG_DFL);
    signal(SIGSEGV, SIG_DFL);
}

/* Into a sparse file's own mapping, and out of it. */
static void test_mapped_transfers(void)
{
    int fd = open("w", O_RDWR | O_CREAT, 0644), in = open("in", O_RDWR | O_CREAT, 0644);
    for (int i = 0; i < 40000; i++)
        buffer[i] = (char)(i * 13);
    CALL(write, in, buffer, 40000);
    CALL(ftruncate, fd, 65536L);
    char *s = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    tell("pread into a mapping", pread(in, s + 100, 40000, 0));
    show(fd);
    lseek(in, 0, SEEK_SET);
    tell("read into a mapping", read(in, s + 50001, 15000));
    show(fd);
    tell("pwrite out of a mapping", pwrite(in, s + 100, 60000, 3));
    show(in);
    tell("write out of its own mapping", pwrite(fd, s + 4096, 8192, 20000));
    show(fd);
    munmap(s, 65536);
    close(fd);
    close(in);
    CALL(unlink, "w");
    CALL(unlink, "in");
}

#define WRITERS 4
#define RECORDS 200
#define RECORD  1000

static void *append_records(void *argument)
{
    char record[RECORD];
    memset(record, 'A' + (int)(long)argument, sizeof(record));
    int fd = open("log", O_WRONLY | O_APPEND);
    for (int i = 0; i < RECORDS; i++)
        if (write(fd, record, sizeof(record)) != sizeof(record))
            printf("a short write\n");
    close(fd);
    return NULL;
}

static void *write_shared(void *argument)
{
    char record[RECORD];
    int fd = *(int *)argument;
    static char next = 'A';
    memset(record, __atomic_fetch_add(&next, 1, __ATOMIC_RELAXED), sizeof(record));
    for (int i = 0; i < RECORDS; i++)
        if (write(fd, record, sizeof(record)) != sizeof(record))
            printf("a short write\n");
    return NULL;
}

/* Each record whole, and none lost. */
static void records_check(void)
{
    int fd = open("log", O_RDONLY), torn = 0, counts[WRITERS] = {0};
    char record[RECORD];
    while (read(fd, record, RECORD) == RECORD) {
        for (int i = 1; i < RECORD; i++)
            torn += record[i] != record[0];
        if (record[0] >= 'A' && record[0] < 'A' + WRITERS)
            counts[record[0] - 'A']++;
    }
    close(fd);
    printf("torn %d counts %d %d %d %d\n", torn, counts[0], counts[1], counts[2], counts[3]);
}

static void test_threads(void)
{
    pthread_t threads[WRITERS];
    close(open("log", O_CREAT | O_RDWR, 0644));
    for (long i = 0; i < WRITERS; i++)
        pthread_create(&threads[i], NULL, append_records, (void *)i);
    for (int i = 0; i < WRITERS; i++)
        pthread_join(threads[i], NULL);
    records_check();
    int fd = open("log", O_WRONLY | O_TRUNC);
    for (int i = 0; i < WRITERS; i++)
        pthread_create(&threads[i], NULL, write_shared, &fd);
    for (int i = 0; i < WRITERS; i++)
        pthread_join(threads[i], NULL);
    close(fd);
    records_check();
    CALL(unlink, "log");
}

int main(void)
{
    setvbuf(stdout, NULL, _IONBF, 0);
    umask(022);
    CALL(mkdir, "data", 0755);
    CALL(chdir, "data");
    test_write();
    test_append();
    test_lengths();
    test_allocate();
    test_limits();
    test_copy();
    test_sync();
    test_direct();
    test_mapped();
    test_mapped_transfers();
    test_threads();
    CALL(chdir, "..");
    CALL(rmdir, "data");
    return 0;
}
