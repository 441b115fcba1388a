// Which sectors the boot code of a disk would read, and which it would really get.
//
// The master boot record's code loads the first sector of the active partition; that sector's code loads the rest of
// itself and the system's loader. Old code does both with cylinder, head and sector, and computes them with numbers
// that stand on the disk. INT 13h takes them for places under its own geometry.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "layout.hpp"

namespace backplane::doctor {

// INT 13h of SeaBIOS on one disk.
struct Int13 {
    geometry::Chs logical{};
    std::uint64_t sectors = 0;
    // As AH=08h lets callers compute the size: one cylinder is held back.
    std::uint64_t reported() const {
        return logical.cylinders > 1 ? std::uint64_t{logical.cylinders - 1} * logical.heads * logical.sectors : 0;
    }
    // Sector that AH=02h reads for an address; none: it reports an error.
    std::optional<std::uint64_t> sector_of(const geometry::Chs& chs) const;
};

struct Read {
    std::string what;
    std::uint64_t wanted = 0;  // first sector
    std::uint32_t count = 1;
    bool by_chs = false;
    geometry::Chs chs{};                    // the address asked for
    std::optional<std::uint64_t> got = {};  // none: an error
    bool right() const { return got && *got == wanted; }
};

enum class Result : std::uint8_t {
    kStarts,  // the code gets what it wants
    kFails,   // it does not
    kNothing  // there is nothing to start
};

struct Chain {
    Result result = Result::kNothing;
    std::vector<Read> reads;  // those of the master boot record and of the boot sector
    unsigned samples = 0;     // places all over the volume that the boot sector's code may be asked to read
    unsigned samples_wrong = 0;
    unsigned partition = 0;    // the one that is started; 0: none, or the whole disk
    bool placeholder = false;  // its boot sector only prints a message; judged as if Windows XP's code stood there
    bool assumed = false;      // unknown code, taken to behave like Windows XP's
    std::string why;           // one sentence for the owner
};

// The partition that would be started, as an index into `layout.partitions`.
std::optional<std::size_t> started_partition(const Layout& layout);

// `assume_code`: where the master boot record has no code, as if Windows XP's were there.
Chain run(const Layout& layout, const Int13& int13, bool assume_code = false);

}  // namespace backplane::doctor
