// What a key sends in each of the three scan code sets (IBM PS/2 Hardware Interface Technical Reference, "Keyboards").
#pragma once

#include <array>

#include "backplane/types.hpp"

namespace backplane::ps2 {

// Keys are named by their code in set 1; the keys with prefix E0h have 100h added.
inline constexpr u32 kKeys = 0x200;
inline constexpr u32 kControl = 0x1d, kRightControl = 0x11d, kAlt = 0x38, kRightAlt = 0x138;
inline constexpr u32 kShift = 0x2a, kRightShift = 0x36;
inline constexpr u32 kPrintScreen = 0x137, kSysRq = 0x54, kPause = 0x146, kPauseAlias = 0x145;

struct Sequence {
    std::array<u8, 8> bytes{};
    u32 size = 0;
    void add(u32 byte) { bytes[size++] = static_cast<u8>(byte); }
};

// The bytes of one key without regard to others. `set` is 1 or 2.
void append_key(Sequence& out, u32 set, u32 key, bool down);
// Its code in set 3; 0: the key has none.
u8 set3_code(u32 key);

// Set 3: what a key does besides its make code.
inline constexpr u8 kRepeats = 1, kBreaks = 2;
u8 set3_default_type(u8 code);

// The whole of Print Screen (with the shift that it brings along) and of Pause.
Sequence print_screen(u32 set, bool down);
Sequence pause(u32 set, bool with_control);

}  // namespace backplane::ps2
