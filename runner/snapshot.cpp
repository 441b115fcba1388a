// backplane snapshot: list, info, diff.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "kernel/config/convert.hpp"
#include "kernel/state/diff.hpp"
#include "kernel/state/text.hpp"
#include "runner/ctl.hpp"
#include "runner/options.hpp"
#include "runner/snapshot_info.hpp"

namespace backplane::runner {

namespace {

// By its first bytes, or, if those are damaged, by its name.
bool looks_like_snapshot(const std::filesystem::directory_entry& entry) {
    std::error_code error;
    if (!entry.is_regular_file(error)) return false;
    if (entry.path().extension() == kernel::kSnapshotSuffix) return true;
    std::string begin(kernel::kSnapshotMagic.size(), '\0');
    std::ifstream in(entry.path(), std::ios::binary);
    in.read(begin.data(), static_cast<std::streamsize>(begin.size()));
    return in && begin == kernel::kSnapshotMagic;
}

int list(const std::string& folder) {
    std::vector<std::filesystem::path> paths;
    std::error_code error;
    for (std::filesystem::directory_iterator i(folder, error), end; !error && i != end; i.increment(error))
        if (looks_like_snapshot(*i)) paths.push_back(i->path());
    if (error) throw kernel::Error(folder + ": " + error.message());
    std::sort(paths.begin(), paths.end());

    std::vector<std::string> broken;
    bool any = false;
    for (const auto& path : paths) {
        try {
            const kernel::SnapshotFile file(path.string());
            const kernel::Snapshot& s = file.snapshot();
            if (!any)
                std::printf("%-24s %-12s %20s %16s %8s %12s  %s\n", "FILE", "BOARD", "MACHINE TIME", "INSTRUCTIONS",
                            "MEMORY", "SIZE", "CLOCK");
            any = true;
            std::printf("%-24s %-12s %20s %16llu %8s %12llu  %s\n", kernel::printable(path.filename().string()).c_str(),
                        kernel::printable(s.board).c_str(), kernel::time_text(s.time_ns).c_str(),
                        static_cast<unsigned long long>(instruction_total(s)),
                        kernel::size_text(memory_total(s)).c_str(), static_cast<unsigned long long>(file.file_size()),
                        s.deterministic ? "deterministic" : "realtime");
        } catch (const kernel::Error& e) {
            broken.push_back(e.what());
        }
    }
    if (!broken.empty()) std::printf("%sNot usable:\n", any ? "\n" : "");
    for (const std::string& text : broken) std::printf("  %s\n", kernel::printable(text).c_str());
    if (paths.empty()) std::printf("no snapshots in %s\n", kernel::printable(folder).c_str());
    return 0;
}

int info(const std::string& path, bool json) {
    const kernel::SnapshotFile file(path);
    const std::string text = json ? snapshot_json(file) : snapshot_text(file);
    std::fwrite(text.data(), 1, text.size(), stdout);
    return 0;
}

int diff(const std::string& a, const std::string& b, const kernel::DiffOptions& options) {
    const std::vector<kernel::Difference> found =
        kernel::diff(kernel::SnapshotFile(a), kernel::SnapshotFile(b), options);
    for (const kernel::Difference& d : found) std::printf("%s\n", d.text().c_str());
    return found.empty() ? 0 : kernel::kExitFailure;
}

}  // namespace

void add_snapshot(CLI::App& app, int& code) {
    CLI::App* sub = app.add_subcommand("snapshot", "saved states of machines: save, list, show, compare");
    sub->require_subcommand(1);

    auto address = std::make_shared<std::string>(), target = std::make_shared<std::string>();
    CLI::App* s = sub->add_subcommand("save", "saves the state of a machine that runs with --control");
    s->add_option("file", *target, "where to; an existing file is replaced once the new one is complete")->required();
    add_control_option(*s, *address);
    s->callback([address, target, &code] {
        code = control_call(*address, "save-state",
                            {{"path", std::filesystem::absolute(*target).lexically_normal().string()}});
    });

    auto folder = std::make_shared<std::string>(".");
    CLI::App* l = sub->add_subcommand("list", "the snapshots in a folder; broken ones with the reason");
    l->add_option("folder", *folder, "folder; otherwise the current one");
    l->callback([folder, &code] { code = list(*folder); });

    auto path = std::make_shared<std::string>();
    auto json = std::make_shared<bool>(false);
    CLI::App* i = sub->add_subcommand("info", "checks a snapshot and shows all of it but the contents of memory");
    i->add_option("file", *path, "snapshot")->required();
    i->add_flag("--json", *json, "as JSON");
    i->callback([path, json, &code] { code = info(*path, *json); });

    struct Pair {
        std::string a, b;
        kernel::DiffOptions options;
    };
    auto pair = std::make_shared<Pair>();
    CLI::App* d = sub->add_subcommand("diff", "names what differs between two snapshots");
    d->footer("Exit codes: 0 equal, 1 different, 2 a file is no snapshot, or wrong command line.");
    d->add_option("first", pair->a, "snapshot")->required();
    d->add_option("second", pair->b, "snapshot")->required();
    d->add_flag("--memory", pair->options.memory, "name the ranges of memory that differ, not only how much");
    d->add_option("--ignore", pair->options.ignore,
                  "leave out what the pattern matches: 'machine.*', 'cpu0.*', 'ram of *'; may be repeated")
        ->type_name("PATTERN")
        ->allow_extra_args(false)
        ->take_all();
    d->callback([pair, &code] { code = diff(pair->a, pair->b, pair->options); });
}

}  // namespace backplane::runner
