#include "calendar.hpp"

namespace backplane::rtc {
namespace {

constexpr u8 kPm = 0x80;
constexpr u8 kDontCare = 0xc0;

constexpr bool leap(u32 year) { return year % 4 == 0; }  // of the century, as the chip does it

constexpr u32 days_in(u32 month, u32 year) {
    constexpr std::array<u8, 13> kDays{31, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return kDays[month] + (month == 2 && leap(year) ? 1u : 0u);
}

bool alarm_matches(u8 alarm, u8 shown) { return (alarm & kDontCare) == kDontCare || alarm == shown; }

}  // namespace

u8 encode_number(u32 value, Format f) {
    return static_cast<u8>(f.binary ? value : (value / 10 % 10) << 4 | value % 10);
}

u32 decode_number(u8 raw, Format f) { return f.binary ? raw : (raw >> 4) * 10u + (raw & 15u); }

u8 encode_hour(u32 hour, Format f) {
    if (f.hours24) return encode_number(hour, f);
    const u32 twelve = hour % 12 ? hour % 12 : 12;
    return static_cast<u8>(encode_number(twelve, f) | (hour >= 12 ? kPm : 0));
}

u32 decode_hour(u8 raw, Format f) {
    if (f.hours24) return decode_number(raw, f) % 24;
    return decode_number(raw & 0x7f, f) % 12 + (raw & kPm ? 12 : 0);
}

Time read_time(const u8* r, Format f) {
    Time t;
    t.second = decode_number(r[kSeconds], f) % 60;
    t.minute = decode_number(r[kMinutes], f) % 60;
    t.hour = decode_hour(r[kHours], f);
    t.weekday = (decode_number(r[kWeekday], f) + 6) % 7 + 1;
    t.year = decode_number(r[kYear], f) % 100;
    t.month = decode_number(r[kMonth], f);
    if (t.month < 1 || t.month > 12) t.month = 1;
    t.day = decode_number(r[kDay], f);
    if (t.day < 1 || t.day > 31) t.day = 1;
    return t;
}

void write_time(u8* r, const Time& t, Format f) {
    r[kSeconds] = encode_number(t.second, f);
    r[kMinutes] = encode_number(t.minute, f);
    r[kHours] = encode_hour(t.hour, f);
    r[kWeekday] = encode_number(t.weekday, f);
    r[kDay] = encode_number(t.day, f);
    r[kMonth] = encode_number(t.month, f);
    r[kYear] = encode_number(t.year, f);
}

Time from_epoch(i64 seconds, u32& century) {
    constexpr i64 kDay64 = kSecondsPerDay;
    i64 days = seconds / kDay64, rest = seconds % kDay64;
    if (rest < 0) rest += kDay64, --days;
    Time t;
    t.hour = static_cast<u32>(rest / 3600), t.minute = static_cast<u32>(rest / 60 % 60),
    t.second = static_cast<u32>(rest % 60);
    t.weekday = static_cast<u32>(((days + 4) % 7 + 7) % 7) + 1;  // 1970-01-01 was a Thursday
    // Years of 365.2425 days counted from 1 March of year 0, so that the leap day comes last (proleptic Gregorian).
    const i64 shifted = days + 719468;
    const i64 era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
    const i64 of_era = shifted - era * 146097;
    const i64 year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    const i64 of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const i64 march_month = (5 * of_year + 2) / 153;
    t.day = static_cast<u32>(of_year - (153 * march_month + 2) / 5 + 1);
    t.month = static_cast<u32>(march_month < 10 ? march_month + 3 : march_month - 9);
    i64 year = year_of_era + era * 400 + (t.month <= 2 ? 1 : 0);
    if (year < 0) year = 0;
    t.year = static_cast<u32>(year % 100);
    century = static_cast<u32>(year / 100 % 100);
    return t;
}

u32 add_seconds(Time& t, u64 seconds) {
    const u64 of_day = t.hour * 3600u + t.minute * 60u + t.second + seconds;
    t.second = static_cast<u32>(of_day % 60), t.minute = static_cast<u32>(of_day / 60 % 60);
    t.hour = static_cast<u32>(of_day / 3600 % 24);
    u64 days = of_day / kSecondsPerDay;
    t.weekday = static_cast<u32>((t.weekday - 1 + days) % 7) + 1;
    u32 centuries = 0;
    constexpr u64 kDaysPerCentury = 36525;  // of the chip, with its leap year every four years
    centuries += static_cast<u32>(days / kDaysPerCentury), days %= kDaysPerCentury;
    while (days) {
        const u32 length = days_in(t.month, t.year);
        if (t.day < length) {
            const u64 step = days < length - t.day ? days : length - t.day;
            t.day += static_cast<u32>(step), days -= step;
            continue;
        }
        --days;
        t.day = 1;
        if (++t.month <= 12) continue;
        t.month = 1;
        if (++t.year < 100) continue;
        t.year = 0, ++centuries;
    }
    return centuries;
}

u64 seconds_to_alarm(const u8* r, const Time& from, Format f) {
    u64 now = from.hour * 3600u + from.minute * 60u + from.second;
    const u64 start = now++, end = start + kSecondsPerDay;
    while (now <= end) {
        const u32 second = static_cast<u32>(now % 60), minute = static_cast<u32>(now / 60 % 60),
                  hour = static_cast<u32>(now / 3600 % 24);
        if (!alarm_matches(r[kHoursAlarm], encode_hour(hour, f)))
            now = (now / 3600 + 1) * 3600;
        else if (!alarm_matches(r[kMinutesAlarm], encode_number(minute, f)))
            now = (now / 60 + 1) * 60;
        else if (!alarm_matches(r[kSecondsAlarm], encode_number(second, f)))
            ++now;
        else
            return now - start;
    }
    return 0;
}

}  // namespace backplane::rtc
