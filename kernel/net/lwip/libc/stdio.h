/* The C library's header as lwIP includes it; nothing of it is used. */
#pragma once
