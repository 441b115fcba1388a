// The guest in front of a Rig's device: where it looks, what it writes, and how it looks at everything at once.
#pragma once

#include <array>
#include <string>

#include "backplane/testkit/guest_access.hpp"
#include "backplane/testkit/random.hpp"
#include "backplane/testkit/verdict.hpp"

namespace backplane::testkit {

class Guest {
  public:
    // A random access. Guests stay with a register and its neighbours for a while, and write back what they have read:
    // index and data, status and acknowledgement.
    void access(Board& board, Random& random, Case& check) {
        const auto& regions = board.declaration().regions;
        if (random.one_in(4) || region_ >= regions.size())
            region_ = random.small(static_cast<u32>(regions.size())), offset_ = 0;
        const Declaration::Region& r = regions[region_];
        const u32 bytes = 1u << random.below(r.kind == BP_REGION_MEMORY ? 4 : 3);
        choose_offset(r, bytes, random);
        const GuestAccess guest(board, region_);
        if (random.one_in(2)) {
            u64 value = random.value(bytes);
            if (random.one_in(6)) value = value_ ^ (random.one_in(2) ? 0 : u64{1} << random.below(8 * bytes));
            value_ = value & Board::ones(bytes);
            check.doing("write of %u bytes at offset 0x%llx of region %s, value 0x%llx", bytes, number(offset_),
                        r.name.c_str(), number(value_));
            guest.write(offset_, bytes, value_);
        } else {
            check.doing("read of %u bytes at offset 0x%llx of region %s", bytes, number(offset_), r.name.c_str());
            value_ = guest.read(offset_, bytes);
            note(board, r, offset_, value_);
        }
    }

    // Reads all registers once.
    static void sweep(Board& board, Case& check) {
        for (u32 i = 0; i < board.declaration().regions.size(); ++i) {
            const Declaration::Region& r = board.declaration().regions[i];
            const u32 bytes = narrowest(r);
            for (u64 offset = 0; offset + bytes <= std::min<u64>(r.length, 4096); offset += bytes)
                read(board, i, offset, check);
        }
    }
    // Many registers stand behind others: writes 0, 1, 2 ... to each and reads its neighbours.
    static void sweep_indexed(Board& board, Case& check) {
        for (u32 i = 0; i < board.declaration().regions.size(); ++i) {
            const Declaration::Region& r = board.declaration().regions[i];
            if (!r.read || !r.write) continue;
            const u32 bytes = narrowest(r);
            for (u64 offset = 0; offset + bytes <= std::min<u64>(r.length, 16); offset += bytes)
                for (u64 index = 0; index < 48; ++index) {
                    check.doing("write of %u bytes at offset 0x%llx of region %s, value 0x%llx", bytes, number(offset),
                                r.name.c_str(), number(index));
                    GuestAccess(board, i).write(offset, bytes, index);
                    for (const u64 neighbour : {offset + bytes, offset + 2 * bytes, offset + 16})
                        if (neighbour + bytes <= r.length) read(board, i, neighbour, check);
                }
        }
    }

  private:
    static unsigned long long number(u64 value) { return value; }
    static u32 narrowest(const Declaration::Region& r) {
        return r.widths & 1 ? 1 : r.widths & 2 ? 2 : r.widths & 4 ? 4 : 8;
    }
    static void note(Board& board, const Declaration::Region& r, u64 offset, u64 value) {
        if (!board.observe) return;
        char text[160];
        std::snprintf(text, sizeof text, "%.64s+0x%llx reads 0x%llx", r.name.c_str(), number(offset), number(value));
        board.observe(text);
    }
    static void read(Board& board, u32 region, u64 offset, Case& check) {
        const Declaration::Region& r = board.declaration().regions[region];
        check.doing("read of %u bytes at offset 0x%llx of region %s", narrowest(r), number(offset), r.name.c_str());
        note(board, r, offset, GuestAccess(board, region).read(offset, narrowest(r)));
    }
    // Registers stand at the start; the edges are where things break.
    void choose_offset(const Declaration::Region& r, u32 bytes, Random& random) {
        switch (random.below(8)) {
            case 0: offset_ = random.below(r.length); break;
            case 1: offset_ = r.length - std::min<u64>(r.length, 1 + random.below(8)); break;
            case 2: offset_ = random.below(std::min<u64>(r.length, 64)); break;
            case 3: offset_ = random.below(std::min<u64>(r.length, 1024)) & ~u64{15}; break;
            case 4: offset_ += 1; break;
            case 5: offset_ -= 1; break;
            case 6: offset_ += bytes; break;
            default: break;
        }
        if (random.one_in(2)) offset_ &= ~u64{bytes - 1};
        if (offset_ >= r.length) offset_ = 0;
    }

    u32 region_ = ~u32{0};
    u64 offset_ = 0, value_ = 0;
};

}  // namespace backplane::testkit
