/* Where lwIP asks us, in the middle of its work.  The functions are in kernel/net/. */
#pragma once

#include "lwip/err.h"
#include "lwip/ip_addr.h"

/* Name servers of DHCP answers and router advertisements: kernel/net/name_servers.c. */
void net_lwip_name_server(u8_t index, const ip_addr_t *server);
#define dns_setserver(index, server) net_lwip_name_server(index, server)
const ip_addr_t *net_lwip_name_server_known(u8_t index); /* of router advertisements */
#define dns_getserver(index) net_lwip_name_server_known(index)

/* Sequence numbers that nobody outside can foretell (RFC 6528). */
u32_t net_lwip_isn(const ip_addr_t *local, u16_t local_port, const ip_addr_t *remote,
                   u16_t remote_port);
#define LWIP_HOOK_TCP_ISN net_lwip_isn

/* Added to lwIP by edits/30_routes.pl: false when its table is full. */
struct netif;
int net_lwip_router_add(const ip6_addr_t *address, struct netif *netif);
/* And: whether an address lies in the network of that static address of the interface's
   (kernel/net/interface.c). */
int net_lwip_is_on_link(const struct netif *netif, s8_t index, const ip6_addr_t *address);

/* Added by edits/40_icmp.pl: what ICMP says of packets of ours (kernel/net/icmp_errors.c).  The
   message from its first byte on. */
struct pbuf;
void net_lwip_icmp_error(const struct pbuf *p, int is_v6);
/* Added by edits/45_neighbours.pl: a packet of ours, from its IP header on, to a neighbour that
   does not answer. */
void net_lwip_unreachable(const struct pbuf *p, const struct netif *on, int is_v6);

/* Added by edits/55_ages.pl: in how many seconds these tables have something to do but growing
   older. */
#define NET_LWIP_NEVER 0xffffffffu
u32_t net_lwip_arp_due(void);
u32_t net_lwip_nd6_due(void);
/* Whether fragments wait for others. */
int net_lwip_fragments4_wait(void);
int net_lwip_fragments6_wait(void);

/* --- TCP's timers: kernel/net/lwip_timers.c, called from edits/60_timers.pl ---
   Whoever changes pollinterval, poll_since, tmr, a keepalive option or a flag of a pcb in another
   way than by lwIP's functions calls net_lwip_timer_update: it sets the pcb's deadline. */
struct tcp_pcb;
u32_t net_lwip_ticks(void); /* ms */
void net_lwip_timer_init(struct tcp_pcb *pcb);
void net_lwip_timer_update(struct tcp_pcb *pcb);
void net_lwip_timer_touch(struct tcp_pcb *pcb); /* after tcp_input and tcp_output */
/* Something is due in so many milliseconds. */
void net_lwip_timer_within(struct tcp_pcb *pcb, u32_t ms);
void net_lwip_timer_end(struct tcp_pcb *pcb);
/* The retransmission time-out by what was measured; at least NET_RTO_LEAST_MS. */
s32_t net_lwip_rto(const struct tcp_pcb *pcb);
void net_lwip_rtt_measured(struct tcp_pcb *pcb, s32_t ms);
#define NET_RTO_LEAST_MS   200
#define NET_RTO_MOST_MS    120000
#define NET_PROBE_LEAST_MS 10u /* of the tail, after what was sent */

/* --- where connections are found: kernel/net/lwip_lists.c, called from edits/70_lists.pl ---
   The lists are lwIP's four; a connection that is on tcp_active_pcbs or tcp_tw_pcbs can be found by
   its addresses and ports, and those do not change while it is. */
struct tcp_pcb_listen;
void net_lwip_list_add(struct tcp_pcb **list, struct tcp_pcb *pcb);
void net_lwip_list_remove(struct tcp_pcb **list, struct tcp_pcb *pcb);
struct tcp_pcb *net_lwip_find(const ip_addr_t *local, u16_t local_port, const ip_addr_t *remote,
                              u16_t remote_port, u8_t interface);
struct tcp_pcb_listen *net_lwip_find_listener(const ip_addr_t *local, u16_t port, u8_t interface);

/* --- loss recovery: kernel/net/lwip_recovery.c, called from edits/95_recovery.pl ---
   What the segment that is being processed says in its options. */
struct net_lwip_options {
    u32_t echo; /* of a timestamp of ours */
    u32_t stamp;
    u8_t has_echo, has_stamp;
    u8_t sack_count;
    struct {
        u32_t begin, end;
    } sacks[4];
};
extern struct net_lwip_options net_lwip_options;
/* An acknowledgement: pcb->lastack was `before`; duplicate: RFC 5681's definition holds. */
void net_lwip_acknowledged(struct tcp_pcb *pcb, u32_t before, int duplicate);
/* How far from lastack on may be sent: what min(snd_wnd, cwnd) was. */
u32_t net_lwip_send_window(const struct tcp_pcb *pcb);
/* Sends what is lost again, as much as may go now. */
void net_lwip_resend_lost(struct tcp_pcb *pcb);
void net_lwip_recovery_end(struct tcp_pcb *pcb);
/* Added to lwIP: a packet of the connection's, with its TCP header.  Taken over. */
err_t net_lwip_output_packet(struct tcp_pcb *pcb, struct pbuf *p);

/* --- old segments: kernel/net/lwip_stamps.c, called from edits/98_stamps.pl ---
   The timestamp of the segment that is being processed is taken as the connection's last one;
   whether it is before that; whether the segment is to be dropped for it. */
void net_lwip_stamp_take(struct tcp_pcb *pcb, u32_t stamp);
int net_lwip_stamp_is_old(const struct tcp_pcb *pcb);
int net_lwip_segment_is_old(const struct tcp_pcb *pcb, u32_t sequence, u32_t acknowledged,
                            u32_t length);

/* --- the way out: kernel/net/lwip_way.c, called from edits/25_ways.pl ---
   ip_output_if for a segment of the connection's, from its TCP header on.  And: a neighbour's
   address, one of ours, or a router may be another one from now on; said at least once a second
   while packets go out, so that whatever forgets to say it does not stay wrong. */
err_t net_lwip_way_output(struct tcp_pcb *pcb, struct pbuf *p, struct netif *netif);
void net_lwip_way_changed(void);

/* --- SYN cookies: kernel/net/lwip_cookies.c, called from edits/96_cookies.pl ---
   Answers a SYN, whose options are in `syn`, and keeps nothing. */
struct tcp_hdr;
void net_lwip_cookie_send(struct tcp_pcb_listen *listener, const struct tcp_pcb *syn,
                          const struct tcp_hdr *tcp, u32_t sequence);
/* The MSS of the connection whose cookie is acknowledged; 0: it is no good. */
u16_t net_lwip_cookie_check(const struct tcp_hdr *tcp, u32_t sequence, u32_t acknowledged);
/* Gives a connection the options that its cookie's timestamp carried. */
void net_lwip_cookie_options(struct tcp_pcb *pcb);
/* Whether nothing more may wait to be accepted there: kernel/net/tcp_listen.c. */
int net_lwip_accept_is_full(const void *listener);
/* Added to lwIP: an answer to the packet that is being processed, with its TCP header.  Taken over.
 */
err_t net_lwip_output_reply(struct pbuf *p);

/* Added to lwIP by edits/93_segments.pl: kernel/net/lwip_segments.c.  A packet that begins with
   room for so many bytes of options, and then refers to bytes of a segment's payload; NULL: no
   memory. And: splits the first unsent segment when only a part of it fits into the window. */
struct tcp_seg;
struct tcp_pcb;
struct pbuf *net_lwip_segment_slice(struct tcp_seg *seg, u16_t offset, u16_t bytes, u16_t options);
void net_lwip_segment_fit(struct tcp_pcb *pcb, u32_t window);
/* Whether packets of TCP may be longer than the MTU there. */
int net_lwip_device_cuts(const struct netif *netif, int is_v6);
/* Takes what was acknowledged of a segment from its front; how many bytes. */
u32_t net_lwip_segment_trim(struct tcp_pcb *pcb, struct tcp_seg *seg, u32_t ackno);
