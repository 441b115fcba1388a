#include "model.hpp"

#include <algorithm>

namespace backplane {
namespace {

// Items.
constexpr u16 kSignature = 0x0000;
constexpr u16 kInterfaceId = 0x0001;
constexpr u16 kUuid = 0x0002;
constexpr u16 kRamSize = 0x0003;
constexpr u16 kNoGraphics = 0x0004;
constexpr u16 kCpus = 0x0005;
constexpr u16 kNuma = 0x000d;
constexpr u16 kBootMenu = 0x000e;
constexpr u16 kMaxCpus = 0x000f;
constexpr u16 kDirectory = 0x0019;
constexpr u16 kFirstFile = 0x0020;
constexpr u16 kEndOfItems = 0x0030;
constexpr u16 kIrq0Override = 0x8002;

// Selector bits.
constexpr u16 kWriteChannel = 0x4000;
constexpr u16 kArchitectureLocal = 0x8000;
constexpr u16 kIndex = 0x3fff;

// File etc/system-states: for S0 to S5, bit 7 supported, bits 6:0 the sleep type of the PIIX4's power management (S4 is
// a power-off like S5).
constexpr u8 kSleepStates[] = {0x80, 0x00, 0x00, 0x81, 0x80, 0x80};

constexpr u64 kSmallFirmware = 128 << 10;

constexpr u32 kRevision = 1, kHasDma = 2;

// A request in guest memory, big-endian: control (32 bits), size (32), address (64). The control word becomes 0, or an
// error.
constexpr u32 kDmaError = 1u << 0, kDmaRead = 1u << 1, kDmaSkip = 1u << 2, kDmaSelect = 1u << 3, kDmaWrite = 1u << 4;
constexpr std::size_t kRequestSize = 16;
constexpr u32 kDmaSignature[] = {0x51454d55, 0x20434647};  // "QEMU CFG"
constexpr std::size_t kNameSize = 56;
constexpr std::size_t kLargestBlob = 0x7fffffff;  // kernels bring large initial RAM disks

void append(std::vector<u8>& out, u64 value, u32 bytes) {
    for (u32 i = 0; i < bytes; ++i) out.push_back(static_cast<u8>(value >> (8 * i)));
}
// The directory alone is big-endian.
void append_big(std::vector<u8>& out, u64 value, u32 bytes) {
    for (u32 i = bytes; i-- > 0;) out.push_back(static_cast<u8>(value >> (8 * i)));
}
u64 big(const u8* data, u32 bytes) {
    u64 value = 0;
    for (u32 i = 0; i < bytes; ++i) value = value << 8 | data[i];
    return value;
}
int hex(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

}  // namespace

const bp_fw_cfg FwCfg::kSourceTable{sizeof(bp_fw_cfg), [](void* i) { return to_bp(static_cast<Source*>(i)->address); },
                                    [](void* i, bp_str name, const void* data, size_t size) {
                                        const Source& source = *static_cast<Source*>(i);
                                        return source.device->add_file(source, to_view(name), data, size);
                                    },
                                    [](void* i, uint32_t selector, const void* data, size_t size) {
                                        const Source& source = *static_cast<Source*>(i);
                                        return source.device->add_item(source, selector, data, size);
                                    }};

void FwCfg::describe(Schema<FwCfg>& s) {
    s.doc("Firmware configuration device: selector and data port, numbered items, file directory");
    s.property("uuid", &FwCfg::uuid_, {.doc = "the machine's UUID", .def = "00000000-0000-0000-0000-000000000000"});
    s.property("boot_menu", &FwCfg::boot_menu_, {.doc = "the BIOS offers its boot menu", .def = "false"});
    s.property("no_graphics", &FwCfg::no_graphics_,
               {.doc = "the machine has no display: the BIOS talks to the serial port", .def = "false"});
    s.property("irq0_override", &FwCfg::irq0_override_,
               {.doc = "ISA interrupt 0 arrives at I/O APIC input 2", .def = "true"});
    s.property("sleep_states", &FwCfg::sleep_states_,
               {.doc = "offer the file etc/system-states; SeaBIOS 1.16 leaves S3 and S4 out of its tables without it",
                .def = "false"});
    s.property("cpus", &FwCfg::cpus_,
               {.doc = "processors at boot, unless the fact cpu.count says", .def = "1", .min = 1, .max = 255});
    s.property("max_cpus", &FwCfg::max_cpus_,
               {.doc = "processors that can be present at most; 0: as at boot", .def = "0", .max = 255});
    s.property("dma", &FwCfg::dma_,
               {.doc = "offer transfers by DMA, at `dma`; the device of 2010 had none", .def = "false"});
    s.ports<nullptr, &FwCfg::select>("selector", 2, 2, "selects an item; word writes only");
    s.ports<&FwCfg::read, &FwCfg::write>("data", 1, 1, "the selected item, byte after byte");
    s.ports<&FwCfg::read_dma, &FwCfg::write_dma>(
        "dma", 8, 4, "address of a request, big-endian, the low half last; usually at 514h", &FwCfg::dma_region_);
    s.bus<&FwCfg::attach>("files", BP_FW_CFG_SOURCE_ID, BP_FW_CFG_ID,
                          "sources of files and items; address: the file's name, or 0xNNNN for a numbered item");
    s.consumes("ram.layout", "total: bytes of memory");
    s.consumes("cpu.count", "boot, max: processors at power-on, and that there can be at most");
    s.consumes("firmware.image", "bytes, name: the BIOS that reads this");
    s.consumes("rom.boot", "path: an option ROM that comes first in the file bootorder");
    s.consumes("disk.boot", "index, path: makes the file bootorder");
    s.consumes("disk.geometry", "if logical_given: path, lcylinders, lheads, lsectors make the file bios-geometry");
    s.trace("items", &FwCfg::trace_, "selections of items");
}

bp_status FwCfg::start() {
    if (!parse_uuid(&uuid_bytes_))
        return fail(BP_ERR_INVALID, "uuid: \"%s\" is not of the form 01234567-89ab-cdef-0123-456789abcdef",
                    uuid_.c_str());
    if (max_cpus_ && max_cpus_ < cpus_)
        return fail(BP_ERR_INVALID, "max_cpus is %u, which is fewer than the %u at boot", max_cpus_, cpus_);
    if (!sleep_states_) return BP_OK;
    return add_file({this, "", std::string(name())}, "etc/system-states", kSleepStates, sizeof kSleepStates);
}

bool FwCfg::parse_uuid(std::array<u8, 16>* out) const {
    if (uuid_.size() != 36) return false;
    std::size_t at = 0;
    for (std::size_t i = 0; i < uuid_.size(); ++i) {
        if (i == 8 || i == 13 || i == 18 || i == 23) {
            if (uuid_[i] != '-') return false;
            continue;
        }
        const int high = hex(uuid_[i]), low = hex(uuid_[++i]);
        if (high < 0 || low < 0) return false;
        (*out)[at++] = static_cast<u8>(high << 4 | low);
    }
    return true;
}

bp_status FwCfg::consume(const Fact& fact) {
    if (fact.what() == "ram.layout") memory_ = fact.number("total");
    if (fact.what() == "cpu.count") {
        cpus_ = static_cast<u32>(std::clamp<u64>(fact.number("boot", cpus_), 1, 255));
        const u64 most = fact.number("max", max_cpus_);
        max_cpus_ = static_cast<u32>(std::min<u64>(most, 255));
    }
    if (fact.what() == "firmware.image") {
        firmware_bytes_ = fact.number("bytes");
        firmware_name_ = fact.text("name");
        return check_geometry();
    }
    if (fact.what() == "rom.boot") {
        if (!boot_rom_.empty())
            return fail(BP_ERR_CONFLICT, "two option ROMs want to be booted first: %s and %s", boot_rom_.c_str(),
                        std::string(fact.text("path")).c_str());
        boot_rom_ = fact.text("path");
    }
    if (fact.what() == "disk.boot" || fact.what() == "disk.geometry") return add_drive(fact);
    return BP_OK;
}

bp_status FwCfg::add_drive(const Fact& fact) {
    const std::string path(fact.text("path"));
    const int length = static_cast<int>(fact.key().size());
    const bool boot = fact.what() == "disk.boot";
    if (!boot && !fact.number("logical_given")) return BP_OK;
    if (path.empty())
        return fail(BP_ERR_UNSUPPORTED,
                    "drive %.*s asks for %s, and its controller has no name in the firmware's device tree", length,
                    fact.key().data(), boot ? "a place in the boot order" : "a logical geometry of its own");
    if (boot) {
        for (const Boot& other : boot_order_)
            if (other.index == fact.number("index"))
                return fail(BP_ERR_CONFLICT, "two drives have the place %llu in the boot order: %s and %s",
                            static_cast<unsigned long long>(other.index), other.path.c_str(), path.c_str());
        boot_order_.push_back({fact.number("index"), path});
        return BP_OK;
    }
    geometries_ += path;
    for (const char* field : {"lcylinders", "lheads", "lsectors"})
        geometries_ += " " + std::to_string(fact.number(field));
    geometries_ += "\n";
    geometry_key_ = fact.key();
    return check_geometry();
}

// SeaBIOS reads bios-geometry in its larger images only; in the small one the guest would silently get another
// geometry.
bp_status FwCfg::check_geometry() {
    if (geometries_.empty() || firmware_bytes_ == 0 || firmware_bytes_ > kSmallFirmware) return BP_OK;
    return fail(BP_ERR_UNSUPPORTED,
                "drive %s has a logical geometry of its own, which no translation of the configuration memory can "
                "express; the firmware %s (128K) cannot be told, bios-256k.bin can (firmware: bios-256k.bin)",
                geometry_key_.c_str(), firmware_name_.c_str());
}

// Lines, the last one ended by a zero.
void FwCfg::add_drive_files() {
    const auto add = [this](const char* name, std::string text) {
        if (text.empty()) return;
        for (const File& file : files_)
            if (file.name == name) return;
        text.back() = '\0';
        add_file({this, "", std::string(this->name())}, name, text.data(), text.size());
    };
    std::sort(boot_order_.begin(), boot_order_.end(), [](const Boot& a, const Boot& b) { return a.index < b.index; });
    std::string order;
    if (!boot_rom_.empty()) order = boot_rom_ + "\n";

    for (const Boot& boot : boot_order_) order += boot.path + "\n";
    add("bootorder", order);
    add("bios-geometry", geometries_);
}

void FwCfg::reset(Reset kind) {
    if (kind == Reset::kPowerOn) {
        add_drive_files();
        build();
    }
    selector_ = kSignature;
    offset_ = dma_high_ = 0;
}

void FwCfg::state(StateVisitor& v) {
    v("selector", selector_);
    v("offset", offset_);
    v("dma_high", dma_high_, {.since = 2});
}

// --- Contents
// -----------------------------------------------------------------------------------------------------------

void FwCfg::set_number(u16 selector, u64 value, u32 bytes) {
    Blob& blob = items_[selector];
    blob.clear();
    append(blob, value, bytes);
}

void FwCfg::build() {
    const u32 most = std::max(cpus_, max_cpus_);
    items_.clear();
    items_[kSignature] = {'Q', 'E', 'M', 'U'};
    set_number(kInterfaceId, dma_ ? kRevision | kHasDma : kRevision, 4);
    items_[kUuid].assign(uuid_bytes_.begin(), uuid_bytes_.end());
    set_number(kRamSize, memory_, 8);
    set_number(kNoGraphics, no_graphics_, 2);
    set_number(kCpus, cpus_, 2);
    // No NUMA nodes. The BIOS skips one word for every processor that there could be.
    items_[kNuma].assign(8 * (1 + most), 0);
    set_number(kBootMenu, boot_menu_, 2);
    set_number(kMaxCpus, most, 2);
    set_number(kIrq0Override, irq0_override_, 1);

    Blob& directory = items_[kDirectory];
    append_big(directory, files_.size(), 4);
    for (const File& file : files_) {
        append_big(directory, file.size, 4);
        append_big(directory, file.selector, 2);
        append_big(directory, 0, 2);
        Blob name(file.name.begin(), file.name.end());
        name.resize(kNameSize, 0);
        directory.insert(directory.end(), name.begin(), name.end());
    }
}

bp_status FwCfg::attach(std::string_view address, std::string_view child_name, bp_interface, bp_interface* host) {
    for (const auto& source : sources_)
        if (!address.empty() && source->address == address)
            return fail(BP_ERR_CONFLICT, "\"%s\" already comes from %s", source->address.c_str(),
                        source->child.c_str());
    sources_.push_back(std::make_unique<Source>(Source{this, std::string(address), std::string(child_name)}));
    *host = {&kSourceTable, sources_.back().get()};
    return BP_OK;
}

bp_status FwCfg::add_file(const Source& source, std::string_view name, const void* data, std::size_t size) {
    const std::string text(name);
    if (name.empty() || name.size() >= kNameSize || name.find('\0') != std::string_view::npos)
        return fail(BP_ERR_INVALID, "%s: a file name has 1 to %zu bytes, not %zu", source.child.c_str(), kNameSize - 1,
                    name.size());
    if (size > kLargestBlob) return fail(BP_ERR_INVALID, "%s: %s is too large", source.child.c_str(), text.c_str());
    for (const File& other : files_)
        if (other.name == name)
            return fail(BP_ERR_CONFLICT, "%s: %s already comes from %s", source.child.c_str(), text.c_str(),
                        other.child.c_str());
    const auto selector = static_cast<u16>(kFirstFile + files_.size());
    if (selector >= kEndOfItems)
        return fail(BP_ERR_CONFLICT, "%s: the file directory has room for %d files only", source.child.c_str(),
                    kEndOfItems - kFirstFile);
    const auto* bytes = static_cast<const u8*>(data);
    files_.push_back({text, static_cast<u32>(size), selector, source.child});
    given_[selector].assign(bytes, bytes + size);
    return BP_OK;
}

bp_status FwCfg::add_item(const Source& source, u32 selector, const void* data, std::size_t size) {
    const u32 index = selector & kIndex;
    if (selector > 0xffff || (selector & kWriteChannel) || index >= kEndOfItems)
        return fail(BP_ERR_INVALID, "%s: there is no item %x", source.child.c_str(), selector);
    const auto key = static_cast<u16>(selector);
    if (key == kDirectory || (key >= kFirstFile && key < kEndOfItems))
        return fail(BP_ERR_CONFLICT, "%s: item %x belongs to the file directory", source.child.c_str(), selector);
    if (given_.count(key)) return fail(BP_ERR_CONFLICT, "%s: item %x is given twice", source.child.c_str(), selector);
    if (size > kLargestBlob) return fail(BP_ERR_INVALID, "%s: item %x is too large", source.child.c_str(), selector);
    const auto* bytes = static_cast<const u8*>(data);
    given_[key].assign(bytes, bytes + size);
    return BP_OK;
}

// --- Ports
// --------------------------------------------------------------------------------------------------------------

void FwCfg::select(u64, u32, u64 value) {
    selector_ = static_cast<u16>(value);
    offset_ = 0;
    trace_("select %04x", selector_);
}

const FwCfg::Blob* FwCfg::selected() const {
    if ((selector_ & kIndex) >= kEndOfItems) return nullptr;
    const auto selector = static_cast<u16>(selector_ & ~kWriteChannel);
    if (const auto found = given_.find(selector); found != given_.end()) return &found->second;
    const auto found = items_.find(selector);
    return found == items_.end() ? nullptr : &found->second;
}

// Past the end, and where nothing is, zeros come.
u64 FwCfg::read(u64, u32) {
    const Blob* blob = selected();
    if (!blob || offset_ >= blob->size()) return 0;
    return (*blob)[offset_++];
}

// Only write-channel items would take it, and no PC has one.
void FwCfg::write(u64, u32, u64 value) {
    log_guest("write of %02x to item %04x, which is read-only", static_cast<u32>(value), selector_);
}

u64 FwCfg::read_dma(u64 offset, u32) {
    if (!dma_) return 0xffffffff;
    u64 value = 0;
    for (u32 i = 0; i < 4; ++i) value = value << 8 | (kDmaSignature[offset / 4] >> (8 * i) & 0xff);
    return value;
}

void FwCfg::write_dma(u64 offset, u32, u64 value) {
    if (!dma_) return;
    u32 number = 0;
    for (u32 i = 0; i < 4; ++i) number = number << 8 | static_cast<u32>(value >> (8 * i) & 0xff);
    if (offset == 0) {
        dma_high_ = number;
        return;
    }
    const u64 address = u64{dma_high_} << 32 | number;
    dma_high_ = 0;
    serve(address);
}

void FwCfg::serve(u64 request) {
    std::array<u8, kRequestSize> data;
    if (dma_read(request, data.data(), data.size()) != BP_OK) {
        log_guest("the request at %llx is not in memory", static_cast<unsigned long long>(request));
        return;
    }
    const u32 control = static_cast<u32>(big(data.data(), 4));
    const u64 size = big(&data[4], 4), address = big(&data[8], 8);
    if (control & kDmaSelect) select(0, 2, control >> 16);
    bool done = true;
    if (control & kDmaRead)
        done = copy_to(address, size);
    else if (control & kDmaWrite)
        done = false;
    else if (control & kDmaSkip)
        offset_ = static_cast<u32>(std::min<u64>(offset_ + size, kLargestBlob));
    if (!done) log_guest("request %08x for item %04x fails", control, selector_);
    const u8 answer[4] = {0, 0, 0, static_cast<u8>(done ? 0 : kDmaError)};
    dma_write(request, answer, sizeof answer);
}

// Past the end come zeros, as from the data port.
bool FwCfg::copy_to(u64 address, u64 size) {
    const Blob* blob = selected();
    const u64 there = blob && offset_ < blob->size() ? std::min<u64>(size, blob->size() - offset_) : 0;
    if (there) {
        if (dma_write(address, blob->data() + offset_, there) != BP_OK) return false;
        offset_ += static_cast<u32>(there);
    }
    static constexpr std::array<u8, 4096> kZeros{};
    for (u64 done = there; done < size; done += kZeros.size())
        if (dma_write(address + done, kZeros.data(), std::min<u64>(size - done, kZeros.size())) != BP_OK) return false;
    return true;
}

}  // namespace backplane
