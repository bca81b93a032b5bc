/* /init of the Linux guest that test/net/compare.sh measures beside the machine: loads the modules
   named in /modules, gives eth0 the address 10.77.0.2/24, and becomes /stream serve 7. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
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

static int address_set(int fd, unsigned long request, const char *address)
{
    struct ifreq r = {.ifr_name = "eth0"};
    struct sockaddr_in a = {.sin_family = AF_INET};
    inet_pton(AF_INET, address, &a.sin_addr);
    memcpy(&r.ifr_addr, &a, sizeof(a));
    return ioctl(fd, request, &r);
}

int main(void)
{
    char line[256];
    mkdir("/dev", 0755);
    mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
    FILE *names = fopen("/modules", "r");
    while (names && fgets(line, sizeof(line), names)) {
        line[strcspn(line, "\n")] = 0;
        load(line);
    }
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct ifreq r = {.ifr_name = "eth0", .ifr_flags = IFF_UP | IFF_RUNNING};
    for (int i = 0; i < 100 && address_set(fd, SIOCSIFADDR, "10.77.0.2") < 0; i++)
        usleep(50000);
    address_set(fd, SIOCSIFNETMASK, "255.255.255.0");
    if (ioctl(fd, SIOCSIFFLAGS, &r) < 0)
        perror("eth0");
    execl("/stream", "stream", "serve", "7", (char *)NULL);
    perror("/stream");
    return 1;
}
