/* How lwIP is configured.  The rest of the kernel does not see any of it.

   What those who write above lwIP's raw API have to know:
   - Everything runs under the surface lock; NO_SYS; its timers are run by kernel/net/timers.c.
   - Memory of every kind comes from general_heap, so each allocation may fail, and pools are
     without limits of their own: what the outside could make grow has a limit here.
   - A frame that was sent may lie with the device for a while: a pbuf is referred to until then,
   and the memory of a PBUF_REF or PBUF_ROM must stay as it is until its pbuf is freed. */
#pragma once

#define NO_SYS               1
#define SYS_LIGHTWEIGHT_PROT 0
#define LWIP_NETCONN         0
#define LWIP_SOCKET          0
#define LWIP_TIMERS          1
#define LWIP_TIMERS_CUSTOM   1 /* kernel/net/timers.c */
#define LWIP_RAW             0
#define LWIP_DNS             0
#define DNS_MAX_SERVERS      4

/* --- memory --- */
#define MEM_ALIGNMENT        8
#define MEM_CUSTOM_ALLOCATOR 1
#define MEM_CUSTOM_MALLOC    net_lwip_allocate
#define MEM_CUSTOM_CALLOC    net_lwip_allocate_zero
#define MEM_CUSTOM_FREE      net_lwip_free
#define MEMP_MEM_MALLOC      1
#define MEM_SIZE             0xffffffffu /* widens mem_size_t; there is no arena */

#define LWIP_SUPPORT_CUSTOM_PBUF 1
#define PBUF_POOL_BUFSIZE        1536
/* In front of Ethernet's header there is room for virtio's: net_frame_out.headroom. */
#define PBUF_LINK_ENCAPSULATION_HLEN 16

/* --- Ethernet, ARP --- */
#define LWIP_ARP                      1
#define ETHARP_SUPPORT_STATIC_ENTRIES 0
#define ARP_TABLE_SIZE                64
#define ARP_QUEUEING                  1
#define ARP_QUEUE_LEN                 16 /* packets that wait for one answer */
#define ETHARP_TRUST_IP_MAC           0
#define LWIP_ACD                      0
#define LWIP_AUTOIP                   0

/* --- IPv4 --- */
#define LWIP_IPV4                 1
#define IP_FORWARD                0
#define IP_REASSEMBLY             1
#define IP_FRAG                   1
#define IP_REASS_MAXAGE           30 /* seconds, as in Linux */
#define IP_REASS_MAX_PBUFS        256
#define IP_DEFAULT_TTL            64
#define IP_SOF_BROADCAST          1
#define IP_SOF_BROADCAST_RECV     0
#define LWIP_BROADCAST_PING       0
#define LWIP_MULTICAST_PING       0
#define LWIP_ICMP                 1
#define LWIP_IGMP                 1
#define LWIP_MULTICAST_TX_OPTIONS 1

/* --- IPv6 --- */
#define LWIP_IPV6                      1
#define LWIP_IPV6_NUM_ADDRESSES        6
#define LWIP_IPV6_SCOPES               1
#define IPV6_FRAG_COPYHEADER           1 /* the header has no room for a pointer of 64 bits */
#define LWIP_IPV6_REASS                1
#define LWIP_IPV6_FRAG                 1
#define LWIP_IPV6_AUTOCONFIG           1
#define LWIP_IPV6_MLD                  1
#define LWIP_IPV6_FORWARD              0
#define LWIP_ICMP6                     1
#define LWIP_ICMP6_HL                  255
#define LWIP_ND6                       1
#define LWIP_ND6_QUEUEING              1
#define MEMP_NUM_ND6_QUEUE             64
#define LWIP_ND6_NUM_NEIGHBORS         64
#define LWIP_ND6_NUM_DESTINATIONS      64
#define LWIP_ND6_RDNSS_MAX_DNS_SERVERS 4
#define LWIP_IPV6_DHCP6                0

/* --- DHCP --- */
#define LWIP_DHCP                 1
#define LWIP_DHCP_DOES_ACD_CHECK  0 /* costs seconds at every start; Linux's clients do without */
#define LWIP_DHCP_MAX_DNS_SERVERS 4
#define DHCP_CREATE_RAND_XID      1

/* --- interfaces --- */
#define LWIP_NETIF_LOOPBACK            0 /* lo is kernel/net/loopback.c */
#define LWIP_HAVE_LOOPIF               0
#define LWIP_NETIF_HOSTNAME            1
#define LWIP_NETIF_STATUS_CALLBACK     0
#define LWIP_NETIF_LINK_CALLBACK       0
#define LWIP_NETIF_EXT_STATUS_CALLBACK 1
#define LWIP_NETIF_API                 0
#define LWIP_NETIF_TX_SINGLE_PBUF      0
#define LWIP_SINGLE_NETIF              0
#define LWIP_NETIF_HWADDRHINT          1
#define LWIP_CHECKSUM_CTRL_PER_NETIF   1
#define LWIP_CHKSUM                    net_checksum
#define LWIP_CHECKSUM_ON_COPY          0

/* --- UDP --- */
#define LWIP_UDP             1
#define LWIP_UDPLITE         0
#define LWIP_NETBUF_RECVINFO 0

/* --- TCP --- */
#define LWIP_TCP 1
#define LWIP_DISABLE_TCP_SANITY_CHECKS                                                             \
    1 /* they are about u16, and none is left where it matters                                     \
       */
#define TCP_TTL                    64
#define TCP_MSS                    65495 /* what is offered is what the interface's MTU leaves */
#define TCP_WND                    (4u << 20)
#define LWIP_WND_SCALE             1
#define TCP_RCV_SCALE              7 /* 4 MiB need 7; finer steps than 14 */
#define TCP_SND_BUF                (4u << 20)
#define TCP_SND_QUEUELEN           0xf000
#define TCP_SNDLOWAT               (64u << 10)
#define TCP_SNDQUEUELOWAT          0x4000
#define TCP_OVERSIZE               0 /* bytes to send lie in pages of the endpoint: no copies here */
#define TCP_QUEUE_OOSEQ            1
#define LWIP_TCP_SACK_OUT          1
#define LWIP_TCP_MAX_SACK_NUM      4
#define LWIP_TCP_TIMESTAMPS        1
#define LWIP_TCP_KEEPALIVE         1
#define TCP_LISTEN_BACKLOG         1
#define TCP_DEFAULT_LISTEN_BACKLOG 0xff
#define LWIP_TCP_PCB_NUM_EXT_ARGS  1     /* tells an endpoint when its pcb is freed */
#define TCP_MAXRTX                 12    /* as far as its table of back-offs goes */
#define TCP_MSL                    30000 /* ms; TIME-WAIT lasts a minute, as in Linux */
#define TCP_FIN_WAIT_TIMEOUT       60000
#define TCP_SYNMAXRTX              6
#define LWIP_TCP_RTO_TIME          1000 /* ms, of a connection's first retransmission */
#define SO_REUSE                   1
#define SO_REUSE_RXTOALL           1 /* datagrams to many */

/* --- counters: shown as /proc/net/snmp does --- */
#define LWIP_STATS         1
#define LWIP_STATS_LARGE   1
#define LWIP_STATS_DISPLAY 0
#define MIB2_STATS         1
#define MEM_STATS          0
#define MEMP_STATS         0
#define SYS_STATS          0

#define LWIP_HOOK_FILENAME "kernel/net/lwip/hooks.h"
