#include "model.hpp"

#include <algorithm>

namespace backplane::chipset {
namespace {

constexpr u32 kFloppyTypes = 0x10;
constexpr u32 kDiskTypes = 0x12;
constexpr u32 kEquipment = 0x14;
constexpr u32 kBaseMemory = 0x15;
constexpr u32 kExtendedMemory = 0x17;
constexpr u32 kExtendedDiskTypes = 0x19;  // one byte a disk
constexpr u32 kUserDisk = 0x1b;           // one record a disk
constexpr u32 kUserDiskSize = 9;
constexpr u32 kExtendedMemoryFound = 0x30;
constexpr u32 kMemoryAbove16M = 0x34;
constexpr u32 kBootThird = 0x38;
constexpr u32 kTranslations = 0x39;
constexpr u32 kBootFirst = 0x3d;
constexpr u32 kMemoryAbove4G = 0x5b;
constexpr u32 kMoreCpus = 0x5f;

constexpr u8 kEquipmentFloppy = 0x01;
constexpr u8 kEquipmentSecondFloppy = 0x40;
constexpr u8 kEquipmentFpu = 0x02;
constexpr u8 kEquipmentMouse = 0x04;
constexpr u8 kNoFloppyCheck = 0x01;
constexpr u8 kUserDiskType = 47;
constexpr u8 kManyHeads = 0x08;  // in the control byte, for more than 8 heads

constexpr u64 kKiB = 1024;
constexpr u64 kMiB = 1024 * kKiB;

u8 boot_code(char letter) {
    switch (letter) {
        case 'a':
        case 'b': return 1;
        case 'c': return 2;
        case 'd': return 3;
        case 'n': return 4;
        default: return 0;
    }
}

// "0" ... as an index below `count`, or count.
std::size_t position(std::string_view key, std::size_t count) {
    if (key.size() != 1 || key[0] < '0') return count;
    return std::min(static_cast<std::size_t>(key[0] - '0'), count);
}

}  // namespace

void PcCmos::describe(Schema<PcCmos>& s) {
    s.doc(
        "Factory setting of a PC's configuration memory: memory sizes, boot order, floppy and disk types. Written once "
        "at power-on "
        "from what the board's other devices publish; later it belongs to the guest.");
    s.link("nvram", &PcCmos::nvram_, BP_NVRAM_ID, "clock chip whose memory is set");
    s.property("boot_order", &PcCmos::boot_order_,
               {"up to three of: a, b floppy, c hard disk, d CD-ROM, n network; first to last", "cad"});
    s.property("boot_once", &PcCmos::boot_once_, {"boot order until the first reset; empty: boot_order", ""});
    s.property("floppy_check", &PcCmos::floppy_check_, {"firmware looks for a boot signature on floppy disks", "true"});
    s.property("fpu", &PcCmos::fpu_, {"the equipment byte reports a numeric coprocessor", "true"});
    s.property("mouse", &PcCmos::mouse_, {"the equipment byte reports a PS/2 mouse", "true"});
    static constexpr const char* kForget = "quirk: the disk came after the memory had been filled, its bytes stay zero";
    s.property("forget_disk0", &PcCmos::forget_disk0_, {kForget, "false"});
    s.property("forget_disk1", &PcCmos::forget_disk1_, {kForget, "false"});
    s.property("forget_disk2", &PcCmos::forget_disk2_, {kForget, "false"});
    s.property("forget_disk3", &PcCmos::forget_disk3_, {kForget, "false"});
    s.consumes("ram.layout", "below_4g, above_4g: bytes of memory on each side");
    s.consumes("cpu.count", "boot: processors present at power-on");
    s.consumes(
        "disk.geometry",
        "key: IDE position 0-3; cylinders, heads, sectors of the drive, translation 0-3 (none, LBA, large, R-ECHS)");
    s.consumes("floppy.drive", "key: drive 0-1; type: 0 none, 1 360K, 2 1.2M, 3 720K, 4 1.44M, 5 2.88M");
}

bp_status PcCmos::start() {
    if (const bp_status s = parse("boot_order", boot_order_, &boot_devices_)) return s;
    if (const bp_status s = parse("boot_once", boot_once_, &first_boot_)) return s;
    once_ = !boot_once_.empty();
    return BP_OK;
}

bp_status PcCmos::parse(const char* name, const std::string& letters, std::array<u8, 3>* devices) {
    *devices = {};
    if (letters.size() > devices->size())
        return fail(BP_ERR_INVALID, "%s \"%s\": at most %zu devices", name, letters.c_str(), devices->size());
    for (std::size_t i = 0; i < letters.size(); ++i) {
        (*devices)[i] = boot_code(letters[i]);
        if (!(*devices)[i])
            return fail(BP_ERR_INVALID, "%s \"%s\": '%c' is none of a, b, c, d, n", name, letters.c_str(), letters[i]);
        if (letters.find(letters[i]) != i)
            return fail(BP_ERR_INVALID, "%s \"%s\": '%c' stands there twice", name, letters.c_str(), letters[i]);
    }
    return BP_OK;
}

// The first reset of a running machine ends the turn of `boot_once`.
void PcCmos::reset(Reset kind) {
    if (kind == Reset::kPowerOn) {
        once_ = !boot_once_.empty();
    } else if (once_) {
        once_ = false;
        write_boot_order();
    }
}

void PcCmos::state(StateVisitor& v) { v("once", once_, {.since = 2}); }

bp_status PcCmos::publish() {
    write();
    return BP_OK;
}

bp_status PcCmos::consume(const Fact& fact) {
    const int length = static_cast<int>(fact.key().size());
    if (fact.what() == "ram.layout") {
        below_4g_ = fact.number("below_4g"), above_4g_ = fact.number("above_4g");
    } else if (fact.what() == "cpu.count") {
        boot_cpus_ = fact.number("boot", 1);
    } else if (fact.what() == "disk.geometry") {
        const std::size_t i = position(fact.key(), disks_.size());
        if (i == disks_.size())
            return fail(BP_ERR_INVALID, "disk.geometry \"%.*s\": the key is no IDE position 0-3", length,
                        fact.key().data());
        if (std::array{forget_disk0_, forget_disk1_, forget_disk2_, forget_disk3_}[i]) return BP_OK;
        disks_[i] = {true, static_cast<u32>(fact.number("cylinders")), static_cast<u32>(fact.number("heads")),
                     static_cast<u32>(fact.number("sectors")), static_cast<u32>(fact.number("translation"))};
    } else if (fact.what() == "floppy.drive") {
        const std::size_t i = position(fact.key(), floppies_.size());
        if (i == floppies_.size())
            return fail(BP_ERR_INVALID, "floppy.drive \"%.*s\": the key is no drive 0-1", length, fact.key().data());
        floppies_[i] = fact.number("type") & 15;
    } else {
        return BP_ERR_UNSUPPORTED;
    }
    write();
    return BP_OK;
}

void PcCmos::set(u32 index, u64 value) { nvram_.call(&bp_nvram::set, index, static_cast<u8>(value)); }

void PcCmos::set16(u32 index, u64 value) {
    set(index, value);
    set(index + 1, value >> 8);
}

void PcCmos::write() {
    write_memory();
    write_boot_order();
    write_floppies();
    write_disks();
    set(kMoreCpus, boot_cpus_ ? boot_cpus_ - 1 : 0);
}

void PcCmos::write_memory() {
    constexpr u64 kMost = 0xffff;
    set16(kBaseMemory, 640);
    const u64 extended = std::min(below_4g_ > kMiB ? below_4g_ / kKiB - 1024 : 0, kMost);
    set16(kExtendedMemory, extended);
    set16(kExtendedMemoryFound, extended);
    set16(kMemoryAbove16M, std::min(below_4g_ > 16 * kMiB ? below_4g_ / (64 * kKiB) - 256 : 0, kMost));
    for (u32 i = 0; i < 3; ++i) set(kMemoryAbove4G + i, above_4g_ >> (16 + 8 * i));
}

void PcCmos::write_boot_order() {
    const auto& devices = once_ ? first_boot_ : boot_devices_;
    set(kBootFirst, devices[1] << 4 | devices[0]);
    set(kBootThird, devices[2] << 4 | (floppy_check_ ? 0 : kNoFloppyCheck));
}

void PcCmos::write_floppies() {
    set(kFloppyTypes, floppies_[0] << 4 | floppies_[1]);
    const auto drives = std::count_if(floppies_.begin(), floppies_.end(), [](u8 type) { return type != 0; });
    set(kEquipment, (drives > 0 ? kEquipmentFloppy : 0) | (drives > 1 ? kEquipmentSecondFloppy : 0) |
                        (fpu_ ? kEquipmentFpu : 0) | (mouse_ ? kEquipmentMouse : 0));
}

// The geometry is what the drive itself reports (IDENTIFY), never what INT 13h makes of it.
void PcCmos::write_disks() {
    set(kDiskTypes, (disks_[0].present ? 0xf0 : 0) | (disks_[1].present ? 0x0f : 0));
    for (u32 i = 0; i < 2; ++i) {
        const Disk& d = disks_[i];
        set(kExtendedDiskTypes + i, d.present ? kUserDiskType : 0);
        const u32 record = kUserDisk + i * kUserDiskSize;
        set16(record, d.cylinders);
        set(record + 2, d.heads);
        set16(record + 3, d.present ? 0xffff : 0);  // write precompensation: none
        set(record + 5, d.present ? 0xc0 | (d.heads > 8 ? kManyHeads : 0) : 0);
        set16(record + 6, d.cylinders);  // landing zone
        set(record + 8, d.sectors);
    }
    u32 translations = 0;
    for (u32 i = 0; i < disks_.size(); ++i) translations |= (disks_[i].translation & 3) << 2 * i;
    set(kTranslations, translations);
}

}  // namespace backplane::chipset
