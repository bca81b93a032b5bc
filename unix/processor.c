/* What CPUID says about the processor, in the words of /proc/cpuinfo (Intel SDM 2A, CPUID). */
#include <cpuid.h>

#include "runtime/memory.h"
#include "unix/identity.h"

const char *cpu_vendor(void)
{
    static char text[13];
    u32 eax, words[3];
    __cpuid(0, eax, words[0], words[2], words[1]);
    (void)eax;
    memcpy(text, words, 12);
    return text;
}

const char *cpu_name(void)
{
    static char text[49];
    u32 words[12];
    if ((u32)__get_cpuid_max(0x80000000u, NULL) < 0x80000004u)
        return "unknown";
    for (u32 i = 0; i < 3; i++)
        __cpuid(0x80000002u + i, words[i * 4], words[i * 4 + 1], words[i * 4 + 2],
                words[i * 4 + 3]);
    memcpy(text, words, sizeof(words));
    const char *start = text;
    while (*start == ' ')
        start++;
    return start;
}

static u32 signature(void)
{
    u32 eax, ebx, ecx, edx;
    __cpuid(1, eax, ebx, ecx, edx);
    (void)ebx, (void)ecx, (void)edx;
    return eax;
}

u32 cpu_family(void)
{
    u32 s = signature(), family = s >> 8 & 15;
    return family == 15 ? family + (s >> 20 & 0xff) : family;
}

u32 cpu_model(void)
{
    u32 s = signature(), family = s >> 8 & 15, model = s >> 4 & 15;
    return family == 6 || family == 15 ? model | (s >> 12 & 0xf0) : model;
}

u32 cpu_stepping(void)
{
    return signature() & 15;
}

bool cpu_has(enum cpu_feature feature)
{
    u32 eax, ebx, ecx, edx;
    __cpuid(1, eax, ebx, ecx, edx);
    bool system_saves_avx = ecx & bit_OSXSAVE;
    switch (feature) {
    case CPU_SSE42:
        return ecx & bit_SSE4_2;
    case CPU_AES:
        return ecx & bit_AES;
    case CPU_AVX:
        return system_saves_avx && ecx & bit_AVX;
    case CPU_AVX2:
        return system_saves_avx && __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) &&
               ebx & bit_AVX2;
    }
    return false;
}
