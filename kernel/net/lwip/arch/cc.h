/* What lwIP asks of its surroundings, answered by kernel/net/lwip_port.c.  Included by lwIP's
   headers alone, in the kernel and hosted, so it names nothing of ours but these functions. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define LWIP_NO_INTTYPES_H 1
#define LWIP_NO_LIMITS_H   1
#define LWIP_NO_UNISTD_H   1
#define LWIP_NO_CTYPE_H    1

#ifndef INT_MAX
#define INT_MAX 0x7fffffff
#endif

/* The C library's type where there is one; lwIP would make its own, of another size. */
#if __STDC_HOSTED__
#include <sys/types.h>
#else
typedef long ssize_t;
#endif
#ifndef SSIZE_MAX
#define SSIZE_MAX 0x7fffffffffffffff
#endif

/* Only used in messages that are compiled out. */
#define X8_F  "02x"
#define U16_F "u"
#define S16_F "d"
#define X16_F "x"
#define U32_F "u"
#define S32_F "d"
#define X32_F "x"
#define SZT_F "zu"

#ifndef BYTE_ORDER
#define BYTE_ORDER LITTLE_ENDIAN
#endif

/* In line: lwIP's own are functions, called two dozen times for a packet. */
#define lwip_htons(x) ((uint16_t)__builtin_bswap16(x))
#define lwip_htonl(x) ((uint32_t)__builtin_bswap32(x))

/* Something lwIP took for impossible: counted and logged (kernel), or the end of the test. */
void net_lwip_complain(const char *what, const char *file, int line);
#define LWIP_PLATFORM_ASSERT(what) net_lwip_complain(what, __FILE__, __LINE__)
#define LWIP_PLATFORM_DIAG(x)      ((void)0)

uint32_t net_lwip_random(void);
#define LWIP_RAND() net_lwip_random()

/* general_heap, with the size in front. */
void *net_lwip_allocate(size_t bytes);
void *net_lwip_allocate_zero(size_t count, size_t bytes);
void net_lwip_free(void *p);

/* The ones' complement sum of bytes, folded to 16 bits, in memory's byte order. */
uint16_t net_checksum(const void *data, int bytes);
