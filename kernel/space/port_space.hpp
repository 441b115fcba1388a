// I/O ports: 64 Ki ports, a table for each access width.
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "kernel/space/claims.hpp"

namespace backplane::kernel {

inline constexpr std::uint32_t kPorts = 65536;

struct PortEvents {
    std::function<void(const std::string& text)> unclaimed;  // once for each port and direction
    std::function<void(const Region&, bool write, std::uint64_t offset, std::uint32_t bytes, std::uint64_t value)>
        traced;
    // Stands before all devices if it is set: makes the access with `go`, or answers for them.
    std::function<std::uint64_t(std::uint32_t port, std::uint32_t bytes, bool write, std::uint64_t value,
                                const std::function<std::uint64_t()>& go)>
        access = {};
};

// Widths 1, 2, 4. A word access that nobody decodes becomes two byte accesses; a dword access that nobody decodes reads
// all ones and is dropped (board specification, section 2).
class PortSpace {
  public:
    explicit PortSpace(PortEvents events);
    std::uint32_t add(Claim claim);
    void remove(std::uint32_t id);
    const Claim* conflict(const Claim& claim) const { return claims_.conflict(claim); }
    const Claims& claims() const { return claims_; }

    std::uint64_t read(std::uint32_t port, std::uint32_t bytes) {
        port &= kPorts - 1;
        const Entry e = entries_[reads_[static_cast<std::size_t>(slot(bytes))][port]];
        if (plain(e)) return e.region->read(e.region->instance, port - e.base, bytes) & all_ones(bytes);
        return read_any(port, bytes);
    }
    void write(std::uint32_t port, std::uint32_t bytes, std::uint64_t value) {
        port &= kPorts - 1;
        const Entry e = entries_[writes_[static_cast<std::size_t>(slot(bytes))][port]];
        if (plain(e)) return e.region->write(e.region->instance, port - e.base, bytes, value & all_ones(bytes));
        write_any(port, bytes, value);
    }

  private:
    struct Entry {
        Region* region = nullptr;
        std::uint32_t base = 0;
    };
    using Table = std::array<std::uint16_t, kPorts>;  // index into entries_, 0: nobody
    static int slot(std::uint32_t bytes) { return bytes == 1 ? 0 : bytes == 2 ? 1 : 2; }
    // There is a device, and nobody watches.
    bool plain(const Entry& e) const { return e.region != nullptr && e.region->traced == 0 && !events_.access; }
    std::uint64_t read_any(std::uint32_t port, std::uint32_t bytes);
    void write_any(std::uint32_t port, std::uint32_t bytes, std::uint64_t value);
    std::uint64_t do_read(std::uint32_t port, std::uint32_t bytes);
    void do_write(std::uint32_t port, std::uint32_t bytes, std::uint64_t value);
    void refresh(std::uint64_t first, std::uint64_t last);
    std::uint16_t entry(const Claim& c);
    void report_unclaimed(std::uint32_t port, std::uint32_t bytes, bool write);

    PortEvents events_;
    Claims claims_;
    std::vector<Entry> entries_{Entry{}};
    std::vector<Table> reads_, writes_;  // by slot()
    std::bitset<2 * kPorts> reported_;
};

}  // namespace backplane::kernel
