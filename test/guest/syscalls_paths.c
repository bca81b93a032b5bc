/* What calls make of paths of all shapes, on the tree that syscalls.t makes in the working
   directory, and of paths at the end of memory.  Prints every result, so that the output in the
   machine can be compared with the output on Linux. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What the walk makes of a path, in all ways of following and of asking for a directory. */
static void test_path(const char *path, int root)
{
    struct open_how {
        uint64_t flags, mode, resolve;
    };
    static const uint64_t resolve[] = {0, 0x04, 0x08, 0x10}; /* NO_SYMLINKS, BENEATH, IN_ROOT */
    struct stat s;
    printf("walk %-40s", path);
    printf(" %d", stat(path, &s) ? errno : 0);
    printf(" %d", lstat(path, &s) ? errno : (int)(s.st_mode & S_IFMT));
    for (unsigned i = 0; i < sizeof(resolve) / sizeof(resolve[0]); i++) {
        for (unsigned flags = 0; flags < 4; flags++) {
            struct open_how how = {(flags & 1 ? O_DIRECTORY : 0) | (flags & 2 ? O_NOFOLLOW : 0), 0,
                                   resolve[i]};
            long fd = syscall(SYS_openat2, root, path, &how, sizeof(how));
            printf(" %d", fd < 0 ? errno : 0);
            if (fd >= 0)
                close((int)fd);
        }
    }
    printf("\n");
}

static const char *const paths[] = {
    "/",
    "//",
    "/.",
    "/..",
    "/../..//",
    "/sub",
    "/sub/",
    "//sub//",
    "/sub/../hard",
    ".",
    "./",
    "..",
    "../",
    "../dir",
    "../dir/sub",
    "../linkdir/sub/..",
    "../linkdir/",
    "../linkdir/.",
    "../linkdir/hard",
    "../linkdir/hard/",
    "../linkdir//sub//",
    "../link/",
    "../link/.",
    "../loop/",
    "../loop/..",
    "../dangling/",
    "../dangling/x",
    "sub",
    "sub/",
    "sub//",
    "sub/.",
    "sub/..",
    "sub/./../sub",
    "sub/../../dir/sub",
    "hard",
    "hard/",
    "hard/.",
    "hard/..",
    "hard/x",
    "hard/x/y",
    "su",
    "subb",
    "sub\001",
    "s",
    "entry-1",
    "entry-2/",
    "entry-10",
    "entry-100",
    "entry-1000",
    "sub/entry-10",
    "./././sub/./././../hard",
    "sub/../sub/../sub/../sub/../hard",
    "nowhere",
    "nowhere/",
    "nowhere/..",
    "...",
    ".../x",
    ".hidden/x",
    "..x/y",
    "/proc/",
    "/proc/self/../self/",
    "/dev/../dev/null",
    "/dev/null/",
    "/dev/null/x",
    "/dev/nothing",
    "/proc/self/cwd/hard",
    "/proc/self/cwd/sub/",
};

static void test_paths(void)
{
    int root = open("dir", O_RDONLY | O_DIRECTORY);
    for (unsigned i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        test_path(paths[i], root);
    if (fchdir(root))
        perror("fchdir");
    for (unsigned i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        test_path(paths[i], root);
    if (chdir(".."))
        perror("chdir");
    close(root);
}

/* A path is read to its end and no further: here the memory ends with it, or before it, or it goes
   on in another page. */
static void test_path_ends(void)
{
    static const char path[] = "dir/sub/../sub/./../../linkdir/entry-10";
    char *pages = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct stat s;
    munmap(pages + 2 * 4096, 4096);
    for (size_t missing = 0; missing <= sizeof(path); missing++) {
        size_t bytes = sizeof(path) - missing;
        char *at = pages + 2 * 4096 - bytes;
        memcpy(at, path, bytes);
        printf("%zu bytes at the end: %d\n", bytes, stat(at, &s) ? errno : 0);
        at = pages + 4096 - bytes;
        memcpy(at, path, sizeof(path));
        printf("%zu bytes before a page: %d\n", bytes, stat(at, &s) ? errno : 0);
    }
    char *end = pages + 2 * 4096;
    for (size_t bytes = 4090; bytes <= 4100; bytes++) {
        memset(pages, '/', 2 * 4096);
        memcpy(end - 5, "file", 5);
        printf("a path of %zu bytes: %d\n", bytes, stat(end - 1 - bytes, &s) ? errno : 0);
        memset(pages, '.', 2 * 4096);
        for (size_t at = 0; at < 4096; at += 2)
            end[-5 - (long)at] = '/';
        memcpy(end - 4, "dir", 4);
        printf("dots, %zu bytes: %d\n", bytes, stat(end - 1 - bytes, &s) ? errno : 0);
    }
    munmap(pages, 2 * 4096);
}

int main(void)
{
    test_paths();
    test_path_ends();
    return 0;
}
