// backplane disk map, backplane disk compare.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>

#include "kernel/config/error.hpp"
#include "runner/disk_tools.hpp"

namespace backplane::runner {

namespace {

constexpr u64 kPiece = 1 << 20;

struct Options {
    std::string a, b, format_a = "auto", format_b = "auto";
    bool json = false, strict = false;
};

std::unique_ptr<image::Image> open(const std::string& path, const std::string& format) {
    image::OpenOptions o;
    o.path = path;
    o.format = format;
    o.read_only = true;
    return open_image(o);
}

const char* name(image::Extent::Kind kind) {
    switch (kind) {
        case image::Extent::Kind::kData: return "data";
        case image::Extent::Kind::kZero: return "zero";
        default: return "unallocated";
    }
}

// Whether `next` goes on where `e` ends.
bool continues(const image::Extent& e, const image::Extent& next) {
    if (e.kind != next.kind || e.depth != next.depth || e.compressed != next.compressed) return false;
    if (e.host_offset.has_value() != next.host_offset.has_value()) return false;
    return !e.host_offset || *e.host_offset + e.length == *next.host_offset;
}

std::string file_at(const image::Image& top, u32 depth) {
    const image::Image* layer = &top;
    while (depth-- && layer->backing()) layer = layer->backing();
    return layer->info().path;
}

int map(const Options& o) {
    const auto disk = open(o.a, o.format_a);
    std::vector<image::Extent> all;
    for (u64 at = 0; at < disk->bytes();) {
        image::Extent e;
        expect(disk->extent(at, disk->bytes() - at, e), o.a, at, "looked at");
        at += e.length;
        if (!all.empty() && continues(all.back(), e))
            all.back().length += e.length;
        else
            all.push_back(e);
    }
    if (o.json) {
        auto j = nlohmann::ordered_json::array();
        for (const auto& e : all) {
            nlohmann::ordered_json one{{"start", e.offset},
                                       {"length", e.length},
                                       {"kind", name(e.kind)},
                                       {"depth", e.depth},
                                       {"compressed", e.compressed}};
            if (e.host_offset) one["offset"] = *e.host_offset;
            if (e.kind != image::Extent::Kind::kUnallocated) one["file"] = file_at(*disk, e.depth);
            j.push_back(one);
        }
        std::printf("%s\n", j.dump(2, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
        return 0;
    }
    std::printf("%14s %14s %-12s %14s  %s\n", "offset", "length", "kind", "in the file", "file");
    for (const auto& e : all) {
        if (e.kind == image::Extent::Kind::kUnallocated) continue;
        const std::string place = e.host_offset ? std::to_string(*e.host_offset) : e.compressed ? "compressed" : "-";
        std::printf("%14llu %14llu %-12s %14s  %s\n", static_cast<unsigned long long>(e.offset),
                    static_cast<unsigned long long>(e.length), name(e.kind), place.c_str(),
                    file_at(*disk, e.depth).c_str());
    }
    return 0;
}

bool empty_at(image::Image& disk, u64 at, u64& length) {
    image::Extent e;
    expect(disk.extent(at, length, e), disk.info().path, at, "read");
    length = std::min(length, e.length);
    return e.kind != image::Extent::Kind::kData;
}

int compare(const Options& o) {
    const auto a = open(o.a, o.format_a), b = open(o.b, o.format_b);
    const u64 common = std::min(a->bytes(), b->bytes()), total = std::max(a->bytes(), b->bytes());
    if (o.strict && a->bytes() != b->bytes()) {
        std::printf("the sizes differ: %llu and %llu bytes\n", static_cast<unsigned long long>(a->bytes()),
                    static_cast<unsigned long long>(b->bytes()));
        return 1;
    }
    Bar bar("comparing");
    std::vector<u8> left(kPiece), right(kPiece);
    for (u64 at = 0; at < total;) {
        bar.show(at, total);
        u64 n = (at < common ? common : total) - at;
        image::Image& longer = a->bytes() > b->bytes() ? *a : *b;
        const bool nothing = at < common ? empty_at(*a, at, n) & empty_at(*b, at, n) : empty_at(longer, at, n);
        if (nothing) {
            at += n;
            continue;
        }
        n = std::min(n, kPiece);
        const auto l = std::span(left).first(n), r = std::span(right).first(n);
        std::fill(r.begin(), r.end(), u8{0});
        expect((at < common ? *a : longer).read(at, l), o.a, at, "read");
        if (at < common) expect(b->read(at, r), o.b, at, "read");
        if (std::memcmp(l.data(), r.data(), n) != 0) {
            const u64 first = at + static_cast<u64>(std::mismatch(l.begin(), l.end(), r.begin()).first - l.begin());
            std::printf("the contents differ at offset %llu (sector %llu)\n", static_cast<unsigned long long>(first),
                        static_cast<unsigned long long>(first / 512));
            return 1;
        }
        at += n;
    }
    if (a->bytes() == b->bytes())
        std::printf("the contents are equal\n");
    else
        std::printf("the contents are equal; the longer one ends in %llu bytes of zeros\n",
                    static_cast<unsigned long long>(total - common));
    return 0;
}

}  // namespace

void add_disk_compare(CLI::App& disk, int& code) {
    auto m = std::make_shared<Options>();
    CLI::App* map_app = disk.add_subcommand("map", "what a disk's parts are made of, and where they are");
    map_app->add_option("file", m->a, "the image")->required();
    map_app->add_option("--format", m->format_a, "format of the image")->capture_default_str();
    map_app->add_flag("--json", m->json, "print it as JSON, with the parts that are nowhere");
    map_app->callback([m, &code] { code = guarded([&] { return map(*m); }); });

    auto c = std::make_shared<Options>();
    CLI::App* compare_app = disk.add_subcommand("compare", "whether two disks have the same contents");
    compare_app->add_option("a", c->a, "an image")->required();
    compare_app->add_option("b", c->b, "another one, of any format")->required();
    compare_app->add_option("--format-a", c->format_a, "format of the first")->capture_default_str();
    compare_app->add_option("--format-b", c->format_b, "format of the second")->capture_default_str();
    compare_app->add_flag("--strict", c->strict, "another size is a difference, too");
    compare_app->footer("Exit codes: 0 equal, 1 different, 2 they cannot be compared.");
    compare_app->callback([c, &code] {
        try {
            code = guarded([&] { return compare(*c); });
        } catch (const kernel::Error& e) {
            throw kernel::Error(e.what(), kernel::kExitConfig);
        }
    });
}

}  // namespace backplane::runner
