/* The first stack of a program (System V ABI for x86-64, 3.4.1): argc, argv, envp, the auxiliary
   vector, and above them what they point to.  It is put together in kernel memory, where every
   pointer is known before anything is written, and copied out in one go. */
#include "kernel/machine.h"
#include "kernel/user_copy.h"
#include "kernel/x86/msr.h"
#include "runtime/memory.h"
#include "unix/program.h"

#define STACK_INITIAL_MOST (1 * MiB) /* arguments and environment: E2BIG beyond */
#define STRINGS_MOST       16384
#define RANDOM_BYTES       16

enum auxiliary { /* include/uapi/linux/auxvec.h */
                 AT_NULL = 0,
                 AT_PHDR = 3,
                 AT_PHENT = 4,
                 AT_PHNUM = 5,
                 AT_PAGESZ = 6,
                 AT_BASE = 7,
                 AT_FLAGS = 8,
                 AT_ENTRY = 9,
                 AT_UID = 11,
                 AT_EUID = 12,
                 AT_GID = 13,
                 AT_EGID = 14,
                 AT_PLATFORM = 15,
                 AT_HWCAP = 16,
                 AT_CLKTCK = 17,
                 AT_SECURE = 23,
                 AT_RANDOM = 25,
                 AT_HWCAP2 = 26,
                 AT_EXECFN = 31,
                 AT_SYSINFO_EHDR = 33,
                 AT_MINSIGSTKSZ = 51,
};

struct auxiliary_entry {
    u64 type, value;
};

#define AUXILIARY_MOST  24
#define HWCAP2_FSGSBASE 2 /* rdfsbase and its like may be used */

struct stack_image {
    u8 *bytes; /* `room` of them; the last is the one below stack_top */
    u64 room;
    u64 used; /* from the top downwards */
    u64 top;  /* user address of the end */
    bool overflow;
};

/* Puts bytes below what is there; the user address where they begin. */
static u64 stack_push(struct stack_image *s, const void *from, u64 bytes)
{
    if (bytes > s->room - s->used) {
        s->overflow = true;
        return s->top;
    }
    s->used += bytes;
    memcpy(s->bytes + s->room - s->used, from, bytes);
    return s->top - s->used;
}

static void stack_align(struct stack_image *s, u64 alignment)
{
    s->used = align_up(s->used, alignment);
    if (s->used > s->room) {
        s->used = s->room;
        s->overflow = true;
    }
}

static u64 stack_push_text(struct stack_image *s, const char *text)
{
    return stack_push(s, text, strlen(text) + 1);
}

static u32 setting_count(struct filesystem *fs, const char *name, u64 *bytes)
{
    u32 count = 0;
    for (const char *text; count < STRINGS_MOST && (text = filesystem_setting(fs, name, count));
         count++)
        *bytes += strlen(text) + 1;
    return count;
}

/* The texts of a repeated setting, the last pushed first, so that they lie in ascending order. */
static void push_texts(struct stack_image *s, struct filesystem *fs, const char *name, u32 count,
                       u64 *pointers)
{
    for (u32 i = count; i > 0; i--)
        pointers[i - 1] = stack_push_text(s, filesystem_setting(fs, name, i - 1));
    pointers[count] = 0;
}

static u32 fill_auxiliary(const struct program *g, struct auxiliary_entry *to, u64 random,
                          u64 platform, u64 path)
{
    const struct program_file *f = &g->main;
    const struct auxiliary_entry entries[] = {
        {AT_SYSINFO_EHDR, g->process->memory.vdso},
        {AT_HWCAP, cpuid(1, 0).edx /* CPUID leaf 1 is the format */},
        {AT_PAGESZ, PAGE_BYTES},
        {AT_CLKTCK, 100},
        {AT_PHDR, f->image.program_header_address ? f->image.program_header_address + f->bias : 0},
        {AT_PHENT, ELF_PROGRAM_HEADER_BYTES},
        {AT_PHNUM, f->image.header.program_header_count},
        {AT_BASE, g->interpreter.inode ? g->interpreter.bias : 0},
        {AT_FLAGS, 0},
        {AT_ENTRY, f->image.header.entry + f->bias},
        {AT_UID, 0},
        {AT_EUID, 0},
        {AT_GID, 0},
        {AT_EGID, 0},
        {AT_SECURE, 0},
        {AT_RANDOM, random},
        {AT_HWCAP2, cpu_features.fsgsbase ? HWCAP2_FSGSBASE : 0},
        {AT_EXECFN, path},
        {AT_PLATFORM, platform},
        {AT_MINSIGSTKSZ, align_up(user_fpu_bytes() + 1024, 64)},
        {AT_NULL, 0},
    };
    _Static_assert(countof(entries) <= AUXILIARY_MOST, "room for all entries");
    memcpy(to, entries, sizeof(entries));
    return countof(entries);
}

struct stack_parts {
    u32 arguments, variables, auxiliary;
    u64 *words; /* argc, argv..., NULL, envp..., NULL, auxiliary vector */
    u64 count;
};

/* Everything that pointers lead to, then the words themselves. */
static void build(struct program *g, struct stack_image *s, struct stack_parts *parts)
{
    struct process *p = g->process;
    u8 random[RANDOM_BYTES];
    u64 zero = 0;
    stack_push(s, &zero, sizeof(zero));
    u64 path = stack_push_text(s, p->path);
    p->environment_end = s->top - s->used;
    push_texts(s, p->fs, "env", parts->variables, parts->words + 2 + parts->arguments);
    p->environment_start = p->argument_end = s->top - s->used;
    push_texts(s, p->fs, "arg", parts->arguments, parts->words + 1);
    p->argument_start = s->top - s->used;
    u64 platform = stack_push_text(s, "x86_64");
    random_bytes(random, sizeof(random));
    u64 random_address = stack_push(s, random, sizeof(random));
    parts->words[0] = parts->arguments;
    struct auxiliary_entry auxiliary[AUXILIARY_MOST];
    parts->auxiliary = fill_auxiliary(g, auxiliary, random_address, platform, path);
    u64 before = 3 + parts->arguments + parts->variables;
    memcpy(parts->words + before, auxiliary, parts->auxiliary * sizeof(auxiliary[0]));
    parts->count = before + 2ull * parts->auxiliary;
    s->used += (16 - (s->used + parts->count * 8) % 16) % 16;
    stack_align(s, 8);
    u64 sp = stack_push(s, parts->words, parts->count * sizeof(u64));
    p->auxv_start = sp + before * sizeof(u64);
    p->auxv_end = sp + parts->count * sizeof(u64);
}

static s64 copy_stack(struct program *g, const struct stack_image *s, u64 *sp)
{
    *sp = s->top - s->used;
    if (s->overflow) {
        g->text = "its arguments and environment are too long";
        return -E2BIG;
    }
    if (copy_out(*sp, s->bytes + s->room - s->used, s->used)) {
        g->text = "not enough memory to start it";
        return -ENOMEM;
    }
    return 0;
}

s64 program_stack(struct program *g, u64 *sp)
{
    struct process *p = g->process;
    u64 texts = PROCESS_PATH_MOST;
    struct stack_parts parts = {.arguments = setting_count(p->fs, "arg", &texts),
                                .variables = setting_count(p->fs, "env", &texts)};
    u64 bytes = (3 + parts.arguments + parts.variables + 2 * AUXILIARY_MOST) * sizeof(u64);
    struct stack_image s = {.room = min(texts + bytes + 256, STACK_INITIAL_MOST),
                            .top = p->memory.stack_top};
    s.bytes = allocate(general_heap, s.room);
    parts.words = allocate(general_heap, bytes);
    s64 result = -ENOMEM;
    g->text = "not enough memory to start it";
    if (s.bytes && parts.words) {
        build(g, &s, &parts);
        result = copy_stack(g, &s, sp);
    }
    deallocate(general_heap, parts.words, bytes);
    deallocate(general_heap, s.bytes, s.room);
    return result;
}
