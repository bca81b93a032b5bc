# What lwIP learns and would keep in a resolver that we leave out: name servers (lwip/hooks.h).
in_file('core/ipv4/dhcp.c');
replace("#if LWIP_DNS && LWIP_DHCP_MAX_DNS_SERVERS\n#if DNS_MAX_SERVERS > LWIP_DHCP_MAX_DNS_SERVERS\n",
        "#if LWIP_DHCP_MAX_DNS_SERVERS\n#if 1\n");
1;
