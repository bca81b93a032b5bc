/* Who the program is told it is, and on what machine: user, names, limits, processor. */
#pragma once

#include "unix/process.h"

/* uname.  The release is what glibc compares with the oldest kernel that it supports. */
#define IDENTITY_SYSTEM  "Linux"
#define IDENTITY_RELEASE "6.1.0-thunk"
#define IDENTITY_VERSION "#1 Thunk"
#define IDENTITY_MACHINE "x86_64"

#define TICKS_PER_SECOND 100 /* USER_HZ */

const char *identity_hostname(struct process *p);

/* Since it was started. */
u64 process_cpu_ns(struct process *p);

/* The processor as CPUID describes it. */
enum cpu_feature { CPU_SSE42, CPU_AES, CPU_AVX, CPU_AVX2 };
const char *cpu_vendor(void);
const char *cpu_name(void);
u32 cpu_family(void);
u32 cpu_model(void);
u32 cpu_stepping(void);
bool cpu_has(enum cpu_feature feature);
