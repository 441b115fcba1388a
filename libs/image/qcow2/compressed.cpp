// Compressed clusters: raw deflate, or one zstd frame. They begin at any byte of the file and take whole sectors of 512
// bytes from there on; an entry has their place and how many sectors they reach into.
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include "image/qcow2/volume.hpp"

namespace backplane::image::qcow2 {

namespace {
constexpr u64 kSector = 512;
constexpr std::size_t kRemembered = 4;  // unpacked clusters: a guest reads one piece after the other
constexpr int kDeflateWindow = -12;     // no header, 4 KiB; what every implementation can read
constexpr int kDeflateMemory = 9;
}  // namespace

u64 Volume::compressed_offset(u64 entry) const { return entry & ((u64{1} << (62 - (bits_ - 8))) - 1); }

u64 Volume::compressed_bytes(u64 entry) const {
    const unsigned shift = 62 - (bits_ - 8);
    const u64 sectors = ((entry & ~(kCopied | kCompressed)) >> shift) + 1;
    return sectors * kSector - compressed_offset(entry) % kSector;
}

int Volume::read_compressed(u64 entry, u64 from, u8* data, u64 length) {
    entry &= ~kCopied;
    u64 generation = 0;
    {
        const std::lock_guard guard(unpacked_mutex_);
        generation = unpacked_generation_;
        for (const Unpacked& u : unpacked_)
            if (u.entry == entry) {
                std::memcpy(data, &u.data[from], length);
                return 0;
            }
    }
    const u64 offset = compressed_offset(entry);
    const u64 end = storage_.size();
    if (offset >= end) return EIO;
    // The last sector need not be there as a whole.
    std::vector<u8> in(std::min(compressed_bytes(entry), end - offset));
    if (const int error = storage_.read(offset, in)) return error;
    std::vector<u8> out(cluster_bytes());
    if (const int error = decompress(in, out)) return error;
    std::memcpy(data, &out[from], length);
    const std::lock_guard guard(unpacked_mutex_);
    if (generation != unpacked_generation_) return 0;
    if (unpacked_.size() < kRemembered)
        unpacked_.push_back({entry, std::move(out)});
    else
        unpacked_[unpacked_next_++ % kRemembered] = {entry, std::move(out)};
    return 0;
}

int Volume::decompress(std::span<const u8> in, std::vector<u8>& out) const {
    if (header_.compression == Compression::kZstd) {
        const std::unique_ptr<ZSTD_DCtx, size_t (*)(ZSTD_DCtx*)> context(ZSTD_createDCtx(), ZSTD_freeDCtx);
        if (!context) return ENOMEM;
        ZSTD_inBuffer from{in.data(), in.size(), 0};
        ZSTD_outBuffer to{out.data(), out.size(), 0};
        // What follows the frame in its last sector belongs to something else.
        while (to.pos < to.size) {
            const std::size_t before = to.pos + from.pos;
            const std::size_t left = ZSTD_decompressStream(context.get(), &to, &from);
            if (ZSTD_isError(left) || (to.pos < to.size && (left == 0 || to.pos + from.pos == before))) return EIO;
        }
        return 0;
    }
    z_stream z{};
    if (inflateInit2(&z, kDeflateWindow) != Z_OK) return ENOMEM;
    z.next_in = const_cast<Bytef*>(in.data());
    z.avail_in = static_cast<uInt>(in.size());
    z.next_out = out.data();
    z.avail_out = static_cast<uInt>(out.size());
    const int result = inflate(&z, Z_FINISH);
    const bool whole = (result == Z_STREAM_END || result == Z_BUF_ERROR) && z.avail_out == 0;
    inflateEnd(&z);
    return whole ? 0 : EIO;
}

// `out` has room for one cluster less a byte; ENOSPC if it does not get that small.
int Volume::compress(std::span<const u8> in, std::vector<u8>& out) const {
    out.resize(cluster_bytes() - 1);
    if (header_.compression == Compression::kZstd) {
        const std::size_t n = ZSTD_compress(out.data(), out.size(), in.data(), in.size(), 0);
        if (ZSTD_isError(n)) return ENOSPC;
        out.resize(n);
        return 0;
    }
    z_stream z{};
    if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, kDeflateWindow, kDeflateMemory, Z_DEFAULT_STRATEGY) != Z_OK)
        return ENOMEM;
    z.next_in = const_cast<Bytef*>(in.data());
    z.avail_in = static_cast<uInt>(in.size());
    z.next_out = out.data();
    z.avail_out = static_cast<uInt>(out.size());
    const int result = deflate(&z, Z_FINISH);
    out.resize(out.size() - z.avail_out);
    deflateEnd(&z);
    return result == Z_STREAM_END ? 0 : ENOSPC;
}

// A place for so many bytes, behind the compressed cluster before if that leaves room, in clusters counted for it.
int Volume::place_compressed(u64 bytes, u64& host) {
    if (compressed_at_ && in_cluster(compressed_at_)) {
        const u64 last = compressed_at_ >> bits_, room = end_of_cluster(compressed_at_) - compressed_at_;
        u64 n = 0;
        if (const int error = refcounts_->count(last, n)) return error;
        if (n > 0 && n < refcounts_->most()) {
            u64 got = 0;
            if (bytes > room)
                if (const int error = refcounts_->allocate_at(last + 1, divide_up(bytes - room, cluster_bytes()), got))
                    return error;
            if (bytes <= room + (got << bits_)) {
                if (const int error = refcounts_->add(last)) {
                    refcounts_->cancel(last + 1, got);
                    return error;
                }
                host = compressed_at_;
                compressed_at_ = host + bytes;
                return 0;
            }
            refcounts_->cancel(last + 1, got);
        }
    }
    u64 cluster = 0;
    if (const int error = refcounts_->allocate_all(divide_up(bytes, cluster_bytes()), cluster)) return error;
    host = cluster << bits_;
    compressed_at_ = host + bytes;
    return 0;
}

int Volume::write_compressed(u64 offset, std::span<const u8> data) {
    if (!in_disk(offset, data.size()) || in_cluster(offset) || data.size() > cluster_bytes()) return EINVAL;
    if (data.size() < cluster_bytes() && offset + data.size() != header_.bytes) return EINVAL;
    std::vector<u8> whole(data.begin(), data.end()), packed;
    whole.resize(cluster_bytes());
    if (const int error = compress(whole, packed)) return error == ENOSPC ? write(offset, data) : error;

    Lock lock(mutex_);
    if (const int error = writable()) return error;
    if (const int error = make_room()) return error;
    if (const int error = begin_change()) return error;
    while (allocating(offset >> bits_)) changed_.wait(lock);
    TablePtr table;
    if (const int error = writable_l2(l1_index(offset), table)) return error;
    u64 host = 0;
    if (const int error = place_compressed(packed.size(), host)) return error;
    const unsigned shift = 62 - (bits_ - 8);
    const u64 sectors = (host + packed.size() - 1) / kSector - host / kSector;
    if (host >> shift) return EFBIG;
    // The file is written to its last sector's end, so that every reader finds what the entry says.
    packed.resize(packed.size() + (kSector - (host + packed.size()) % kSector) % kSector);
    if (const int error = storage_.write(host, packed)) return error;
    release_entry(table->get(l2_index(offset)));
    l2_->set(*table, l2_index(offset), host | sectors << shift | kCompressed);
    return 0;
}

}  // namespace backplane::image::qcow2
