// backplane disk commit, backplane disk rebase: an image and the backing file below it.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstring>

#include "image/qcow2/create.hpp"
#include "kernel/config/error.hpp"
#include "runner/disk_tools.hpp"

namespace backplane::runner {

namespace {

constexpr u64 kPiece = 1 << 20;

struct Options {
    std::string path, format = "auto", backing, backing_format;
    bool unsafe = false;
};

int commit(const Options& o) {
    image::OpenOptions i;
    i.path = o.path;
    i.format = o.format;
    const auto top = open_image(i);
    if (const image::Image* base = top->backing(); base && base->info().probed)
        throw kernel::Error(o.path +
                            ": does not say of which format its backing file is, and a guess is not written to; "
                            "`backplane disk rebase --unsafe --backing FILE --backing-format FORMAT " +
                            o.path + "` writes it down");
    Bar bar("committing");
    image::commit(*top, bar.progress());
    return 0;
}

// Reads what is there, and zeros behind its end.
void read_padded(image::Image* image, u64 at, std::span<u8> out) {
    const u64 n = !image || at >= image->bytes() ? 0 : std::min<u64>(out.size(), image->bytes() - at);
    if (n) expect(image->read(at, out.first(n)), image->info().path, at, "read");
    std::fill(out.begin() + static_cast<std::ptrdiff_t>(n), out.end(), u8{0});
}

// What the image shows of the old backing file and the new one does not have becomes its own.
void keep(image::Image& top, image::Image* below) {
    Bar bar("rebasing");
    const u64 total = top.bytes(), cluster = std::max<u64>(512, top.info().cluster_bytes);
    std::vector<u8> old(std::max(cluster, kPiece / cluster * cluster)), next(old.size());
    for (u64 at = 0; at < total;) {
        bar.show(at, total);
        image::Extent e;
        expect(top.extent(at, total - at, e), top.info().path, at, "read");
        const bool own = e.depth == 0 && e.kind != image::Extent::Kind::kUnallocated;
        // What no layer has may still be in the new one.
        if (own || (!below && e.kind == image::Extent::Kind::kUnallocated)) {
            at += e.length;
            continue;
        }
        const u64 end = std::min(at + e.length, total);
        while (at < end) {
            const u64 n = std::min<u64>(old.size(), end - at);
            expect(top.read(at, std::span(old).first(n)), top.info().path, at, "read");
            read_padded(below, at, std::span(next).first(n));
            for (u64 p = 0; p < n;) {
                const u64 step = std::min(cluster - (at + p) % cluster, n - p);
                if (std::memcmp(&old[p], &next[p], step) != 0)
                    expect(top.write(at + p, std::span<const u8>(old).subspan(p, step)), top.info().path, at + p,
                           "written");
                p += step;
            }
            at += n;
            bar.show(at, total);
        }
    }
    expect(top.flush(), top.info().path, 0, "flushed");
}

int rebase(const Options& o) {
    if (!o.backing.empty() && o.backing_format.empty()) throw kernel::Error("--backing needs --backing-format");
    std::unique_ptr<image::Image> below;
    if (!o.backing.empty() && !o.unsafe) {
        image::OpenOptions b;
        b.path = image::qcow2::backing_path(o.path, o.backing);
        b.format = o.backing_format;
        b.read_only = true;
        below = open_image(b);
    }
    image::OpenOptions i;
    i.path = o.path;
    i.format = o.format;
    i.no_backing = o.unsafe;
    const auto top = open_image(i);
    if (!o.unsafe) keep(*top, below.get());
    top->rename_backing(o.backing, o.backing_format);
    return 0;
}

}  // namespace

void add_disk_layers(CLI::App& disk, int& code) {
    auto c = std::make_shared<Options>();
    CLI::App* commit_app =
        disk.add_subcommand("commit", "write what an image holds into its backing file, and empty it");
    commit_app->add_option("file", c->path, "the upper image")->required();
    commit_app->add_option("--format", c->format, "its format")->capture_default_str();
    commit_app->callback([c, &code] { code = guarded([&] { return commit(*c); }); });

    auto r = std::make_shared<Options>();
    CLI::App* rebase_app =
        disk.add_subcommand("rebase", "give an image another backing file, or none; its contents stay");
    rebase_app->add_option("file", r->path, "the upper image")->required();
    rebase_app->add_option("--format", r->format, "its format")->capture_default_str();
    rebase_app->add_option("--backing", r->backing, "the new backing file; empty: none")->required();
    rebase_app->add_option("--backing-format", r->backing_format, "its format");
    rebase_app->add_flag("--unsafe", r->unsafe, "change the name only: for a backing file that was moved");
    rebase_app->callback([r, &code] { code = guarded([&] { return rebase(*r); }); });
}

}  // namespace backplane::runner
