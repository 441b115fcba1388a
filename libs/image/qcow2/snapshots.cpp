// Snapshots inside a file: each has an L1 table of its own; clusters that several tables reach have as high a count.
#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <ctime>

#include "image/qcow2/volume.hpp"

namespace backplane::image::qcow2 {

namespace {
constexpr u64 kFixed = 40;       // bytes of a table entry before its variable part
constexpr u64 kKnownExtra = 24;  // long state size, disk size, instruction count
constexpr u64 kShortExtra = 16;
constexpr std::size_t kReleasesAtOnce = 1 << 16;

std::string say(u64 offset, const std::string& text) { return "offset " + std::to_string(offset) + ": " + text; }
}  // namespace

std::string Volume::load_snapshots() {
    snapshots_.clear();
    u64 at = header_.snapshots_offset;
    for (u32 i = 0; i < header_.snapshots; ++i) {
        const auto wrong = [&](const std::string& text) {
            return say(at, "snapshot " + std::to_string(i + 1) + ": " + text);
        };
        u8 f[kFixed];
        if (const int error = read_padded(storage_, at, f)) return wrong(std::strerror(error));
        Snapshot s;
        s.l1_offset = be64(f);
        s.l1_entries = be32(f + 8);
        const u32 id_bytes = be16(f + 12), name_bytes = be16(f + 14), extra_bytes = be32(f + 36);
        s.seconds = be32(f + 16);
        s.nanoseconds = be32(f + 20);
        s.machine_ns = be64(f + 24);
        s.state_bytes = be32(f + 32);
        s.disk_bytes = header_.bytes;
        if (in_cluster(s.l1_offset) || s.l1_offset == 0 || s.l1_offset >= kMaxOffset ||
            s.l1_entries > kMaxL1Bytes / 8 || s.l1_offset >= storage_.size())
            return wrong("its L1 table at " + std::to_string(s.l1_offset) + " with " + std::to_string(s.l1_entries) +
                         " entries cannot be");
        if (extra_bytes > kMaxSnapshotExtra)
            return wrong(std::to_string(extra_bytes) + " bytes of additional data are too many");
        std::vector<u8> rest(u64{extra_bytes} + id_bytes + name_bytes);
        if (at + kFixed + rest.size() > storage_.size()) return wrong("the table runs over the end of the file");
        if (const int error = read_padded(storage_, at + kFixed, rest)) return wrong(std::strerror(error));
        s.extra.assign(rest.begin(), rest.begin() + extra_bytes);
        if (extra_bytes >= 8) s.state_bytes = be64(rest.data());
        if (extra_bytes >= kShortExtra) s.disk_bytes = be64(rest.data() + 8);
        const char* text = reinterpret_cast<const char*>(rest.data()) + extra_bytes;
        s.id.assign(text, id_bytes);
        s.name.assign(text + id_bytes, name_bytes);
        if (s.disk_bytes > kMaxOffset || header_.l1_needed(s.disk_bytes) > s.l1_entries)
            return wrong("its L1 table is too short for a disk of " + std::to_string(s.disk_bytes) + " bytes");
        at += round_up(kFixed + rest.size(), 8);
        if (at - header_.snapshots_offset > kMaxSnapshotTableBytes) return wrong("the table is too long");
        snapshots_.push_back(std::move(s));
    }
    snapshot_table_bytes_ = at - header_.snapshots_offset;
    return {};
}

const Snapshot* Volume::find_snapshot(const std::string& which) const {
    for (const Snapshot& s : snapshots_)
        if (s.id == which) return &s;
    for (const Snapshot& s : snapshots_)
        if (s.name == which) return &s;
    return nullptr;
}

// Puts a new table into the file and makes the header point to it.
int Volume::write_snapshots(const std::vector<Snapshot>& list) {
    std::vector<u8> raw;
    for (const Snapshot& s : list) {
        std::vector<u8> extra = s.extra;
        if (extra.size() < kKnownExtra) extra.resize(std::max(extra.size(), kShortExtra));
        put64(extra.data(), s.state_bytes);
        put64(extra.data() + 8, s.disk_bytes);
        const std::size_t p = raw.size();
        raw.resize(p + round_up(kFixed + extra.size() + s.id.size() + s.name.size(), 8));
        u8* f = &raw[p];
        put64(f, s.l1_offset);
        put32(f + 8, s.l1_entries);
        put16(f + 12, static_cast<u16>(s.id.size()));
        put16(f + 14, static_cast<u16>(s.name.size()));
        put32(f + 16, s.seconds);
        put32(f + 20, s.nanoseconds);
        put64(f + 24, s.machine_ns);
        put32(f + 32, static_cast<u32>(std::min<u64>(s.state_bytes, ~u32{0})));
        put32(f + 36, static_cast<u32>(extra.size()));
        std::copy(extra.begin(), extra.end(), f + kFixed);
        std::memcpy(f + kFixed + extra.size(), s.id.data(), s.id.size());
        std::memcpy(f + kFixed + extra.size() + s.id.size(), s.name.data(), s.name.size());
    }
    if (raw.size() > kMaxSnapshotTableBytes || list.size() > kMaxSnapshots) return EFBIG;

    u64 cluster = 0;
    const u64 clusters = divide_up(raw.size(), cluster_bytes());
    if (clusters) {
        if (const int error = refcounts_->allocate_all(clusters, cluster)) return error;
        int error = storage_.write(cluster << bits_, raw);
        if (!error) error = refcounts_->write();
        if (!error) error = storage_.flush();
        if (error) {
            refcounts_->cancel(cluster, clusters);
            return error;
        }
    }
    const Header before = header_;
    header_.snapshots = static_cast<u32>(list.size());
    header_.snapshots_offset = cluster << bits_;
    int error = write_header();
    if (!error) error = storage_.flush();
    if (error) {
        header_ = before;
        return error;
    }
    refcounts_->protect(cluster << bits_, clusters << bits_);
    for (u64 c = 0; c < divide_up(snapshot_table_bytes_, cluster_bytes()); ++c)
        refcounts_->release((before.snapshots_offset >> bits_) + c, now_);
    snapshot_table_bytes_ = raw.size();
    snapshots_ = list;
    return 0;
}

int Volume::read_l1_of(const Snapshot& snapshot, std::vector<u64>& out) {
    std::vector<u8> raw(u64{snapshot.l1_entries} * 8);
    if (const int error = read_padded(storage_, snapshot.l1_offset, raw)) return error;
    out.resize(snapshot.l1_entries);
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = be64(&raw[i * 8]) & kOffsetMask;
    return 0;
}

int Volume::for_each_cluster(const std::vector<u64>& l1, const Visit& visit) {
    for (const u64 pointer : l1) {
        const u64 offset = pointer & kOffsetMask;
        if (offset == 0) continue;
        if (in_cluster(offset) || offset >= storage_.size()) {
            corrupt("an L1 table points to " + std::to_string(offset) + ", where no table can be");
            return EIO;
        }
        TablePtr table;
        if (const int error = l2_->get(offset, table)) return error;
        for (u64 i = 0; i < table->entries(); ++i) {
            const u64 entry = table->get(i);
            u64 first = (entry & kOffsetMask) >> bits_, last = first;
            if (entry & kCompressed) {
                first = compressed_offset(entry) >> bits_;
                last = (compressed_offset(entry) + compressed_bytes(entry) - 1) >> bits_;
            } else if (first == 0) {
                continue;
            }
            for (u64 c = first; c <= last; ++c)
                if (const int error = visit(c)) return error;
        }
        if (const int error = visit(offset >> bits_)) return error;
    }
    return 0;
}

// One reference more for everything that a table reaches; nothing changes if that is not possible.
int Volume::reference_all(const std::vector<u64>& l1, std::string& why) {
    u64 done = 0;
    const int error = for_each_cluster(l1, [&](u64 cluster) {
        if (const int e = refcounts_->add(cluster)) return e;
        ++done;
        return 0;
    });
    if (!error) return 0;
    if (error == ERANGE)
        why = "its reference counts of " + std::to_string(1u << header_.refcount_order) +
              " bits are too narrow for one more snapshot";
    static_cast<void>(for_each_cluster(l1, [&](u64 cluster) {
        if (done == 0) return ECANCELED;
        --done;
        refcounts_->cancel(cluster, 1);
        return 0;
    }));
    return error;
}

// One reference fewer for everything that a table reaches, and for the table itself. The file no longer refers to it.
int Volume::release_all(const std::vector<u64>& l1, u64 table_offset) {
    int error = for_each_cluster(l1, [this](u64 cluster) {
        refcounts_->release(cluster, now_);
        if (refcounts_->releases() < kReleasesAtOnce) return 0;
        refcounts_->referenced_no_more();
        return refcounts_->apply(oldest());
    });
    if (table_offset) {
        const u64 bytes = std::max<u64>(1, l1.size() * 8);
        refcounts_->unprotect(table_offset, bytes);
        for (u64 c = 0; c < divide_up(bytes, cluster_bytes()); ++c)
            refcounts_->release((table_offset >> bits_) + c, now_);
    }
    refcounts_->referenced_no_more();
    const int applied = refcounts_->apply(oldest());
    return error ? error : applied;
}

// "May be written in place" in the tables of the disk as it is, wherever the count is one and nowhere else.
int Volume::set_copied_flags() {
    for (u64 i = 0; i < l1_.size(); ++i) {
        TablePtr table;
        if (const int error = l2(i, table)) return error;
        if (!table) continue;
        for (u64 e = 0; e < table->entries(); ++e) {
            const u64 entry = table->get(e);
            if ((entry & kCompressed) || !(entry & kOffsetMask)) continue;
            u64 count = 0;
            if (const int error = refcounts_->count((entry & kOffsetMask) >> bits_, count)) return error;
            const u64 wanted = count == 1 ? entry | kCopied : entry & ~kCopied;
            if (wanted != entry) l2_->set(*table, e, wanted);
        }
        u64 count = 0;
        if (const int error = refcounts_->count(table->offset >> bits_, count)) return error;
        const u64 wanted = count == 1 ? l1_[i] | kCopied : l1_[i] & ~kCopied;
        if (wanted != l1_[i]) set_l1(i, wanted);
        table = nullptr;
        if (const int error = make_room()) return error;
    }
    return checkpoint(true);
}

std::string Volume::new_id() const {
    u64 most = 0;
    for (const Snapshot& s : snapshots_) {
        u64 n = 0;
        if (std::from_chars(s.id.data(), s.id.data() + s.id.size(), n).ec == std::errc{} && n < ~u32{0})
            most = std::max(most, n);
    }
    return std::to_string(most + 1);
}

int Volume::create_snapshot(const std::string& name, u64 state_bytes, u64 machine_ns, std::string& why) {
    if (name.size() > 0xffff) return ENAMETOOLONG;
    if (snapshots_.size() >= kMaxSnapshots) {
        why = "there are " + std::to_string(kMaxSnapshots) + " snapshots already";
        return EFBIG;
    }
    Lock lock(mutex_);
    if (const int error = writable()) return error;
    wait_for_quiet(lock);
    if (const int error = checkpoint(true)) return error;
    if (const int error = begin_change()) return error;

    Snapshot s;
    s.id = new_id();
    s.name = name;
    s.l1_entries = static_cast<u32>(l1_.size());
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    s.seconds = static_cast<u32>(now.tv_sec);
    s.nanoseconds = static_cast<u32>(now.tv_nsec);
    s.machine_ns = machine_ns;
    s.state_bytes = state_bytes;
    s.disk_bytes = header_.bytes;
    s.extra.resize(kKnownExtra);
    put64(s.extra.data() + kShortExtra, ~u64{0});  // no count of instructions

    u64 cluster = 0;
    const u64 clusters = std::max<u64>(1, divide_up(l1_.size() * 8, cluster_bytes()));
    if (const int error = refcounts_->allocate_all(clusters, cluster)) return error;
    s.l1_offset = cluster << bits_;
    int error = reference_all(l1_, why);
    if (error) {
        refcounts_->cancel(cluster, clusters);
        return error;
    }
    // The counts first, then the flags: a table that says "in place" is never wrong.
    error = refcounts_->write();
    if (!error) error = set_copied_flags();
    if (!error) {
        std::vector<u8> raw(clusters << bits_);
        for (std::size_t i = 0; i < l1_.size(); ++i) put64(&raw[i * 8], l1_[i] & ~kCopied);
        error = storage_.write(s.l1_offset, raw);
    }
    if (!error) {
        auto list = snapshots_;
        list.push_back(s);
        error = write_snapshots(list);
    }
    if (error) {  // as it was; at worst some counts in the file are too high
        static_cast<void>(release_all(l1_, 0));
        refcounts_->cancel(cluster, clusters);
        static_cast<void>(set_copied_flags());
        return error;
    }
    refcounts_->protect(s.l1_offset, clusters << bits_);
    // The machine's state now belongs to the snapshot alone.
    if (const int e = drop_from_l1(state_offset() / header_.bytes_per_l2())) return e;
    return checkpoint(true);
}

// Forgets what entries of the L1 table from `first` on point to.
int Volume::drop_from_l1(u64 first) {
    for (u64 i = first; i < l1_.size(); ++i) {
        TablePtr table;
        if (const int error = l2(i, table)) return error;
        if (!table) continue;
        for (u64 e = 0; e < table->entries(); ++e) release_entry(table->get(e));
        refcounts_->release(table->offset >> bits_, now_);
        set_l1(i, 0);
        table = nullptr;
        if (const int error = make_room()) return error;
    }
    return 0;
}

int Volume::apply_snapshot(std::size_t index, std::string& why) {
    Lock lock(mutex_);
    if (const int error = writable()) return error;
    if (index >= snapshots_.size()) return ENOENT;
    wait_for_quiet(lock);
    if (const int error = checkpoint(true)) return error;
    if (const int error = begin_change()) return error;
    const Snapshot s = snapshots_[index];
    std::vector<u64> table;
    if (const int error = read_l1_of(s, table)) return error;
    if (const int error = reference_all(table, why)) return error;
    const std::vector<u64> old = l1_;
    int error = refcounts_->write();
    if (!error) error = replace_l1(table, s.disk_bytes);
    if (error) {
        static_cast<void>(release_all(table, 0));
        return error;
    }
    error = release_all(old, 0);
    const int flags = set_copied_flags();
    return error ? error : flags;
}

int Volume::delete_snapshot(std::size_t index, std::string&) {
    Lock lock(mutex_);
    if (const int error = writable()) return error;
    if (index >= snapshots_.size()) return ENOENT;
    wait_for_quiet(lock);
    if (const int error = checkpoint(true)) return error;
    if (const int error = begin_change()) return error;
    const Snapshot s = snapshots_[index];
    std::vector<u64> table;
    if (const int error = read_l1_of(s, table)) return error;
    auto list = snapshots_;
    list.erase(list.begin() + static_cast<std::ptrdiff_t>(index));
    if (const int error = write_snapshots(list)) return error;
    const int error = release_all(table, s.l1_offset);
    const int flags = set_copied_flags();
    return error ? error : flags;
}

}  // namespace backplane::image::qcow2
