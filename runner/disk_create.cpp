// backplane disk create, backplane disk resize.
#include <CLI/CLI.hpp>
#include <bit>
#include <cerrno>
#include <cstring>
#include <optional>

#include "kernel/config/convert.hpp"
#include "kernel/config/error.hpp"
#include "runner/disk_create.hpp"
#include "runner/disk_tools.hpp"

namespace backplane::runner {

namespace {

void preallocate(image::Storage& file, u64 bytes, const std::string& how) {
    if (how == "off") return;
    if (how == "falloc" || how == "full") {
        const int error = file.allocate(0, bytes);
        if (error && error != EOPNOTSUPP) expect(error, file.path(), 0, "given its space");
        if (error) expect(file.zero(0, bytes), file.path(), 0, "given its space");
    }
}

int create(const std::string& path, const std::string& size, const NewImage& what, bool force) {
    u64 bytes = 0;
    if (!size.empty()) {
        bytes = size_argument(size);
    } else if (what.backing.empty()) {
        throw kernel::Error(path + ": how large? A size such as 10G is missing");
    } else {
        image::OpenOptions o;
        o.path = image::qcow2::backing_path(path, what.backing);
        o.format = what.backing_format.empty() ? "auto" : what.backing_format;
        o.read_only = true;
        bytes = open_image(o)->bytes();
    }
    Bar bar("creating");  // from here on signals wait, so that the target is gone if they end this
    Target target(path, force);
    make_image(target.path(), path, bytes, what);
    bar.show(bytes, bytes);
    target.complete();
    std::printf("%s: %s image, %llu bytes\n", path.c_str(), what.format.c_str(),
                static_cast<unsigned long long>(bytes));
    return 0;
}

int resize(const std::string& path, const std::string& format, const std::string& size, bool shrink) {
    image::OpenOptions o;
    o.path = path;
    o.format = format;
    const auto disk = open_image(o);
    const u64 old = disk->bytes();
    u64 bytes = 0;
    if (size.starts_with("+"))
        bytes = old + size_argument(size.substr(1));
    else
        bytes = size_argument(size);
    if (bytes < old && !shrink)
        throw kernel::Error(path + ": is larger than that, " + std::to_string(old) +
                            " bytes; --shrink cuts off what lies behind the new end for good");
    disk->resize(bytes);
    expect(disk->flush(), path, 0, "flushed");
    std::printf("%s: %llu bytes, before %llu\n", path.c_str(), static_cast<unsigned long long>(bytes),
                static_cast<unsigned long long>(old));
    return 0;
}

}  // namespace

void add_new_image_options(CLI::App& app, NewImage& what) {
    app.add_option("--format", what.format, "qcow2 or raw")
        ->check(CLI::IsMember({"qcow2", "raw"}))
        ->capture_default_str();
    app.add_option("--backing", what.backing,
                   "qcow2: file whose contents show where the new image has none of its own");
    app.add_option("--backing-format", what.backing_format, "its format; must be given with --backing");
    app.add_option("--cluster-size", what.cluster_size, "qcow2: 512 to 2M")->capture_default_str();
    app.add_option("--compression-type", what.compression, "qcow2: of compressed clusters")
        ->check(CLI::IsMember({"zlib", "zstd"}))
        ->capture_default_str();
    app.add_option("--refcount-bits", what.refcount_bits, "qcow2: 1 to 64")->capture_default_str();
    app.add_option("--compat", what.version, "qcow2: version of the format")
        ->check(CLI::IsMember({"2", "3"}))
        ->capture_default_str();
    app.add_flag("--lazy-refcounts", what.lazy, "qcow2: reference counts are written when the image is closed");
    app.add_option("--preallocation", what.preallocation, "space taken beforehand")
        ->check(CLI::IsMember({"off", "metadata", "falloc"}))
        ->capture_default_str();
}

void make_image(const std::string& path, const std::string& final_path, u64 bytes, const NewImage& what) {
    image::StorageOptions so;
    const auto file = image::open_file(path, so);
    if (what.format == "raw") {
        if (!what.backing.empty()) throw kernel::Error("a raw image has no backing file; --format qcow2 has");
        if (what.preallocation == "metadata")
            throw kernel::Error("a raw image has no metadata; --preallocation falloc");
        expect(file->truncate(bytes), final_path, 0, "given its size");
        preallocate(*file, bytes, what.preallocation);
        return;
    }
    const auto cluster = kernel::parse_size(what.cluster_size);
    if (!cluster || !std::has_single_bit(*cluster))
        throw kernel::Error("--cluster-size " + what.cluster_size + ": not a power of two");
    if (!std::has_single_bit(what.refcount_bits))
        throw kernel::Error("--refcount-bits " + std::to_string(what.refcount_bits) + ": not a power of two");
    image::qcow2::CreateOptions o;
    o.bytes = bytes;
    o.version = what.version == "2" ? 2 : 3;
    o.cluster_bits = static_cast<unsigned>(std::countr_zero(*cluster));
    o.refcount_order = static_cast<unsigned>(std::countr_zero(what.refcount_bits));
    o.compression = what.compression == "zstd" ? image::qcow2::Compression::kZstd : image::qcow2::Compression::kZlib;
    o.lazy_refcounts = what.lazy;
    o.backing_file = what.backing;
    o.backing_format = what.backing_format;
    if (const std::string error = image::qcow2::check(o); !error.empty())
        throw kernel::Error(final_path + ": " + error);
    if (!what.backing.empty()) {
        if (what.backing_format.empty())
            throw kernel::Error(
                "--backing needs --backing-format: a format that is guessed lets a guest who writes a "
                "header into its disk read other files");
        if (what.preallocation != "off") throw kernel::Error("with a backing file nothing can be allocated beforehand");
        image::OpenOptions below;  // must be there, and be what is said
        below.path = image::qcow2::backing_path(final_path, what.backing);
        below.format = what.backing_format;
        below.read_only = true;
        static_cast<void>(open_image(below));
    }
    expect(image::qcow2::create(*file, o), final_path, 0, "written");
    if (what.preallocation == "off") return;
    expect(image::qcow2::preallocate(*file), final_path, 0, "given its space");
    preallocate(*file, file->size(), what.preallocation);
}

void add_disk_create(CLI::App& disk, int& code) {
    struct Options {
        std::string path, size, format = "auto";
        NewImage what;
        bool force = false, shrink = false;
    };
    auto o = std::make_shared<Options>();
    CLI::App* create_app = disk.add_subcommand("create", "make an empty image");
    create_app->add_option("file", o->path, "the new image")->required();
    create_app->add_option("size", o->size, "10G, 512M ...; by default that of the backing file");
    add_new_image_options(*create_app, o->what);
    create_app->add_flag("--force", o->force, "replace a file that is there");
    create_app->callback([o, &code] { code = guarded([&] { return create(o->path, o->size, o->what, o->force); }); });

    auto r = std::make_shared<Options>();
    CLI::App* resize_app = disk.add_subcommand("resize", "make a disk larger or smaller");
    resize_app->add_option("file", r->path, "the image")->required();
    resize_app->add_option("size", r->size, "new size, or +10G")->required();
    resize_app->add_option("--format", r->format, "format of the image")->capture_default_str();
    resize_app->add_flag("--shrink", r->shrink, "allow a smaller one; what lies behind its end is lost");
    resize_app->callback(
        [r, &code] { code = guarded([&] { return resize(r->path, r->format, r->size, r->shrink); }); });
}

}  // namespace backplane::runner
