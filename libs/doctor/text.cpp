// The report for people.
#include <algorithm>
#include <cstdarg>
#include <cstdio>

#include "diagnosis.hpp"

namespace backplane::doctor {
namespace {

using std::uint64_t;
constexpr std::size_t kWidth = 64;  // of the picture
constexpr std::size_t kMostReads = 8;

void line(std::string& out, const char* format, ...) __attribute__((format(printf, 2, 3)));
void line(std::string& out, const char* format, ...) {
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    std::string text(static_cast<std::size_t>(std::vsnprintf(nullptr, 0, format, arguments)) + 1, '\0');
    std::vsnprintf(text.data(), text.size(), format, again);
    va_end(again);
    va_end(arguments);
    text.back() = '\n';
    out += text;
}

unsigned long long ull(uint64_t n) { return n; }

std::string size_text(uint64_t sectors) {
    char text[32];
    const double mib = static_cast<double>(sectors) / 2048;
    if (mib < 1024)
        std::snprintf(text, sizeof text, "%.1f MiB", mib);
    else
        std::snprintf(text, sizeof text, "%.1f GiB", mib / 1024);
    return text;
}

std::string chs(const geometry::Chs& c) {
    return std::to_string(c.cylinders) + "/" + std::to_string(c.heads) + "/" + std::to_string(c.sectors);
}

std::string content(const Partition& p) {
    if (p.volume) return std::string(geometry::name(p.volume->boot.file_system));
    if (p.extended) return "extended";
    if (p.entry.type == 0xee) return "GPT";
    return p.content;
}

char mark_of(unsigned number) { return number < 10 ? static_cast<char>('0' + number) : '+'; }

// One character for each 1/64 of the disk: the partition's number, a dot for free space.
std::string picture(const Layout& layout) {
    if (layout.whole) return std::string(kWidth, '#');
    std::string bar(kWidth, '.');
    const auto cell = [&](uint64_t lba) {
        const auto at = static_cast<long double>(lba) * kWidth / static_cast<long double>(layout.sectors);
        return std::min(kWidth - 1, static_cast<std::size_t>(std::min<long double>(at, kWidth)));
    };
    const auto draw = [&](uint64_t first, uint64_t last, char mark) {
        if (first > last || first >= layout.sectors) return;
        for (std::size_t i = cell(first); i <= cell(std::min(last, layout.sectors - 1)); ++i) bar[i] = mark;
    };
    for (const bool extended : {true, false})
        for (const Partition& p : layout.partitions)
            if (p.extended == extended && p.count > 0 && p.entry.type != 0xee)
                draw(p.start, p.end() - 1, extended ? '-' : mark_of(p.number));
    if (layout.gpt)
        for (const GptPartition& p : layout.gpt->partitions) draw(p.first, p.last, mark_of(p.number));
    return bar;
}

void show_volume(std::string& out, const Volume& v, uint64_t start) {
    const auto& b = v.boot;
    if (b.file_system == geometry::FileSystem::kExfat)
        line(out, "       %s: starts at sector %llu by its own account", std::string(name(b.file_system)).c_str(),
             ull(b.hidden));
    else
        line(out, "       %s: %u sectors a track, %u heads, %llu hidden sectors%s",
             std::string(name(b.file_system)).c_str(), b.sectors, b.heads, ull(b.hidden),
             b.hidden == start ? "" : " (wrong)");
    line(out, "       boot code: %s; it %s", std::string(v.code.name).c_str(),
         v.code.loader == Loader::kNothing ? "is missing" : std::string(describe(v.code.loader)).c_str());
    if (v.backup)
        line(out, "       copy of the boot sector: sector %llu, %s", ull(v.backup->lba),
             !v.backup->readable  ? "beyond the end"
             : !v.backup->present ? "not there"
             : v.backup->equal    ? "equal"
                                  : "different");
}

void show_partition(std::string& out, const Layout& layout, const Partition& p) {
    line(out, "  %c %2u%s type %02x %-10s sectors %llu-%llu (%s), CHS %s to %s", mark_of(p.number), p.number,
         p.entry.active ? "*" : " ", p.entry.type, content(p).c_str(), ull(p.start), ull(p.end() - 1),
         size_text(p.count).c_str(), chs(p.entry.first).c_str(), chs(p.entry.last).c_str());
    const bool common =
        layout.table && std::find(p.agreeing.begin(), p.agreeing.end(), *layout.table) != p.agreeing.end();
    if (p.entry.type == 0xee) {
    } else if (common) {
        line(out, "       CHS and sectors agree under %u heads, %u sectors a track", layout.table->heads,
             layout.table->sectors);
    } else if (p.agreeing.empty()) {
        line(out, "       CHS and sectors agree under no geometry");
    } else if (p.agreeing.size() <= 3) {
        std::string list;
        for (const Tracks& t : p.agreeing)
            list += (list.empty() ? "" : ", ") + std::to_string(t.heads) + "/" + std::to_string(t.sectors);
        line(out, "       CHS and sectors agree under %s", list.c_str());
    } else {
        line(out, "       CHS and sectors agree under %zu geometries, %u/%u among them", p.agreeing.size(),
             p.agreeing.back().heads, p.agreeing.back().sectors);
    }
    if (p.volume) show_volume(out, *p.volume, p.start);
}

void show_layout(std::string& out, const Subject& subject, const Layout& layout) {
    line(out, "%s: %s, %llu sectors (%s)", subject.image.c_str(), subject.format.c_str(), ull(layout.sectors),
         size_text(layout.sectors).c_str());
    if (!layout.readable) return;
    line(out, "\n  [%s]", picture(layout).c_str());
    if (layout.whole) {
        line(out, "  one volume, no partition table");
        show_volume(out, *layout.whole, 0);
        return;
    }
    line(out, "  master boot record: %s; %s", std::string(layout.code.name).c_str(),
         std::string(describe(layout.code.loader)).c_str());
    if (!layout.signature) line(out, "  no partition table");
    for (const Partition& p : layout.partitions) show_partition(out, layout, p);
    if (layout.gpt)
        for (const GptPartition& p : layout.gpt->partitions)
            line(out, "  GPT %2u sectors %llu-%llu  %s  %s", p.number, ull(p.first), ull(p.last), p.type.c_str(),
                 p.name.c_str());
}

const char* outcome(const Chain& c) {
    switch (c.result) {
        case Result::kStarts: return "boots";
        case Result::kFails: return "fails";
        case Result::kNothing: return "-";
    }
    return "";
}

void show_ways(std::string& out, const Diagnosis& d) {
    line(out, "\nWhat each way of attaching it makes of the disk (cylinders/heads/sectors):");
    line(out, "  %-6s %-13s %-6s %-13s", "", "physical", "trans", "INT 13h");
    for (const Way& w : d.ways) {
        const auto& g = w.attachment.geometry;
        line(out, "  %-6s %-13s %-6s %-13s %s", outcome(w.chain), text(g.physical).c_str(),
             g.logical_given ? "given" : std::string(name(g.translation)).c_str(), text(g.logical).c_str(),
             std::string(w.attachment.name).c_str());
    }
    line(out, "  The first, because: %s.", d.ways.front().attachment.geometry.reason.c_str());
}

void show_reads(std::string& out, const Chain& c) {
    if (c.reads.empty()) return;
    line(out, "\nWhat the boot code reads there:");
    std::size_t shown = 0;
    for (const Read& r : c.reads) {
        if (shown == kMostReads && &r != &c.reads.back()) continue;
        if (shown++ == kMostReads) line(out, "  ...");
        const std::string how = r.by_chs ? "as CHS " + chs(r.chs) : "by sector number";
        const std::string got = !r.got      ? "an error"
                                : r.right() ? "right"
                                            : "sector " + std::to_string(*r.got) + ": WRONG";
        const std::string count = r.count > 1 ? " (" + std::to_string(r.count) + " sectors)" : "";
        line(out, "  %-28s sector %-10llu%s %s: gets %s", r.what.c_str(), ull(r.wanted), count.c_str(), how.c_str(),
             got.c_str());
    }
    if (c.samples_wrong > 0)
        line(out, "  Of %u places all over the partition it would miss %u.", c.samples, c.samples_wrong);
}

// Words in lines of at most 100 characters.
void wrapped(std::string& out, const std::string& first, const std::string& text) {
    constexpr std::size_t kLine = 100;
    std::string row = first;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = std::min(text.find(' ', at), text.size());
        if (row.size() + (end - at) > kLine && row.find_first_not_of(' ') != std::string::npos &&
            row.size() > first.size()) {
            out += row + "\n";
            row = std::string(first.size(), ' ');
        }
        if (row.size() > first.size()) row += ' ';
        row += text.substr(at, end - at);
        at = end + 1;
    }
    out += row + "\n";
}

}  // namespace

std::string report(const Subject& subject, const Diagnosis& d) {
    std::string out;
    show_layout(out, subject, d.layout);
    show_ways(out, d);
    show_reads(out, d.ways.front().chain);
    if (!d.findings.empty()) {
        line(out, "\nRemarks:");
        for (const Finding& f : d.findings)
            wrapped(out,
                    f.severity == Severity::kError     ? "  error: "
                    : f.severity == Severity::kWarning ? "  warning: "
                                                       : "  note: ",
                    f.text);
    }
    out += "\n";
    wrapped(out, "", d.verdict);
    if (!d.cures.empty()) {
        line(out, "\nWhat helps%s:", d.cures.size() > 1 ? ", best first" : "");
        unsigned n = 0;
        for (const Cure& c : d.cures) {
            wrapped(out, "  " + std::to_string(++n) + ". ", c.text);
            for (const std::string& command : c.commands) line(out, "       %s", command.c_str());
            if (!c.yaml.empty()) line(out, "     or in the VM file:");
            for (const std::string& y : c.yaml) line(out, "       %s", y.c_str());
        }
    }
    return out;
}

}  // namespace backplane::doctor
