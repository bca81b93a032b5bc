/* The C library's header as lwIP includes it: what the kernel has of it. */
#pragma once

#include "runtime/memory.h"
