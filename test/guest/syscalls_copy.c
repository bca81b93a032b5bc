/* What system calls copy: long reads and writes whose memory ends, is read only or comes in only
   when it is touched, at every place of a word; and the registers of the FPU, which no copy may
   change.  Run in Linux and in Thunk; the output is the same. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { PAGE = 4096, FILE_BYTES = 10000 };

static char expected[FILE_BYTES];
static int file;

static char *memory(int protection, size_t pages)
{
    return mmap(NULL, pages * PAGE, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void tell(const char *what, long from, long to, long result)
{
    printf("%s %ld %ld: %ld", what, from, to, result);
    printf(result < 0 ? " errno %d\n" : "\n", errno);
}

/* Reads `bytes` into a page that the next one does not follow. */
static void read_to_end(const char *what, char *page, long before, long bytes)
{
    memset(page, 1, PAGE);
    long n = pread(file, page + PAGE - before, (size_t)bytes, 3);
    tell(what, before, bytes, n);
    if (n > 0 && memcmp(page + PAGE - before, expected + 3, (size_t)n))
        puts("wrong bytes");
    if (before < PAGE && page[PAGE - before - 1] != 1)
        puts("a byte before the buffer was changed");
}

static void test_ends(void)
{
    char *hole = memory(PROT_READ | PROT_WRITE, 3);
    munmap(hole + PAGE, PAGE);
    char *protected = memory(PROT_READ | PROT_WRITE, 2);
    mprotect(protected + PAGE, PAGE, PROT_READ);
    for (long before = 1; before < PAGE; before += 371) {
        read_to_end("read to a hole", hole, before, 5000);
        read_to_end("read to a read-only page", protected, before, 5000);
    }
    for (long before = 1020; before < 1036; before++)
        read_to_end("read to a hole", hole, before, 1200);
    tell("read into a read-only page", 0, 2000, pread(file, protected + PAGE, 2000, 0));
    tell("read beyond memory", 0, 2000, pread(file, hole + PAGE, 2000, 0));
    int null = open("/dev/zero", O_RDONLY);
    memset(hole, 1, PAGE);
    tell("zeros to a hole", 2000, 3000, read(null, hole + 2096, 3000));
    printf("zeroed %d %d %d\n", hole[2095], hole[2096], hole[PAGE - 1]);
    close(null);
}

/* Pages that nobody has touched are there once the copy reaches them. */
static void test_untouched(void)
{
    for (long at = 0; at < PAGE; at += 911) {
        char *fresh = memory(PROT_READ | PROT_WRITE, 4);
        long n = pread(file, fresh + at, 9000, 5);
        tell("read into untouched pages", at, 9000, n);
        printf("right: %d\n", n == 9000 && !memcmp(fresh + at, expected + 5, 9000));
        munmap(fresh, 4 * PAGE);
    }
    char *shared = mmap(NULL, 3 * PAGE, PROT_READ, MAP_PRIVATE, file, 0);
    int pair[2];
    if (pipe(pair))
        return;
    static char back[6000];
    tell("write from an untouched mapping", 7, 6000, write(pair[1], shared + 7, 6000));
    tell("read it", 0, 6000, read(pair[0], back, sizeof(back)));
    printf("right: %d\n", !memcmp(back, expected + 7, sizeof(back)));
    close(pair[0]);
    close(pair[1]);
    munmap(shared, 3 * PAGE);
}

static void test_vectors(void)
{
    static char parts[3][4000];
    struct iovec v[5] = {
        {parts[0], 1500}, {NULL, 0}, {parts[1], 4000}, {parts[2], 1}, {parts[2] + 1, 3999}};
    tell("vectors", 0, 5, preadv(file, v, 5, 1));
    printf("right: %d %d %d\n", !memcmp(parts[0], expected + 1, 1500),
           !memcmp(parts[1], expected + 1501, 4000), !memcmp(parts[2], expected + 5501, 4000));
}

/* One system call with every SSE register full of known bytes. */
static long call_with_registers(long number, long a, void *b, long c, const uint8_t in[256],
                                uint8_t out[256])
{
    register long offset __asm__("r10") = 0;
    long result;
    __asm__ volatile(
        "movdqu 0(%[in]), %%xmm0; movdqu 16(%[in]), %%xmm1\n"
        "movdqu 32(%[in]), %%xmm2; movdqu 48(%[in]), %%xmm3\n"
        "movdqu 64(%[in]), %%xmm4; movdqu 80(%[in]), %%xmm5\n"
        "movdqu 96(%[in]), %%xmm6; movdqu 112(%[in]), %%xmm7\n"
        "movdqu 128(%[in]), %%xmm8; movdqu 144(%[in]), %%xmm9\n"
        "movdqu 160(%[in]), %%xmm10; movdqu 176(%[in]), %%xmm11\n"
        "movdqu 192(%[in]), %%xmm12; movdqu 208(%[in]), %%xmm13\n"
        "movdqu 224(%[in]), %%xmm14; movdqu 240(%[in]), %%xmm15\n"
        "syscall\n"
        "movdqu %%xmm0, 0(%[out]); movdqu %%xmm1, 16(%[out])\n"
        "movdqu %%xmm2, 32(%[out]); movdqu %%xmm3, 48(%[out])\n"
        "movdqu %%xmm4, 64(%[out]); movdqu %%xmm5, 80(%[out])\n"
        "movdqu %%xmm6, 96(%[out]); movdqu %%xmm7, 112(%[out])\n"
        "movdqu %%xmm8, 128(%[out]); movdqu %%xmm9, 144(%[out])\n"
        "movdqu %%xmm10, 160(%[out]); movdqu %%xmm11, 176(%[out])\n"
        "movdqu %%xmm12, 192(%[out]); movdqu %%xmm13, 208(%[out])\n"
        "movdqu %%xmm14, 224(%[out]); movdqu %%xmm15, 240(%[out])\n"
        : "=a"(result)
        : "a"(number), "D"(a), "S"(b), "d"(c), "r"(offset), [in] "r"(in), [out] "r"(out)
        : "rcx", "r11", "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",
          "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
    return result;
}

static void test_registers(void)
{
    uint8_t in[256], out[256];
    for (int i = 0; i < 256; i++)
        in[i] = (uint8_t)(i * 37 + 11);
    static const int lengths[] = {1, 100, 1024, 4096, 9000};
    char *fresh = memory(PROT_READ | PROT_WRITE, 4);
    for (int i = 0; i < 5; i++) {
        memset(out, 0, sizeof(out));
        long n = call_with_registers(SYS_pread64, file, fresh + 13, lengths[i], in, out);
        printf("read %ld, registers kept: %d, bytes right: %d\n", n, !memcmp(in, out, 256),
               !memcmp(fresh + 13, expected, (size_t)lengths[i]));
    }
    int null = open("/dev/null", O_WRONLY);
    long n = call_with_registers(SYS_write, null, fresh, 4 * PAGE, in, out);
    printf("write %ld, registers kept: %d\n", n, !memcmp(in, out, 256));
    close(null);
}

int main(void)
{
    file = open("file", O_RDONLY);
    if (read(file, expected, sizeof(expected)) != sizeof(expected))
        return 1;
    test_ends();
    test_untouched();
    test_vectors();
    test_registers();
    return 0;
}
