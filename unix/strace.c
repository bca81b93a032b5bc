/* strace; see unix/strace.h.  Arguments are printed from the registers as the call found them;
   strings are read with copy_in and shown as far as they are there. */
#include "unix/strace.h"

#include "kernel/log.h"
#include "kernel/machine.h"
#include "kernel/user_copy.h"
#include "runtime/format.h"

#define LINE_BYTES   400
#define STRING_BYTES 72

bool strace_enabled;

void strace_init(void)
{
    strace_enabled = boot_option("strace") != NULL;
}

struct line {
    char text[LINE_BYTES];
    u64 used;
};

static void line_add(struct line *l, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void line_add(struct line *l, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    l->used += format_text_list(l->text + l->used, LINE_BYTES - l->used, format, arguments);
    va_end(arguments);
    l->used = min(l->used, (u64)LINE_BYTES - 1);
}

static void add_string(struct line *l, u64 address)
{
    char text[STRING_BYTES];
    s64 length = address ? copy_in_string(text, address, sizeof(text)) : -1;
    if (length == -1) {
        line_add(l, address ? "0x%lx" : "NULL", address);
        return;
    }
    if (length == -2)
        text[sizeof(text) - 1] = 0;
    for (char *c = text; *c; c++)
        if (*c < ' ' || *c == 127)
            *c = '.';
    line_add(l, "\"%s\"%s", text, length == -2 ? "..." : "");
}

static void add_argument(struct line *l, char format, u64 value)
{
    switch (format) {
    case 'd':
        line_add(l, "%d", (s32)value);
        break;
    case 'u':
        line_add(l, "%lu", value);
        break;
    case 'o':
        line_add(l, "%#o", (u32)value);
        break;
    case 's':
        add_string(l, value);
        break;
    default:
        line_add(l, value ? "%#lx" : "%lx", value);
        break;
    }
}

static void add_call(struct line *l, const struct thread *t, const struct syscall_entry *e)
{
    const struct user_frame *f = &t->frame;
    const u64 arguments[] = {f->rdi, f->rsi, f->rdx, f->r10, f->r8, f->r9};
    line_add(l, "[%u] %s(", t->tid, e->name);
    for (u32 i = 0; e->format[i]; i++) {
        line_add(l, "%s", i ? ", " : "");
        add_argument(l, e->format[i], arguments[i]);
    }
    line_add(l, ")");
}

static void add_result(struct line *l, s64 result)
{
    if (result < 0 && result >= -4095)
        line_add(l, " = -%d", (int)-result);
    else if (result > 65536)
        line_add(l, " = %#lx", result);
    else
        line_add(l, " = %ld", result);
}

s64 strace_call(struct thread *t, const struct syscall_entry *e)
{
    struct line l = {.used = 0};
    l.text[0] = 0;
    add_call(&l, t, e);
    s64 result = e->enter(t);
    if (result == SYSCALL_LATER)
        line_add(&l, " ...");
    else
        add_result(&l, result);
    log_error("%s", l.text);
    return result;
}

void strace_result(struct thread *t, s64 result)
{
    struct line l = {.used = 0};
    const struct syscall_entry *e = syscall_of((u32)t->frame.orig_rax);
    line_add(&l, "[%u] ... %s", t->tid, e ? e->name : "?");
    add_result(&l, result);
    log_error("%s", l.text);
}
