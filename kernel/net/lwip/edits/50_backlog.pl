# A listener's backlog: Linux's goes to 4096.
in_file('include/lwip/tcp.h');
replace("  u8_t backlog;\n  u8_t accepts_pending;\n", "  u16_t backlog;\n  u16_t accepts_pending;\n");
1;
