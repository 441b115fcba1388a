// Changes of the whole: the L1 table's length, the disk's size, the backing file's name.
#include <algorithm>
#include <cerrno>

#include "image/qcow2/volume.hpp"

namespace backplane::image::qcow2 {

namespace {
constexpr u64 kHeaderSector = 512;
}

// Puts a new L1 table into the file and makes the header point to it, and to the disk's size that goes with it. Counts
// of what the tables reach are the caller's affair.
int Volume::replace_l1(std::vector<u64> table, u64 disk_bytes) {
    if (table.size() > kMaxL1Bytes / 8) return EFBIG;
    // Everything that the new table points to has to be in the file.
    if (const int error = checkpoint(false)) return error;
    const u64 clusters = std::max<u64>(1, divide_up(table.size() * 8, cluster_bytes()));
    u64 cluster = 0;
    if (const int error = refcounts_->allocate_all(clusters, cluster)) return error;
    std::vector<u8> raw(clusters << bits_);
    for (std::size_t i = 0; i < table.size(); ++i) put64(&raw[i * 8], table[i]);
    int error = storage_.write(cluster << bits_, raw);
    if (!error) error = refcounts_->write();
    if (!error) error = storage_.flush();
    if (error) {
        refcounts_->cancel(cluster, clusters);
        return error;
    }
    const Header before = header_;
    header_.l1_offset = cluster << bits_;
    header_.l1_entries = static_cast<u32>(table.size());
    header_.bytes = disk_bytes;
    error = write_header();
    if (!error) error = storage_.flush();
    if (error) {
        header_ = before;
        return error;
    }
    const u64 old_bytes = std::max<u64>(1, u64{before.l1_entries} * 8);
    refcounts_->unprotect(before.l1_offset, old_bytes);
    for (u64 c = 0; c < divide_up(old_bytes, cluster_bytes()) && before.l1_offset; ++c)
        refcounts_->release((before.l1_offset >> bits_) + c, now_);
    refcounts_->protect(header_.l1_offset, clusters << bits_);
    for (const u64 entry : table)
        if (entry & kOffsetMask) refcounts_->protect((entry & kOffsetMask) >> bits_);
    l1_ = std::move(table);
    l1_dirty_from_ = l1_dirty_to_ = 0;
    return 0;
}

int Volume::grow_l1(u64 entries) {
    if (entries > kMaxL1Bytes / 8) return EFBIG;
    if (const int error = checkpoint(false)) return error;
    std::vector<u64> table = l1_;
    table.resize(std::min(kMaxL1Bytes / 8, std::max(entries, table.size() + table.size() / 2)));
    return replace_l1(std::move(table), header_.bytes);
}

int Volume::resize(u64 bytes, std::string& why) {
    Lock lock(mutex_);
    if (const int error = writable()) return error;
    const u64 old = header_.bytes;
    if (bytes == old) return 0;
    if (bytes > kMaxOffset || header_.l1_needed(bytes) > kMaxL1Bytes / 8) {
        why = "with clusters of " + std::to_string(cluster_bytes()) + " bytes the disk can have " +
              std::to_string((kMaxL1Bytes / 8) * header_.bytes_per_l2()) + " bytes at most";
        return EFBIG;
    }
    if (header_.version < 3 && !snapshots_.empty()) {
        why = "the file's version 2 cannot note that snapshots have another size";
        return ENOTSUP;
    }
    wait_for_quiet(lock);
    if (const int error = begin_change()) return error;
    // State of a machine that no snapshot took would lie within the disk now.
    if (const int error = drop_from_l1(state_offset() / header_.bytes_per_l2())) return error;
    if (bytes < old) {
        lock.unlock();
        const u64 begin = round_up(bytes, cluster_bytes()), end = round_up(old, cluster_bytes());
        if (begin < end)
            if (const int error = clear(begin, end - begin, Clear::kDiscard)) return error;
        lock.lock();
    }
    if (bytes > old) {
        // What is new reads as zeros, before it is part of the disk: also the rest of the cluster that was the last
        // one, and where a longer backing file would come to light.
        u64 visible = std::min(bytes, std::max(old, backing_.bytes));
        if (in_cluster(old)) {
            Mapping last;
            if (const int error = lookup(old, 1, last)) return error;
            if (last.kind == Kind::kData || last.kind == Kind::kCompressed)
                visible = std::max(visible, std::min(bytes, end_of_cluster(old)));
        }
        lock.unlock();
        if (visible > old)
            if (const int error = make_zeros(old, visible - old, true, bytes)) return error;
        lock.lock();
    }
    if (const int error = checkpoint(true)) return error;
    if (const u64 needed = header_.l1_needed(bytes); needed > l1_.size()) {
        std::vector<u64> table = l1_;
        table.resize(needed);
        return replace_l1(std::move(table), bytes);
    }
    header_.bytes = bytes;
    int error = write_header();
    if (!error) error = storage_.flush();
    if (error) header_.bytes = old;
    return error;
}

int Volume::change_backing(const std::string& name, const std::string& format, std::string& why) {
    Lock lock(mutex_);
    if (const int error = writable()) return error;
    wait_for_quiet(lock);
    if (const int error = checkpoint(true)) return error;
    Header changed = header_;
    changed.backing_file = name;
    changed.backing_format = name.empty() ? "" : format;
    std::vector<u8> raw = changed.serialize();
    if (raw.empty() || name.size() > kMaxBackingName) {
        why = "the name of the backing file is too long for the header";
        return ENAMETOOLONG;
    }
    if (raw.size() <= kHeaderSector) {
        raw.resize(kHeaderSector);
    } else if (u64 offset = 0; place_name(raw, offset)) {
        // First the name, where nothing is yet, and then everything that points to it at once.
        changed.backing_name_offset = offset;
        int error = storage_.write(offset, std::span(reinterpret_cast<const u8*>(name.data()), name.size()));
        if (!error) error = storage_.flush();
        if (error) return error;
        raw.resize(kHeaderSector);
    } else {
        raw.resize(cluster_bytes());
    }
    if (const int error = storage_.write(0, raw)) return error;
    header_ = changed;
    return storage_.flush();
}

// A disk writes one sector as a whole and no more than that. If everything before the name fits into the header's first
// sector, before and after, the name gets a place that the present one does not touch.
bool Volume::place_name(std::vector<u8>& header, u64& offset) const {
    const auto fits = [](const std::vector<u8>& raw) {
        const u64 name_at = be64(&raw[8]);
        return (name_at ? name_at : raw.size()) <= kHeaderSector;
    };
    Header present = header_;
    const std::vector<u8> old = present.serialize();
    if (old.empty() || !fits(old) || !fits(header)) return false;
    const u64 length = be32(&header[16]);
    const u64 old_from = header_.backing_name_offset, old_to = old_from + header_.backing_file.size();
    for (u64 place = kHeaderSector; place + length <= cluster_bytes(); place += kHeaderSector) {
        if (old_from && place < old_to && old_from < place + length) continue;
        offset = place;
        put64(&header[8], place);
        return true;
    }
    return false;
}

int Volume::preallocate(u64 from, u64 to) {
    Lock lock(mutex_);
    while (from < to) {
        if (const int error = writable()) return error;
        if (const int error = make_room()) return error;
        Mapping m;
        if (const int error = lookup(from, to - from, m)) return error;
        if (m.kind != Kind::kNone) {
            from += m.length;
            continue;
        }
        if (const int error = begin_change()) return error;
        TablePtr table;
        if (const int error = writable_l2(l1_index(from), table)) return error;
        const u64 untouched = refcounts_->untouched();
        u64 host = 0, count = divide_up(in_cluster(from) + m.length, cluster_bytes());
        if (const int error = refcounts_->allocate(count, host, count)) return error;
        const u64 end = (host + count) << bits_;
        int error = 0;
        if (host < untouched) error = storage_.zero(host << bits_, count << bits_);
        if (!error && storage_.size() < end) error = storage_.truncate(end);
        if (error) {
            refcounts_->cancel(host, count);
            return error;
        }
        for (u64 i = 0; i < count; ++i) l2_->set(*table, l2_index(from) + i, (host + i) << bits_ | kCopied);
        from = from - in_cluster(from) + (count << bits_);
    }
    return checkpoint(true);
}

int Volume::make_empty(std::string& why) {
    Lock lock(mutex_);
    if (const int error = writable()) return error;
    wait_for_quiet(lock);
    if (const int error = begin_change()) return error;
    if (const int error = drop_from_l1(0)) return error;
    static_cast<void>(why);
    return checkpoint(true);
}

}  // namespace backplane::image::qcow2
