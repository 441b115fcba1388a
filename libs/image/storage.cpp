#include "image/storage.hpp"

#include <algorithm>
#include <cerrno>
#include <vector>

#include "image/error.hpp"

namespace backplane::image {

std::string_view cache_name(Cache cache) {
    switch (cache) {
        case Cache::kWriteback: return "writeback";
        case Cache::kNone: return "none";
        case Cache::kWritethrough: return "writethrough";
        case Cache::kDirectsync: return "directsync";
        case Cache::kUnsafe: return "unsafe";
    }
    return "";
}

int Storage::zero(u64 offset, u64 length) {
    const u64 end = size();
    if (offset + length <= end && punch(offset, length) == 0) return 0;
    const std::vector<u8> zeros(std::min<u64>(length, 1 << 20));
    while (length > 0) {
        const u64 n = std::min<u64>(length, zeros.size());
        if (const int error = write(offset, std::span(zeros).first(n))) return error;
        offset += n;
        length -= n;
    }
    return 0;
}

int Storage::allocate(u64, u64) { return EOPNOTSUPP; }

int Storage::next_data(u64 offset, u64& begin, u64& end) {
    if (offset >= size()) return ENXIO;
    begin = offset;
    end = size();
    return 0;
}

void Storage::set_writable(bool writable) {
    if (writable == read_only()) throw Error(Fault::kReadOnly, path(), "cannot be reopened in another mode");
}

}  // namespace backplane::image
