/* The network's places in the tree: /proc/net, /proc/sys/net and /sys/class/net.  Settings show
   what is so, and cannot be changed. */
#include "unix/proc.h"
#include "unix/socket_netlink.h"

/* --- /proc/net -------------------------------------------------------------------------------- */

TEXT(file_tcp, "tcp", 200, &proc_net, net_tcp_text);
TEXT(file_tcp6, "tcp6", 201, &proc_net, net_tcp6_text);
TEXT(file_udp, "udp", 202, &proc_net, net_udp_text);
TEXT(file_udp6, "udp6", 203, &proc_net, net_udp6_text);
TEXT(file_unix, "unix", 204, &proc_net, net_unix_text);
TEXT(file_dev, "dev", 205, &proc_net, net_device_text);
TEXT(file_route, "route", 206, &proc_net, net_route_text);
TEXT(file_inet6, "if_inet6", 207, &proc_net, net_inet6_text);
TEXT(file_snmp, "snmp", 208, &proc_net, net_snmp_text);
TEXT(file_netstat, "netstat", 209, &proc_net, net_netstat_text);
TEXT(file_sockstat, "sockstat", 210, &proc_net, net_sockstat_text);
TEXT(file_pnp, "pnp", 211, &proc_net, net_pnp_text);
static const struct virtual_node *const proc_net_children[] = {
    &file_dev, &file_inet6, &file_netstat, &file_pnp,  &file_route, &file_snmp, &file_sockstat,
    &file_tcp, &file_tcp6,  &file_udp,     &file_udp6, &file_unix,  NULL};

const struct virtual_node proc_net = {.name = "net",
                                      .mode = S_IFDIR | 0555,
                                      .number = 212,
                                      .parent = &virtual_proc,
                                      .children = proc_net_children};

/* --- /proc/sys/net ---------------------------------------------------------------------------- */

static const struct virtual_node net_core, net_ipv4, net_ipv6, net_unix;

CONSTANT(core_somaxconn, "somaxconn", 220, &net_core, "4096\n");
CONSTANT(core_rmem_default, "rmem_default", 221, &net_core, "212992\n");
CONSTANT(core_rmem_max, "rmem_max", 222, &net_core, "212992\n");
CONSTANT(core_wmem_default, "wmem_default", 223, &net_core, "212992\n");
CONSTANT(core_wmem_max, "wmem_max", 224, &net_core, "212992\n");
CONSTANT(core_optmem_max, "optmem_max", 225, &net_core, "20480\n");
static const struct virtual_node *const core_children[] = {&core_optmem_max,
                                                           &core_rmem_default,
                                                           &core_rmem_max,
                                                           &core_somaxconn,
                                                           &core_wmem_default,
                                                           &core_wmem_max,
                                                           NULL};
DIRECTORY(net_core, "core", 226, &proc_sys_net, core_children);

CONSTANT(ipv4_ports, "ip_local_port_range", 230, &net_ipv4, "32768\t60999\n");
CONSTANT(ipv4_ttl, "ip_default_ttl", 231, &net_ipv4, "64\n");
CONSTANT(ipv4_forward, "ip_forward", 232, &net_ipv4, "0\n");
CONSTANT(ipv4_nonlocal, "ip_nonlocal_bind", 233, &net_ipv4, "0\n");
CONSTANT(ipv4_congestion, "tcp_congestion_control", 234, &net_ipv4, "cubic\n");
CONSTANT(ipv4_congestions, "tcp_available_congestion_control", 235, &net_ipv4, "cubic\n");
CONSTANT(ipv4_fastopen, "tcp_fastopen", 236, &net_ipv4, "0\n");
CONSTANT(ipv4_fin, "tcp_fin_timeout", 237, &net_ipv4, "60\n");
CONSTANT(ipv4_keep_interval, "tcp_keepalive_intvl", 238, &net_ipv4, "75\n");
CONSTANT(ipv4_keep_probes, "tcp_keepalive_probes", 239, &net_ipv4, "9\n");
CONSTANT(ipv4_keep_time, "tcp_keepalive_time", 240, &net_ipv4, "7200\n");
CONSTANT(ipv4_backlog, "tcp_max_syn_backlog", 241, &net_ipv4, "4096\n");
CONSTANT(ipv4_rmem, "tcp_rmem", 242, &net_ipv4, "4096\t65535\t4194304\n");
CONSTANT(ipv4_sack, "tcp_sack", 243, &net_ipv4, "1\n");
CONSTANT(ipv4_cookies, "tcp_syncookies", 244, &net_ipv4, "1\n");
CONSTANT(ipv4_timestamps, "tcp_timestamps", 245, &net_ipv4, "1\n");
CONSTANT(ipv4_scaling, "tcp_window_scaling", 246, &net_ipv4, "1\n");
CONSTANT(ipv4_wmem, "tcp_wmem", 247, &net_ipv4, "4096\t262144\t4194304\n");
CONSTANT(ipv4_first_port, "ip_unprivileged_port_start", 248, &net_ipv4, "1024\n");
static const struct virtual_node *const ipv4_children[] = {
    &ipv4_ttl,         &ipv4_forward,    &ipv4_ports,    &ipv4_nonlocal, &ipv4_first_port,
    &ipv4_congestions, &ipv4_congestion, &ipv4_fastopen, &ipv4_fin,      &ipv4_keep_interval,
    &ipv4_keep_probes, &ipv4_keep_time,  &ipv4_backlog,  &ipv4_rmem,     &ipv4_sack,
    &ipv4_cookies,     &ipv4_timestamps, &ipv4_scaling,  &ipv4_wmem,     NULL};
DIRECTORY(net_ipv4, "ipv4", 249, &proc_sys_net, ipv4_children);

static const struct virtual_node ipv6_conf, conf_all, conf_default;
CONSTANT(all_disable, "disable_ipv6", 250, &conf_all, "0\n");
CONSTANT(default_disable, "disable_ipv6", 251, &conf_default, "0\n");
CONSTANT(ipv6_bindv6only, "bindv6only", 252, &net_ipv6, "0\n");
static const struct virtual_node *const all_children[] = {&all_disable, NULL};
static const struct virtual_node *const default_children[] = {&default_disable, NULL};
DIRECTORY(conf_all, "all", 253, &ipv6_conf, all_children);
DIRECTORY(conf_default, "default", 254, &ipv6_conf, default_children);
static const struct virtual_node *const conf_children[] = {&conf_all, &conf_default, NULL};
DIRECTORY(ipv6_conf, "conf", 255, &net_ipv6, conf_children);
static const struct virtual_node *const ipv6_children[] = {&ipv6_bindv6only, &ipv6_conf, NULL};
DIRECTORY(net_ipv6, "ipv6", 256, &proc_sys_net, ipv6_children);

CONSTANT(unix_queue, "max_dgram_qlen", 257, &net_unix, "10\n");
static const struct virtual_node *const unix_children[] = {&unix_queue, NULL};
DIRECTORY(net_unix, "unix", 258, &proc_sys_net, unix_children);

static const struct virtual_node *const net_children[] = {&net_core, &net_ipv4, &net_ipv6,
                                                          &net_unix, NULL};
const struct virtual_node proc_sys_net = {.name = "net",
                                          .mode = S_IFDIR | 0555,
                                          .number = 69,
                                          .parent = &proc_sys,
                                          .children = net_children};

/* --- /sys/class/net --------------------------------------------------------------------------- */

/* A node's index is the number of the interface, from 0. */
static void address_text(struct thread *t, u32 index, struct text *to)
{
    struct net_interface f;
    (void)t;
    if (!net_interface_get(index, &f))
        return;
    for (u32 i = 0; i < NET_HARDWARE_BYTES; i++)
        text_add(to, "%s%02x", i ? ":" : "", f.loopback ? 0 : f.hardware_address[i]);
    text_add(to, "\n");
}

#define INTERFACE_TEXT(function, format, value)                                                    \
    static void function(struct thread *t, u32 index, struct text *to)                             \
    {                                                                                              \
        struct net_interface f;                                                                    \
        (void)t;                                                                                   \
        if (net_interface_get(index, &f))                                                          \
            text_add(to, format "\n", value);                                                      \
    }

INTERFACE_TEXT(mtu_text, "%u", f.mtu)
INTERFACE_TEXT(number_text, "%u", f.number)
INTERFACE_TEXT(carrier_text, "%u", f.up &&f.link_up)
INTERFACE_TEXT(flags_text, "0x%x", socket_interface_flags(&f) & 0xffff)
INTERFACE_TEXT(type_text, "%u", socket_interface_type(&f))
INTERFACE_TEXT(state_text, "%s", f.loopback ? "unknown" : f.link_up ? "up" : "down")
INTERFACE_TEXT(bytes_in_text, "%lu", f.statistics.bytes_in)
INTERFACE_TEXT(bytes_out_text, "%lu", f.statistics.bytes_out)
INTERFACE_TEXT(frames_in_text, "%lu", f.statistics.frames_in)
INTERFACE_TEXT(frames_out_text, "%lu", f.statistics.frames_out)
INTERFACE_TEXT(dropped_in_text, "%lu", f.statistics.dropped_in)
INTERFACE_TEXT(errors_in_text, "%lu", f.statistics.malformed)

static const struct virtual_node interface_node, interface_statistics, class_net;

TEXT(counter_bytes_in, "rx_bytes", 20, &interface_statistics, bytes_in_text);
TEXT(counter_bytes_out, "tx_bytes", 21, &interface_statistics, bytes_out_text);
TEXT(counter_frames_in, "rx_packets", 22, &interface_statistics, frames_in_text);
TEXT(counter_frames_out, "tx_packets", 23, &interface_statistics, frames_out_text);
TEXT(counter_dropped_in, "rx_dropped", 24, &interface_statistics, dropped_in_text);
TEXT(counter_errors_in, "rx_errors", 25, &interface_statistics, errors_in_text);
static const struct virtual_node *const counters_children[] = {&counter_bytes_in,
                                                               &counter_dropped_in,
                                                               &counter_errors_in,
                                                               &counter_frames_in,
                                                               &counter_bytes_out,
                                                               &counter_frames_out,
                                                               NULL};
DIRECTORY(interface_statistics, "statistics", 26, &interface_node, counters_children);

TEXT(interface_address, "address", 27, &interface_node, address_text);
TEXT(interface_carrier, "carrier", 28, &interface_node, carrier_text);
TEXT(interface_flags, "flags", 29, &interface_node, flags_text);
TEXT(interface_index, "ifindex", 30, &interface_node, number_text);
TEXT(interface_mtu, "mtu", 31, &interface_node, mtu_text);
TEXT(interface_state, "operstate", 32, &interface_node, state_text);
TEXT(interface_type, "type", 33, &interface_node, type_text);
static const struct virtual_node *const interface_children[] = {
    &interface_address,    &interface_carrier, &interface_flags,
    &interface_index,      &interface_mtu,     &interface_state,
    &interface_statistics, &interface_type,    NULL};
DIRECTORY(interface_node, "interface", 34, &class_net, interface_children);

/* Interfaces are found by name and told apart by their index. */
static s64 class_net_lookup(struct process *p, u32 index, const char *name, u64 bytes,
                            struct node *found)
{
    struct net_interface f;
    (void)p, (void)index;
    for (u32 i = 0; i < net_interface_count(); i++) {
        if (!net_interface_get(i, &f) || strlen(f.name) != bytes || memcmp(f.name, name, bytes))
            continue;
        *found = (struct node){NULL, &interface_node, NULL, i};
        return 0;
    }
    return -ENOENT;
}

static bool class_net_next(struct process *p, u32 index, u64 cookie, struct virtual_entry *entry)
{
    static struct net_interface f;
    (void)p, (void)index;
    if (cookie >= net_interface_count() || !net_interface_get((u32)cookie, &f))
        return false;
    *entry = (struct virtual_entry){f.name, {NULL, &interface_node, NULL, (u32)cookie}, cookie + 1};
    return true;
}

static const struct virtual_node class_net = {.name = "net",
                                              .mode = S_IFDIR | 0555,
                                              .number = 35,
                                              .parent = &sys_class,
                                              .lookup = class_net_lookup,
                                              .next = class_net_next};
static const struct virtual_node *const class_children[] = {&class_net, NULL};
const struct virtual_node sys_class = {.name = "class",
                                       .mode = S_IFDIR | 0555,
                                       .number = 36,
                                       .parent = &virtual_sys,
                                       .children = class_children};
