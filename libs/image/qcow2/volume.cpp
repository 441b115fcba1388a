// Opening, tables, and the order in which changes reach the file.
#include "image/qcow2/volume.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace backplane::image::qcow2 {

namespace {
constexpr std::size_t kL2CacheBytes = 32 << 20;
constexpr std::size_t kLeastTables = 16;
constexpr std::size_t kMostTables = 4096;
constexpr std::size_t kMostReleases = 1 << 16;
constexpr u64 kPerSector = 64;  // table entries

std::string say(u64 offset, const std::string& text) { return "offset " + std::to_string(offset) + ": " + text; }
}  // namespace

Volume::Volume(Storage& storage, Options options) : storage_(storage), options_(std::move(options)) {}

Volume::~Volume() { static_cast<void>(close()); }

std::string Volume::open() {
    std::vector<u8> first(std::min<u64>(512, storage_.size()));
    const auto read = [this](std::vector<u8>& data) -> std::string {
        const int error = storage_.read(0, data);
        return error ? say(0, std::string("the header cannot be read: ") + std::strerror(error)) : "";
    };
    if (std::string error = read(first); !error.empty()) return error;
    if (const u64 whole = std::min<u64>(Header::parse_bytes(first), storage_.size()); whole > first.size()) {
        first.resize(whole);
        if (std::string error = read(first); !error.empty()) return error;
    }
    if (std::string error = header_.parse(first, storage_.size()); !error.empty()) return error;
    if (u64 unknown = header_.incompatible & ~kKnownIncompatible) {
        unsigned bit = 0;
        while (!(unknown >> bit & 1)) ++bit;
        return say(72, "the image uses \"" + feature_name(header_, bit) + "\", which is not supported");
    }
    bits_ = header_.cluster_bits;
    if (header_.incompatible & kCorrupt) {
        trouble_ = "the image is marked as corrupt";
        if (!options_.read_only && !options_.examine)
            return say(72,
                       "the image is marked as corrupt and can be opened for reading only; "
                       "`backplane disk check --repair all` may put it right");
    }
    l2_ = std::make_unique<TableCache>(storage_, cluster_bytes(),
                                       std::clamp<std::size_t>(kL2CacheBytes >> bits_, kLeastTables, kMostTables));
    refcounts_ = std::make_unique<Refcounts>(
        storage_, header_,
        Refcounts::Callbacks{[this] { return write_header(); }, [this](const std::string& what) { corrupt(what); },
                             [this](u64 cluster, u64 n) {
                                 {
                                     const std::lock_guard guard(unpacked_mutex_);
                                     unpacked_.clear();
                                     ++unpacked_generation_;
                                 }
                                 for (u64 c = cluster; c < cluster + n; ++c) {
                                     refcounts_->unprotect(c);
                                     l2_->drop(c << bits_);
                                     if (c == compressed_at_ >> bits_) compressed_at_ = 0;
                                 }
                                 if (options_.give_back)
                                     static_cast<void>(storage_.punch(cluster << bits_, n << bits_));
                             }});
    if (std::string error = load_l1(); !error.empty()) return error;
    if (std::string error = load_snapshots(); !error.empty()) return error;
    if (!options_.inside.empty()) {
        const Snapshot* s = find_snapshot(options_.inside);
        if (!s) return "there is no snapshot \"" + options_.inside + "\" in it";
        if (!options_.read_only) return "a snapshot can only be read";
        if (const int error = read_l1_of(*s, l1_))
            return say(s->l1_offset, std::string("the snapshot's L1 table cannot be read: ") + std::strerror(error));
        header_.bytes = s->disk_bytes;
    }
    if (!options_.read_only) {
        if (const int error = load_counts())
            return say(header_.refcount_table_offset,
                       std::string("the reference count table cannot be read: ") + std::strerror(error));
    }
    opened_ = true;
    if (options_.read_only || options_.examine) return {};
    if (header_.incompatible & kDirty)
        if (std::string error = recover(); !error.empty()) return error;
    lazy_ = (header_.compatible & kLazyRefcounts) != 0;
    if (header_.autoclear) {
        header_.autoclear = 0;  // what these features describe, nobody here keeps up to date
        if (const int error = write_header()) return say(88, std::string("cannot be written: ") + std::strerror(error));
    }
    return {};
}

std::string Volume::load_l1() {
    std::vector<u8> raw(u64{header_.l1_entries} * 8);
    if (const int error = read_padded(storage_, header_.l1_offset, raw))
        return say(header_.l1_offset, std::string("the L1 table cannot be read: ") + std::strerror(error));
    l1_.resize(header_.l1_entries);
    for (std::size_t i = 0; i < l1_.size(); ++i) l1_[i] = be64(&raw[i * 8]);
    return {};
}

int Volume::load_counts() {
    if (const int error = refcounts_->load()) return error;
    protect_tables();
    return 0;
}

void Volume::protect_tables() {
    refcounts_->protect(header_.l1_offset, u64{header_.l1_entries} * 8);
    for (const u64 entry : l1_)
        if (entry & kOffsetMask) refcounts_->protect((entry & kOffsetMask) >> bits_);
    for (const Snapshot& s : snapshots_) refcounts_->protect(s.l1_offset, u64{s.l1_entries} * 8);
    if (header_.snapshots) refcounts_->protect(header_.snapshots_offset, snapshot_table_bytes_);
}

int Volume::close() {
    const std::lock_guard guard(mutex_);
    if (!opened_) return 0;
    opened_ = false;
    if (options_.read_only || options_.examine || !trouble_.empty()) return 0;
    // The second time writes the decrements that the first made possible.
    int error = checkpoint(true);
    if (!error && refcounts_->changed()) error = refcounts_->write();
    if (!error) error = storage_.flush();
    if (!error && (header_.incompatible & kDirty)) {
        header_.incompatible &= ~kDirty;
        error = write_header();
        if (!error) error = storage_.flush();
    }
    return error;
}

int Volume::write_header() { return storage_.write(0, header_.fixed()); }

std::string Volume::trouble() const {
    const std::lock_guard guard(mutex_);
    return trouble_;
}

// What the tables say cannot be: nothing is written any more, and the next one who opens the image is told.
void Volume::corrupt(const std::string& what) {
    if (!trouble_.empty()) return;
    trouble_ = what;
    if (options_.warn) options_.warn(what + "; the image is corrupt and is not written to any more");
    if (options_.read_only || options_.examine || header_.version < 3) return;
    header_.incompatible |= kCorrupt;
    static_cast<void>(write_header());
}

// --- Tables
// -----------------------------------------------------------------------------------------------------------

Kind Volume::kind(u64 entry) const {
    if (entry & kCompressed) return Kind::kCompressed;
    if (header_.version >= 3 && (entry & kZero)) return Kind::kZero;
    return entry & kOffsetMask ? Kind::kData : Kind::kNone;
}

int Volume::l2(u64 index, TablePtr& out) {
    out = nullptr;
    const u64 offset = index < l1_.size() ? l1_[index] & kOffsetMask : 0;
    if (offset == 0) return 0;
    if (in_cluster(offset) || offset >= storage_.size()) {
        const bool cached = !in_cluster(offset) && l2_->get(offset, out) == 0 && out->dirty_to;
        if (cached) return 0;  // new, and the file is not as long yet
        l2_->drop(offset);
        out = nullptr;
        corrupt("entry " + std::to_string(index) + " of the L1 table points to " + std::to_string(offset) +
                ", where no table can be");
        return EIO;
    }
    return l2_->get(offset, out);
}

void Volume::set_l1(u64 index, u64 value) {
    l1_[index] = value;
    if (l1_dirty_from_ == l1_dirty_to_) {
        l1_dirty_from_ = index;
        l1_dirty_to_ = index + 1;
    } else {
        l1_dirty_from_ = std::min(l1_dirty_from_, index);
        l1_dirty_to_ = std::max(l1_dirty_to_, index + 1);
    }
}

int Volume::writable_l2(u64 index, TablePtr& out) {
    if (index >= l1_.size())
        if (const int error = grow_l1(index + 1)) return error;
    if (const int error = l2(index, out)) return error;
    if (out && (l1_[index] & kCopied)) {
        // A table that is shared with something else would be destroyed.
        return 0;
    }
    u64 cluster = 0;
    if (const int error = refcounts_->allocate_all(1, cluster)) return error;
    const u64 offset = cluster << bits_;
    if (out) {
        const u64 old = out->offset;
        out = l2_->create(offset, &out->data);
        refcounts_->release(old >> bits_, now_);
    } else {
        out = l2_->create(offset);
    }
    refcounts_->protect(cluster);
    set_l1(index, offset | kCopied);
    return 0;
}

int Volume::lookup(u64 offset, u64 length, Mapping& out) {
    TablePtr table;
    if (const int error = l2(l1_index(offset), table)) return error;
    out = {};
    const u64 table_end = std::min((offset | (header_.bytes_per_l2() - 1)) + 1, offset + length);
    if (!table) {
        out.length = table_end - offset;
        return 0;
    }
    u64 index = l2_index(offset);
    out.entry = table->get(index);
    out.kind = kind(out.entry);
    out.copied = (out.entry & kCopied) != 0;
    if (out.kind == Kind::kCompressed) {
        out.host = compressed_offset(out.entry);
        out.length = std::min(end_of_cluster(offset), table_end) - offset;
        return 0;
    }
    const u64 place = out.entry & kOffsetMask;
    if (in_cluster(place) || (out.kind == Kind::kData && place >= storage_.size())) {
        corrupt("the disk's cluster at " + std::to_string(offset - in_cluster(offset)) + " is said to be at " +
                std::to_string(place) + ", where none can be");
        return EIO;
    }
    out.host = place ? place + in_cluster(offset) : 0;
    u64 end = end_of_cluster(offset);
    for (u64 n = 1; end < table_end; ++n, end += cluster_bytes()) {
        const u64 entry = table->get(++index);
        if (kind(entry) != out.kind || ((entry & kCopied) != 0) != out.copied) break;
        const u64 next = entry & kOffsetMask;
        if (out.kind == Kind::kData ? next != place + (n << bits_) || next >= storage_.size() : next != 0 || place != 0)
            break;
    }
    out.length = std::min(end, table_end) - offset;
    return 0;
}

int Volume::map(u64 offset, u64 length, Mapping& out) {
    const Lock lock(mutex_);
    if (offset >= header_.bytes || length == 0) return EINVAL;
    return lookup(offset, std::min(length, header_.bytes - offset), out);
}

bool Volume::allocating(u64 cluster) const {
    return std::any_of(allocating_.begin(), allocating_.end(),
                       [cluster](const Range& r) { return r.first <= cluster && cluster <= r.last; });
}

void Volume::release_entry(u64 entry) {
    if (entry & kCompressed) {
        const u64 from = compressed_offset(entry), bytes = compressed_bytes(entry);
        for (u64 c = from >> bits_; c <= (from + bytes - 1) >> bits_; ++c) refcounts_->release(c, now_);
    } else if (const u64 offset = entry & kOffsetMask) {
        refcounts_->release(offset >> bits_, now_);
    }
}

// --- Order
// ------------------------------------------------------------------------------------------------------------

int Volume::write_l1() {
    if (l1_dirty_from_ == l1_dirty_to_) return 0;
    const u64 from = l1_dirty_from_ / kPerSector * kPerSector;
    const u64 to = round_up(l1_dirty_to_, kPerSector);  // the rest of the table's last cluster is its own, and zero
    std::vector<u8> raw((to - from) * 8);
    for (u64 i = from; i < std::min<u64>(to, l1_.size()); ++i) put64(&raw[(i - from) * 8], l1_[i]);
    if (const int error = storage_.write(header_.l1_offset + from * 8, raw)) return error;
    l1_dirty_from_ = l1_dirty_to_ = 0;
    return 0;
}

// Brings the tables to the file. `durable`: it survives a power cut when this returns.
int Volume::checkpoint(bool durable) {
    const bool l1_changed = l1_dirty_from_ != l1_dirty_to_;
    if (!lazy_ && refcounts_->changed())
        if (const int error = refcounts_->write()) return error;
    if (l2_->dirty() || l1_changed) {
        if (const int error = storage_.flush()) return error;
        if (const int error = l2_->write_dirty()) return error;
        if (l1_changed) {
            if (const int error = storage_.flush()) return error;
            if (const int error = write_l1()) return error;
        }
    }
    if (durable || refcounts_->releases()) {
        if (const int error = storage_.flush()) return error;
        refcounts_->referenced_no_more();
        if (const int error = refcounts_->apply(oldest())) return error;
    }
    return 0;
}

// Before a change: no more changed tables than the cache can hold, nor more released clusters than is reasonable.
int Volume::make_room() {
    if (l2_->dirty() < l2_->capacity() / 2 && refcounts_->releases() < kMostReleases) return 0;
    return checkpoint(false);
}

// Before the tables change for the first time: with lazy reference counts the header has to say so.
int Volume::begin_change() {
    if (!lazy_ || (header_.incompatible & kDirty)) return 0;
    header_.incompatible |= kDirty;
    int error = write_header();
    if (!error) error = storage_.flush();
    if (error) header_.incompatible &= ~kDirty;
    return error;
}

void Volume::wait_for_quiet(Lock& lock) {
    changed_.wait(lock, [this] { return active_.empty() && allocating_.empty(); });
}

int Volume::flush() {
    if (options_.read_only) return 0;
    {
        const Lock lock(mutex_);
        if (!trouble_.empty()) return EIO;
        const bool tables = l2_->dirty() || l1_dirty_from_ != l1_dirty_to_ || (!lazy_ && refcounts_->changed());
        if (tables || refcounts_->releases()) return checkpoint(true);
    }
    return storage_.flush();
}

}  // namespace backplane::image::qcow2
