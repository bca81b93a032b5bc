/* Formatting: see runtime/format.h. */
#include "runtime/format.h"

#include "runtime/memory.h"

/* Where the text goes; `length` counts what does not fit too. */
struct output {
    char *to;
    u64 size;
    u64 length;
};

/* One conversion: %[flags][width][.precision][length]letter. */
struct conversion {
    bool left, zero, plus, space, alternate;
    bool has_precision;
    u32 width;
    u32 precision;
    u32 bytes; /* of the integer argument: 1, 2, 4, 8 */
    char letter;
};

/* Wider fields and numbers than this are cut to it: a message has no use for them. */
#define FORMAT_WIDTH_MOST 4096u

static void put(struct output *o, char c)
{
    if (o->length + 1 < o->size)
        o->to[o->length] = c;
    o->length++;
}

static void put_many(struct output *o, char c, u64 count)
{
    while (count--)
        put(o, c);
}

static void put_text(struct output *o, const char *text, u64 bytes)
{
    while (bytes--)
        put(o, *text++);
}

/* --- reading a conversion --------------------------------------------------------------------- */

static const char *parse_flags(const char *f, struct conversion *c)
{
    for (;; f++) {
        if (*f == '-')
            c->left = true;
        else if (*f == '0')
            c->zero = true;
        else if (*f == '+')
            c->plus = true;
        else if (*f == ' ')
            c->space = true;
        else if (*f == '#')
            c->alternate = true;
        else
            return f;
    }
}

static const char *parse_digits(const char *f, u32 *number)
{
    for (*number = 0; *f >= '0' && *f <= '9'; f++)
        *number = min(*number * 10 + (u32)(*f - '0'), FORMAT_WIDTH_MOST);
    return f;
}

static const char *parse_length(const char *f, struct conversion *c)
{
    c->bytes = 4;
    if (*f == 'l' || *f == 'z' || *f == 't' || *f == 'j') {
        c->bytes = 8;
        f += f[0] == 'l' && f[1] == 'l' ? 2 : 1;
    } else if (*f == 'h') {
        c->bytes = f[1] == 'h' ? 1 : 2;
        f += f[1] == 'h' ? 2 : 1;
    }
    return f;
}

static const char *parse_conversion(const char *f, struct conversion *c, va_list *arguments)
{
    f = parse_flags(f, c);
    if (*f == '*') {
        int width = va_arg(*arguments, int);
        c->left |= width < 0;
        c->width = min(width < 0 ? -(u32)width : (u32)width, FORMAT_WIDTH_MOST);
        f++;
    } else {
        f = parse_digits(f, &c->width);
    }
    if (*f == '.') {
        c->has_precision = true;
        f++;
        if (*f == '*') {
            int precision = va_arg(*arguments, int);
            c->has_precision = precision >= 0;
            c->precision = precision < 0 ? 0 : (u32)precision;
            f++;
        } else {
            f = parse_digits(f, &c->precision);
        }
    }
    f = parse_length(f, c);
    c->letter = *f;
    return *f ? f + 1 : f;
}

/* --- writing one ------------------------------------------------------------------------------ */

static void put_string(struct output *o, const struct conversion *c, const char *text)
{
    if (!text)
        text = "(null)";
    u64 bytes = 0;
    while ((!c->has_precision || bytes < c->precision) && text[bytes])
        bytes++;
    u64 padding = c->width > bytes ? c->width - bytes : 0;
    if (!c->left)
        put_many(o, ' ', padding);
    put_text(o, text, bytes);
    if (c->left)
        put_many(o, ' ', padding);
}

/* Not put_string: the character may be NUL. */
static void put_character(struct output *o, const struct conversion *c, char character)
{
    u64 padding = c->width > 1 ? c->width - 1 : 0;
    if (!c->left)
        put_many(o, ' ', padding);
    put(o, character);
    if (c->left)
        put_many(o, ' ', padding);
}

/* `sign` is what stands before the number: "-", "0x", or nothing. */
static void put_number(struct output *o, const struct conversion *c, u64 value, u32 base,
                       const char *sign)
{
    const char *digits = c->letter == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
    char text[24];
    u64 count = 0;
    for (u64 rest = value; rest; rest /= base)
        text[sizeof(text) - ++count] = digits[rest % base];
    u64 least = c->has_precision ? min(c->precision, FORMAT_WIDTH_MOST) : 1;
    if (c->letter == 'o' && c->alternate)
        least = max(least, count + 1);
    u64 zeroes = least > count ? least - count : 0;
    u64 used = strlen(sign) + zeroes + count;
    u64 padding = c->width > used ? c->width - used : 0;
    if (c->zero && !c->left && !c->has_precision) {
        zeroes += padding;
        padding = 0;
    }
    if (!c->left)
        put_many(o, ' ', padding);
    put_text(o, sign, strlen(sign));
    put_many(o, '0', zeroes);
    put_text(o, text + sizeof(text) - count, count);
    if (c->left)
        put_many(o, ' ', padding);
}

static void put_signed(struct output *o, const struct conversion *c, va_list *arguments)
{
    s64 value = c->bytes == 8 ? va_arg(*arguments, s64) : va_arg(*arguments, int);
    if (c->bytes == 1)
        value = (s8)value;
    else if (c->bytes == 2)
        value = (s16)value;
    const char *sign = value < 0 ? "-" : c->plus ? "+" : c->space ? " " : "";
    put_number(o, c, value < 0 ? -(u64)value : (u64)value, 10, sign);
}

static void put_unsigned(struct output *o, const struct conversion *c, va_list *arguments)
{
    u64 value = c->bytes == 8 ? va_arg(*arguments, u64) : va_arg(*arguments, unsigned);
    if (c->bytes < 4)
        value &= (1u << c->bytes * 8) - 1;
    u32 base = c->letter == 'u' ? 10 : c->letter == 'o' ? 8 : 16;
    bool prefix = base == 16 && c->alternate && value != 0;
    put_number(o, c, value, base, !prefix ? "" : c->letter == 'X' ? "0X" : "0x");
}

static void put_conversion(struct output *o, const struct conversion *c, va_list *arguments)
{
    switch (c->letter) {
    case 'd':
    case 'i':
        put_signed(o, c, arguments);
        break;
    case 'u':
    case 'x':
    case 'X':
    case 'o':
        put_unsigned(o, c, arguments);
        break;
    case 'p':
        put_number(o, c, (u64)va_arg(*arguments, void *), 16, "0x");
        break;
    case 's':
        put_string(o, c, va_arg(*arguments, const char *));
        break;
    case 'c':
        put_character(o, c, (char)va_arg(*arguments, int));
        break;
    case '%':
        put(o, '%');
        break;
    default:
        /* Not one of ours; its argument cannot be known, so it shows up as it was written. */
        put(o, '%');
        if (c->letter)
            put(o, c->letter);
    }
}

u64 format_text_list(char *to, u64 size, const char *format, va_list arguments)
{
    struct output o = {to, size, 0};
    va_list list;
    va_copy(list, arguments);
    while (*format) {
        if (*format != '%') {
            put(&o, *format++);
            continue;
        }
        struct conversion c = {0};
        format = parse_conversion(format + 1, &c, &list);
        put_conversion(&o, &c, &list);
    }
    va_end(list);
    if (size)
        to[min(o.length, size - 1)] = 0;
    return o.length;
}

u64 format_text(char *to, u64 size, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    u64 length = format_text_list(to, size, format, list);
    va_end(list);
    return length;
}
