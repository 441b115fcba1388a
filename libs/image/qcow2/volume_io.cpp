// Reading and writing a guest's data.
#include <algorithm>
#include <cerrno>
#include <cstring>

#include "image/qcow2/volume.hpp"

namespace backplane::image::qcow2 {

namespace {
constexpr u64 kMostAtOnce = 4 << 20;  // bytes that one request allocates in one step
}

// --- Reading
// ----------------------------------------------------------------------------------------------------------

int Volume::read(u64 offset, std::span<u8> data) {
    if (!in_disk(offset, data.size())) return EINVAL;
    return get(offset, data.data(), data.size());
}

int Volume::read_state(u64 offset, std::span<u8> data) {
    if (data.size() > kMaxOffset || offset > kMaxOffset) return EFBIG;
    return get(state_offset() + offset, data.data(), data.size());
}

int Volume::get(u64 offset, u8* data, u64 length) {
    Lock lock(mutex_);
    while (length > 0) {
        Mapping m;
        if (const int error = lookup(offset, length, m)) return error;
        const Active active(*this);
        lock.unlock();
        int error = 0;
        if (m.kind == Kind::kData)
            error = read_padded(storage_, m.host, {data, m.length});
        else
            error = read_entry(m.entry, offset, data, m.length);
        lock.lock();
        if (error) return error;
        data += m.length;
        offset += m.length;
        length -= m.length;
    }
    return 0;
}

// Reads what an entry stands for; never past the end of its cluster unless there are no data in the file.
int Volume::read_entry(u64 entry, u64 offset, u8* data, u64 length) {
    switch (kind(entry)) {
        case Kind::kZero: std::memset(data, 0, length); return 0;
        case Kind::kNone: return read_backing(offset, data, length);
        case Kind::kCompressed: return read_compressed(entry, in_cluster(offset), data, length);
        case Kind::kData: return read_padded(storage_, (entry & kOffsetMask) + in_cluster(offset), {data, length});
    }
    return EIO;
}

int Volume::read_backing(u64 offset, u8* data, u64 length) {
    const u64 inside = offset >= backing_.bytes ? 0 : std::min(length, backing_.bytes - offset);
    if (inside < length) std::memset(data + inside, 0, length - inside);
    return inside ? backing_.read(offset, {data, inside}) : 0;
}

// --- Elsewhere
// --------------------------------------------------------------------------------------------------------

// Never waits for the file or another thread: the caller may be a processor.
bool Volume::begin_direct(bool write, u64 offset, u64 length, u64& host, u64& token) {
    const Lock lock(mutex_, std::try_to_lock);
    if (!lock.owns_lock() || length == 0 || !in_disk(offset, length)) return false;
    const u64 index = l1_index(offset), table = index < l1_.size() ? l1_[index] & kOffsetMask : 0;
    if (table == 0 || !l2_->holds(table)) return false;
    Mapping m;
    if (lookup(offset, length, m) != 0 || m.kind != Kind::kData || m.length < length) return false;
    // The file's last cluster may not be there as a whole, and only the storage makes the file longer.
    if (m.host + length > storage_.size()) return false;
    if (write) {
        if (writable() != 0 || !m.copied) return false;
        const u64 first = m.host >> bits_, last = (m.host + length - 1) >> bits_;
        if (refcounts_->is_metadata(first, last - first + 1)) return false;
        for (u64 cluster = offset >> bits_; cluster <= (offset + length - 1) >> bits_; ++cluster)
            if (allocating(cluster)) return false;
    }
    host = m.host;
    token = begin();
    return true;
}

void Volume::end_direct(u64 token) {
    const Lock lock(mutex_);
    end(token);
}

// --- Writing
// ----------------------------------------------------------------------------------------------------------

int Volume::write(u64 offset, std::span<const u8> data) {
    if (!in_disk(offset, data.size())) return EINVAL;
    return put(offset, data.data(), data.size());
}

int Volume::write_state(u64 offset, std::span<const u8> data) {
    if (data.size() > kMaxOffset || offset > kMaxOffset) return EFBIG;
    return put(state_offset() + offset, data.data(), data.size());
}

int Volume::put(u64 offset, const u8* data, u64 length) {
    Lock lock(mutex_);
    while (length > 0) {
        if (const int error = writable()) return error;
        if (allocating(offset >> bits_)) {
            changed_.wait(lock);
            continue;
        }
        if (const int error = make_room()) return error;
        Mapping m;
        if (const int error = lookup(offset, length, m)) return error;
        u64 done = m.length;
        const bool in_place = m.kind == Kind::kData && m.copied;
        if (const int error = in_place ? put_in_place(lock, m, data) : put_new(lock, offset, data, length, done))
            return error;
        data += done;
        offset += done;
        length -= done;
    }
    return 0;
}

int Volume::put_in_place(Lock& lock, const Mapping& m, const u8* data) {
    const u64 first = m.host >> bits_, last = (m.host + m.length - 1) >> bits_;
    if (refcounts_->is_metadata(first, last - first + 1)) {
        corrupt("the disk's data are said to lie over metadata at " + std::to_string(m.host));
        return EIO;
    }
    const Active active(*this);
    lock.unlock();
    const int error = storage_.write(m.host, {data, m.length});
    lock.lock();
    return error;
}

// Writes to clusters that have no place of their own yet: as many as lie in a row, in one table, and find room in a
// row.
int Volume::put_new(Lock& lock, u64 offset, const u8* data, u64 length, u64& done) {
    if (const int error = begin_change()) return error;
    TablePtr table;
    if (const int error = writable_l2(l1_index(offset), table)) return error;
    const u64 index = l2_index(offset), guest = offset >> bits_;
    const u64 most = std::min({divide_up(in_cluster(offset) + length, cluster_bytes()), table->entries() - index,
                               std::max<u64>(1, kMostAtOnce >> bits_)});
    // Zeros that have a place already are written there.
    const auto placed = [&](u64 entry) {
        return kind(entry) == Kind::kZero && (entry & kOffsetMask) && (entry & kCopied) &&
               !in_cluster(entry & kOffsetMask);
    };
    const u64 first_entry = table->get(index);
    const bool reuse = placed(first_entry);
    u64 host = 0, count = 1;
    bool fresh = false;
    if (reuse) {
        host = (first_entry & kOffsetMask) >> bits_;
        if (refcounts_->is_metadata(host, 1)) {
            corrupt("the disk's data are said to lie over metadata at " + std::to_string(host << bits_));
            return EIO;
        }
    } else {
        for (; count < most; ++count) {
            const u64 entry = table->get(index + count);
            if ((kind(entry) == Kind::kData && (entry & kCopied)) || placed(entry) || allocating(guest + count)) break;
        }
        const u64 untouched = refcounts_->untouched();
        if (const int error = refcounts_->allocate(count, host, count)) return error;
        fresh = host >= untouched;
    }
    const u64 last_entry = table->get(index + count - 1);
    const u64 begin = offset - in_cluster(offset), end = begin + (count << bits_);
    done = std::min(length, end - offset);
    allocating_.push_back({guest, guest + count - 1});
    const Active active(*this);
    lock.unlock();

    // The rest of the first and the last cluster keeps what was there.
    const u64 head = offset - begin, tail = end - (offset + done);
    const auto plain_zeros = [&](u64 entry, u64 from) {
        return fresh && (kind(entry) == Kind::kZero || (kind(entry) == Kind::kNone && from >= backing_.bytes));
    };
    const bool fill_head = head && !plain_zeros(first_entry, begin);
    const bool fill_tail = tail && !plain_zeros(last_entry, offset + done);
    int error = 0;
    if (!fill_head && !fill_tail) {
        error = storage_.write((host << bits_) + head, {data, done});
    } else {
        const u64 from = fill_head ? begin : offset, to = fill_tail ? end : offset + done;
        std::vector<u8> whole(to - from);
        if (fill_head) error = read_entry(first_entry, begin, whole.data(), head);
        if (!error && fill_tail) error = read_entry(last_entry, offset + done, &whole[offset + done - from], tail);
        if (!error) {
            std::memcpy(&whole[offset - from], data, done);
            error = storage_.write((host << bits_) + (from - begin), whole);
        }
    }

    lock.lock();
    const auto mine =
        std::find_if(allocating_.begin(), allocating_.end(), [&](const Range& r) { return r.first == guest; });
    allocating_.erase(mine);
    changed_.notify_all();
    if (!error) error = writable();
    if (error) {
        if (!reuse) refcounts_->cancel(host, count);
        return error;
    }
    for (u64 i = 0; i < count; ++i) {
        if (!reuse) release_entry(table->get(index + i));
        l2_->set(*table, index + i, (host + i) << bits_ | kCopied);
    }
    return 0;
}

}  // namespace backplane::image::qcow2
