// Guest-physical memory: flat views made of claims, and accesses of any size and alignment through them.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "backplane/abi/cpu.h"
#include "kernel/space/claims.hpp"
#include "kernel/space/ram.hpp"

namespace backplane::kernel {

struct Target {
    enum class Kind : std::uint8_t { kNone, kMemory, kRegister, kDrop } kind = Kind::kNone;
    Region* region = nullptr;
    std::uint64_t offset = 0;  // of the range's first byte, in guest memory or in the region
};

// One stretch of addresses in which every byte has the same owner for reads and the same owner for writes.
struct FlatRange {
    std::uint64_t first = 0, last = 0;
    Target read, write;
};

// An immutable table of ranges that covers the whole space.
struct FlatView {
    std::uint64_t version = 0;
    std::vector<FlatRange> ranges;
    const FlatRange& at(std::uint64_t address) const;
};

// What the space tells the machine about.
struct MemoryEvents {
    std::function<void()> view_changed;  // a new view is in force
    std::function<void(std::uint64_t address, std::uint64_t size)>
        code_written;                                        // a page with cached code was written by others
    std::function<void(const std::string& text)> unclaimed;  // once for each page
    std::function<void(const Region&, bool write, std::uint64_t offset, std::uint32_t bytes, std::uint64_t value)>
        traced;
    // Stands before all registers, and before the memory that devices write to themselves (`region` is null then, and
    // `offset` one of guest memory), if it is set: makes the access with `go`, or answers for them.
    std::function<std::uint64_t(const Region* region, std::uint64_t offset, std::uint32_t bytes, bool write,
                                std::uint64_t value, const std::function<std::uint64_t()>& go)>
        access = {};
    std::function<void(std::uint64_t offset)> writable = {};  // a CPU may write to this page of guest memory
    std::function<void(std::uint64_t offset, std::uint64_t size)> stored = {};  // into guest memory, and not by a CPU
};

class MemorySpace {
  public:
    MemorySpace(Ram& ram, unsigned bits, MemoryEvents events);

    // Claims. Between begin() and end() changes gather and appear as one view.
    std::uint32_t add(Claim claim);
    void remove(std::uint32_t id);
    void set_flags(std::uint32_t id, std::uint32_t flags);
    const Claim* conflict(const Claim& claim) const { return claims_.conflict(claim); }
    void begin() { ++batch_; }
    void end();
    const FlatView& view(std::uint32_t which = BP_VIEW_NORMAL) const { return *views_[which]; }
    // The views of another space instead of those of the own claims.
    using Views = std::array<std::shared_ptr<const FlatView>, BP_VIEW_SMM_CODE + 1>;
    const Views& views() const { return views_; }
    void show(const Views& views);
    const Claims& claims() const { return claims_; }
    std::uint64_t limit() const { return limit_; }  // highest address

    // Any size 1-8, any alignment, straddling anything. Unclaimed reads are all ones, unclaimed writes vanish. `view`
    // is a BP_VIEW_*.
    std::uint64_t read(std::uint64_t address, std::uint32_t bytes, std::uint32_t view = BP_VIEW_NORMAL) {
        address &= limit_;
        const FlatRange& r = range(address, view);
        std::uint64_t offset = 0;
        if (const Region* plain = plain_register(r, r.read, address, bytes, offset))
            return plain->read(plain->instance, offset, bytes) & all_ones(bytes);
        return read_any(r, address, bytes, view);
    }
    void write(std::uint64_t address, std::uint32_t bytes, std::uint64_t value, std::uint32_t view = BP_VIEW_NORMAL) {
        address &= limit_;
        const FlatRange& r = range(address, view);
        std::uint64_t offset = 0;
        if (const Region* plain = plain_register(r, r.write, address, bytes, offset))
            return plain->write(plain->instance, offset, bytes, value & all_ones(bytes));
        write_any(r, address, bytes, value, view);
    }
    void page(std::uint64_t address, bp_page* page, std::uint32_t view = BP_VIEW_NORMAL) const;

    // Of a register bank that only one vCPU sees: any size and alignment within it.
    std::uint64_t read_own(Region& region, std::uint64_t offset, std::uint32_t bytes) {
        return read_register({Target::Kind::kRegister, &region, 0}, offset, bytes);
    }
    void write_own(Region& region, std::uint64_t offset, std::uint32_t bytes, std::uint64_t value) {
        write_register({Target::Kind::kRegister, &region, 0}, offset, bytes, value);
    }

    // Normal view, as bp_cpu_bus.ranges.
    std::uint32_t ranges(bp_memory_range* ranges, std::uint32_t capacity) const;

    // As a bus master: memory only. Returns false if part of the range is no memory.
    bool dma_read(std::uint64_t address, void* data, std::uint64_t size) const;
    bool dma_write(std::uint64_t address, const void* data, std::uint64_t size);
    // The first register bank of device `instance` that a transfer of this range would reach, or nullptr.
    const Region* own_register(const void* instance, std::uint64_t address, std::uint64_t size, bool write) const;

    // Drops the cached code of a stretch of guest memory that was written behind the engines' back.
    void touched(std::uint64_t offset, std::uint64_t size);

  private:
    void rebuild();
    std::shared_ptr<const FlatView> build(const std::vector<std::uint64_t>& starts, std::uint32_t view) const;
    // As view().at(), for what a CPU accesses: mostly where it was before.
    const FlatRange& range(std::uint64_t address, std::uint32_t which) {
        const std::vector<FlatRange>& ranges = views_[which]->ranges;
        if (last_range_ < ranges.size()) {
            const FlatRange& last = ranges[last_range_];
            if (address >= last.first && address <= last.last) return last;
        }
        return find_range(address, which);
    }
    const FlatRange& find_range(std::uint64_t address, std::uint32_t which);
    // The register bank that decodes an access as it stands, if nobody watches it: nearly all accesses to devices.
    const Region* plain_register(const FlatRange& r, const Target& t, std::uint64_t address, std::uint32_t bytes,
                                 std::uint64_t& offset) const {
        if (t.kind != Target::Kind::kRegister || r.last - address < bytes - 1) return nullptr;
        offset = t.offset + (address - r.first);
        const Region& region = *t.region;
        const bool plain = (region.widths & bytes) != 0 && (offset & (bytes - 1)) == 0 && region.traced == 0;
        return plain && !events_.access ? &region : nullptr;
    }
    std::uint64_t read_any(const FlatRange& r, std::uint64_t address, std::uint32_t bytes, std::uint32_t view);
    void write_any(const FlatRange& r, std::uint64_t address, std::uint32_t bytes, std::uint64_t value,
                   std::uint32_t view);
    bool asks(const Target& t, std::uint64_t offset) const;
    std::uint64_t read_register(const Target& t, std::uint64_t offset, std::uint32_t bytes);
    void write_register(const Target& t, std::uint64_t offset, std::uint32_t bytes, std::uint64_t value);
    void mark_written(std::uint64_t address, std::uint64_t offset, std::uint64_t size);
    void report_unclaimed(std::uint64_t address, bool write);

    Ram& ram_;
    std::uint64_t limit_;
    MemoryEvents events_;
    Claims claims_;
    Views views_;  // one object where views do not differ
    std::uint64_t version_ = 0;
    std::size_t last_range_ = 0;  // where range() has found something, in some view
    int batch_ = 0;
    bool stale_ = false;
    std::vector<std::uint64_t> reported_;  // pages already reported as unclaimed
};

}  // namespace backplane::kernel
