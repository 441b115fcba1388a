// The board, processor, memory, clock, and how the program runs.
#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <filesystem>

#include "cpumodel/cpumodel.hpp"
#include "drives/boot.hpp"
#include "option_table.hpp"
#include "translator.hpp"

namespace backplane::qemu {

using drives::Keys;
using drives::OptionError;

namespace {

bool is_help(const std::string& value) { return value == "help" || value == "?"; }

// Switches of QEMU's -cpu that are no features of the processor.
bool is_cpu_property(std::string_view name) {
    static constexpr std::array kNames{"check",          "enforce",         "pmu",
                                       "migratable",     "l3-cache",        "legacy-cache",
                                       "host-phys-bits", "host-cache-info", "fill-mtrr-mask",
                                       "tcg-cpuid",      "cpuid-0xb",       "full-cpuid-auto-level"};
    return name.starts_with("kvm") || name.starts_with("hv") || name.starts_with("x-") ||
           std::find(kNames.begin(), kNames.end(), name) != kNames.end();
}

[[noreturn]] void fail(const std::string& option, const std::string& what) { throw OptionError(option + ": " + what); }

std::string text_of_size(std::uint64_t bytes) {
    for (const auto& [shift, suffix] : {std::pair{30, "G"}, {20, "M"}, {10, "K"}})
        if (bytes % (std::uint64_t{1} << shift) == 0) return std::to_string(bytes >> shift) + suffix;
    return std::to_string(bytes);
}

bool is_uuid(std::string_view text) {
    static constexpr std::string_view kForm = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
    return text.size() == kForm.size() && std::equal(text.begin(), text.end(), kForm.begin(), [](char c, char form) {
               return form == '-' ? c == '-' : std::isxdigit(static_cast<unsigned char>(c)) != 0;
           });
}

}  // namespace

std::uint64_t size_of(std::string_view text, std::uint64_t unit) {
    double value = 0;
    const auto [at, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || !(value > 0)) return 0;
    std::string_view suffix(at, static_cast<std::size_t>(text.data() + text.size() - at));
    if (!suffix.empty()) {
        static constexpr std::string_view kSuffixes = "BKMGT";
        const auto power = kSuffixes.find(static_cast<char>(std::toupper(static_cast<unsigned char>(suffix.front()))));
        if (power == std::string_view::npos || suffix.size() > 1) return 0;
        unit = std::uint64_t{1} << (power * 10);
    }
    const double bytes = value * static_cast<double>(unit);
    return bytes < 1 || bytes > 0x1p50 ? 0 : static_cast<std::uint64_t>(bytes);
}

void Translator::choose_board(const std::string& name, const std::string& option) {
    static constexpr std::array kOurs{"pc-0.12", "pc-0.11", "isapc", "none"};
    static constexpr std::array kOthers{"q35", "pc-q35", "microvm", "xenpv", "xenfv", "x-remote"};
    if (name == "pc") return vm_.machine("pc-0.12");
    for (const char* ours : kOurs)
        if (name == ours) return vm_.machine(name);
    for (const char* other : kOthers)
        if (name.starts_with(other))
            fail(option, "this version has no " + name + "; -M pc is the board with i440FX and PIIX3");
    if (!name.starts_with("pc-") && !name.starts_with("rhel") && !name.starts_with("fedora"))
        fail(option, "this version has no machine \"" + name + "\"; -M help lists them");
    vm_.machine("pc-0.12");
    warn(option + ": the board pc-0.12 is shown, which is older or newer than " + name);
}

void Translator::machine(const std::string& value, const std::string& option) {
    if (is_help(value)) {
        result_.print = board_list();
        return;
    }
    Keys keys = keys_of(value, "type", option);
    if (const auto type = keys.text("type")) choose_board(*type, option);
    if (const auto accel = keys.text("accel")) choose_accelerators(*accel, option);
    if (const auto smm = keys.boolean("smm"); smm && !*smm) warn(option + ": smm=off has no effect");
    if (const auto hpet = keys.boolean("hpet"); hpet && !*hpet) no_hpet("", option);
    for (const char* off : {"usb", "graphics-device", "igd-passthru", "nvdimm", "vmport", "pflash0"})
        if (keys.has(off) && keys.boolean(off).value_or(false))
            keys.fail(std::string(off) + "=on is not served by this version; leave it out");
    if (const auto acpi = keys.choice("acpi", {"on", "off", "auto", "yes", "no"})) {
        const bool off = *acpi == "off" || *acpi == "no";
        acpi_off_option_ = off ? option : "";
    }
    if (const auto graphics = keys.boolean("graphics"); graphics && !*graphics) no_graphics_option_ = option;
    keys.ignore({"dump-guest-core", "mem-merge", "kernel_irqchip", "kernel-irqchip", "kvm_shadow_mem", "kvm-shadow-mem",
                 "phandle_start", "suppress-vmdesc", "enforce-config-section"});
    keys.reject_rest({"type", "accel", "smm", "hpet", "usb", "vmport", "graphics", "dump-guest-core", "mem-merge",
                      "kernel-irqchip", "acpi"});
}

void Translator::memory(const std::string& value, const std::string& option) {
    Keys keys(value, "size", option);
    const std::string text = keys.text("size").value_or("128");
    for (const char* name : {"slots", "maxmem"})
        if (keys.has(name))
            keys.fail(std::string(name) + "= is not served: memory cannot be added to a running machine");
    keys.reject_rest({"size"});
    if (value.empty()) keys.fail("no size was given");
    const std::uint64_t bytes = size_of(text, std::uint64_t{1} << 20);
    if (bytes == 0) keys.fail("expected a number of megabytes, or a size such as 1G");
    vm_.set("memory", text_of_size(bytes), option);
}

void Translator::processors(const std::string& value, const std::string& option) {
    Keys keys(value, "cpus", option);
    constexpr std::uint64_t kMost = 1024;
    const auto number = [&](const char* name) { return keys.number(name, 1, kMost); };
    const auto cpus = number("cpus");
    const auto part = [&](const char* name) { return number(name).value_or(1); };
    std::uint64_t package = part("dies") * part("clusters") * part("cores") * part("threads");
    const std::uint64_t product = part("sockets") * package;
    const auto most = number("maxcpus");
    keys.reject_rest({"cpus", "sockets", "dies", "clusters", "cores", "threads", "maxcpus"});
    // As QEMU has it, a number that is missing follows from the others.
    const std::uint64_t count = cpus ? *cpus : most && product == 1 ? *most : product;
    if (most && *most < count) keys.fail("maxcpus is smaller than the number of processors");
    if (most && *most > count) warn(option + ": no processor can be added to a running machine; maxcpus has no effect");
    // As 0.12 had it: cores that nobody asked for are none, with sockets named they follow from the number of all.
    if (keys.has("sockets") && cpus && !keys.has("cores"))
        package = std::max<std::uint64_t>(count / part("sockets"), 1);
    // Not every board has a place for processors.
    if (count > 1 || vm_.has("cpu.count")) vm_.set("cpu.count", std::to_string(count), option);
    if (count > 1 && package > 1) vm_.set("cpu.cores", std::to_string(std::min(package, count)), option);
}

void Translator::cpu(const std::string& value, const std::string& option) {
    if (is_help(value)) {
        result_.print = cpu_list();
        return;
    }
    std::string model = value.substr(0, value.find(','));
    for (const std::string_view type : {"-x86_64-cpu", "-i386-cpu"})
        if (model.ends_with(type)) model.resize(model.size() - type.size());
    if (cpumodel::find_model(model) == nullptr) {
        if (!is_foreign_cpu(model))
            fail(option,
                 "there is no processor \"" + model + "\"; -cpu help lists them" + cpumodel::did_you_mean_model(model));
        warn(option + ": the guest sees the model max, everything that the interpreter can do");
        model = "max";
    }
    // As QEMU does, go on without a feature that is not there, unless `enforce` is set.
    const std::vector<cpumodel::Change> changes = cpumodel::changes(value);
    const bool enforce = std::any_of(changes.begin(), changes.end(), [](const cpumodel::Change& c) {
        return c.text == "enforce" || (c.name == "enforce" && c.valid && c.on);
    });
    for (const cpumodel::Change& c : changes) {
        if (c.name == "check" || c.name == "enforce") continue;
        const cpumodel::FeatureInfo* feature = c.valid ? cpumodel::find_feature(c.name) : nullptr;
        if (c.valid && feature == nullptr && !is_cpu_property(c.name))
            fail(option, "there is no feature \"" + c.name + "\"" + cpumodel::did_you_mean_feature(c.name));
        if (feature == nullptr) {
            warn(option + ": " + c.text + " has no effect; only features can be switched");
        } else if (feature->absent.empty()) {
            model += (c.on ? ",+" : ",-") + std::string(feature->name);
        } else if (c.on) {
            const std::string why = c.name + " is not emulated: " + std::string(feature->absent);
            if (enforce) fail(option, why);
            warn(option + ": " + why);
        }
    }
    // QEMU announces what it is told to, with or without what that needs; here the guest gets both.
    const auto refused = [&](std::string_view name) {
        return std::any_of(changes.begin(), changes.end(), [&](const cpumodel::Change& c) {
            const cpumodel::FeatureInfo* f = c.valid && !c.on ? cpumodel::find_feature(c.name) : nullptr;
            return f != nullptr && f->name == name;
        });
    };
    cpumodel::Selection chosen = cpumodel::select(model);
    while (!chosen.error.empty()) {
        const std::vector<std::string_view> needed = cpumodel::missing(chosen.model);
        if (needed.empty() || std::any_of(needed.begin(), needed.end(), refused)) fail(option, chosen.error);
        warn(option + ": " + chosen.error + ", which the guest gets as well");
        for (const std::string_view name : needed) model += ",+" + std::string(name);
        chosen = cpumodel::select(model);
    }
    vm_.set("cpu.model", model, option);
}

void Translator::choose_accelerators(const std::string& list, const std::string& option) {
    static constexpr std::array kKnown{"tcg", "kvm", "qtest", "xen", "hax", "hvf", "whpx", "nvmm"};
    accelerator_option_ = option;
    for (std::size_t at = 0; at <= list.size();) {
        const std::size_t end = std::min(list.find(':', at), list.size());
        const std::string name = list.substr(at, end - at);
        at = end + 1;
        if (std::find(kKnown.begin(), kKnown.end(), name) == kKnown.end())
            fail(option, "there is no accelerator \"" + name +
                             "\"; this version has tcg (instructions are interpreted), kvm and qtest");
        accelerators_.push_back(name);
    }
}

void Translator::accelerator(const std::string& value, const std::string& option) {
    if (is_help(value)) {
        result_.print = "Accelerators supported:\ntcg\nkvm\nqtest\n";
        return;
    }
    Keys keys(value, "accel", option);
    choose_accelerators(keys.text("accel").value_or(""), option);
    keys.ignore(
        {"thread", "tb-size", "split-wx", "one-insn-per-tb", "kernel-irqchip", "kvm-shadow-mem", "dirty-ring-size"});
    keys.reject_rest({"accel", "thread", "tb-size"});
}

void Translator::enable_kvm(const std::string&, const std::string& option) { choose_accelerators("kvm", option); }

void Translator::rtc(const std::string& value, const std::string& option) {
    Keys keys(value, "base", option);
    const std::string base = keys.text("base").value_or("utc");
    if (base == "localtime")
        vm_.clock("start", "host-local", option);
    else if (base != "utc")
        vm_.clock("start", base, option);
    keys.choice("clock", {"host", "rt", "vm"});
    if (const auto fix = keys.choice("driftfix", {"none", "slew"}); fix && *fix == "slew")
        warn(option + ": driftfix=slew has no effect: ticks are never lost here");
    keys.reject_rest({"base", "clock", "driftfix"});
}

void Translator::localtime(const std::string&, const std::string& option) { vm_.clock("start", "host-local", option); }

void Translator::startdate(const std::string& value, const std::string& option) {
    if (value != "now") vm_.clock("start", value, option);
}

void Translator::boot(const std::string& value, const std::string& option) {
    for (const drives::Setting& s : drives::boot_settings(value, option)) vm_.set(s.path, s.value, option);
}

void Translator::name(const std::string& value, const std::string& option) {
    Keys keys(value, "guest", option);
    if (const auto guest = keys.text("guest"); guest && !guest->empty()) vm_.set("name", *guest, option);
    keys.ignore({"process", "debug-threads"});
    keys.reject_rest({"guest", "process", "debug-threads"});
}

void Translator::uuid(const std::string& value, const std::string& option) {
    if (!is_uuid(value)) fail(option, "expected a UUID such as 12345678-90ab-cdef-1234-567890abcdef");
    vm_.set("uuid", value, option);
}

void Translator::bios(const std::string& value, const std::string& option) {
    if (value.empty()) fail(option, "no file was given");
    bios_ = value, bios_option_ = option;
}

void Translator::kernel(const std::string& value, const std::string& option) {
    if (value.empty()) fail(option, "no file was given");
    vm_.set("kernel", whole_path(value), option);
}

// One file, or modules with their arguments: then each file's path is made a whole one.
void Translator::initrd(const std::string& value, const std::string& option) {
    std::error_code error;
    if (value.empty()) fail(option, "no file was given");
    if (value.find(',') == std::string::npos || std::filesystem::exists(value, error))
        return vm_.set("initrd", whole_path(value), option);
    std::string list;
    for (std::size_t from = 0;;) {
        const auto comma = value.find(',', from);
        const std::string part = value.substr(from, comma == std::string::npos ? comma : comma - from);
        list += part.empty() ? "" : whole_path(part);
        if (comma == std::string::npos) return vm_.set("initrd", list, option);
        list += ',', from = comma + 1;
    }
}

void Translator::append(const std::string& value, const std::string& option) { vm_.set("append", value, option); }

void Translator::data_folder(const std::string& value, const std::string& option) {
    std::error_code error;
    if (is_help(value)) {
        result_.print = "`backplane machine list` shows the folders that are searched.\n";
        return;
    }
    if (!std::filesystem::is_directory(value, error)) fail(option, "there is no such folder");
    // The first one goes before the others.
    if (folder_.empty()) folder_ = value, folder_option_ = option;
}

void Translator::finish_firmware() {
    namespace fs = std::filesystem;
    std::error_code error;
    std::string image = bios_;
    if (image.empty() && !folder_.empty() && fs::is_regular_file(fs::path(folder_) / "bios.bin", error))
        image = "bios.bin", bios_option_ = folder_option_;
    if (!image.empty()) {
        if (!folder_.empty() && image.find('/') == std::string::npos &&
            fs::is_regular_file(fs::path(folder_) / image, error))
            image = whole_path((fs::path(folder_) / image).string());
        else if (fs::is_regular_file(image, error))
            image = whole_path(image);
        else if (image != "bios.bin" && image != "bios-256k.bin")
            return attempt([&] { fail(bios_option_, "there is no such file"); });
        vm_.set("firmware", image, bios_option_);
    }
}

void Translator::no_hpet(const std::string&, const std::string& option) {
    if (vm_.machine() != "isapc" && vm_.machine() != "none") vm_.remove("hpet", option);
}

void Translator::paused(const std::string&, const std::string&) { result_.run.emplace_back("paused", ""); }

void Translator::no_reboot(const std::string&, const std::string&) { result_.run.emplace_back("no-reboot", ""); }

void Translator::no_shutdown(const std::string&, const std::string& option) {
    warn(option + ": has no effect: the program ends when the guest powers off");
}

void Translator::action(const std::string& value, const std::string& option) {
    Keys keys(value, "", option);
    if (const auto reboot = keys.choice("reboot", {"reset", "shutdown"}); reboot && *reboot == "shutdown")
        no_reboot("", option);
    keys.choice("shutdown", {"poweroff"});
    keys.reject_rest({"reboot", "shutdown"});
}

void Translator::print_machine(const std::string&, const std::string&) { result_.only_machine = true; }

void Translator::help(const std::string&, const std::string&) { result_.print = help_text(); }

// Scripts look for the word "version" and a number; which options there are is what the number stands for.
void Translator::version(const std::string&, const std::string&) {
    result_.print = "Backplane " BACKPLANE_VERSION ", with the options of QEMU version 7.2 that -help lists\n";
}

void Translator::nothing(const std::string&, const std::string&) {}

void Translator::no_default_devices(const std::string&, const std::string&) { nodefaults_ = true; }

}  // namespace backplane::qemu
