// backplane disk doctor: why a disk does not boot, and what helps. Reads only, unless it is told to repair or to undo.
#include "runner/disk_doctor.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>

#include "kernel/config/error.hpp"
#include "libs/doctor/diagnosis.hpp"
#include "libs/doctor/journal.hpp"
#include "runner/disk_file.hpp"
#include "runner/options.hpp"

namespace backplane::runner {

namespace {

using kernel::Error;

struct Options {
    std::string image, format = "auto", policy = "qemu-0.12", chs, translation, lchs, journal, undo;
    std::vector<std::string> fixes;
    unsigned partition = 0;
    bool json = false;
};

std::optional<geometry::Chs> chs_of(const std::string& option, const std::string& text) {
    if (text.empty()) return {};
    geometry::Chs c;
    int used = 0;
    if (std::sscanf(text.c_str(), "%5u/%5u/%5u%n", &c.cylinders, &c.heads, &c.sectors, &used) != 3 ||
        static_cast<std::size_t>(used) != text.size())
        throw Error(option + " " + text + ": three numbers are expected, as in 16383/16/63");
    return c;
}

geometry::Settings settings_of(const Options& o) {
    geometry::Settings s;
    s.chs = chs_of("--chs", o.chs);
    s.logical = chs_of("--lchs", o.lchs);
    using geometry::Translation;
    for (const auto t : {Translation::kNone, Translation::kLba, Translation::kLarge, Translation::kRechs})
        if (o.translation == geometry::name(t)) s.translation = t;
    if (const std::string wrong = geometry::check(s); !wrong.empty()) throw Error(wrong);
    return s;
}

doctor::Subject subject_of(const Options& o, DiskFile& file) {
    doctor::Subject s;
    s.image = o.image;
    s.format = file.format();
    s.reader = file.reader();
    s.sectors = file.sectors();
    s.settings = settings_of(o);
    s.policy = o.policy == "auto" ? geometry::Policy::kAuto : geometry::Policy::kQemu012;
    s.header = file.header();
    return s;
}

int examine(const Options& o) {
    DiskFile file(o.image, o.format, false);
    const doctor::Subject subject = subject_of(o, file);
    const doctor::Diagnosis d = doctor::diagnose(subject);
    std::fputs((o.json ? doctor::json_report(subject, d) : doctor::report(subject, d)).c_str(), stdout);
    return d.result() == doctor::Result::kFails ? kernel::kExitFailure : 0;
}

// A guess that is wrong would write into the middle of somebody's format.
void require_known_format(const DiskFile& file, const std::string& image) {
    if (file.guessed())
        throw Error(image +
                    ": has no header that is known, so it would only be a guess that it is a raw image; nothing "
                    "is written on a guess. If it is one, say --format raw");
}

std::string absolute(const std::string& path) {
    char resolved[PATH_MAX];
    return ::realpath(path.c_str(), resolved) ? std::string(resolved) : path;
}

// The journal is on the disk, with its name, before the first sector of the image changes.
std::string write_journal(const Options& o, const doctor::Journal& journal) {
    std::string path = o.journal;
    int fd = -1;
    const auto create = [&](const std::string& name) {
        fd = ::open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        return fd >= 0 || errno != EEXIST;
    };
    if (!path.empty()) {
        create(path);
    } else {
        for (int i = 1; i < 1000; ++i) {
            path = o.image + ".undo" + (i > 1 ? "-" + std::to_string(i) : std::string());
            if (create(path)) break;
        }
    }
    if (fd < 0)
        throw Error("the journal " + path + " cannot be created (" + std::strerror(errno) +
                    "); nothing was changed. Another place for it: --journal FILE");
    const std::string text = doctor::text_of(journal);
    const bool written = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && ::fsync(fd) == 0;
    const int error = errno;
    ::close(fd);
    const std::string full = absolute(path);
    const int folder = ::open(full.substr(0, full.rfind('/') + 1).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder >= 0) ::fsync(folder), ::close(folder);
    if (!written) {
        ::unlink(path.c_str());
        throw Error("the journal " + path + " cannot be written (" + std::strerror(error) + "); nothing was changed",
                    kernel::kExitFailure);
    }
    return path;
}

void apply(DiskFile& file, const doctor::Plan& plan) {
    for (const doctor::Write& w : plan.writes) file.write(w.lba, w.after);
    file.flush();
    for (const std::string& line : plan.changes) std::printf("%s\n", line.c_str());
}

int fix(const Options& o) {
    std::set<doctor::Fix> fixes;
    for (const std::string& name : o.fixes) fixes.insert(doctor::fix_of(name).value());
    DiskFile file(o.image, o.format, true);
    require_known_format(file, o.image);
    const doctor::Subject subject = subject_of(o, file);
    const doctor::Diagnosis d = doctor::diagnose(subject);
    const geometry::Chs target = d.ways.front().attachment.geometry.logical;
    const doctor::Plan plan =
        doctor::plan(d.layout, subject.reader, fixes, o.partition ? std::optional<unsigned>(o.partition) : std::nullopt,
                     {target.heads, target.sectors});
    if (!plan.refused.empty()) throw Error(o.image + ": " + plan.refused + "; nothing was changed");
    if (plan.writes.empty()) {
        std::printf("%s: everything is as it would be written; nothing was changed\n", o.image.c_str());
        return 0;
    }
    const std::string journal = write_journal(o, {absolute(o.image), file.format(), file.sectors(), plan.writes});
    apply(file, plan);
    std::printf("The old bytes are in %s; `backplane disk doctor %s --format %s --undo %s` puts them back.\n",
                journal.c_str(), o.image.c_str(), file.format().c_str(), journal.c_str());
    const doctor::Diagnosis now = doctor::diagnose(subject);
    std::printf("%s\n", now.verdict.c_str());
    return 0;
}

int undo(const Options& o) {
    std::ifstream in(o.undo, std::ios::binary);
    std::stringstream text;
    if (!in || !(text << in.rdbuf())) throw Error(o.undo + ": cannot be read");
    doctor::Journal journal;
    try {
        journal = doctor::parse_journal(text.str());
    } catch (const std::runtime_error& e) {
        throw Error(o.undo + ": " + e.what());
    }
    // The journal says what format the image was repaired as.
    DiskFile file(o.image, o.format == "auto" ? journal.format : o.format, true);
    const doctor::Plan plan = doctor::undo(journal, file.reader(), file.sectors());
    if (!plan.refused.empty()) throw Error(o.image + ": " + plan.refused + "; nothing was changed");
    if (plan.writes.empty()) std::printf("%s: the old bytes are there already\n", o.image.c_str());
    apply(file, plan);
    return 0;
}

}  // namespace

void add_disk_doctor(CLI::App& disk, int& code) {
    auto o = std::make_shared<Options>();
    CLI::App* sub = disk.add_subcommand(
        "doctor", "why a disk does not boot, and what helps; the image is only read, unless --fix or --undo is given");
    sub->add_option("image", o->image, "disk image or block device")->required();
    sub->add_option("--format", o->format, "format of the image; auto: by its header (repairs want it said for raw)");
    sub->add_option("--policy", o->policy, "where the geometry comes from")
        ->check(CLI::IsMember({"qemu-0.12", "auto"}));
    sub->add_option("--chs", o->chs, "as if this physical geometry were pinned: CYLINDERS/HEADS/SECTORS");
    sub->add_option("--translation", o->translation, "as if this translation were pinned")
        ->check(CLI::IsMember({"auto", "none", "lba", "large", "rechs"}));
    sub->add_option("--lchs", o->lchs, "as if this logical geometry were pinned: CYLINDERS/HEADS/SECTORS");
    auto* json = sub->add_flag("--json", o->json, "for programs; the page on the doctor has the members");
    auto* fixes =
        sub->add_option("--fix", o->fixes,
                        "writes: bpb: heads and sectors a track into the boot sector and its copy; hidden: the "
                        "hidden sectors; table: the table's CHS; may be repeated")
            ->check(CLI::IsMember({"bpb", "hidden", "table"}))
            ->allow_extra_args(false);
    sub->add_option("--partition", o->partition, "with --fix: number of the partition (default: the active one)")
        ->check(CLI::Range(1, 200))
        ->needs(fixes);
    sub->add_option("--journal", o->journal, "with --fix: where the old bytes go (default: IMAGE.undo)")->needs(fixes);
    sub->add_option("--undo", o->undo, "puts the bytes of this journal back, if nothing else has changed them")
        ->excludes(fixes)
        ->excludes(json);
    json->excludes(fixes);
    sub->callback([o, &code] { code = !o->undo.empty() ? undo(*o) : !o->fixes.empty() ? fix(*o) : examine(*o); });
}

}  // namespace backplane::runner
