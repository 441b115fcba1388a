// Multiboot, version 1 (0.6.96): ELF files and flat ones that say where they go, modules, and the information for the
// kernel.
#include <algorithm>
#include <optional>

#include "boot.hpp"

namespace backplane::boot {
namespace {

constexpr std::size_t kSearched = 8192;
constexpr u32 kMagic = 0x1badb002;
constexpr u32 kMustUnderstand = 0xffff, kPageAligned = 1, kMemory = 2, kVideo = 4, kAddresses = 0x10000;
constexpr u64 kPage = 4096;

// Below is the boot ROM with what it says.
constexpr u64 kLowest = 0x10000;
constexpr u64 kInformation = 0x9000;
constexpr u64 kInformationMax = kLowest - kInformation;
constexpr std::string_view kLoaderName = "backplane";

// The information, and its flags for what is in it; memory comes from the ROM.
constexpr std::size_t kFlags = 0, kBootDevice = 12, kCommand = 16, kModules = 20, kModuleTable = 24, kName = 64,
                      kSize = 88;
constexpr u32 kHasBootDevice = 2, kHasCommand = 4, kHasModules = 8, kHasName = 0x200;
constexpr u32 kFirstDisk = 0x8000ffff;
constexpr std::size_t kModuleSize = 16;

std::optional<std::size_t> header_of(const Blob& file) {
    for (std::size_t at = 0; at + 12 <= std::min(file.size(), kSearched); at += 4)
        if (get(file, at, 4) == kMagic &&
            ((get(file, at, 4) + get(file, at + 4, 4) + get(file, at + 8, 4)) & 0xffffffff) == 0)
            return at;
    return std::nullopt;
}

bool is_elf(const Blob& file) {
    return file.size() >= 4 && std::memcmp(file.data(),
                                           "\x7f"
                                           "ELF",
                                           4) == 0;
}

// A file whose header has the addresses.
Image load_flat(const Named& file, std::size_t header, u64 ram) {
    const Blob& data = file.data;
    const auto fail = [&](const std::string& text) {
        throw BootError(file.name + ": offset " + hex(header) + ": " + text);
    };
    if (header + 32 > data.size()) fail("the file ends in its Multiboot header");
    const u64 own = get(data, header + 12, 4), load = get(data, header + 16, 4), load_end = get(data, header + 20, 4);
    const u64 end = get(data, header + 24, 4);
    if (own < load || own - load > header) fail("the header's addresses do not match its place in the file");
    const u64 from = header - (own - load);
    u64 size = data.size() - from;
    if (load_end) {
        if (load_end < load || load_end - load > size) fail("load_end_addr lies past the end of the file");
        size = load_end - load;
    }
    u64 in_memory = size;
    if (end) {
        if (end < load + size) fail("bss_end_addr lies before the end of what is loaded");
        in_memory = end - load;
    }
    if (load + in_memory > ram)
        fail("the kernel ends at " + hex(load + in_memory) + ", and the machine has memory up to " + hex(ram));
    Image image;
    image.address = load, image.entry = get(data, header + 28, 4);
    image.data.resize(in_memory);
    std::copy_n(data.begin() + static_cast<std::ptrdiff_t>(from), size, image.data.begin());
    return image;
}

// Texts and tables behind the information.
class Information {
  public:
    Information() : data_(kSize) {}
    u64 text(std::string_view text) {
        const u64 at = kInformation + data_.size();
        data_.insert(data_.end(), text.begin(), text.end());
        data_.push_back(0);
        return at;
    }
    u64 table(std::size_t bytes) {
        data_.resize((data_.size() + 3) / 4 * 4);
        const u64 at = kInformation + data_.size();
        data_.resize(data_.size() + bytes);
        return at;
    }
    void set(std::size_t at, u64 value) { put(data_, at, value, 4); }
    Blob take() { return std::move(data_); }
    std::size_t size() const { return data_.size(); }

  private:
    Blob data_;
};

}  // namespace

bool is_multiboot(const Blob& file) { return header_of(file).has_value(); }

Plan plan_multiboot(Named kernel, std::vector<Named> modules, const std::string& append, u64 ram) {
    Plan plan;
    const std::size_t header = header_of(kernel.data).value_or(0);
    const u32 flags = static_cast<u32>(get(kernel.data, header + 4, 4));
    if (const u32 unknown = flags & kMustUnderstand & ~(kPageAligned | kMemory | kVideo))
        throw BootError(kernel.name + ": offset " + hex(header + 4) + ": the kernel needs something unknown (flags " +
                        hex(unknown) + ")");
    if (flags & kVideo) plan.warnings.push_back(kernel.name + ": the kernel would like a video mode, which is not set");
    Image image = flags & kAddresses ? load_flat(kernel, header, ram)
                  : is_elf(kernel.data)
                      ? load_elf32(kernel, ram)
                      : throw BootError(kernel.name + ": offset " + hex(header) +
                                        ": a Multiboot header without addresses in a file that is no ELF file");
    if (image.address < kLowest)
        throw BootError(kernel.name + ": the kernel would be loaded at " + hex(image.address) + "; below " +
                        hex(kLowest) + " there is no room");
    kernel.data = {};

    Information info;
    u32 has = kHasBootDevice | kHasCommand | kHasName;
    info.set(kBootDevice, kFirstDisk);
    info.set(kCommand, info.text(append.empty() ? kernel.name : kernel.name + " " + append));
    info.set(kName, info.text(kLoaderName));
    if (!modules.empty()) {
        const u64 table = info.table(modules.size() * kModuleSize);
        std::size_t entry = table - kInformation;
        for (Named& module : modules) {
            const u64 address = (image.address + image.data.size() + kPage - 1) / kPage * kPage;
            if (address + module.data.size() > ram)
                throw BootError(module.name + ": this module does not fit: it would end at " +
                                hex(address + module.data.size()) + ", and the machine has memory up to " + hex(ram));
            image.data.resize(address - image.address);
            image.data.insert(image.data.end(), module.data.begin(), module.data.end());
            info.set(entry, address);
            info.set(entry + 4, address + module.data.size());
            info.set(entry + 8, info.text(module.words.empty() ? module.name : module.name + " " + module.words));
            entry += kModuleSize;
            module.data = {};
        }
        has |= kHasModules;
        info.set(kModules, modules.size());
        info.set(kModuleTable, table);
    }
    info.set(kFlags, has);
    if (info.size() > kInformationMax)
        throw BootError(kernel.name + ": append and the modules' names take " + std::to_string(info.size()) +
                        " bytes; there is room for " + std::to_string(kInformationMax));
    plan.number(kKernelEntry, image.entry);
    plan.place(kKernelAddress, image.address, kKernelSize, kKernelData, std::move(image.data));
    plan.place(kInitrdAddress, kInformation, kInitrdSize, kInitrdData, info.take());
    return plan;
}

std::vector<Named> split_modules(std::string_view list) {
    std::vector<Named> out;
    std::string text;
    const auto finish = [&] {
        const auto space = text.find(' ');
        Named module;
        module.name = text.substr(0, space);
        if (space != std::string::npos) module.words = text.substr(space + 1);
        out.push_back(std::move(module));
        text.clear();
    };
    for (std::size_t i = 0; i < list.size(); ++i) {
        if (list[i] != ',')
            text += list[i];
        else if (i + 1 < list.size() && list[i + 1] == ',')
            text += list[i++];
        else
            finish();
    }
    finish();
    return out;
}

}  // namespace backplane::boot
