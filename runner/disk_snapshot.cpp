// backplane disk snapshot: snapshots inside an image.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <ctime>
#include <nlohmann/json.hpp>

#include "kernel/config/convert.hpp"
#include "runner/disk_tools.hpp"

namespace backplane::runner {

namespace {

struct Options {
    std::string path, name, format = "auto";
    bool json = false;
};

std::string when(u64 seconds) {
    const auto time = static_cast<time_t>(seconds);
    tm parts{};
    char text[32];
    if (!localtime_r(&time, &parts) || !strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &parts)) return "?";
    return text;
}

std::unique_ptr<image::Image> open(const Options& o, bool read_only) {
    image::OpenOptions i;
    i.path = o.path;
    i.format = o.format;
    i.read_only = read_only;
    i.lock = !read_only;
    i.no_backing = read_only;
    return open_image(i);
}

int list(const Options& o) {
    const auto disk = open(o, true);
    const auto all = disk->snapshots();
    if (o.json) {
        auto j = nlohmann::ordered_json::array();
        for (const auto& s : all)
            j.push_back({{"id", s.id},
                         {"name", s.name},
                         {"date", s.date_seconds},
                         {"machine-time-ns", s.vm_clock_ns},
                         {"machine-state-bytes", s.vm_state_bytes},
                         {"disk-bytes", s.disk_bytes}});
        std::printf("%s\n", j.dump(2, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
        return 0;
    }
    if (all.empty())
        std::printf("%s: no snapshots\n", o.path.c_str());
    else
        std::printf("%-4s %-24s %-19s %10s %12s\n", "id", "name", "made", "disk", "machine");
    for (const auto& s : all)
        std::printf("%-4s %-24s %-19s %10s %12s\n", s.id.c_str(), s.name.c_str(), when(s.date_seconds).c_str(),
                    kernel::size_text(s.disk_bytes).c_str(),
                    s.vm_state_bytes ? kernel::size_text(s.vm_state_bytes).c_str() : "-");
    return 0;
}

}  // namespace

void add_disk_snapshot(CLI::App& disk, int& code) {
    CLI::App* all = disk.add_subcommand("snapshot", "snapshots inside a qcow2 image");
    all->require_subcommand(1);
    const auto add = [all, &code](const char* name, const char* text, bool named, int (*work)(const Options&)) {
        auto o = std::make_shared<Options>();
        CLI::App* app = all->add_subcommand(name, text);
        app->add_option("file", o->path, "the image")->required();
        if (named)
            app->add_option("name", o->name, "id or name of the snapshot")->required();
        else
            app->add_flag("--json", o->json, "print the list as JSON");
        app->add_option("--format", o->format, "format of the image")->capture_default_str();
        app->callback([o, work, &code] { code = guarded([&] { return work(*o); }); });
    };
    add("list", "which there are", false, list);
    add("create", "keep the disk as it is now", true, [](const Options& o) {
        image::SnapshotInfo about;
        about.name = o.name;
        std::printf("%s: snapshot %s\n", o.path.c_str(), open(o, false)->create_snapshot(about).c_str());
        return 0;
    });
    add("apply", "make the disk what it was; what it is now is lost", true, [](const Options& o) {
        open(o, false)->apply_snapshot(o.name);
        return 0;
    });
    add("delete", "forget one; the disk stays as it is", true, [](const Options& o) {
        open(o, false)->delete_snapshot(o.name);
        return 0;
    });
}

}  // namespace backplane::runner
