// backplane disk: images. What is here is `info`: what a disk image is, and the geometry that a guest will see.
#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "kernel/config/convert.hpp"
#include "kernel/config/error.hpp"
#include "libs/geometry/geometry.hpp"
#include "runner/disk_doctor.hpp"
#include "runner/disk_tools.hpp"
#include "runner/options.hpp"

namespace backplane::runner {

namespace {

struct Options {
    std::string path, format = "auto";
    bool json = false;
};

unsigned long long number(u64 value) { return value; }

bool block_device(const std::string& path) {
    struct stat st {};
    return ::stat(path.c_str(), &st) == 0 && S_ISBLK(st.st_mode);
}

// Without its lock, so that a disk in use can be looked at, and without what lies below: that may be missing.
std::unique_ptr<image::Image> open(const std::string& path, const std::string& format) {
    image::OpenOptions o;
    o.path = path;
    o.format = format;
    o.read_only = true;
    o.lock = false;
    return image::open(o);
}

void describe(const image::Image& disk, const std::string& indent) {
    const image::Info i = disk.info();
    const bool device = block_device(i.path);
    std::printf("%s%s: %s, %llu bytes", indent.c_str(), i.path.c_str(),
                device && i.format == "raw" ? "block device" : (i.format + " image").c_str(), number(i.bytes));
    if (!device) std::printf(", %llu on the host", number(disk.host_bytes()));
    std::printf("\n");
    if (i.cluster_bytes) {
        std::printf("%s  clusters of %s", indent.c_str(), kernel::size_text(i.cluster_bytes).c_str());
        for (const auto& [name, value] : i.details) std::printf(", %s %s", name.c_str(), value.c_str());
        std::printf("\n");
    }
    for (const auto& s : disk.snapshots())
        std::printf("%s  snapshot %s \"%s\", disk of %llu bytes, %llu bytes of machine state\n", indent.c_str(),
                    s.id.c_str(), s.name.c_str(), number(s.disk_bytes), number(s.vm_state_bytes));
    if (i.backing_file.empty()) return;
    std::printf("%s  backing file: %s, format %s\n", indent.c_str(), i.backing_file.c_str(),
                i.backing_format.empty() ? "not given" : i.backing_format.c_str());
    if (disk.backing()) describe(*disk.backing(), indent + "  ");
}

nlohmann::ordered_json as_json(const image::Image& disk) {
    const image::Info i = disk.info();
    nlohmann::ordered_json j{
        {"file", i.path}, {"format", i.format}, {"bytes", i.bytes}, {"host-bytes", disk.host_bytes()}};
    if (i.cluster_bytes) j["cluster-bytes"] = i.cluster_bytes;
    for (const auto& [name, value] : i.details) j["details"][name] = value;
    if (disk.has_snapshots()) j["snapshots"] = nlohmann::ordered_json::array();
    for (const auto& s : disk.snapshots())
        j["snapshots"].push_back({{"id", s.id},
                                  {"name", s.name},
                                  {"date", s.date_seconds},
                                  {"machine-state-bytes", s.vm_state_bytes},
                                  {"disk-bytes", s.disk_bytes}});
    if (!i.backing_file.empty()) j["backing-file"] = i.backing_file;
    if (!i.backing_format.empty()) j["backing-format"] = i.backing_format;
    if (disk.backing()) j["backing"] = as_json(*disk.backing());
    return j;
}

void print_partitions(std::span<const u8> first) {
    if (first.size() < 512 || first[510] != 0x55 || first[511] != 0xaa) {
        std::printf("no partition table (no 55AA signature in the first sector)\n");
        return;
    }
    std::printf("partition table:\n");
    for (int i = 0; i < 4; ++i) {
        const u8* e = &first[0x1be + 16 * static_cast<std::size_t>(i)];
        const auto dword = [e](int at) {
            return u32{e[at]} | u32{e[at + 1]} << 8 | u32{e[at + 2]} << 16 | u32{e[at + 3]} << 24;
        };
        if (dword(12) == 0 && e[4] == 0) continue;
        std::printf("  %d%s type %02x  start %u, %u sectors  CHS %u/%u/%u to %u/%u/%u\n", i + 1,
                    e[0] == 0x80 ? "*" : " ", e[4], dword(8), dword(12), u32{e[3]} | (u32{e[2]} & 0xc0) << 2, e[1],
                    e[2] & 0x3fu, u32{e[7]} | (u32{e[6]} & 0xc0) << 2, e[5], e[6] & 0x3fu);
    }
}

int info(const Options& o) {
    std::unique_ptr<image::Image> disk;
    std::string trouble;
    try {
        disk = open(o.path, o.format);
    } catch (const image::Error& e) {  // without the layers below there is still something to say
        image::OpenOptions alone;
        alone.path = o.path;
        alone.format = o.format;
        alone.read_only = true;
        alone.lock = false;
        alone.no_backing = true;
        disk = image::open(alone);
        trouble = e.what();
    }
    const u64 bytes = disk->bytes();
    if (bytes < 512) throw kernel::Error(o.path + ": smaller than one sector");
    std::array<u8, 512> first{};
    const bool readable = trouble.empty() && disk->read(0, first) == 0;
    geometry::Input input;
    input.sectors = bytes / 512;
    input.first_sector = std::span<const u8>(first.data(), readable ? first.size() : 0);
    const geometry::Geometry g = geometry::resolve(input);
    if (o.json) {
        nlohmann::ordered_json j = as_json(*disk);
        if (!trouble.empty()) j["error"] = trouble;
        const auto chs = [](const geometry::Chs& c) {
            return nlohmann::ordered_json{{"cylinders", c.cylinders}, {"heads", c.heads}, {"sectors", c.sectors}};
        };
        j["geometry"] = {{"physical", chs(g.physical)},
                         {"translation", std::string(geometry::name(g.translation))},
                         {"logical", chs(g.logical)},
                         {"reason", g.reason}};
        std::printf("%s\n", j.dump(2, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
    } else {
        describe(*disk, "");
        struct stat st {};
        if (disk->info().format == "raw" && ::stat(o.path.c_str(), &st) == 0 && S_ISREG(st.st_mode) && st.st_size % 512)
            std::printf("The last %llu bytes are no whole sector and will not be seen by a guest.\n",
                        number(static_cast<u64>(st.st_size) % 512));
        if (trouble.empty()) {
            std::fputs(geometry::report(g).c_str(), stdout);
            print_partitions(input.first_sector);
        }
    }
    if (!trouble.empty()) throw kernel::Error(trouble);
    return 0;
}

}  // namespace

void add_disk(CLI::App& app, int& code) {
    CLI::App* sub = app.add_subcommand("disk", "disk images");
    sub->require_subcommand(1);
    auto o = std::make_shared<Options>();
    CLI::App* i = sub->add_subcommand(
        "info", "format, size, partition table, and the geometry that a guest will see (the image is only read)");
    i->add_option("image", o->path, "disk image or block device")->required();
    i->add_option("--format", o->format, "format of the image")->capture_default_str();
    i->add_flag("--json", o->json, "print it as JSON");
    i->callback([o, &code] { code = guarded([&] { return info(*o); }); });
    add_disk_doctor(*sub, code);
    add_disk_report(*sub, code);
    add_disk_create(*sub, code);
    add_disk_convert(*sub, code);
    add_disk_check(*sub, code);
    add_disk_snapshot(*sub, code);
    add_disk_layers(*sub, code);
    add_disk_compare(*sub, code);
    add_disk_bench(*sub, code);
}

}  // namespace backplane::runner
