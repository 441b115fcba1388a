// backplane disk check: whether an image's own tables are right.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "image/qcow2/check.hpp"
#include "runner/disk_tools.hpp"

namespace backplane::runner {

namespace {

// Exit codes of `disk check` beside 0, 1 (the check failed) and 2 (command line, no such image).
constexpr int kExitLeaks = 4;
constexpr int kExitCorrupt = 5;

struct Options {
    std::string path, format = "auto", repair;
    bool json = false;
};

void print_json(const Options& o, const std::string& format, const image::qcow2::CheckResult& r) {
    nlohmann::ordered_json j;
    j["file"] = o.path;
    j["format"] = format;
    j["corruptions"] = r.corruptions;
    j["leaks"] = r.leaks;
    j["corruptions-fixed"] = r.corruptions_fixed;
    j["leaks-fixed"] = r.leaks_fixed;
    j["clusters"] = r.clusters;
    j["allocated-clusters"] = r.allocated;
    j["compressed-clusters"] = r.compressed;
    j["fragmented-clusters"] = r.fragmented;
    j["end-offset"] = r.end;
    j["messages"] = r.messages;
    std::printf("%s\n", j.dump(2, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
}

void print(const Options& o, const image::qcow2::CheckResult& r) {
    constexpr std::size_t kMost = 50;
    for (std::size_t i = 0; i < r.messages.size() && i < kMost; ++i) std::printf("%s\n", r.messages[i].c_str());
    if (r.messages.size() > kMost) std::printf("... (--json lists up to a thousand)\n");
    const auto n = [](u64 v) { return static_cast<unsigned long long>(v); };
    if (r.corruptions_fixed || r.leaks_fixed)
        std::printf("repaired: %llu errors, %llu leaked clusters\n", n(r.corruptions_fixed), n(r.leaks_fixed));
    if (r.clean())
        std::printf("%s: no errors\n", o.path.c_str());
    else
        std::printf("%s: %llu errors, %llu leaked clusters%s\n", o.path.c_str(), n(r.corruptions), n(r.leaks),
                    r.corruptions ? "; do not write to it before a copy is made; --repair all tries to put it right"
                                  : " (lost space, no danger; --repair leaks gives it back)");
    std::printf("%llu of %llu clusters allocated, %llu compressed, %llu not in a row; the last byte in use is %llu\n",
                n(r.allocated), n(r.clusters), n(r.compressed), n(r.fragmented), n(r.end));
}

int check(const Options& o) {
    image::StorageOptions so;
    so.read_only = o.repair.empty();
    const auto file = image::open_file(o.path, so);
    std::string format = o.format;
    if (format == "auto") {
        std::vector<u8> head(std::min<u64>(512, file->size()));
        expect(file->read(0, head), o.path, 0, "read");
        const image::Driver* driver = image::probe(head);
        format = driver ? std::string(driver->name) : "raw";
    }
    image::qcow2::CheckResult r;
    if (format == "raw") {
        if (!o.json) std::printf("%s: raw, nothing to check: it has no tables of its own\n", o.path.c_str());
    } else if (format == "qcow2") {
        Bar bar("checking");
        const auto repair = o.repair == "all"     ? image::qcow2::Repair::kAll
                            : o.repair == "leaks" ? image::qcow2::Repair::kLeaks
                                                  : image::qcow2::Repair::kNothing;
        r = image::qcow2::check(*file, repair, bar.progress());
    } else {
        throw image::Error(image::Fault::kUnsupported, o.path, "the format " + format + " cannot be checked");
    }
    if (o.json)
        print_json(o, format, r);
    else if (format != "raw")
        print(o, r);
    return r.corruptions ? kExitCorrupt : r.leaks ? kExitLeaks : 0;
}

}  // namespace

void add_disk_check(CLI::App& disk, int& code) {
    auto o = std::make_shared<Options>();
    CLI::App* app = disk.add_subcommand("check", "whether an image's tables are right; repairs them if asked to");
    app->add_option("file", o->path, "the image; nobody else may have it")->required();
    app->add_option("--format", o->format, "format of the image")->capture_default_str();
    app->add_option("--repair", o->repair, "leaks: give lost space back; all: put everything right that can be")
        ->check(CLI::IsMember({"leaks", "all"}));
    app->add_flag("--json", o->json, "print the result as JSON");
    app->footer(
        "Exit codes: 0 no errors (left), 1 the check failed, 2 command line or no such image, 4 leaked clusters, "
        "5 errors.");
    app->callback([o, &code] { code = guarded([&] { return check(*o); }); });
}

}  // namespace backplane::runner
