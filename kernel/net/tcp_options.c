/* Endpoints of TCP: options, and what can be known of a connection.  An endpoint keeps the options'
   values; those that lwIP acts on are told to the pcb whenever there is one. */
#include "kernel/clock.h"
#include "kernel/net/lwip/hooks.h"
#include "kernel/net/tcp_endpoint.h"

struct option_range {
    u32 least, most, initial;
};

/* As Linux bounds them (net/ipv4/tcp.c, include/net/tcp.h), except that buffers have the limits of
   our own.  0 is "not set" for those whose initial value it is. */
static const struct option_range ranges[TCP_OPTION_COUNT] = {
    [TCP_SET_NODELAY] = {0, 1, 0},
    [TCP_SET_CORK] = {0, 1, 0},
    [TCP_SET_QUICKACK] = {0, 1, 0},
    [TCP_SET_DEFER_ACCEPT] = {0, 86400, 0},
    [TCP_SET_KEEPALIVE] = {0, 1, 0},
    [TCP_SET_KEEP_IDLE] = {1, 32767, 7200},
    [TCP_SET_KEEP_INTERVAL] = {1, 32767, 75},
    [TCP_SET_KEEP_COUNT] = {1, 127, 9},
    [TCP_SET_USER_TIMEOUT] = {0, 0x7fffffff, 0},
    [TCP_SET_MAX_SEGMENT] = {0, 32767, 0},
    [TCP_SET_SYN_COUNT] = {1, TCP_SYNMAXRTX, TCP_SYNMAXRTX}, /* the stack tries no more often */
    [TCP_SET_REUSE_ADDRESS] = {0, 1, 0},
    [TCP_SET_REUSE_PORT] = {0, 1, 0},
    [TCP_SET_SEND_BUFFER] = {0, 0xffffffff, 0},
    [TCP_SET_RECEIVE_BUFFER] = {0, 0xffffffff, 0},
    [TCP_SET_V6_ONLY] = {0, 1, 0},
    [TCP_SET_TTL] = {1, 255, IP_DEFAULT_TTL},
    [TCP_SET_TOS] = {0, 255, 0},
    [TCP_SET_NOTSENT_LOWAT] = {0, 0xffffffff, 0},
    [TCP_SET_LINGER2] = {0, 120, TCP_FIN_WAIT_TIMEOUT / 1000},
};

void net_tcp_options_init(struct net_tcp *e)
{
    for (u32 i = 0; i < TCP_OPTION_COUNT; i++)
        e->options[i] = ranges[i].initial;
}

void net_tcp_options_apply(struct net_tcp *e)
{
    struct tcp_pcb *pcb = e->pcb;
    if (!pcb)
        return;
    if (net_tcp_has(e, TCP_SET_NODELAY))
        tcp_nagle_disable(pcb);
    else
        tcp_nagle_enable(pcb);
    if (net_tcp_has(e, TCP_SET_KEEPALIVE))
        ip_set_option(pcb, SOF_KEEPALIVE);
    else
        ip_reset_option(pcb, SOF_KEEPALIVE);
    pcb->keep_idle = e->options[TCP_SET_KEEP_IDLE] * 1000;
    pcb->keep_intvl = e->options[TCP_SET_KEEP_INTERVAL] * 1000;
    pcb->keep_cnt = e->options[TCP_SET_KEEP_COUNT];
    pcb->ttl = (u8_t)e->options[TCP_SET_TTL];
    pcb->tos = (u8_t)e->options[TCP_SET_TOS];
    net_lwip_timer_update(pcb);
}

/* Whether net_tcp_options_apply looks at it: some servers cork and uncork for each answer. */
static bool option_is_pcbs(enum net_tcp_option option)
{
    return option != TCP_SET_CORK && option != TCP_SET_QUICKACK;
}

/* What an option's new value does at once. */
static void option_act(struct net_tcp *e, enum net_tcp_option option)
{
    u32 value = e->options[option];
    switch (option) {
    case TCP_SET_SEND_BUFFER:
        e->send_limit = value;
        break;
    case TCP_SET_RECEIVE_BUFFER:
        e->window = value;
        break;
    case TCP_SET_CORK:
    case TCP_SET_NODELAY:
        /* Uncorking, and in Linux asking for no delay, sends what was held back. */
        if (option == TCP_SET_NODELAY ? value : !value) {
            e->more = false;
            net_tcp_push(e);
        }
        break;
    case TCP_SET_QUICKACK:
        if (value && e->pcb && tcp_is_flag_set(e->pcb, TF_ACK_DELAY)) {
            tcp_ack_now(e->pcb);
            tcp_output(e->pcb);
        }
        break;
    case TCP_SET_USER_TIMEOUT:
        e->progress_ns = clock_monotonic_ns();
        if (e->pcb)
            net_tcp_set_poll(e);
        break;
    default:
        break;
    }
}

status net_tcp_set(struct net_tcp *e, enum net_tcp_option option, u64 value)
{
    if (option >= TCP_OPTION_COUNT)
        return status_error(ENOPROTOOPT, "tcp: no such option", option);
    const struct option_range *r = &ranges[option];
    if (option == TCP_SET_SEND_BUFFER || option == TCP_SET_RECEIVE_BUFFER)
        value = min(max(value, 4096ul), (u64)NET_TCP_BUFFER_MOST);
    if (value < r->least || value > r->most)
        return status_error(EINVAL, "tcp: an option's value is out of range", value);
    if (option == TCP_SET_MAX_SEGMENT && value && value < 88)
        return status_error(EINVAL, "tcp: a segment's size is out of range", value);
    if (option == TCP_SET_V6_ONLY && (e->binding.port || e->family != NET_V6))
        return status_error(EINVAL, "tcp: bound already", 0);
    e->options[option] = (u32)value;
    e->binding.reuse_address = net_tcp_has(e, TCP_SET_REUSE_ADDRESS);
    if (e->role != NET_TCP_LISTENING)
        e->binding.reuse_port = net_tcp_has(e, TCP_SET_REUSE_PORT);
    if (option_is_pcbs(option))
        net_tcp_options_apply(e);
    option_act(e, option);
    return STATUS_OK;
}

status net_tcp_get(const struct net_tcp *e, enum net_tcp_option option, u64 *value)
{
    if (option >= TCP_OPTION_COUNT)
        return status_error(ENOPROTOOPT, "tcp: no such option", option);
    *value = e->options[option];
    if (option == TCP_SET_SEND_BUFFER)
        *value = e->send_limit;
    else if (option == TCP_SET_RECEIVE_BUFFER)
        *value = e->window;
    else if (option == TCP_SET_MAX_SEGMENT && e->pcb && e->role == NET_TCP_CONNECTED)
        *value = tcp_mss(e->pcb);
    return STATUS_OK;
}
