// Disks for tests: the sectors that matter, everything else zero.
#pragma once

#include <algorithm>
#include <cstring>
#include <map>
#include <string_view>

#include "doctor/diagnosis.hpp"

namespace backplane::doctor::test {

inline void put(std::uint8_t* at, std::uint64_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) at[i] = static_cast<std::uint8_t>(value >> (8 * i));
}

struct Disk {
    std::uint64_t sectors = 20971520;
    std::map<std::uint64_t, Sector> content = {};

    static void sign(Sector& s) { s[510] = 0x55, s[511] = 0xaa; }
    static void text(Sector& s, std::size_t at, std::string_view words) {
        std::memcpy(&s[at], words.data(), words.size());
    }
    static void code(Sector& s, std::size_t at, std::initializer_list<std::uint8_t> bytes) {
        std::copy(bytes.begin(), bytes.end(), s.begin() + static_cast<std::ptrdiff_t>(at));
    }
    static void chs(std::uint8_t* at, std::uint64_t lba, Tracks t) {
        geometry::Chs c = geometry::address(lba, t.heads, t.sectors);
        if (c.cylinders > 1023) c = {1023, 254, 63};
        at[0] = static_cast<std::uint8_t>(c.heads);
        at[1] = static_cast<std::uint8_t>(c.sectors | (c.cylinders >> 8) << 6);
        at[2] = static_cast<std::uint8_t>(c.cylinders);
    }

    // Recognizable features of boot code, no code.
    void dos_mbr() {
        code(content[0], 0, {0xfa, 0x33, 0xc0}), text(content[0], 0x8b, "Invalid partition table"), sign(content[0]);
    }
    void xp_mbr() {
        code(content[0], 0, {0x33, 0xc0, 0x8e, 0xd0, 0xbc});
        code(content[0], 0xa0, {0xb4, 0x08, 0xcd, 0x13, 0xbb, 0xaa, 0x55, 0xb4, 0x41, 0xcd, 0x13});
        text(content[0], 0x12c, "Invalid partition table"), sign(content[0]);
    }
    void debian_mbr() { text(content[0], 0x18c, "MBR "), text(content[0], 0x1a0, "1234F"), sign(content[0]); }
    void entry(unsigned number, std::uint32_t start, std::uint32_t count, Tracks t, bool active = true,
               std::uint8_t type = 7, std::uint64_t table = 0, std::uint64_t base = 0) {
        Sector& s = content[table];
        sign(s);
        std::uint8_t* e = &s[0x1be + 16 * (number - 1)];
        e[0] = active ? 0x80 : 0, e[4] = type;
        const std::uint64_t absolute = base + start;
        chs(e + 1, absolute, t), chs(e + 5, absolute + count - 1, t);
        put(e + 8, start, 4), put(e + 12, count, 4);
    }
    // An XP volume with its copy.
    void ntfs(std::uint64_t start, std::uint64_t count, Tracks t, std::uint32_t hidden,
              std::string_view words = "NTLDR is missing") {
        Sector s{};
        s[0] = 0xeb, s[1] = 0x52, s[2] = 0x90;
        text(s, 3, "NTFS    ");
        put(&s[0x0b], 512, 2), s[0x0d] = 8, s[0x15] = 0xf8;
        put(&s[0x18], t.sectors, 2), put(&s[0x1a], t.heads, 2), put(&s[0x1c], hidden, 4), put(&s[0x28], count - 1, 8);
        put(&s[0x30], std::min<std::uint64_t>(786432, count / 16), 8);
        text(s, 0x180, words), sign(s);
        content[start] = s, content[start + count - 1] = s;
    }
    Subject subject(geometry::Settings settings = {}, geometry::Policy policy = geometry::Policy::kQemu012) {
        Subject s;
        s.image = "disk.img", s.sectors = sectors, s.settings = settings, s.policy = policy;
        s.reader = [this](std::uint64_t lba, std::span<std::uint8_t> bytes) {
            for (std::size_t at = 0; at < bytes.size(); at += 512, ++lba) {
                if (lba >= sectors) return false;
                const auto found = content.find(lba);
                if (found == content.end())
                    std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(at), 512, std::uint8_t{0});
                else
                    std::copy(found->second.begin(), found->second.end(),
                              bytes.begin() + static_cast<std::ptrdiff_t>(at));
            }
            return true;
        };
        return s;
    }
    void write(const std::vector<Write>& writes) {
        for (const Write& w : writes) content[w.lba] = w.after;
    }
};

// One partition from `start` over most of the disk, XP everywhere; table and boot sector written under the geometries
// given.
inline Disk windows(Tracks table, Tracks boot, std::uint32_t start = 63, std::uint32_t hidden = 63,
                    std::uint64_t sectors = 20971520) {
    Disk d{sectors};
    d.xp_mbr();
    const std::uint32_t track = table.heads * table.sectors;
    const auto count = static_cast<std::uint32_t>(sectors / track * track) - start;
    d.entry(1, start, count, table);
    d.ntfs(start, count, boot, hidden);
    return d;
}

inline bool has(const Diagnosis& d, std::string_view id) {
    return std::any_of(d.findings.begin(), d.findings.end(), [&](const Finding& f) { return f.id == id; });
}
inline const Cure* cure(const Diagnosis& d, std::string_view id) {
    for (const Cure& c : d.cures)
        if (c.id == id) return &c;
    return nullptr;
}
inline Result way(const Diagnosis& d, std::string_view id) {
    for (const Way& w : d.ways)
        if (w.attachment.id == id) return w.chain.result;
    return Result::kNothing;
}

}  // namespace backplane::doctor::test
