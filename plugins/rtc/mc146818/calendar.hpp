// The clock's calendar: ten time and alarm registers in the formats of register B, and their arithmetic.
#pragma once

#include <array>

#include "backplane/types.hpp"

namespace backplane::rtc {

// Addresses (MC146818A data sheet, "Address Map").
enum Register : u8 {
    kSeconds = 0,
    kSecondsAlarm = 1,
    kMinutes = 2,
    kMinutesAlarm = 3,
    kHours = 4,
    kHoursAlarm = 5,
    kWeekday = 6,  // 1 is Sunday
    kDay = 7,
    kMonth = 8,
    kYear = 9,
    kRegisterA = 10,
    kRegisterB = 11,
    kRegisterC = 12,
    kRegisterD = 13,
    kFirstFree = 14
};

struct Format {
    bool binary;
    bool hours24;
};

struct Time {
    u32 second = 0, minute = 0, hour = 0;
    u32 weekday = 1, day = 1, month = 1, year = 0;  // year of the century
};

u8 encode_number(u32 value, Format f);
u32 decode_number(u8 raw, Format f);
u8 encode_hour(u32 hour, Format f);
u32 decode_hour(u8 raw, Format f);

// Registers hold anything a guest wrote; fields out of range are folded into range.
Time read_time(const u8* registers, Format f);
void write_time(u8* registers, const Time& time, Format f);

// Seconds since 1970-01-01 as a date; `century` gets year / 100.
Time from_epoch(i64 seconds, u32& century);
// Adds seconds; returns how many centuries were passed.
u32 add_seconds(Time& time, u64 seconds);

constexpr u64 kSecondsPerDay = 86400;
// Seconds after `time` (1 ... kSecondsPerDay) until the clock shows the alarm's second, minute and hour, or 0 if it
// never does.
u64 seconds_to_alarm(const u8* registers, const Time& time, Format f);

}  // namespace backplane::rtc
