// Register accesses as a guest makes them and a kernel passes them on: any width at any offset; what the region does
// not decode is split or dropped.
#pragma once

#include "backplane/testkit/board.hpp"

namespace backplane::testkit {

class GuestAccess {
  public:
    GuestAccess(Board& board, u32 region) : instance_(board.instance()), r_(board.declaration().regions.at(region)) {}

    u64 read(u64 offset, u32 bytes) const {
        if (r_.kind == BP_REGION_PORTS) {
            if (decodes(offset, bytes) && r_.read) return call_read(offset, bytes);
            return bytes == 2 ? read(offset, 1) | read(offset + 1, 1) << 8 : Board::ones(bytes);
        }
        if (!r_.read) return Board::ones(bytes);
        if (offset >= r_.length || bytes > r_.length - offset) {
            if (bytes == 1) return 0xff;
            u64 value = 0;
            for (u32 i = 0; i < bytes; ++i) value |= read(offset + i, 1) << (8 * i);
            return value;
        }
        if (decodes(offset, bytes) && offset % bytes == 0) return call_read(offset, bytes);
        if (bytes > 1) return read(offset, bytes / 2) | read(offset + bytes / 2, bytes / 2) << (4 * bytes);
        // Narrower than anything decoded: the register around it.
        for (u32 width = 2; width <= 8; width *= 2) {
            const u64 start = offset & ~u64{width - 1};
            if (r_.widths & width)
                return start + width > r_.length ? 0xff : call_read(start, width) >> (8 * (offset - start)) & 0xff;
        }
        return 0xff;
    }
    void write(u64 offset, u32 bytes, u64 value) const {
        value &= Board::ones(bytes);
        const bool ports = r_.kind == BP_REGION_PORTS;
        if (decodes(offset, bytes) && (ports || offset % bytes == 0)) {
            if (r_.write) r_.write(instance_, offset, bytes, value);
            return;
        }
        if (bytes == 1 || (ports && bytes != 2)) return;
        write(offset, bytes / 2, value);
        write(offset + bytes / 2, bytes / 2, value >> (4 * bytes));
    }

  private:
    bool decodes(u64 offset, u32 bytes) const {
        return (r_.widths & bytes) && offset < r_.length && bytes <= r_.length - offset;
    }
    u64 call_read(u64 offset, u32 bytes) const { return r_.read(instance_, offset, bytes) & Board::ones(bytes); }

    void* instance_;
    const Declaration::Region& r_;
};

}  // namespace backplane::testkit
