/* A guest program on a disk that fails after a while: appends to "log" and syncs, says "synced N",
   and when that fails goes on for a while: every call must come back, with EIO or EROFS.  What is
   in memory can still be read; then it tells how what is not fares.

       broken DIRECTORY UNREAD     UNREAD is a file that nobody has read yet */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { RECORD = 512, STEPS = 20000, AFTER = 40 };

static const char *word(int error)
{
    return error == EIO ? "EIO" : error == EROFS ? "EROFS" : error == 0 ? "good" : "other";
}

/* One record more, durable; errno of what failed. */
static int append(int fd, int n)
{
    char record[RECORD];
    memset(record, 'a' + n % 26, RECORD);
    if (pwrite(fd, record, RECORD, (off_t)n * RECORD) != RECORD || fsync(fd) != 0)
        return errno;
    return 0;
}

/* Another file, with a name that is to be durable. */
static int create(int n)
{
    char name[32];
    snprintf(name, sizeof(name), "file-%d", n);
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (fd < 0)
        return errno;
    int error = fsync(fd) ? errno : 0;
    close(fd);
    return error;
}

static int read_all(const char *path)
{
    static char bytes[1 << 16];
    long n = -1;
    int fd = open(path, O_RDONLY);
    while (fd >= 0 && (n = read(fd, bytes, sizeof(bytes))) > 0)
        ;
    int error = n < 0 ? errno : 0;
    close(fd);
    return error;
}

int main(int argc, char **argv)
{
    if (argc != 3 || chdir(argv[1]) != 0)
        return 2;
    setvbuf(stdout, NULL, _IOLBF, 0);
    int fd = open("log", O_RDWR | O_CREAT, 0644), n = 0, error = 0;
    for (; n < STEPS && !(error = append(fd, n)); n++)
        printf("synced %d\n", n + 1);
    printf("first %s\n", word(error));
    bool bad = false;
    for (int k = 0; k < AFTER; k++) {
        int a = append(fd, n), b = create(k);
        bad |= (a != EIO && a != EROFS) || (b != EIO && b != EROFS);
        error = b;
    }
    printf("then %s, last %s\n", bad ? "other" : "EIO or EROFS", word(error));
    printf("cached %s\n", word(read_all("log")));
    printf("unread %s\n", word(read_all(argv[2])));
    sync();
    printf("end\n");
    return 0;
}
