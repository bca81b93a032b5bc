/* The C library's header as lwIP includes it. */
#pragma once

int atoi(const char *text); /* kernel/net/lwip_port.c */
