// Motorola MC146818A real-time clock plus RAM (data sheet ADI1017R3, 1990), with the 128 bytes of later PC parts.
#pragma once

#include <array>

#include "backplane/abi/backend.h"
#include "backplane/device.hpp"
#include "calendar.hpp"

namespace backplane::rtc {

class Mc146818 : public Device<Mc146818> {
  public:
    static constexpr std::string_view kType = "rtc.mc146818";
    static constexpr u32 kBytes = 128;
    using Device::Device;
    static void describe(Schema<Mc146818>& s);

    bp_status start();
    void reset(Reset kind);
    void state(StateVisitor& v);
    bp_status restored();

  private:
    [[nodiscard]] bool is_plain(u8 index) const;  // memory that no clock changes
    u64 read(u64 offset, u32 bytes);
    void write(u64 offset, u32 bytes, u64 value);
    void write_register(u8 index, u8 value);
    void write_a(u8 value);
    void write_b(u8 value);
    u8 nvram_get(u32 index);
    void nvram_set(u32 index, u8 value);
    void inhibit(bool level);
    void expired(i64 due);

    Format format() const;
    bool dividing() const;
    bool updating() const { return dividing() && !(b_ & 0x80); }
    u64 cycle_at(i64 ns) const;
    i64 time_of(u64 cycle) const;
    unsigned periodic_shift() const;
    void synchronise();
    void pass_seconds(u64 seconds);
    u8 flags() const;
    void update_irq();
    void plan();

    static const bp_nvram kNvram;

    u32 century_ = 0;
    u32 century_copy_ = 0;

    // Battery-backed: no reset touches it, so that the board's factory setting may come before or after.
    std::array<u8, kBytes> ram_{};
    u8 index_ = 0;
    u8 a_ = 0x26;
    u8 b_ = 0x02;
    u8 c_ = 0;            // PF, AF, UF; IRQF follows from them
    i64 origin_ = 0;      // virtual time of cycle 0 of the divider chain
    u64 last_cycle_ = 0;  // up to which seconds and periodic events are accounted for
    bool inhibited_ = false;
    bool held_ = false;  // an interrupt arose while inhibited: it stays off the line until register C is read
    LineOut irq_;
    Timer timer_;
};

}  // namespace backplane::rtc
