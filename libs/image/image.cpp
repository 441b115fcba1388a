// What an image is by default.
#include "image/image.hpp"

#include <algorithm>
#include <cerrno>

namespace backplane::image {

void Image::unsupported(const std::string& what) const {
    const Info i = info();
    throw Error(Fault::kUnsupported, i.path, "the format " + i.format + " has no " + what, ENOTSUP);
}

int Image::write_zeroes(u64 offset, u64 length, bool) {
    const std::vector<u8> zeros(std::min<u64>(length, 1 << 20));
    while (length > 0) {
        const u64 n = std::min<u64>(length, zeros.size());
        if (const int error = write(offset, std::span(zeros).first(n))) return error;
        offset += n;
        length -= n;
    }
    return 0;
}

void Image::set_writable(bool writable) {
    if (writable == info().read_only) throw Error(Fault::kReadOnly, info().path, "cannot be reopened in another mode");
}
void Image::resize(u64) { unsupported("way to change its size"); }
void Image::rename_backing(const std::string&, const std::string&) { unsupported("backing files"); }
void Image::make_empty() { unsupported("layer that could be emptied"); }
std::vector<SnapshotInfo> Image::snapshots() const { return {}; }
std::string Image::create_snapshot(const SnapshotInfo&) { unsupported("snapshots"); }
void Image::apply_snapshot(const std::string&) { unsupported("snapshots"); }
void Image::delete_snapshot(const std::string&) { unsupported("snapshots"); }
void Image::write_vm_state(u64, std::span<const u8>) { unsupported("room for a machine's state"); }
void Image::read_vm_state(u64, std::span<u8>) { unsupported("room for a machine's state"); }

}  // namespace backplane::image
