/* The real-time clock.  See kernel/x86/rtc.h. */
#include "kernel/x86/rtc.h"

#include "kernel/x86/port.h"
#include "runtime/memory.h"

enum {
    RTC_SECONDS = 0,
    RTC_MINUTES = 2,
    RTC_HOURS = 4,
    RTC_DAY = 7,
    RTC_MONTH = 8,
    RTC_YEAR = 9,
    RTC_A = 10,
    RTC_B = 11,
    RTC_CENTURY = 0x32
};

#define A_UPDATING     0x80
#define B_24_HOURS     0x02
#define B_BINARY       0x04
#define HOUR_AFTERNOON 0x80
#define READ_TRIES     100000

struct rtc_time {
    u32 second, minute, hour, day, month, year;
};

static u8 rtc_read(u8 at)
{
    out8(0x70, at | 0x80); /* bit 7 keeps NMI off meanwhile */
    return in8(0x71);
}

static u32 rtc_number(u8 value, u8 b)
{
    return b & B_BINARY ? value : (value >> 4) * 10u + (value & 15);
}

static struct rtc_time rtc_read_once(u8 b)
{
    u8 hour = rtc_read(RTC_HOURS);
    struct rtc_time t = {
        .second = rtc_number(rtc_read(RTC_SECONDS), b),
        .minute = rtc_number(rtc_read(RTC_MINUTES), b),
        .hour = rtc_number(hour & 0x7f, b),
        .day = rtc_number(rtc_read(RTC_DAY), b),
        .month = rtc_number(rtc_read(RTC_MONTH), b),
        .year = rtc_number(rtc_read(RTC_YEAR), b) + 2000,
    };
    if (!(b & B_24_HOURS))
        t.hour = t.hour % 12 + (hour & HOUR_AFTERNOON ? 12 : 0);
    return t;
}

/* Years that begin in March: then the leap day comes last, and months follow one formula. */
static u64 days_since_1970(const struct rtc_time *t)
{
    u64 year = t->month <= 2 ? t->year - 1 : t->year;
    u64 month = t->month <= 2 ? t->month + 9 : t->month - 3;
    u64 day = (153 * month + 2) / 5 + t->day - 1;
    return year * 365 + year / 4 - year / 100 + year / 400 + day - 719468;
}

u64 rtc_seconds(void)
{
    u8 b = rtc_read(RTC_B);
    struct rtc_time t, again;
    for (u32 i = 0; i < READ_TRIES; i++) {
        if (rtc_read(RTC_A) & A_UPDATING)
            continue;
        t = rtc_read_once(b);
        again = rtc_read_once(b);
        if (memcmp(&t, &again, sizeof(t)) != 0) /* a second began in between */
            continue;
        if (t.month < 1 || t.month > 12 || t.day < 1 || t.day > 31 || t.hour > 23 ||
            t.minute > 59 || t.second > 60 || t.year > 2099)
            return 0;
        return ((days_since_1970(&t) * 24 + t.hour) * 60 + t.minute) * 60 + t.second;
    }
    return 0;
}
