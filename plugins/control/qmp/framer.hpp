// Cuts a stream of bytes into JSON texts by counting brackets, so that a parser sees whole texts of bounded size and
// depth only. After a mistake it finds its way back at the next line or object.
#pragma once

#include <string>
#include <string_view>

namespace backplane {

class Framer {
  public:
    static constexpr std::size_t kMostBytes = 1 << 20;  // of one text
    static constexpr std::size_t kMostDepth = 64;

    enum class Kind {
        kNothing,  // all bytes were taken; more are needed
        kText,     // one whole object or list
        kMistake,  // what is wrong; the stream goes on
        kTooLong   // what is wrong; there is no use in going on
    };
    struct Piece {
        Kind kind = Kind::kNothing;
        std::string text;
    };
    // Takes bytes from the front of `data` up to the end of the next piece.
    Piece next(std::string_view& data);

  private:
    enum class Where { kBetween, kInside, kString, kEscape, kLost, kLostLine };
    Piece mistake(Where next, std::string text);
    Piece outside(char c);
    Piece inside(char c);

    Where where_ = Where::kBetween;
    std::string text_;
    std::string open_;  // brackets that are to be closed
    std::size_t skipped_ = 0;
};

}  // namespace backplane
