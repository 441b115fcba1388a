// Packets of the remote serial protocol ("Debugging with GDB", appendix E): $data#checksum, acknowledgements, Ctrl-C.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "backplane/types.hpp"

namespace backplane::gdb {

// What a client may send in one packet, and gets at most.
inline constexpr std::size_t kPacketSize = 0x4000;

// $data#checksum, with what must not stand in the data escaped.
std::string framed(std::string_view data);

// Cuts a stream of bytes into what it says.
class Decoder {
  public:
    enum class Kind {
        kPacket,     // text: its data, escapes resolved
        kTooLong,    // a packet whose data is lost
        kDamaged,    // a wrong checksum
        kRepeat,     // '-'
        kInterrupt,  // 03h outside a packet
    };
    struct Piece {
        Kind kind;
        std::string text;
    };
    // Takes bytes from the front up to the end of the next piece; nothing: all were taken, more are needed.
    std::optional<Piece> next(std::string_view& bytes);

  private:
    enum class Where { kOutside, kData, kEscaped, kFirstDigit, kSecondDigit };
    Where where_ = Where::kOutside;
    std::string data_;
    bool too_long_ = false;
    unsigned sum_ = 0, said_ = 0;
    bool digits_good_ = true;
};

// Numbers and bytes in hexadecimal.
int hex_digit(char c);  // -1: none
std::string hex(std::string_view bytes);
std::string hex_number(u64 value);
std::optional<std::string> unhex(std::string_view text);
// Takes a number from the front; nothing if there is none or it has more than 64 bits.
std::optional<u64> take_hex(std::string_view& text);

}  // namespace backplane::gdb
