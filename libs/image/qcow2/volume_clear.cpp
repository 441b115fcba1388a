// Discarding, and making zeros without writing them.
#include <algorithm>
#include <cerrno>
#include <vector>

#include "image/qcow2/volume.hpp"

namespace backplane::image::qcow2 {

int Volume::discard(u64 offset, u64 length) {
    if (!in_disk(offset, length)) return EINVAL;
    // A hint: only whole clusters count, and the disk's last one is whole if the range reaches the end.
    const u64 end = offset + length == header_.bytes ? round_up(offset + length, cluster_bytes())
                                                     : offset + length - in_cluster(offset + length);
    const u64 begin = round_up(offset, cluster_bytes());
    return begin < end ? clear(begin, end - begin, Clear::kDiscard) : 0;
}

int Volume::write_zeroes(u64 offset, u64 length, bool unmap) {
    return in_disk(offset, length) ? make_zeros(offset, length, unmap, header_.bytes) : EINVAL;
}

// The disk may be longer than the header says: when it grows, its new part is zero first.
int Volume::make_zeros(u64 offset, u64 length, bool unmap, u64 disk_bytes) {
    const auto plainly = [this](u64 from, u64 to) {
        static constexpr u64 kPiece = 1 << 20;
        const std::vector<u8> zeros(std::min(kPiece, to - from));
        for (; from < to; from += std::min(kPiece, to - from))
            if (const int error = put(from, zeros.data(), std::min(kPiece, to - from))) return error;
        return 0;
    };
    const u64 end = offset + length;
    const u64 whole_end = end == disk_bytes ? round_up(end, cluster_bytes()) : end - in_cluster(end);
    const u64 whole_begin = round_up(offset, cluster_bytes());
    if (whole_begin >= whole_end) return length ? plainly(offset, end) : 0;
    if (offset < whole_begin)
        if (const int error = plainly(offset, whole_begin)) return error;
    if (const int error = clear(whole_begin, whole_end - whole_begin, unmap ? Clear::kZeroUnmap : Clear::kZero))
        return error;
    return whole_end < end ? plainly(whole_end, end) : 0;
}

// What becomes of the entry of the cluster at `offset`. `possible` is false if the file's version cannot say so.
u64 Volume::cleared(u64 entry, u64 offset, Clear how, bool& possible) const {
    const bool under = offset < backing_.bytes;  // without an entry the backing file would shine through
    const Kind k = kind(entry);
    possible = true;
    if (k == Kind::kNone && !under) return entry;
    if (k == Kind::kZero && how != Clear::kZeroUnmap && how != Clear::kDiscard) return entry;
    if (how == Clear::kZero && header_.version >= 3 && k == Kind::kData && (entry & kCopied)) return entry | kZero;
    if (header_.version >= 3 && under) return kZero;
    if (!under) return 0;
    possible = false;
    return entry;
}

int Volume::clear(u64 offset, u64 length, Clear how) {
    const u64 end = offset + length;
    Lock lock(mutex_);
    while (offset < end) {
        if (const int error = writable()) return error;
        if (const int error = make_room()) return error;
        u64 done = 0;
        const int error = clear_in_table(lock, offset, end, how, done);
        if (error) return error;
        offset += done;
    }
    return 0;
}

// As much as lies in one L2 table, or less.
int Volume::clear_in_table(Lock& lock, u64 offset, u64 end, Clear how, u64& done) {
    const u64 table_end = std::min((offset | (header_.bytes_per_l2() - 1)) + 1, end);
    TablePtr table;
    if (const int error = l2(l1_index(offset), table)) return error;
    if (!table && offset >= backing_.bytes) {
        done = table_end - offset;
        return 0;
    }
    // Nothing to change: the table stays as it is, and shared.
    bool change = false;
    for (u64 at = offset; at < table_end && !change; at += cluster_bytes()) {
        const u64 entry = table ? table->get(l2_index(at)) : 0;
        bool possible = false;
        change = cleared(entry, at, how, possible) != entry || !possible || allocating(at >> bits_);
    }
    if (!change) {
        done = table_end - offset;
        return 0;
    }
    if (const int error = begin_change()) return error;
    for (; offset + done < table_end; done += cluster_bytes()) {
        const u64 at = offset + done;
        if (allocating(at >> bits_)) {
            if (done == 0) changed_.wait(lock);
            return 0;  // look again from here: the tables may be others by now
        }
        bool possible = false;
        const u64 entry = table ? table->get(l2_index(at)) : 0;
        const u64 next = cleared(entry, at, how, possible);
        if (!possible && how != Clear::kDiscard) {
            // Version 2 over a backing file has no other way than zeros in a cluster.
            lock.unlock();
            const std::vector<u8> zeros(std::min(cluster_bytes(), std::max(header_.bytes, at + 1) - at));
            const int error = put(at, zeros.data(), zeros.size());
            lock.lock();
            if (error) return error;
            done += cluster_bytes();
            return 0;
        }
        if (next == entry) continue;
        if (!table || !(l1_[l1_index(at)] & kCopied))
            if (const int error = writable_l2(l1_index(at), table)) return error;
        if (!(next & kOffsetMask)) release_entry(entry);
        l2_->set(*table, l2_index(at), next);
    }
    return 0;
}

}  // namespace backplane::image::qcow2
