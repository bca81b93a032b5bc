/* Supplementary groups: the same program on Linux, as root, prints the same. */
#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void show(const char *what, int result)
{
    gid_t groups[64];
    printf("%s: %d", what, result < 0 ? -errno : result);
    int count = getgroups(64, groups);
    for (int i = 0; i < count; i++)
        printf(" %u", groups[i]);
    putchar('\n');
    char line[256];
    FILE *status = fopen("/proc/self/status", "r");
    while (fgets(line, sizeof(line), status))
        if (!strncmp(line, "Groups:", 7))
            fputs(line, stdout);
    fclose(status);
}

int main(void)
{
    gid_t groups[20000] = {5, 100, 65534};
    show("one", setgroups(1, groups));
    show("three", setgroups(3, groups));
    show("asked with room for two", getgroups(2, groups));
    show("asked with no room", getgroups(0, groups));
    show("asked with less than no room", getgroups(-1, groups));
    show("from nowhere", setgroups(2, (gid_t *)16));
    show("too many", setgroups(70000, groups));
    show("none", setgroups(0, NULL));
    return 0;
}
