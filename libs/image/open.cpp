// Finding out what an image is, and opening it.
#include <algorithm>
#include <array>
#include <cstring>

#include "image/image.hpp"
#include "image/null_storage.hpp"
#include "image/qcow2/create.hpp"

namespace backplane::image {

namespace {

template <std::size_t N>
bool begins(std::span<const u8> head, const char (&magic)[N], std::size_t at = 0) {
    return head.size() >= at + N - 1 && std::memcmp(head.data() + at, magic, N - 1) == 0;
}

// By name only: there is no file whose header could say so.
constexpr std::string_view kNull = "null-co";

// Where each format's mark stands is written in its public description.
constexpr Driver kDrivers[] = {
    {"qcow2", [](std::span<const u8> h) { return begins(h, "QFI\xfb\0\0\0\2") || begins(h, "QFI\xfb\0\0\0\3"); },
     &qcow2::open},
    {"qcow", [](std::span<const u8> h) { return begins(h, "QFI\xfb"); }, nullptr},
    {"vmdk",
     [](std::span<const u8> h) { return begins(h, "KDMV") || begins(h, "COWD") || begins(h, "# Disk DescriptorFile"); },
     nullptr},
    {"vdi", [](std::span<const u8> h) { return begins(h, "\x7f\x10\xda\xbe", 64); }, nullptr},
    {"vpc", [](std::span<const u8> h) { return begins(h, "conectix"); }, nullptr},
    {"vhdx", [](std::span<const u8> h) { return begins(h, "vhdxfile"); }, nullptr},
    {"qed", [](std::span<const u8> h) { return begins(h, "QED\0"); }, nullptr},
    {"parallels", [](std::span<const u8> h) { return begins(h, "WithoutFreeSpace") || begins(h, "WithouFreSpacExt"); },
     nullptr},
    {"bochs", [](std::span<const u8> h) { return begins(h, "Bochs Virtual HD Image"); }, nullptr},
};

[[noreturn]] void not_served(const std::string& path, const Driver& driver, bool probed) {
    throw Error(Fault::kUnsupported, path,
                (probed ? "by its header this is an image of the format " : "the format ") + std::string(driver.name) +
                    (probed ? ", which is not supported yet (served are " : " is not supported yet (served are ") +
                    served_formats() + ")");
}

const Driver* look(Storage& storage) {
    std::array<u8, 512> head{};
    const u64 n = std::min<u64>(head.size(), storage.size());
    if (const int error = storage.read(0, std::span(head).first(n)))
        throw Error(Fault::kIo, storage.path(), 0, std::string("cannot be read: ") + std::strerror(error), error);
    return probe(std::span(head).first(n));
}

std::unique_ptr<Image> open_format(std::unique_ptr<Storage> storage, const OpenOptions& options) {
    const std::string path = options.path;
    if (options.format == "raw" || options.format == kNull) return open_raw(std::move(storage), options, false);
    if (options.format != "auto" && !options.format.empty()) {
        const Driver* driver = find_driver(options.format);
        if (!driver->open) not_served(path, *driver, false);
        return driver->open(std::move(storage), options, false);
    }
    const Driver* driver = look(*storage);
    if (!driver) {
        if (options.log) options.log(Level::kDebug, path + ": no known header, so it is raw");
        return guard(open_raw(std::move(storage), options, true), options.log);
    }
    if (!driver->open) not_served(path, *driver, true);
    if (options.log)
        options.log(Level::kInfo, path + ": no format was given; by its header it is " + std::string(driver->name));
    return driver->open(std::move(storage), options, true);
}

}  // namespace

std::span<const Driver> drivers() { return kDrivers; }

const Driver* find_driver(std::string_view name) {
    const auto found =
        std::find_if(std::begin(kDrivers), std::end(kDrivers), [name](const Driver& d) { return d.name == name; });
    return found == std::end(kDrivers) ? nullptr : found;
}

const Driver* probe(std::span<const u8> head) {
    const auto found =
        std::find_if(std::begin(kDrivers), std::end(kDrivers), [head](const Driver& d) { return d.probe(head); });
    return found == std::end(kDrivers) ? nullptr : found;
}

std::string served_formats() {
    std::string text = "raw";
    for (const Driver& d : kDrivers)
        if (d.open) text += ", " + std::string(d.name);
    return text + ", " + std::string(kNull);
}

std::unique_ptr<Storage> open_storage(const OpenOptions& options) {
    if (options.format == kNull) return open_null(options.path, options.read_only);
    StorageOptions s;
    s.read_only = options.read_only;
    s.cache = options.cache;
    s.lock = options.lock;
    if (options.log) s.warn = [log = options.log](const std::string& text) { log(Level::kWarn, text); };
    return options.storage ? options.storage(options.path, s) : open_file(options.path, s);
}

std::unique_ptr<Image> open(const OpenOptions& given) {
    OpenOptions options = given;
    const bool known = options.format == "raw" || options.format == "auto" || options.format == kNull ||
                       options.format.empty() || find_driver(options.format);
    if (!known)
        throw Error(Fault::kInvalid, options.path,
                    "there is no format \"" + options.format + "\"; served are " + served_formats());
    const bool overlay = options.snapshot && !options.read_only;
    options.snapshot = false;
    if (overlay) options.read_only = true;
    std::unique_ptr<Image> image = open_format(open_storage(options), options);
    if (!overlay) return image;
    const bool guessed_raw = image->info().probed && image->info().format == "raw";
    image = open_overlay(std::move(image));
    // Seen through the overlay as well, so that a guest sees no difference, and a commit finds nothing to refuse.
    return guessed_raw ? guard(std::move(image), options.log) : std::move(image);
}

}  // namespace backplane::image
