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

std::vector<u8> Volume::pack_snapshots(const std::vector<Snapshot>& list) const {
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
    return raw;
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

    // Tables that say "in place" nowhere, for the two of them.
    const Wanted nowhere = [](u64 entry, u64& wanted) {
        if (!(entry & kCompressed)) wanted = entry & ~kCopied;
        return 0;
    };
    const u64 state_from = state_offset() / header_.bytes_per_l2();
    const int error = switch_to({l1_, header_.bytes, snapshots_}, [&](Plan& plan) {
        if (const int e = rewrite_tables(plan.l1, nowhere)) return e;
        if (const int e = for_each_cluster(plan.l1, [this](u64 c) { return refcounts_->add(c); })) return e;
        std::vector<u8> raw(plan.l1.size() * 8);
        for (std::size_t i = 0; i < plan.l1.size(); ++i) put64(&raw[i * 8], plan.l1[i] & ~kCopied);
        if (const int e = put_clusters(raw, s.l1_offset)) return e;
        plan.snapshots.push_back(s);
        if (state_from >= plan.l1.size()) return 0;
        // The machine's state belongs to the snapshot alone.
        const auto from = plan.l1.begin() + static_cast<std::ptrdiff_t>(state_from);
        const std::vector<u64> state(from, plan.l1.end());
        std::fill(from, plan.l1.end(), u64{0});
        return for_each_cluster(state, [this](u64 c) { return refcounts_->drop(c); });
    });
    if (error == ERANGE)
        why = "its reference counts of " + std::to_string(1u << header_.refcount_order) +
              " bits are too narrow for one more snapshot";
    return error;
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
    const int error = switch_to({table, s.disk_bytes, snapshots_}, [&](Plan&) {
        if (const int e = for_each_cluster(table, [this](u64 c) { return refcounts_->add(c); })) return e;
        return for_each_cluster(l1_, [this](u64 c) { return refcounts_->drop(c); });
    });
    if (error == ERANGE)
        why = "its reference counts of " + std::to_string(1u << header_.refcount_order) +
              " bits are too narrow for it to be the disk as well";
    return error;
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
    return switch_to({l1_, header_.bytes, std::move(list)}, [&](Plan&) {
        if (const int e = for_each_cluster(table, [this](u64 c) { return refcounts_->drop(c); })) return e;
        return drop_clusters(s.l1_offset, u64{s.l1_entries} * 8);
    });
}

}  // namespace backplane::image::qcow2
