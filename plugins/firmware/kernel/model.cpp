#include "model.hpp"

#include <cinttypes>

#include "firmware_file.hpp"

namespace backplane {
namespace {

constexpr u64 kLargest = 0x7fffffff;
constexpr bp_fw_cfg_source kSource{sizeof(bp_fw_cfg_source)};
constexpr const char* kLinuxRom = "genroms/linuxboot.bin";
constexpr const char* kMultibootRom = "genroms/multiboot.bin";

u64 digest(u64 value, const boot::Blob& data) {
    std::size_t i = 0;
    for (; i + 8 <= data.size(); i += 8) {
        u64 word;
        std::memcpy(&word, &data[i], 8);
        value = (value ^ word) * 0x9e3779b97f4a7c15;
        value ^= value >> 29;
    }
    for (; i < data.size(); ++i) value = (value ^ data[i]) * 0x9e3779b97f4a7c15;
    return value ^ data.size();
}

}  // namespace

void BootKernel::describe(Schema<BootKernel>& s) {
    s.doc("Kernel that is started without a disk: Linux (bzImage, zImage) or Multiboot");
    s.property("kernel", &BootKernel::kernel_, {.doc = "file with the kernel"});
    s.property("initrd", &BootKernel::initrd_,
               {.doc = "initial RAM disk; for Multiboot the modules: FILE ARGUMENTS,FILE ARGUMENTS"});
    s.property("append", &BootKernel::append_, {.doc = "the kernel's command line"});
    s.plug(BP_FW_CFG_SOURCE_ID, &kSource, BP_FW_CFG_ID, &BootKernel::fw_cfg_);
    s.consumes("ram.layout", "below_4g: where memory ends");
    s.publishes("rom.boot", "path: the boot ROM's name in the boot order", false);
}

bp_status BootKernel::start() {
    if (!fw_cfg_) return fail(BP_ERR_STATE, "plugged into no firmware configuration device: write `on: fw_cfg/kernel`");
    if (kernel_.empty())
        return fail(BP_ERR_INVALID, "%s is given without a kernel (kernel: FILE)",
                    initrd_.empty() ? "a kernel's command line (append)" : "an initial RAM disk (initrd)");
    file_.name = kernel_;
    if (const bp_status s = read(file_)) return s;
    multiboot_ = !boot::is_linux(file_.data) && boot::is_multiboot(file_.data);
    if (!multiboot_ && !boot::is_linux(file_.data))
        return fail(BP_ERR_INVALID,
                    "%s: no kernel: offset 202h holds no \"HdrS\" of Linux (bzImage or zImage, boot protocol 2.00 and "
                    "later), and the first 8192 bytes no Multiboot header",
                    kernel_.c_str());
    if (!initrd_.empty()) {
        if (multiboot_)
            modules_ = boot::split_modules(initrd_);
        else
            modules_.emplace_back().name = initrd_;
    }
    for (boot::Named& m : modules_)
        if (const bp_status s = read(m)) return s;
    const boot::Blob rom = multiboot_ ? boot::multiboot_boot_rom() : boot::linux_boot_rom();
    const char* name = multiboot_ ? kMultibootRom : kLinuxRom;
    if (const bp_status s = fw_cfg_->put_file(fw_cfg_.instance(), to_bp(name), rom.data(), rom.size()))
        return fail(s, "the firmware configuration device does not take %s", name);
    return BP_OK;
}

bp_status BootKernel::read(boot::Named& file) {
    if (file.name.empty()) return fail(BP_ERR_INVALID, "initrd: a file name is missing in \"%s\"", initrd_.c_str());
    if (const bp_status s = firmware::read(slot(), file.name, kLargest, &file.data)) return s;
    contents_ = digest(contents_, file.data);
    return BP_OK;
}

bp_status BootKernel::publish() {
    return publish_fact("rom.boot", "", {{"path", 0, std::string("/rom@") + (multiboot_ ? kMultibootRom : kLinuxRom)}});
}

bp_status BootKernel::consume(const Fact& fact) {
    if (fact.what() != "ram.layout" || file_.data.empty()) return BP_OK;
    const u64 ram = fact.number("below_4g");
    try {
        if (multiboot_) return hand_over(boot::plan_multiboot(std::move(file_), std::move(modules_), append_, ram));
        boot::Named initrd;
        if (!modules_.empty()) initrd = std::move(modules_.front());
        return hand_over(boot::plan_linux(std::move(file_), std::move(initrd), append_, ram));
    } catch (const boot::BootError& e) {
        return fail(BP_ERR_INVALID, "%s", e.what());
    }
}

bp_status BootKernel::hand_over(boot::Plan plan) {
    for (const std::string& text : plan.warnings) log_warn("%s", text.c_str());
    for (boot::Part& part : plan.parts) {
        if (const bp_status s = fw_cfg_->put_item(fw_cfg_.instance(), part.item, part.data.data(), part.data.size()))
            return fail(s, "the firmware configuration device does not take item %xh", part.item);
        part.data = {};
    }
    return BP_OK;
}

void BootKernel::state(StateVisitor& v) { v.identity("contents", contents_); }

}  // namespace backplane
