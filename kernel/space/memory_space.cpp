#include "kernel/space/memory_space.hpp"

#include <algorithm>
#include <cstdio>
#include <cstring>

namespace backplane::kernel {

const FlatRange& FlatView::at(std::uint64_t address) const {
    std::size_t low = 0, high = ranges.size() - 1;
    while (low < high) {
        const std::size_t middle = (low + high) / 2;
        if (address > ranges[middle].last)
            low = middle + 1;
        else
            high = middle;
    }
    return ranges[low];
}

MemorySpace::MemorySpace(Ram& ram, unsigned bits, MemoryEvents events)
    : ram_(ram), limit_(bits >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << bits) - 1), events_(std::move(events)) {
    rebuild();
}

std::uint32_t MemorySpace::add(Claim claim) {
    begin();
    const std::uint32_t id = claims_.add(std::move(claim));
    stale_ = true;
    end();
    return id;
}

void MemorySpace::remove(std::uint32_t id) {
    begin();
    claims_.remove(id);
    stale_ = true;
    end();
}

void MemorySpace::set_flags(std::uint32_t id, std::uint32_t flags) {
    Claim* c = claims_.find(id);
    if (!c || c->flags == flags) return;
    begin();
    c->flags = flags;
    stale_ = true;
    end();
}

void MemorySpace::end() {
    if (--batch_ > 0 || !stale_) return;
    stale_ = false;
    rebuild();
    if (events_.view_changed) events_.view_changed();
}

const FlatRange& MemorySpace::find_range(std::uint64_t address, std::uint32_t which) {
    const FlatView& view = *views_[which];
    const FlatRange& found = view.at(address);
    last_range_ = static_cast<std::size_t>(&found - view.ranges.data());
    return found;
}

void MemorySpace::show(const Views& views) {
    if (views_ == views) return;
    views_ = views;
    if (events_.view_changed) events_.view_changed();
}

bool MemorySpace::asks(const Target& t, std::uint64_t offset) const {
    return events_.access && t.kind == Target::Kind::kMemory && ram_.is_device_memory(offset);
}

void MemorySpace::rebuild() {
    std::vector<std::uint64_t> starts{0};
    for (const Claim& c : claims_.all()) {
        if (!c.flags || c.base > limit_) continue;
        starts.push_back(c.base);
        if (c.last() < limit_) starts.push_back(c.last() + 1);
    }
    std::sort(starts.begin(), starts.end());
    starts.erase(std::unique(starts.begin(), starts.end()), starts.end());

    ++version_;
    views_[BP_VIEW_NORMAL] = build(starts, BP_VIEW_NORMAL);
    const auto any = [&](std::uint32_t flag) {
        return std::any_of(claims_.all().begin(), claims_.all().end(), [=](const Claim& c) { return c.flags & flag; });
    };
    views_[BP_VIEW_SMM] = any(BP_MAP_SMM) ? build(starts, BP_VIEW_SMM) : views_[BP_VIEW_NORMAL];
    views_[BP_VIEW_SMM_CODE] = any(BP_MAP_SMM_CODE) ? build(starts, BP_VIEW_SMM_CODE) : views_[BP_VIEW_SMM];
}

std::shared_ptr<const FlatView> MemorySpace::build(const std::vector<std::uint64_t>& starts,
                                                   std::uint32_t which) const {
    auto view = std::make_shared<FlatView>();
    view->version = version_;
    for (std::size_t i = 0; i < starts.size(); ++i) {
        FlatRange r;
        r.first = starts[i];
        r.last = i + 1 < starts.size() ? starts[i + 1] - 1 : limit_;
        bool read_done = false, write_done = false;
        for (const Claim& c : claims_.all()) {
            if (c.base > r.first || c.last() < r.first || !c.seen_by(which)) continue;
            const std::uint64_t offset = r.first - c.base;
            const Target target = c.region ? Target{Target::Kind::kRegister, c.region, offset}
                                           : Target{Target::Kind::kMemory, nullptr, c.ram + offset};
            if (!read_done && c.reads()) {
                r.read = (c.flags & BP_MAP_READ) ? target : Target{Target::Kind::kDrop, nullptr, 0};
                read_done = true;
            }
            if (!write_done && c.writes()) {
                r.write = (c.flags & BP_MAP_WRITE) ? target : Target{Target::Kind::kDrop, nullptr, 0};
                write_done = true;
            }
            if (read_done && write_done) break;
        }
        view->ranges.push_back(r);
    }
    return view;
}

std::uint64_t MemorySpace::read_any(const FlatRange& r, std::uint64_t address, std::uint32_t bytes,
                                    std::uint32_t view) {
    if (address + (bytes - 1) > r.last || address + (bytes - 1) < address) {
        std::uint64_t value = 0;
        for (std::uint32_t i = 0; i < bytes; ++i) value |= read(address + i, 1, view) << (8 * i);
        return value;
    }
    const std::uint64_t offset = r.read.offset + (address - r.first);
    switch (r.read.kind) {
        case Target::Kind::kMemory: {
            const auto go = [&] {
                std::uint64_t value = 0;
                std::memcpy(&value, ram_.at(offset), bytes);
                return value;
            };
            return asks(r.read, offset) ? events_.access(nullptr, offset, bytes, false, 0, go) : go();
        }
        case Target::Kind::kRegister: return read_register(r.read, offset, bytes);
        case Target::Kind::kDrop: break;
        case Target::Kind::kNone: report_unclaimed(address, false); break;
    }
    return all_ones(bytes);
}

void MemorySpace::write_any(const FlatRange& r, std::uint64_t address, std::uint32_t bytes, std::uint64_t value,
                            std::uint32_t view) {
    if (address + (bytes - 1) > r.last || address + (bytes - 1) < address) {
        for (std::uint32_t i = 0; i < bytes; ++i) write(address + i, 1, (value >> (8 * i)) & 0xff, view);
        return;
    }
    const std::uint64_t offset = r.write.offset + (address - r.first);
    switch (r.write.kind) {
        case Target::Kind::kMemory:
            if (asks(r.write, offset)) {
                events_.access(nullptr, offset, bytes, true, value & all_ones(bytes), [&] {
                    std::memcpy(ram_.at(offset), &value, bytes);
                    mark_written(address, offset, bytes);
                    return 0;
                });
                break;
            }
            std::memcpy(ram_.at(offset), &value, bytes);
            if (events_.writable) {
                events_.writable(offset);
                events_.writable(offset + bytes - 1);
            }
            mark_written(address, offset, bytes);
            break;
        case Target::Kind::kRegister: write_register(r.write, offset, bytes, value); break;
        case Target::Kind::kDrop: break;
        case Target::Kind::kNone: report_unclaimed(address, true); break;
    }
}

// An access that the region does not decode as it stands is split into the largest aligned pieces that it does. A piece
// narrower than anything decoded reads the register around it; such a write vanishes.
std::uint64_t MemorySpace::read_register(const Target& t, std::uint64_t offset, std::uint32_t bytes) {
    Region& region = *t.region;
    if ((region.widths & bytes) && offset % bytes == 0) {
        const auto go = [&] { return region.read(region.instance, offset, bytes) & all_ones(bytes); };
        const std::uint64_t value = events_.access ? events_.access(&region, offset, bytes, false, 0, go) : go();
        if (region.traced) events_.traced(region, false, offset, bytes, value);
        return value;
    }
    if (bytes > 1) {
        const std::uint32_t half = bytes / 2;
        return read_register(t, offset, half) | read_register(t, offset + half, half) << (8 * half);
    }
    for (std::uint32_t width = 2; width <= 8; width *= 2) {
        if (!(region.widths & width)) continue;
        const std::uint64_t start = offset & ~std::uint64_t{width - 1};
        if (start + width > region.length) break;
        const auto go = [&] { return region.read(region.instance, start, width) & all_ones(width); };
        const std::uint64_t value = events_.access ? events_.access(&region, start, width, false, 0, go) : go();
        return (value >> (8 * (offset - start))) & 0xff;
    }
    return 0xff;
}

void MemorySpace::write_register(const Target& t, std::uint64_t offset, std::uint32_t bytes, std::uint64_t value) {
    Region& region = *t.region;
    if ((region.widths & bytes) && offset % bytes == 0) {
        if (region.traced) events_.traced(region, true, offset, bytes, value);
        const auto go = [&] { return region.write(region.instance, offset, bytes, value & all_ones(bytes)), 0; };
        if (events_.access)
            events_.access(&region, offset, bytes, true, value & all_ones(bytes), go);
        else
            go();
        return;
    }
    if (bytes > 1) {
        const std::uint32_t half = bytes / 2;
        write_register(t, offset, half, value & all_ones(half));
        write_register(t, offset + half, half, (value >> (8 * half)) & all_ones(half));
    }
}

void MemorySpace::mark_written(std::uint64_t address, std::uint64_t offset, std::uint64_t size) {
    const std::uint64_t last = offset + (size - 1);
    for (std::uint64_t page = offset & ~(kPageSize - 1); page <= last; page += kPageSize) {
        *ram_.dirty_flag(page) = 1;
        if (*ram_.code_flag(page) && events_.code_written) {
            const std::uint64_t from = std::max(page, offset), to = std::min(page + kPageSize - 1, last);
            events_.code_written(address + (from - offset), to - from + 1);
        }
    }
}

void MemorySpace::touched(std::uint64_t offset, std::uint64_t size) {
    if (size == 0) return;
    if (events_.stored) events_.stored(offset, size);
    const auto in_view = [&](const FlatView& view) {
        for (const FlatRange& r : view.ranges) {
            if (r.read.kind != Target::Kind::kMemory) continue;
            const std::uint64_t first = r.read.offset, last = first + (r.last - r.first);
            if (offset > last || offset + size - 1 < first) continue;
            const std::uint64_t from = std::max(first, offset), to = std::min(last, offset + size - 1);
            mark_written(r.first + (from - first), from, to - from + 1);
        }
    };
    in_view(view());
    // What only the code of system management mode sees may hold cached code, too.
    if (views_[BP_VIEW_SMM_CODE] != views_[BP_VIEW_NORMAL]) in_view(view(BP_VIEW_SMM_CODE));
}

void MemorySpace::page(std::uint64_t address, bp_page* page, std::uint32_t view) const {
    *page = {};
    address = (address & limit_) & ~(kPageSize - 1);
    const FlatRange& r = views_[view]->at(address);
    if (r.last < address + kPageSize - 1) return;  // mixed page: every access takes the slow path
    const bool reads = r.read.kind == Target::Kind::kMemory, writes = r.write.kind == Target::Kind::kMemory;
    if (!reads && !writes) return;
    const std::uint64_t read_at = r.read.offset + (address - r.first), write_at = r.write.offset + (address - r.first);
    if ((reads && asks(r.read, read_at)) || (writes && asks(r.write, write_at))) return;
    if (reads) page->read = ram_.at(read_at);
    if (writes) page->write = ram_.at(write_at);
    if (writes && events_.writable) events_.writable(write_at);
    page->code_flag = ram_.code_flag(reads ? read_at : write_at);
    if (writes) {
        for (std::size_t i = 0; i < ram_.count(); ++i) {
            const Ram::Block& b = ram_.block(i);
            if (b.watched && write_at >= b.offset && write_at < b.offset + b.size)
                page->dirty = ram_.dirty_flag(write_at);
        }
    }
}

// Stretches that touch are not put together: where one of them changes its owner, the others stay as they are.
std::uint32_t MemorySpace::ranges(bp_memory_range* ranges, std::uint32_t capacity) const {
    std::uint32_t count = 0;
    for (const FlatRange& r : view().ranges) {
        if (r.read.kind != Target::Kind::kMemory) continue;
        const std::uint64_t first = (r.first + kPageSize - 1) & ~(kPageSize - 1), end = (r.last + 1) & ~(kPageSize - 1);
        if (first < r.first || end <= first) continue;
        const std::uint64_t at = r.read.offset + (first - r.first);
        const bool writable = r.write.kind == Target::Kind::kMemory && r.write.offset == r.read.offset;
        bp_memory_range out{first, end - first, ram_.at(at), nullptr, writable, 0};
        for (std::size_t i = 0; i < ram_.count() && writable; ++i) {
            const Ram::Block& b = ram_.block(i);
            if (b.watched && at >= b.offset && at < b.offset + b.size) out.dirty = ram_.dirty_flag(at);
        }
        if (count < capacity) ranges[count] = out;
        ++count;
    }
    return count;
}

bool MemorySpace::dma_read(std::uint64_t address, void* data, std::uint64_t size) const {
    auto* out = static_cast<std::uint8_t*>(data);
    bool whole = true;
    while (size > 0) {
        address &= limit_;
        const FlatRange& r = view().at(address);
        const std::uint64_t n = std::min(size, r.last - address + 1 ? r.last - address + 1 : size);
        if (r.read.kind == Target::Kind::kMemory)
            std::memcpy(out, ram_.at(r.read.offset + (address - r.first)), n);
        else
            std::memset(out, 0xff, n), whole = false;
        address += n, out += n, size -= n;
    }
    return whole;
}

bool MemorySpace::dma_write(std::uint64_t address, const void* data, std::uint64_t size) {
    const auto* in = static_cast<const std::uint8_t*>(data);
    bool whole = true;
    while (size > 0) {
        address &= limit_;
        const FlatRange& r = view().at(address);
        const std::uint64_t n = std::min(size, r.last - address + 1 ? r.last - address + 1 : size);
        if (r.write.kind == Target::Kind::kMemory) {
            const std::uint64_t offset = r.write.offset + (address - r.first);
            std::memcpy(ram_.at(offset), in, n);
            if (events_.stored) events_.stored(offset, n);
            mark_written(address, offset, n);
        } else if (r.write.kind != Target::Kind::kDrop) {
            whole = false;
        }
        address += n, in += n, size -= n;
    }
    return whole;
}

const Region* MemorySpace::own_register(const void* instance, std::uint64_t address, std::uint64_t size,
                                        bool write) const {
    while (size > 0) {
        address &= limit_;
        const FlatRange& r = view().at(address);
        const Target& t = write ? r.write : r.read;
        if (t.kind == Target::Kind::kRegister && t.region->instance == instance) return t.region;
        const std::uint64_t n = std::min(size, r.last - address + 1 ? r.last - address + 1 : size);
        address += n, size -= n;
    }
    return nullptr;
}

void MemorySpace::report_unclaimed(std::uint64_t address, bool write) {
    if (!events_.unclaimed || reported_.size() >= 256) return;
    const std::uint64_t page = address / kPageSize;
    if (std::find(reported_.begin(), reported_.end(), page) != reported_.end()) return;
    reported_.push_back(page);
    char text[96];
    std::snprintf(text, sizeof text, "%s of unclaimed memory at %llx", write ? "write" : "read",
                  static_cast<unsigned long long>(address));
    events_.unclaimed(text);
}

}  // namespace backplane::kernel
