// What is odd about a disk, in words that its owner can act on.
#include <algorithm>
#include <cstdio>

#include "diagnosis.hpp"

namespace backplane::doctor {
namespace {

using std::uint64_t;
using Findings = std::vector<Finding>;

std::string number(uint64_t n) { return std::to_string(n); }
std::string hex(uint64_t n) {
    char text[24];
    std::snprintf(text, sizeof text, "%llXh", static_cast<unsigned long long>(n));
    return text;
}
std::string tracks(std::uint32_t heads, std::uint32_t sectors) {
    return number(heads) + " heads and " + number(sectors) + " sectors a track";
}
bool no_geometry(std::uint32_t heads, std::uint32_t sectors) { return heads == 1 && sectors == 1; }

void about_boot_sector(Findings& all, const Volume& v, const std::string& which, uint64_t start, bool started,
                       const geometry::Chs& int13, bool logical_partition) {
    const auto& b = v.boot;
    const Severity grave = started ? Severity::kError : Severity::kWarning;
    if (b.file_system == geometry::FileSystem::kExfat) return;
    const bool by_numbers = v.code.loader != Loader::kAsksBios && v.code.loader != Loader::kVolumeLba;
    if (b.heads == 0 || b.sectors == 0) {
        all.push_back(
            {grave, "zero-geometry",
             which + ": heads (1Ah) " + number(b.heads) + ", sectors a track (18h) " + number(b.sectors) +
                 ": the file system was made by a program that did not know the geometry. Boot code that divides "
                 "by it hangs."});
    } else if (no_geometry(b.heads, b.sectors)) {
        all.push_back({grave, "one-head-one-sector",
                       which +
                           ": 1 head and 1 sector a track, as programs write it to whom a drive reported no geometry "
                           "(`CHS 41943040 1 1`). No BIOS shows such a disk by itself."});
    } else if (b.heads > 255 || b.sectors > 63) {
        all.push_back({grave, "impossible-geometry",
                       which + ": " + tracks(b.heads, b.sectors) + ", more than INT 13h has (255 and 63)."});
    } else if (by_numbers && (b.heads != int13.heads || b.sectors != int13.sectors)) {
        std::string text = which + ": the boot sector says " + tracks(b.heads, b.sectors) + " (" + hex(b.heads) +
                           " at 1Ah), INT 13h will say " + tracks(int13.heads, int13.sectors) + ".";
        if (int13.heads == 255 && int13.sectors == 63 && b.sectors == 63)
            text +=
                " In 2010 people set the byte at 1Ah to FFh by hand: that is this cure, for a disk that is shown with "
                "255 heads.";
        else if (b.heads == 255)
            text += " FFh at 1Ah is right where the disk is shown with 255 heads; here it is not.";
        all.push_back({grave, "heads", text});
    }
    if (b.hidden != start && !logical_partition)
        all.push_back(
            {grave, "hidden-sectors",
             which + ": hidden sectors (1Ch) " + number(b.hidden) + ", but it starts at sector " + number(start) +
                 ": it was made for another place on a disk, and its boot code reads from there." +
                 (start == 2048 && b.hidden == 63 ? " (63 is where XP put its first partition, 2048 where newer "
                                                    "programs do.)"
                                                  : "")});
    if (v.backup && !v.backup->readable)
        all.push_back({Severity::kWarning, "no-backup",
                       which + ": the place of the boot sector's copy is beyond the end of the disk."});
    else if (v.backup && !v.backup->present)
        all.push_back({Severity::kNote, "no-backup",
                       which + ": there is no copy of the boot sector at sector " + number(v.backup->lba) + "."});
    else if (v.backup && !v.backup->equal)
        all.push_back(
            {Severity::kNote, "backup-differs",
             which + ": the copy of the boot sector at sector " + number(v.backup->lba) + " is not equal to it."});
}

void about_entries(Findings& all, const Layout& layout) {
    for (const Partition& p : layout.partitions) {
        const std::string which = "partition " + number(p.number);
        if (p.start >= layout.sectors)
            all.push_back({Severity::kError, "beyond-end",
                           which + " starts at sector " + number(p.start) + ", beyond the end of the disk (" +
                               number(layout.sectors) + " sectors). Is the image complete?"});
        else if (p.end() > layout.sectors && p.entry.type != 0xee)
            all.push_back({Severity::kWarning, "beyond-end",
                           which + " ends " + number(p.end() - layout.sectors) +
                               " sectors beyond the end of the disk. Is the image complete?"});
        if (p.entry.type == 0xee) continue;
        if (p.agreeing.empty())
            all.push_back({Severity::kWarning, "chs-disagrees",
                           which + ": the cylinder, head and sector in the table (" + text(p.entry.first) + " to " +
                               text(p.entry.last) + ") are those of sectors " + number(p.start) + " to " +
                               number(p.end() - 1) + " under no geometry."});
        else if (layout.table && std::find(p.agreeing.begin(), p.agreeing.end(), *layout.table) == p.agreeing.end())
            all.push_back({Severity::kWarning, "chs-disagrees",
                           which + ": its entry was written under another geometry than the others'."});
    }
    if (layout.table && no_geometry(layout.table->heads, layout.table->sectors))
        all.push_back(
            {Severity::kWarning, "one-head-one-sector",
             "the partition table was written as if the disk had 1 head and 1 sector a track, as programs do to whom "
             "a drive reported no geometry (`CHS 41943040 1 1`)."});
}

void about_neighbours(Findings& all, const Layout& layout) {
    std::vector<const Partition*> in_order;
    for (const Partition& p : layout.partitions)
        if (p.number <= 4 && p.entry.type != 0xee) in_order.push_back(&p);
    std::sort(in_order.begin(), in_order.end(), [](const auto* a, const auto* b) { return a->start < b->start; });
    for (std::size_t i = 0; i + 1 < in_order.size(); ++i) {
        const Partition &a = *in_order[i], &b = *in_order[i + 1];
        const std::string both = "partitions " + number(a.number) + " and " + number(b.number);
        if (a.end() > b.start) {
            all.push_back(
                {Severity::kError, "overlap", both + " overlap by " + number(a.end() - b.start) + " sectors."});
        } else if (layout.table) {
            const auto last = geometry::address(a.end() - 1, layout.table->heads, layout.table->sectors).cylinders;
            const auto first = geometry::address(b.start, layout.table->heads, layout.table->sectors).cylinders;
            if (last == first)
                all.push_back(
                    {Severity::kNote, "shared-cylinder",
                     both + " share cylinder " + number(first) + " (of " + number(layout.table->heads) + "/" +
                         number(layout.table->sectors) +
                         "): booting does not suffer, but programs that move "
                         "partitions to whole cylinders (old sfdisk, DOS fdisk) would make them overlap. Give them "
                         "sectors (sfdisk -uS)."});
        }
    }
}

void about_gpt(Findings& all, const Layout& layout) {
    if (!layout.gpt) return;
    const auto header = [&](const GptHeader& h, const char* which) {
        if (!h.found)
            all.push_back({Severity::kWarning, "gpt", std::string("GPT: there is no ") + which + " header."});
        else if (!h.checksum_ok || !h.entries_ok)
            all.push_back({Severity::kWarning, "gpt",
                           std::string("GPT: the checksum of the ") + which + (h.checksum_ok ? " entries" : " header") +
                               " is wrong."});
    };
    header(layout.gpt->primary, "primary");
    header(layout.gpt->backup, "backup");
    const bool protective = std::any_of(layout.partitions.begin(), layout.partitions.end(),
                                        [](const Partition& p) { return p.entry.type == 0xee; });
    if (!protective)
        all.push_back({Severity::kWarning, "gpt",
                       "there is a GPT, but no protective entry in the first sector: most programs do not see it."});
    all.push_back({Severity::kNote, "gpt", "Windows XP and 2003 (32 bits) do not start from a GPT disk."});
}

}  // namespace

Findings findings(const Subject& subject, const Layout& layout, const Way& way) {
    Findings all;
    if (!layout.readable) {
        all.push_back({Severity::kError, "unreadable", "the first sector cannot be read."});
        return all;
    }
    const geometry::Chs& int13 = way.attachment.geometry.logical;
    if (layout.whole) {
        about_boot_sector(all, *layout.whole, "the volume (no partition table)", 0, true, int13, false);
        return all;
    }
    const auto started = started_partition(layout);
    if (!layout.signature)
        all.push_back({Severity::kNote, "no-signature", "no partition table (no signature 55AA in the first sector)."});
    const auto active = std::count_if(layout.partitions.begin(), layout.partitions.end(),
                                      [](const Partition& p) { return p.number <= 4 && p.entry.active; });
    if (active > 1) all.push_back({Severity::kError, "active", "more than one partition is active."});
    if (active == 0 && !layout.partitions.empty() && !layout.gpt)
        all.push_back({Severity::kNote, "active", "no partition is active."});
    if (layout.odd_flags)
        all.push_back({Severity::kWarning, "active", "an active flag in the table is neither 00h nor 80h."});
    for (const std::string& text : layout.chain) all.push_back({Severity::kWarning, "extended", text + "."});
    about_entries(all, layout);
    about_neighbours(all, layout);
    for (std::size_t i = 0; i < layout.partitions.size(); ++i) {
        const Partition& p = layout.partitions[i];
        if (!p.volume) continue;
        about_boot_sector(all, *p.volume, "partition " + number(p.number), p.start, started && *started == i, int13,
                          p.number > 4);
    }
    about_gpt(all, layout);
    const auto& way_geometry = way.attachment.geometry;
    if (!way_geometry.otherwise.empty()) all.push_back({Severity::kNote, "pinned", way_geometry.otherwise + "."});
    if (way_geometry.logical_given)
        all.push_back({Severity::kNote, "needs-256k",
                       "this geometry is handed to the firmware as it is, which needs bios-256k.bin (firmware: "
                       "bios-256k.bin)."});
    if (subject.header)
        all.push_back({Severity::kNote, "header", "the image's header says " + text(*subject.header) + "."});
    std::stable_sort(all.begin(), all.end(),
                     [](const Finding& a, const Finding& b) { return a.severity > b.severity; });
    return all;
}

}  // namespace backplane::doctor
