/* The generator behind random_bytes (kernel/machine.h). */
#pragma once

#include "runtime/types.h"

/* Adds what boot gathered.  Once, at boot. */
void random_seed(u64 entropy);
