#include "attachments.hpp"

#include <algorithm>

namespace backplane::doctor {
namespace {

using geometry::Chs;
using geometry::Geometry;
using geometry::Policy;
using geometry::Translation;
using std::uint32_t;
using std::uint64_t;

Geometry with_translation(Geometry g, Translation t, const std::string& reason) {
    g.translation = t;
    g.logical = geometry::logical(t, g.physical, g.sectors);
    g.logical_given = false;
    g.reason = reason;
    return g;
}

// SeaBIOS 1.16.2 knows no CMOS byte for disks that are not on an ATA channel; it looks at the numbers.
Geometry virtio(const Geometry& ide) {
    const Chs& p = ide.physical;
    const uint64_t product = uint64_t{p.cylinders} * p.heads * p.sectors;
    if (product == 0 || product > ide.sectors)
        return with_translation(ide, Translation::kLba, "the firmware guesses: more CHS sectors than the disk has");
    if (p.cylinders <= 1024 && p.heads <= 16 && p.sectors <= 63)
        return with_translation(ide, Translation::kNone, "the firmware guesses: at most 1024 cylinders");
    if (p.cylinders * p.heads <= 131072)
        return with_translation(ide, Translation::kLarge, "the firmware guesses: small enough for bit shift");
    return with_translation(ide, Translation::kLba, "the firmware guesses: too large for bit shift");
}

// The option ROM of qemu-kvm 0.12 answers INT 13h for the first disk with a translation of its own.
Geometry extboot(Geometry g) {
    Chs c = g.physical;
    const uint32_t shift = c.cylinders <= 1024   ? 0
                           : c.cylinders <= 2048 ? 1
                           : c.cylinders <= 4096 ? 2
                           : c.cylinders <= 8192 ? 3
                                                 : 4;
    c.cylinders >>= shift, c.heads <<= shift;
    if (c.heads == 256) c.heads = 255, ++c.cylinders;
    c.cylinders = std::min(c.cylinders, 1024u);
    g.logical = c;
    g.reason = "the option ROM shifts by " + std::to_string(shift);
    return g;
}

}  // namespace

std::vector<Attachment> attachments(const geometry::Input& input) {
    std::vector<Attachment> all;
    geometry::Input plain = input;
    plain.settings = {};
    const bool given = input.settings.chs || input.settings.translation || input.settings.logical;
    if (given) all.push_back({"pinned", "IDE, with the geometry that you gave", geometry::resolve(input)});
    plain.policy = Policy::kQemu012;
    const Geometry ide = geometry::resolve(plain);
    const Attachment by_table{"ide", "IDE, policy qemu-0.12 (the default), inline or as a separate device", ide};
    plain.policy = Policy::kAuto;
    const Attachment automatic{"ide-auto", "IDE, policy auto", geometry::resolve(plain)};
    const bool auto_first = input.policy == Policy::kAuto;
    all.push_back(auto_first ? automatic : by_table);
    all.push_back(auto_first ? by_table : automatic);
    all.push_back(
        {"ide-0.12.4-device", "IDE in qemu-kvm 0.12.0-0.12.4 with -device (the bug of 2010)",
         with_translation(ide, Translation::kNone, "CMOS was filled before the drive existed: no translation")});
    all.push_back({"virtio", "virtio (the firmware's guess)", virtio(ide)});
    all.push_back({"extboot", "qemu-kvm 0.12 with boot=on (extboot)", extboot(ide)});
    return all;
}

}  // namespace backplane::doctor
