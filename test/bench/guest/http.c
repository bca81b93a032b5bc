/* The least HTTP server: one answer of 14 bytes to each connection, one connection after the other.
   For "the first HTTP answer" and "the smallest memory of a static HTTP server": what the machine
   costs, with next to no program in it. */
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char answer[] =
    "HTTP/1.1 200 OK\r\nContent-Length: 14\r\nConnection: close\r\n\r\nHello, world!\n";

static void serve(int client)
{
    char request[4096];
    size_t have = 0;
    request[0] = '\0';
    while (!strstr(request, "\r\n\r\n") && have < sizeof(request) - 1) {
        ssize_t got = read(client, request + have, sizeof(request) - 1 - have);
        if (got <= 0)
            break;
        have += (size_t)got;
        request[have] = '\0';
    }
    if (have && write(client, answer, sizeof(answer) - 1) < 0)
        perror("http: write");
    close(client);
}

int main(void)
{
    const struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(80)};
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0 || bind(listener, (const struct sockaddr *)&any, sizeof(any)) < 0 ||
        listen(listener, 4096) < 0) {
        perror("http");
        return 1;
    }
    while (1) {
        int client = accept(listener, NULL, NULL);
        if (client >= 0)
            serve(client);
    }
}
