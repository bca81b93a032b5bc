/* Prints the addresses of a name, in order, on one line.  For names.t; built with glibc and with
 * musl. */
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define ADDRESSES_MOST 128

static char found[ADDRESSES_MOST][INET6_ADDRSTRLEN];

/* Those of IPv4 first, each by its number. */
static int before(const void *a, const void *b)
{
    int a6 = strchr(a, ':') != NULL, b6 = strchr(b, ':') != NULL;
    return a6 != b6 ? a6 - b6 : strverscmp(a, b);
}

int main(int count, char **words)
{
    struct addrinfo wanted = {.ai_socktype = SOCK_STREAM}, *list;
    int error = getaddrinfo(words[count - 1], NULL, &wanted, &list);
    if (error == EAI_NONAME) {
        puts("no such name");
        return 0;
    }
    if (error) {
        printf("error: %s\n", gai_strerror(error));
        return 1;
    }
    size_t n = 0;
    for (struct addrinfo *a = list; a && n < ADDRESSES_MOST; a = a->ai_next)
        getnameinfo(a->ai_addr, a->ai_addrlen, found[n++], sizeof(found[0]), NULL, 0,
                    NI_NUMERICHOST);
    qsort(found, n, sizeof(found[0]), before);
    for (size_t i = 0; i < n; i++)
        printf("%s%s", i ? " " : "", found[i]);
    putchar('\n');
    return 0;
}
