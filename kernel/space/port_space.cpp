#include "kernel/space/port_space.hpp"

#include <algorithm>
#include <cstdio>

namespace backplane::kernel {

PortSpace::PortSpace(PortEvents events) : events_(std::move(events)), reads_(3, Table{}), writes_(3, Table{}) {}

std::uint32_t PortSpace::add(Claim claim) {
    const std::uint64_t first = claim.base, last = claim.last();
    const std::uint32_t id = claims_.add(std::move(claim));
    refresh(first, last);
    return id;
}

void PortSpace::remove(std::uint32_t id) {
    const Claim* c = claims_.find(id);
    if (!c) return;
    const std::uint64_t first = c->base, last = c->last();
    claims_.remove(id);
    refresh(first, last);
}

std::uint16_t PortSpace::entry(const Claim& c) {
    for (std::size_t i = 1; i < entries_.size(); ++i)
        if (entries_[i].region == c.region && entries_[i].base == c.base) return static_cast<std::uint16_t>(i);
    if (entries_.size() >= 0xffff) return 0;
    entries_.push_back({c.region, static_cast<std::uint32_t>(c.base)});
    return static_cast<std::uint16_t>(entries_.size() - 1);
}

void PortSpace::refresh(std::uint64_t first, std::uint64_t last) {
    last = std::min<std::uint64_t>(last, kPorts - 1);
    for (std::uint32_t bytes : {1u, 2u, 4u}) {
        for (std::uint64_t port = first; port <= last; ++port) {
            std::uint16_t read = 0, write = 0;
            for (const Claim& c : claims_.all()) {
                // The whole access has to lie inside the claim.
                if (port < c.base || port + bytes - 1 > c.last() || !(c.region->widths & bytes)) continue;
                if (!read && c.region->read) read = entry(c);
                if (!write && c.region->write) write = entry(c);
                if (read && write) break;
            }
            reads_[static_cast<std::size_t>(slot(bytes))][port] = read;
            writes_[static_cast<std::size_t>(slot(bytes))][port] = write;
        }
    }
}

std::uint64_t PortSpace::read_any(std::uint32_t port, std::uint32_t bytes) {
    if (!events_.access) return do_read(port, bytes);
    return events_.access(port, bytes, false, 0, [&] { return do_read(port, bytes); });
}

void PortSpace::write_any(std::uint32_t port, std::uint32_t bytes, std::uint64_t value) {
    if (!events_.access) return do_write(port, bytes, value);
    events_.access(port, bytes, true, value & all_ones(bytes), [&] { return do_write(port, bytes, value), 0; });
}

std::uint64_t PortSpace::do_read(std::uint32_t port, std::uint32_t bytes) {
    port &= kPorts - 1;
    if (const std::uint16_t i = reads_[static_cast<std::size_t>(slot(bytes))][port]) {
        const Entry e = entries_[i];
        const std::uint64_t value = e.region->read(e.region->instance, port - e.base, bytes) & all_ones(bytes);
        if (e.region->traced) events_.traced(*e.region, false, port - e.base, bytes, value);
        return value;
    }
    if (bytes == 2) return do_read(port, 1) | do_read(port + 1, 1) << 8;
    report_unclaimed(port, bytes, false);
    return all_ones(bytes);
}

void PortSpace::do_write(std::uint32_t port, std::uint32_t bytes, std::uint64_t value) {
    port &= kPorts - 1;
    if (const std::uint16_t i = writes_[static_cast<std::size_t>(slot(bytes))][port]) {
        const Entry e = entries_[i];
        if (e.region->traced) events_.traced(*e.region, true, port - e.base, bytes, value);
        e.region->write(e.region->instance, port - e.base, bytes, value & all_ones(bytes));
        return;
    }
    if (bytes == 2) {
        do_write(port, 1, value & 0xff);
        do_write(port + 1, 1, (value >> 8) & 0xff);
        return;
    }
    report_unclaimed(port, bytes, true);
}

void PortSpace::report_unclaimed(std::uint32_t port, std::uint32_t bytes, bool write) {
    const std::size_t bit = 2 * port + (write ? 1 : 0);
    if (!events_.unclaimed || reported_[bit]) return;
    reported_[bit] = true;
    char text[96];
    std::snprintf(text, sizeof text, "%s of %u byte%s at unclaimed port %x", write ? "write" : "read", bytes,
                  bytes == 1 ? "" : "s", port);
    events_.unclaimed(text);
}

}  // namespace backplane::kernel
