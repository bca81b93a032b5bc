/* SYN cookies, RFC 4987: the answer to a SYN that a listener has no room for keeps nothing here.
   Its sequence number holds the other side's MSS and the minute, signed with the network's secret;
   with timestamps, the lowest bits of ours hold the window scale and whether SACK was offered.

   A cookie is good for two to three minutes, and only looked at while some were sent lately. Called
   by lwIP where edits/96_cookies.pl says so. */
#include "kernel/clock.h"
#include "kernel/net/lwip/hooks.h"
#include "kernel/net/lwip_port.h"
#include "lwip/ip.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/sys.h"
#include "runtime/memory.h"

#define MINUTES_GOOD  2u
#define STAMP_BITS    6u /* of a timestamp that carry options */
#define STAMP_SCALE   15u
#define STAMP_SACK    16u
#define NO_SCALE      15u
#define OPTIONS_BYTES 24u /* MSS, timestamp, SACK and window scale, all there */

static const u16 segment_sizes[] = {536, 1160, 1220, 1300, 1360, 1400, 1440, 1460};

static u64 last_minute; /* in which a cookie was sent; 0: none was */
u64 net_cookies_sent, net_cookies_taken;

static u64 minute_now(void)
{
    return clock_monotonic_ns() / (60 * NS_PER_SECOND) + 1;
}

/* Of the connection that the packet being processed is of. */
static u32 signature(const struct tcp_hdr *tcp, u64 minute)
{
    struct {
        ip_addr_t local, remote;
        u64 minute;
        u16 ports[2];
    } key;
    memset(&key, 0, sizeof(key));
    if (IP_IS_V6(ip_current_src_addr())) {
        memcpy(&key.local, ip_current_dest_addr(), 16);
        memcpy(&key.remote, ip_current_src_addr(), 16);
    } else {
        memcpy(&key.local, ip_current_dest_addr(), 4);
        memcpy(&key.remote, ip_current_src_addr(), 4);
    }
    key.minute = minute;
    key.ports[0] = tcp->src;
    key.ports[1] = tcp->dest;
    return (u32)net_secret_hash(&key, sizeof(key));
}

static u32 cookie_make(const struct tcp_hdr *tcp, u32 sequence, u16 mss)
{
    u64 minute = minute_now();
    u32 size = countof(segment_sizes) - 1;
    while (size && segment_sizes[size] > mss)
        size--;
    u32 low = (signature(tcp, minute) + size) & 0xffffff;
    return signature(tcp, 0) + sequence + ((u32)minute << 24) + low;
}

/* Not later than now, and after whatever was sent 64 ms ago. */
static u32 stamp_make(const struct tcp_pcb *syn)
{
    u32 now = sys_now(), bits = syn->flags & TF_WND_SCALE ? syn->snd_scale : NO_SCALE;
    if (syn->flags & TF_SACK)
        bits |= STAMP_SACK;
    u32 stamp = (now & ~((1u << STAMP_BITS) - 1)) | bits;
    return (s32)(stamp - now) > 0 ? stamp - (1u << STAMP_BITS) : stamp;
}

/* The options of the answer; their length. */
static u16 options_write(const struct tcp_pcb *syn, u32_t *to)
{
    u32 mss = tcp_eff_send_mss(TCP_MSS, ip_current_dest_addr(), ip_current_src_addr());
    u16 words = 0;
    to[words++] = TCP_BUILD_MSS_OPTION(mss);
    if (!(syn->flags & TF_TIMESTAMP))
        return 4;
    to[words++] = PP_HTONL(0x0101080a);
    to[words++] = lwip_htonl(stamp_make(syn));
    to[words++] = lwip_htonl(syn->ts_recent);
    if (syn->flags & TF_WND_SCALE)
        to[words++] = PP_HTONL(0x01030300 | TCP_RCV_SCALE);
    if (syn->flags & TF_SACK)
        to[words++] = PP_HTONL(0x01010402);
    return (u16)(words * 4);
}

void net_lwip_cookie_send(struct tcp_pcb_listen *listener, const struct tcp_pcb *syn,
                          const struct tcp_hdr *tcp, u32_t sequence)
{
    u32_t options[OPTIONS_BYTES / 4];
    if (net_lwip_accept_is_full(listener->callback_arg))
        return;
    u16 bytes = options_write(syn, options);
    struct pbuf *p = pbuf_alloc(PBUF_IP, (u16_t)(TCP_HLEN + bytes), PBUF_RAM);
    if (!p)
        return;
    struct tcp_hdr *answer = p->payload;
    *answer = (struct tcp_hdr){.src = lwip_htons(tcp->dest),
                               .dest = lwip_htons(tcp->src),
                               .seqno = lwip_htonl(cookie_make(tcp, sequence, syn->mss)),
                               .ackno = lwip_htonl(sequence + 1),
                               .wnd = PP_HTONS(0xffff)};
    TCPH_HDRLEN_FLAGS_SET(answer, 5 + bytes / 4, TCP_SYN | TCP_ACK);
    memcpy(answer + 1, options, bytes);
    last_minute = minute_now();
    net_cookies_sent++;
    net_lwip_output_reply(p);
}

u16_t net_lwip_cookie_check(const struct tcp_hdr *tcp, u32_t sequence, u32_t acknowledged)
{
    u64 now = minute_now();
    if (!last_minute || now - last_minute > MINUTES_GOOD)
        return 0;
    u32 cookie = acknowledged - 1 - (sequence - 1) - signature(tcp, 0);
    for (u64 age = 0; age <= MINUTES_GOOD && age < now; age++) {
        u64 minute = now - age;
        if (cookie >> 24 != (minute & 0xff))
            continue;
        u32 size = (cookie - signature(tcp, minute)) & 0xffffff;
        if (size >= countof(segment_sizes))
            return 0;
        net_cookies_taken++;
        return segment_sizes[size];
    }
    return 0;
}

void net_lwip_cookie_options(struct tcp_pcb *pcb)
{
    if (!net_lwip_options.has_echo) {
        tcp_clear_flags(pcb, TF_TIMESTAMP);
        return;
    }
    u32 bits = net_lwip_options.echo;
    if (bits & STAMP_SACK)
        tcp_set_flags(pcb, TF_SACK);
    if ((bits & STAMP_SCALE) == NO_SCALE)
        return;
    pcb->snd_scale = (u8_t)min(bits & STAMP_SCALE, 14u);
    pcb->rcv_scale = TCP_RCV_SCALE;
    pcb->rcv_wnd = pcb->rcv_ann_wnd = TCP_WND;
    tcp_set_flags(pcb, TF_WND_SCALE);
}
