/* From kernel_start to a machine that runs closures: kernel/init.c and the test kernel begin here.
 */
#pragma once

#include "kernel/boot_info.h"

void machine_bring_up(const struct boot_info *boot);
