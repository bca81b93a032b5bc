/* Formatting against the C library's, and buffers, which use it. */
#include "runtime/buffer.h"
#include "runtime/closure.h"
#include "runtime/format.h"
#include "runtime/random.h"
#include "test/host/harness.h"

#include <stdio.h>
#include <string.h>

/* The formats are made at run time, which is the point. */
#pragma GCC diagnostic ignored "-Wformat-nonliteral"

static void check(const char *format, ...)
{
    char ours[300], theirs[300];
    va_list list;
    va_start(list, format);
    u64 length = format_text_list(ours, sizeof(ours), format, list);
    va_end(list);
    va_start(list, format);
    int expected = vsnprintf(theirs, sizeof(theirs), format, list);
    va_end(list);
    if (length != (u64)expected || strcmp(ours, theirs) != 0) {
        note("format \"%s\": \"%s\", the C library says \"%s\"", format, ours, theirs);
        must(false);
    }
}

/* %[flags][width][.precision][length]letter with an argument that has few or many digits. */
static void check_random(struct random *r)
{
    static const char flags[] = "-0+ #", *const lengths[] = {"hh", "h", "", "l", "ll", "z", "t"};
    const char *letters = "diuxXosc%";
    char letter = letters[random_below(r, 9)], spec[64] = "<%";
    u64 value = random_next(r) >> random_below(r, 64);
    bool number = strchr("diuxXo", letter) != NULL;
    value = random_below(r, 8) ? value : 0;
    value = random_below(r, 2) ? value : -value;
    for (u32 i = 0; letter != '%' && i < 5; i++) {
        /* Flags mean nothing, or anything, with other letters. */
        if (random_below(r, 3) == 0 && (number || flags[i] == '-'))
            strncat(spec, &flags[i], 1);
    }
    if (letter != '%' && random_below(r, 2))
        sprintf(spec + strlen(spec), "%u", (u32)random_below(r, 40));
    if ((number || letter == 's') && random_below(r, 2))
        sprintf(spec + strlen(spec), ".%u", (u32)random_below(r, 30));
    u32 length = number ? (u32)random_below(r, countof(lengths)) : 2;
    sprintf(spec + strlen(spec), "%s%c>", lengths[length], letter);
    /* Flags that contradict each other are undefined for + and space with unsigned numbers. */
    if (strchr("uxXo", letter) && strpbrk(spec, "+ "))
        return;
    if (strchr("diu", letter) && strchr(spec, '#'))
        return;
    if (letter == 's')
        check(spec, value & 1 ? "a text" : "");
    else if (letter == 'c')
        check(spec, 'a' + (int)(value % 26));
    else if (length > 2)
        check(spec, value);
    else
        check(spec, (u32)value);
}

static void test_fixed(void)
{
    char text[100];
    check("plain %d %s %c %%", -5, "text", 'x');
    check("%*d|%-*d|%.*s|%.*d", 8, 5, -8, 5, 3, "abcdef", -1, 7);
    check("%lld %llu %lx", (long long)INT64_MIN, ~0ull, ~0ul);
    check("%hhd %hd %hhu", 200, 40000, 300);
    const char *volatile null = NULL; /* volatile: gcc would see what is wrong with it */
    is(format_text(text, sizeof(text), "%s", null), 6, "a null string is shown");
    is_string(text, "(null)", "as (null)");
    format_text(text, sizeof(text), "%p", (void *)0xabc);
    is_string(text, "0xabc", "a pointer");
    is(format_text(text, 5, "%s", "longer than that"), 16, "the whole length is returned");
    is_string(text, "long", "of a text that was cut, and terminated");
    text[0] = 'x';
    is(format_text(text, 0, "%d", 12345), 5, "with no room at all only the length");
    ok(text[0] == 'x', "and nothing is written");
    const char *unknown = "%k and %";
    va_list none;
    memset((void *)none, 0, sizeof(none));
    format_text_list(text, sizeof(text), unknown, none);
    is_string(text, "%k and %", "an unknown conversion is shown as it is");
}

static void test_buffer(struct random *r)
{
    struct counting_heap h;
    struct buffer b;
    static u8 expected[20000];
    u64 length = 0;
    counting_heap_init(&h, "buffer");
    buffer_init(&b, &h.h);
    while (length + 100 < sizeof(expected)) {
        u64 bytes = random_below(r, 90);
        random_fill(r, expected + length, bytes);
        buffer_add(&b, expected + length, bytes);
        length += bytes;
    }
    ok(b.length == length && memcmp(b.bytes, expected, length) == 0, "a buffer keeps what it got");
    buffer_clear(&b);
    bool kept = true;
    for (u32 i = 0; i < 1000; i++)
        buffer_add_byte(&b, (u8)(i * 7));
    for (u32 i = 0; i < 1000; i++)
        kept &= b.bytes[i] == (u8)(i * 7);
    ok(kept && b.length == 1000, "byte by byte too");
    buffer_clear(&b);
    buffer_add_byte(&b, 1);
    buffer_add_u16(&b, 0x0302);
    buffer_add_u32(&b, 0x07060504);
    buffer_add_u64(&b, 0x0f0e0d0c0b0a0908);
    buffer_add_zeroes(&b, 2);
    buffer_add_format(&b, "%s-%d", "text", 42);
    ok(b.length == 24 &&
           memcmp(b.bytes, "\1\2\3\4\5\6\7\10\11\12\13\14\15\16\17\0\0text-42", 24) == 0,
       "numbers are little-endian, text comes without its end");
    ok(!buffer_extend(&b, ~0ull) && buffer_failed(&b), "more than there can be is refused");
    buffer_add_byte(&b, 1);
    ok(b.length == 24 && buffer_failed(&b), "and a buffer that failed stays as it is");
    buffer_clear(&b);
    ok(!buffer_failed(&b) && h.live == 0, "until it is cleared");
    counting_heap_close(&h);
}

closure_function(allocation_test, fill_buffer, (), heap h)
{
    struct buffer b;
    buffer_init(&b, h);
    for (u32 i = 0; i < 1000; i++) {
        buffer_add_u32(&b, i);
        buffer_add_format(&b, "%u", i);
    }
    bool whole = !buffer_failed(&b);
    buffer_clear(&b);
    return whole;
}

int main(void)
{
    struct random r;
    random_init(&r, test_seed());
    test_fixed();
    for (u32 i = 0; i < 100000; i++)
        check_random(&r);
    ok(true, "100000 random conversions are the C library's");
    test_buffer(&r);
    fail_each_allocation("a buffer", stack_closure(fill_buffer));
    return done_testing();
}
