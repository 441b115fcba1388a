#include "gpt.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

namespace backplane::doctor {
namespace {

using std::uint32_t;
using std::uint64_t;
using std::uint8_t;
using Bytes = std::span<const uint8_t>;
constexpr uint32_t kSectorBytes = geometry::kSectorBytes;
constexpr std::size_t kMostBytes = 1 << 20;  // of entries; the usual table has 16 KiB

uint32_t dword(Bytes b, std::size_t at) {
    return b[at] | uint32_t{b[at + 1]} << 8 | uint32_t{b[at + 2]} << 16 | uint32_t{b[at + 3]} << 24;
}
uint64_t qword(Bytes b, std::size_t at) { return dword(b, at) | uint64_t{dword(b, at + 4)} << 32; }

std::string guid(Bytes g) {
    char text[40];
    std::snprintf(text, sizeof text, "%08X-%04X-%04X-%02X%02X-%02X%02X%02X%02X%02X%02X", dword(g, 0),
                  dword(g, 4) & 0xffff, dword(g, 4) >> 16, g[8], g[9], g[10], g[11], g[12], g[13], g[14], g[15]);
    return text;
}

std::vector<uint8_t> entries(const geometry::Reader& reader, const GptHeader& h, uint64_t sectors) {
    const uint64_t bytes = uint64_t{h.count} * h.entry_bytes;
    if (h.count == 0 || h.entry_bytes < 128 || bytes > kMostBytes) return {};
    const uint64_t whole = (bytes + kSectorBytes - 1) / kSectorBytes;
    if (h.entries >= sectors || whole > sectors - h.entries) return {};
    std::vector<uint8_t> table(whole * kSectorBytes);
    if (!reader(h.entries, table)) return {};
    table.resize(bytes);
    return table;
}

GptHeader header(const geometry::Reader& reader, uint64_t lba, uint64_t sectors, std::vector<uint8_t>& table) {
    GptHeader h;
    h.lba = lba;
    std::array<uint8_t, kSectorBytes> sector{};
    constexpr std::string_view kMagic = "EFI PART";
    if (lba >= sectors || !reader(lba, sector) || !std::equal(kMagic.begin(), kMagic.end(), sector.begin())) return h;
    h.found = true;
    const Bytes s = sector;
    h.backup = qword(s, 32), h.entries = qword(s, 72), h.count = dword(s, 80), h.entry_bytes = dword(s, 84);
    const uint32_t size = dword(s, 12), sum = dword(s, 16), entries_sum = dword(s, 88);
    std::fill_n(sector.begin() + 16, 4, uint8_t{0});
    h.checksum_ok = size >= 92 && size <= kSectorBytes && crc32(s.first(size)) == sum;
    table = entries(reader, h, sectors);
    h.entries_ok = !table.empty() && crc32(table) == entries_sum;
    return h;
}

}  // namespace

uint32_t crc32(Bytes bytes) {
    uint32_t crc = ~0u;
    for (const uint8_t b : bytes) {
        crc ^= b;
        for (int i = 0; i < 8; ++i) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return ~crc;
}

Gpt read_gpt(const geometry::Reader& reader, uint64_t sectors) {
    Gpt gpt;
    std::vector<uint8_t> first, second;
    gpt.primary = header(reader, 1, sectors, first);
    if (sectors > 1) gpt.backup = header(reader, sectors - 1, sectors, second);
    const bool use_first = gpt.primary.checksum_ok && gpt.primary.entries_ok;
    const bool use_second = !use_first && gpt.backup.checksum_ok && gpt.backup.entries_ok;
    if (!use_first && !use_second) return gpt;
    const Bytes table = use_first ? first : second;
    const uint32_t step = (use_first ? gpt.primary : gpt.backup).entry_bytes;
    for (std::size_t at = 0, n = 1; at + step <= table.size(); at += step, ++n) {
        const Bytes e = table.subspan(at, 128);
        if (std::all_of(e.begin(), e.begin() + 16, [](uint8_t b) { return b == 0; })) continue;
        GptPartition p{static_cast<unsigned>(n), guid(e), {}, qword(e, 32), qword(e, 40)};
        for (std::size_t i = 56; i + 1 < 128 && (e[i] || e[i + 1]); i += 2)
            p.name += e[i + 1] == 0 && e[i] >= 0x20 && e[i] < 0x7f ? static_cast<char>(e[i]) : '?';
        gpt.partitions.push_back(std::move(p));
    }
    return gpt;
}

}  // namespace backplane::doctor
