#include "boot_chain.hpp"

#include <algorithm>

namespace backplane::doctor {
namespace {

using geometry::Chs;
using geometry::FileSystem;
using std::uint32_t;
using std::uint64_t;

constexpr uint32_t kBootSectors = 16;  // that NTFS boot code loads first
constexpr uint32_t kRecordSectors = 8;
constexpr unsigned kSamples = 64;

std::string geometry_text(uint32_t heads, uint32_t sectors) {
    return std::to_string(heads) + " heads, " + std::to_string(sectors) + " sectors a track";
}

std::string place(const Chs& c) {
    return "cylinder " + std::to_string(c.cylinders) + ", head " + std::to_string(c.heads) + ", sector " +
           std::to_string(c.sectors);
}

// Reads of a boot sector's code: pieces of tracks, as the code itself computes them.
struct VolumeReader {
    const Int13& int13;
    uint32_t heads, sectors;
    uint64_t hidden;
    Loader loader;
    uint64_t start;  // where the volume really is

    bool by_chs(uint64_t lba) const {
        if (loader == Loader::kVolumeChs) return true;
        return loader == Loader::kVolumeChsThenLba && lba < int13.reported();
    }
    void read(const std::string& what, uint64_t relative, uint32_t count, std::vector<Read>& into) const {
        while (count > 0) {
            Read r{what, start + relative};
            const uint64_t asked = hidden + relative;  // the code adds the hidden sectors, right or wrong
            r.count = count;
            r.by_chs = by_chs(asked);
            if (r.by_chs) {
                r.chs = geometry::address(asked, heads, sectors);
                r.count = std::min<uint32_t>(count, sectors - (r.chs.sectors - 1));
                // Ten bits of the cylinder reach INT 13h.
                r.got = int13.sector_of({r.chs.cylinders & 1023, r.chs.heads, r.chs.sectors});
            } else if (asked < int13.sectors) {
                r.got = asked;
            }
            relative += r.count, count -= r.count;
            into.push_back(std::move(r));
        }
    }
};

void explain(Chain& chain, const Volume& v, const Int13& int13, uint64_t start) {
    const auto& b = v.boot;
    if (b.hidden != start) {
        chain.why = "the boot sector counts from sector " + std::to_string(b.hidden) +
                    " (hidden sectors, 1Ch), but the partition starts at sector " + std::to_string(start);
        if (b.heads != int13.logical.heads || b.sectors != int13.logical.sectors)
            chain.why += "; it also computes with " + geometry_text(b.heads, b.sectors) + ", but INT 13h has " +
                         geometry_text(int13.logical.heads, int13.logical.sectors);
        return;
    }
    chain.why = "the boot sector computes with " + geometry_text(b.heads, b.sectors) + ", but INT 13h has " +
                geometry_text(int13.logical.heads, int13.logical.sectors);
}

void run_volume(Chain& chain, const Volume& v, const Int13& int13, uint64_t start, uint64_t count) {
    Loader loader = v.code.loader;
    if (loader == Loader::kNothing || loader == Loader::kMessage) chain.placeholder = true, loader = Loader::kUnknown;
    if (v.boot.file_system == FileSystem::kExfat && loader == Loader::kUnknown) loader = Loader::kVolumeLba;
    if (loader == Loader::kAsksBios) {
        chain.result = Result::kStarts;
        return;
    }
    if (loader == Loader::kUnknown) {
        chain.assumed = !chain.placeholder;
        loader = Loader::kVolumeChsThenLba;
    }
    const bool uses_chs = loader != Loader::kVolumeLba;
    if (uses_chs && (v.boot.heads == 0 || v.boot.sectors == 0)) {
        chain.result = Result::kFails;
        chain.why = "the boot sector says " + geometry_text(v.boot.heads, v.boot.sectors) +
                    ": its code would divide by zero and hang";
        return;
    }
    if (uses_chs && (v.boot.heads > 256 || v.boot.sectors > geometry::kMaxSectors)) {
        chain.result = Result::kFails;
        chain.why = "the boot sector says " + geometry_text(v.boot.heads, v.boot.sectors) +
                    ", which no disk has: its code would ask for sectors that do not exist";
        return;
    }
    const VolumeReader reader{int13, v.boot.heads, v.boot.sectors, v.boot.hidden, loader, start};
    std::vector<Read> reads;
    const bool ntfs = v.boot.file_system == FileSystem::kNtfs;
    if (ntfs) reader.read("boot code", 0, kBootSectors, reads);
    if (v.fat) reader.read("first FAT", v.fat, 1, reads);
    if (v.data && v.data < count) reader.read(ntfs ? "master file table" : "first file", v.data, kRecordSectors, reads);
    // Any file may lie anywhere: places at equal distances all over the volume.
    std::vector<Read> samples;
    for (unsigned i = 1; i <= kSamples && count > kSamples; ++i)
        reader.read("a file", (count - 1) / kSamples * i, 1, samples);
    chain.samples = static_cast<unsigned>(samples.size());
    const auto wrong = [](const Read& r) { return !r.right(); };
    chain.samples_wrong = static_cast<unsigned>(std::count_if(samples.begin(), samples.end(), wrong));
    const bool bad = std::any_of(reads.begin(), reads.end(), wrong) || chain.samples_wrong > 0;
    chain.reads.insert(chain.reads.end(), reads.begin(), reads.end());
    if (chain.samples_wrong > 0) chain.reads.push_back(*std::find_if(samples.begin(), samples.end(), wrong));
    chain.result = bad ? Result::kFails : Result::kStarts;
    if (!bad) return;
    const bool only_end =
        std::all_of(samples.begin(), samples.end(), [&](const Read& r) { return r.right() || (!r.by_chs && !r.got); });
    if (v.boot.hidden == start && only_end)
        chain.why = "the partition goes beyond the end of the disk: files there cannot be read";
    else
        explain(chain, v, int13, start);
}

// The first sector of the partition, loaded by the master boot record.
bool run_table(Chain& chain, const Layout& layout, const Partition& p, const Int13& int13) {
    Read r{"boot sector of partition " + std::to_string(p.number), p.start};
    Loader loader = layout.code.loader;
    if (loader == Loader::kUnknown) chain.assumed = true;
    if (loader == Loader::kUnknown || loader == Loader::kNothing) loader = Loader::kTableChsThenLba;
    r.by_chs = loader == Loader::kTableChs || (loader == Loader::kTableChsThenLba && p.start < int13.reported());
    if (r.by_chs) {
        r.chs = p.entry.first;
        r.got = int13.sector_of(p.entry.first);
    } else if (p.start < int13.sectors) {
        r.got = p.start;
    }
    chain.reads.push_back(r);
    if (r.right()) return true;
    chain.result = Result::kFails;
    if (!r.by_chs)
        chain.why = "partition " + std::to_string(p.number) + " starts beyond the end of the disk";
    else
        chain.why = "the partition table says that partition " + std::to_string(p.number) + " starts at " +
                    place(r.chs) + "; with " + geometry_text(int13.logical.heads, int13.logical.sectors) + " that is " +
                    (r.got ? "sector " + std::to_string(*r.got) : std::string("no place on the disk")) +
                    ", but the partition starts at sector " + std::to_string(p.start);
    return false;
}

}  // namespace

std::optional<uint64_t> Int13::sector_of(const Chs& c) const {
    if (c.cylinders >= logical.cylinders || c.heads >= logical.heads || c.sectors < 1 || c.sectors > logical.sectors)
        return {};
    const uint64_t lba = (uint64_t{c.cylinders} * logical.heads + c.heads) * logical.sectors + c.sectors - 1;
    if (lba >= sectors) return {};
    return lba;
}

std::optional<std::size_t> started_partition(const Layout& layout) {
    std::optional<std::size_t> active, first;
    for (std::size_t i = 0; i < layout.partitions.size(); ++i) {
        const Partition& p = layout.partitions[i];
        if (p.number > 4 || p.extended) continue;
        if (p.entry.active && !active) active = i;
        if (p.volume && !first) first = i;
    }
    if (active) return active;
    // A boot manager starts what it likes; the one with a boot sector is the one that could fail.
    return layout.code.loader == Loader::kAsksBios ? first : std::nullopt;
}

Chain run(const Layout& layout, const Int13& int13, bool assume_code) {
    Chain chain;
    if (!layout.readable) {
        chain.result = Result::kFails, chain.why = "the first sector cannot be read";
        return chain;
    }
    if (layout.whole) {
        run_volume(chain, *layout.whole, int13, 0, int13.sectors);
        return chain;
    }
    if (!layout.signature) {
        chain.why = "the first sector has no signature 55AA: there is no partition table, and firmware starts nothing";
        return chain;
    }
    const auto index = started_partition(layout);
    if (layout.code.loader == Loader::kNothing && !assume_code) {
        chain.why = "there is no boot code in the first sector";
        if (!index || !layout.partitions[*index].volume) return chain;
        // Somebody restored the table and the file system, and forgot the first 446 bytes.
        chain.result = Result::kFails;
        chain.partition = layout.partitions[*index].number;
        return chain;
    }
    const auto active = std::count_if(layout.partitions.begin(), layout.partitions.end(),
                                      [](const Partition& p) { return p.number <= 4 && p.entry.active; });
    const bool by_table = layout.code.loader != Loader::kAsksBios;
    if (by_table && (active > 1 || layout.odd_flags)) {
        chain.result = Result::kFails;
        chain.why =
            active > 1 ? "more than one partition is active" : "an entry of the table has an invalid active flag";
        return chain;
    }
    if (!index) {
        chain.why = layout.partitions.empty() ? "there are no partitions" : "no partition is active";
        chain.result = !by_table ? Result::kStarts : layout.partitions.empty() ? Result::kNothing : Result::kFails;
        if (layout.gpt && layout.gpt->primary.found && by_table) {
            chain.result = Result::kNothing;
            chain.why = "a GPT disk without an active entry is started by EFI firmware only";
        }
        return chain;
    }
    const Partition& p = layout.partitions[*index];
    chain.partition = p.number;
    if (by_table && !run_table(chain, layout, p, int13)) return chain;
    if (p.volume) {
        run_volume(chain, *p.volume, int13, p.start, p.count);
    } else if (by_table && !p.signature) {
        chain.result = Result::kFails;
        chain.why = "partition " + std::to_string(p.number) + " does not begin with a boot sector (no signature 55AA)";
    } else {
        chain.result = Result::kStarts;  // of Linux and others: not a boot sector that depends on what we see
    }
    return chain;
}

}  // namespace backplane::doctor
