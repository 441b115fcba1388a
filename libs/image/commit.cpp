#include <algorithm>
#include <cerrno>
#include <cstring>

#include "image/image.hpp"

namespace backplane::image {

namespace {

// A backing file is writable only while it is committed to.
class Writable {
  public:
    explicit Writable(Image& image) : image_(image), was_(!image.read_only()) {
        if (!was_) image_.set_writable(true);
    }
    ~Writable() {
        if (was_) return;
        try {
            image_.set_writable(false);
        } catch (const Error&) {
            // It stays writable, and locked as such.
        }
    }
    Writable(const Writable&) = delete;
    Writable& operator=(const Writable&) = delete;

  private:
    Image& image_;
    bool was_;
};

void check(int error, const Image& image, u64 offset, const char* what) {
    if (error)
        throw Error(Fault::kIo, image.info().path, offset,
                    std::string("cannot be ") + what + ": " + std::strerror(error), error);
}

}  // namespace

void commit(Image& top, const Progress& progress) {
    Image* base = top.backing();
    if (!base) throw Error(Fault::kUnsupported, top.info().path, "has no backing file that could be committed to");
    const Writable writable(*base);
    const u64 total = top.bytes();
    if (base->bytes() < total) base->resize(total);
    std::vector<u8> buffer(1 << 20);
    for (u64 at = 0; at < total;) {
        Extent e;
        check(top.extent(at, total - at, e), top, at, "read");
        if (e.depth != 0 || e.kind == Extent::Kind::kUnallocated) {
            at += e.length;
        } else if (e.kind == Extent::Kind::kZero) {
            check(base->write_zeroes(at, e.length, true), *base, at, "written");
            at += e.length;
        } else {
            const u64 end = at + e.length;
            while (at < end) {
                const auto part = std::span(buffer).first(std::min<u64>(buffer.size(), end - at));
                check(top.read(at, part), top, at, "read");
                check(base->write(at, part), *base, at, "written");
                at += part.size();
                if (progress && !progress(at, total))
                    throw Error(Fault::kIo, top.info().path,
                                "the commit was ended early; both layers are as they were "
                                "for their readers",
                                ECANCELED);
            }
        }
    }
    check(base->flush(), *base, 0, "flushed");
    top.make_empty();
    if (progress) progress(total, total);
}

}  // namespace backplane::image
