// SMBus host controller of the PIIX4 (82371AB data sheet 290562-001, chapter 11.5) with eight memory-module EEPROMs on
// it.
#pragma once

#include <array>

#include "backplane/state.hpp"
#include "backplane/types.hpp"

namespace backplane {

class SmbusHost {
  public:
    void power_on();
    void reset();
    void state(StateVisitor& v);
    u8 read(u64 offset);
    void write(u64 offset, u8 value);

  private:
    static constexpr u32 kEeproms = 8;
    // A 24C02 as the bus sees it: a pointer that every byte moves on.
    struct Eeprom {
        std::array<u8, 256> data{};
        u8 pointer = 0;
        u8 next() { return data[pointer++]; }
        void store(u8 value) { data[pointer++] = value; }
    };

    void start();
    bool transfer(Eeprom& eeprom, u32 protocol, bool reads);

    u8 status_ = 0;
    u8 control_ = 0;
    u8 command_ = 0;
    u8 address_ = 0;
    u8 data0_ = 0;
    u8 data1_ = 0;
    std::array<u8, 32> block_{};
    u8 index_ = 0;
    std::array<Eeprom, kEeproms> eeproms_;
};

}  // namespace backplane
