// backplane disk convert: an image in another format, or the same one without what it need not hold.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstring>

#include "kernel/config/error.hpp"
#include "runner/disk_create.hpp"
#include "runner/disk_tools.hpp"

namespace backplane::runner {

namespace {

constexpr u64 kPiece = 1 << 20;
constexpr u64 kBlock = 4096;  // zeros are looked for in blocks of this size

struct Options {
    std::string source, target, source_format = "auto", snapshot;
    NewImage what;
    bool compress = false, force = false;
};

bool zeros(std::span<const u8> data) {
    return data.empty() || (data[0] == 0 && std::memcmp(data.data(), data.data() + 1, data.size() - 1) == 0);
}

// Copies what is not zero, or not as it is below.
class Copy {
  public:
    Copy(image::Image& from, image::Image& to, bool compress) : from_(from), to_(to), compress_(compress) {
        unit_ = to.info().cluster_bytes;
        if (unit_ == 0) unit_ = kBlock;
        if (!compress_) unit_ = std::min(unit_, std::max(kBlock, kPiece));
        piece_ = std::max(unit_, kPiece / unit_ * unit_);
    }

    void run(Bar& bar) {
        const std::string source = from_.info().path;
        const u64 total = to_.bytes(), there = std::min(total, from_.bytes());
        std::vector<u8> buffer(piece_);
        for (u64 at = 0; at < there;) {
            bar.show(at, total);
            image::Extent e;
            expect(from_.extent(at, there - at, e), source, at, "read");
            if (e.kind != image::Extent::Kind::kData && !to_.backing()) {
                at += e.length / unit_ ? e.length / unit_ * unit_ : 0;  // whole units only
                if (e.length / unit_) continue;
            }
            const u64 n = std::min(piece_, there - at);
            const auto data = std::span(buffer).first(n);
            expect(from_.read(at, data), source, at, "read");
            store(at, data);
            at += n;
        }
        expect(to_.flush(), to_.info().path, 0, "flushed");
        bar.show(total, total);
    }

  private:
    bool there_already(u64 at, std::span<const u8> data) {
        image::Image* below = to_.backing();
        if (!below || at >= below->bytes()) return zeros(data);
        below_.assign(data.size(), 0);
        const u64 n = std::min<u64>(data.size(), below->bytes() - at);
        expect(below->read(at, std::span(below_).first(n)), below->info().path, at, "read");
        return std::memcmp(below_.data(), data.data(), data.size()) == 0;
    }
    void store(u64 at, std::span<const u8> data) {
        u64 begin = 0, end = 0;  // what waits to be written
        const auto write = [&] {
            if (begin < end)
                expect(to_.write(at + begin, data.subspan(begin, end - begin)), to_.info().path, at, "written");
        };
        for (u64 p = 0; p < data.size(); p += unit_) {
            const auto piece = data.subspan(p, std::min<u64>(unit_, data.size() - p));
            if (there_already(at + p, piece)) continue;
            if (compress_) {
                expect(to_.write_compressed(at + p, piece), to_.info().path, at + p, "written");
            } else {
                if (p != end) {
                    write();
                    begin = p;
                }
                end = p + piece.size();
            }
        }
        write();
    }

    image::Image& from_;
    image::Image& to_;
    bool compress_;
    u64 unit_ = kBlock, piece_ = kPiece;
    std::vector<u8> below_;
};

int convert(const Options& o) {
    image::OpenOptions from;
    from.path = o.source;
    from.format = o.source_format;
    from.read_only = true;
    from.inside = o.snapshot;
    const auto source = open_image(from);
    if (!o.snapshot.empty() && !source->has_snapshots())
        throw kernel::Error(o.source + ": the format " + source->info().format + " has no snapshots");
    if (o.compress && o.what.format == "raw")
        throw kernel::Error("a raw image cannot be compressed; --format qcow2 can");
    Bar bar("converting");  // from here on signals wait, so that the target is gone if they end this
    Target target(o.target, o.force);
    make_image(target.path(), o.target, source->bytes(), o.what);
    {
        image::OpenOptions to;
        to.path = target.path();
        to.format = o.what.format;
        to.cache = image::Cache::kWriteback;
        const auto image = open_image(to);
        Copy(*source, *image, o.compress).run(bar);
    }
    target.complete();
    return 0;
}

}  // namespace

void add_disk_convert(CLI::App& disk, int& code) {
    auto o = std::make_shared<Options>();
    CLI::App* app = disk.add_subcommand("convert", "copy a disk into another format; zeros take no space");
    app->add_option("source", o->source, "the image to read")->required();
    app->add_option("target", o->target, "the image to make")->required();
    app->add_option("--source-format", o->source_format, "format of the source")->capture_default_str();
    app->add_option("--snapshot", o->snapshot, "read this snapshot of the source");
    add_new_image_options(*app, o->what);
    app->add_flag("--compress", o->compress, "qcow2: compressed clusters");
    app->add_flag("--force", o->force, "replace a target that is there");
    app->callback([o, &code] { code = guarded([&] { return convert(*o); }); });
}

}  // namespace backplane::runner
