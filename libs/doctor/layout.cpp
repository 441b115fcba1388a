#include "layout.hpp"

#include <algorithm>
#include <set>

namespace backplane::doctor {
namespace {

using geometry::BootSector;
using geometry::FileSystem;
using std::uint32_t;
using std::uint64_t;
using std::uint8_t;

constexpr std::size_t kMostLogical = 128;

uint32_t word(const Sector& s, std::size_t at) { return s[at] | uint32_t{s[at + 1]} << 8; }
uint32_t dword(const Sector& s, std::size_t at) { return word(s, at) | word(s, at + 2) << 16; }

bool read(const geometry::Reader& reader, uint64_t sectors, uint64_t lba, Sector& into) {
    return lba < sectors && reader(lba, into);
}

void locate_metadata(Volume& v) {
    const Sector& s = v.raw;
    const uint32_t scale = std::max(v.boot.sector_bytes / geometry::kSectorBytes, 1u);
    if (v.boot.file_system == FileSystem::kNtfs) {
        // Beyond 80h: a power of two, negated (clusters of more than 64 KiB).
        const uint32_t raw = s[0x0d];
        const uint64_t per_cluster = raw <= 0x80 ? raw : uint64_t{1} << std::min(256 - raw, 20u);
        const uint64_t cluster = dword(s, 0x30) | uint64_t{dword(s, 0x34)} << 32;
        if (cluster < (uint64_t{1} << 40)) v.data = cluster * per_cluster * scale;
    } else if (v.boot.file_system != FileSystem::kExfat) {
        const uint64_t size = word(s, 0x16) ? word(s, 0x16) : dword(s, 0x24);
        v.fat = uint64_t{word(s, 0x0e)} * scale;
        const uint64_t root = (uint64_t{word(s, 0x11)} * 32 + v.boot.sector_bytes - 1) / v.boot.sector_bytes;
        v.data = (word(s, 0x0e) + s[0x10] * size + root) * scale;
    }
}

std::optional<Volume> read_volume(const geometry::Reader& reader, uint64_t sectors, uint64_t start) {
    Volume v;
    if (!read(reader, sectors, start, v.raw)) return {};
    const auto boot = geometry::boot_sector(v.raw);
    if (!boot) return {};
    v.boot = *boot;
    v.code = volume_boot_code(v.raw, boot->file_system);
    if (boot->backup && *boot->backup < sectors) {
        Backup b;
        b.lba = start + *boot->backup * std::max(boot->sector_bytes / geometry::kSectorBytes, 1u);
        Sector copy{};
        b.readable = read(reader, sectors, b.lba, copy);
        const auto parsed = b.readable ? geometry::boot_sector(copy) : std::nullopt;
        b.present = parsed && parsed->file_system == boot->file_system;
        b.equal = b.present && copy == v.raw;
        v.backup = b;
    } else if (boot->backup) {
        v.backup = Backup{};
    }
    locate_metadata(v);
    return v;
}

// The few things that old disks have beside Windows, so that the picture can name them.
std::string other_content(const geometry::Reader& reader, uint64_t sectors, uint64_t start) {
    Sector s{};
    if (start + 2 < sectors && read(reader, sectors, start + 2, s) && word(s, 56) == 0xef53) return "ext2/3/4";
    if (start + 7 < sectors && read(reader, sectors, start + 7, s)) {
        constexpr std::string_view kSwap = "SWAPSPACE2";
        if (std::equal(kSwap.begin(), kSwap.end(), s.begin() + 502)) return "Linux swap";
    }
    return {};
}

void examine(const geometry::Reader& reader, uint64_t sectors, Partition& p) {
    p.extended = geometry::is_extended(p.entry.type);
    p.agreeing = agreeing(p.entry, p.start, p.count);
    if (p.extended || p.start >= sectors) return;
    Sector first{};
    p.signature = read(reader, sectors, p.start, first) && geometry::has_signature(first);
    p.volume = read_volume(reader, sectors, p.start);
    if (!p.volume) p.content = other_content(reader, sectors, p.start);
}

// Logical partitions: each table holds one of them and a link, counted from the extended partition's first sector.
void follow_chain(const geometry::Reader& reader, Layout& layout, const Partition& extended) {
    std::set<uint64_t> seen;
    uint64_t table = extended.start;
    unsigned number = 5;
    for (const Partition& p : layout.partitions) number = std::max(number, p.number + 1);
    while (true) {
        if (!seen.insert(table).second) {
            layout.chain.push_back("the chain of logical partitions comes back to sector " + std::to_string(table));
            return;
        }
        if (seen.size() > kMostLogical) {
            layout.chain.push_back("the chain of logical partitions has more than " + std::to_string(kMostLogical) +
                                   " links");
            return;
        }
        Sector s{};
        if (!read(reader, layout.sectors, table, s)) {
            layout.chain.push_back("the table of a logical partition at sector " + std::to_string(table) +
                                   " cannot be read");
            return;
        }
        if (!geometry::has_signature(s)) {
            layout.chain.push_back("there is no partition table at sector " + std::to_string(table) +
                                   ", where the chain of logical partitions goes on");
            return;
        }
        uint64_t next = 0;
        for (const geometry::Entry& e : geometry::partition_table(s)) {
            if (e.type == 0 || e.count == 0) continue;
            if (geometry::is_extended(e.type)) {
                if (next == 0) next = extended.start + e.start;
                continue;
            }
            Partition p;
            p.entry = e, p.number = number++, p.table = table, p.start = table + e.start, p.count = e.count;
            examine(reader, layout.sectors, p);
            layout.partitions.push_back(std::move(p));
        }
        if (next == 0) return;
        table = next;
    }
}

}  // namespace

Layout read_layout(const geometry::Reader& reader, uint64_t sectors) {
    Layout layout;
    layout.sectors = sectors;
    layout.readable = read(reader, sectors, 0, layout.first);
    if (!layout.readable) return layout;
    layout.signature = geometry::has_signature(layout.first);
    layout.whole = read_volume(reader, sectors, 0);
    if (layout.whole) return layout;
    layout.code = master_boot_code(layout.first);
    if (!layout.signature) return layout;
    bool protective = false;
    for (const geometry::Entry& e : geometry::partition_table(layout.first)) {
        if ((layout.first[0x1be + 16 * (e.number - 1)] & 0x7f) != 0) layout.odd_flags |= 1u << (e.number - 1);
        if (e.type == 0 || e.count == 0) continue;
        protective |= e.type == 0xee;
        Partition p;
        p.entry = e, p.number = e.number, p.start = e.start, p.count = e.count;
        examine(reader, sectors, p);
        layout.partitions.push_back(std::move(p));
    }
    const auto primary = layout.partitions;
    for (const Partition& p : primary)
        if (p.extended) follow_chain(reader, layout, p);
    Gpt gpt = read_gpt(reader, sectors);
    if (protective || gpt.primary.found || gpt.backup.found) layout.gpt = std::move(gpt);
    layout.table = table_geometry(layout.partitions);
    return layout;
}

}  // namespace backplane::doctor
