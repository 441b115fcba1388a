// A qcow2 file as a virtual disk: the engine under the image format "qcow2".
//
// Any thread may call. One lock guards the tables; guest data are read and written outside of it, with these rules:
//  * A cluster that is being allocated is entered in allocating_: others wait before they touch the same guest cluster.
//  * A request notes when it began (active_); a cluster that lost its last reference is reused only when every request
//    that began before is over, so a late write can never hit what has become something else.
//  * Operations on the whole (snapshots, size) wait until no request is under way.
//
// Order in the file, so that a power cut at any moment leaves at most clusters that nobody uses: data and reference
// counts, flush, L2 tables, flush, L1 table, flush, and only then decrements of the counts. With lazy reference counts
// the counts are written when the file is closed, and the header says "dirty" meanwhile. Operations on snapshots change
// counts, flags and tables that belong together: they put all of them to new places and then the header, one sector,
// points there.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "image/qcow2/refcounts.hpp"

namespace backplane::image::qcow2 {

// What a guest's cluster is.
enum class Kind { kNone, kZero, kData, kCompressed };

struct Mapping {
    Kind kind = Kind::kNone;
    u64 length = 0;  // bytes from the offset asked for that are alike, and in a row in the file if they are data
    u64 host = 0;    // where the first byte is: data, and zeros that have a place; of compressed data the first byte
    u64 entry = 0;   // of the first cluster
    bool copied = false;
};

struct Snapshot {
    u64 l1_offset = 0;
    u32 l1_entries = 0;
    std::string id, name;
    u32 seconds = 0, nanoseconds = 0;  // of the host's clock, since 1970
    u64 machine_ns = 0;                // time of the machine
    u64 state_bytes = 0;               // of the machine's state; 0: disk only
    u64 disk_bytes = 0;
    std::vector<u8> extra;  // what is known of it included
};

// Reads from the backing file; bytes behind its end are the caller's matter.
struct Backing {
    std::function<int(u64 offset, std::span<u8>)> read;
    u64 bytes = 0;
};

class Volume {
  public:
    struct Options {
        bool read_only = false;
        bool give_back = true;    // freed clusters become holes of the file
        bool examine = false;     // for checks: open whatever can be opened; nothing is written until asked for
        std::string inside = {};  // id or name of a snapshot to be read instead of the disk as it is
        std::function<void(const std::string&)> warn = {};
    };

    Volume(Storage& storage, Options options);
    ~Volume();
    Volume(const Volume&) = delete;
    Volume& operator=(const Volume&) = delete;

    // Reads header and tables. An error text ("offset 24: ..."), empty if all is well.
    std::string open();
    // Writes everything out; also done by the destructor. Returns errno.
    int close();

    const Header& header() const { return header_; }
    u64 bytes() const { return header_.bytes; }
    const std::vector<Snapshot>& snapshots() const { return snapshots_; }
    // By id, or else by name; nullptr: there is none.
    const Snapshot* find_snapshot(const std::string& which) const;
    void set_backing(Backing backing) { backing_ = std::move(backing); }

    // Requests; offsets and lengths are bytes, anything within the disk. Return errno.
    int read(u64 offset, std::span<u8> data);
    int write(u64 offset, std::span<const u8> data);
    int flush();
    // Whole clusters within the range give their space back and read as zeros where the file can say so.
    int discard(u64 offset, u64 length);
    // The range reads as zeros; `unmap`: clusters may give their space back.
    int write_zeroes(u64 offset, u64 length, bool unmap);
    // One whole cluster (the disk's last may be shorter), compressed if that makes it smaller. For images in the
    // making.
    int write_compressed(u64 offset, std::span<const u8> data);
    int map(u64 offset, u64 length, Mapping& out);
    // Where the bytes of a request stand in one piece in the file; they may be read, or written, there by somebody else
    // until end_direct(token). False: only through read() and write(), or not known at once.
    bool begin_direct(bool write, u64 offset, u64 length, u64& host, u64& token);
    void end_direct(u64 token);

    // The machine's state that goes with the next snapshot lies behind the disk.
    int write_state(u64 offset, std::span<const u8> data);
    int read_state(u64 offset, std::span<u8> data);

    // Standstill operations. Return errno, and a text where errno alone would not do.
    int create_snapshot(const std::string& name, u64 state_bytes, u64 machine_ns, std::string& why);
    int apply_snapshot(std::size_t index, std::string& why);
    int delete_snapshot(std::size_t index, std::string& why);
    int resize(u64 bytes, std::string& why);
    int change_backing(const std::string& name, const std::string& format, std::string& why);
    // Makes every cluster allocated by nothing but metadata (preallocation).
    int preallocate(u64 from, u64 to);
    // Empties the disk of everything that it has itself (after a commit).
    int make_empty(std::string& why);

    // Says why nothing can be written any more; empty: it can.
    std::string trouble() const;

  private:
    friend class Checker;
    using Lock = std::unique_lock<std::mutex>;

    // A request under way; see the rules above. Made and destroyed under the lock.
    class Active {
      public:
        explicit Active(Volume& v) : volume_(v), time_(v.begin()) {}
        ~Active() { volume_.end(time_); }
        Active(const Active&) = delete;

      private:
        Volume& volume_;
        u64 time_;
    };
    u64 begin() {
        active_.insert(++now_);
        return now_;
    }
    void end(u64 time) {
        active_.erase(time);
        if (active_.empty()) changed_.notify_all();
    }
    struct Range {
        u64 first, last;  // guest clusters
    };

    u64 cluster_bytes() const { return u64{1} << bits_; }
    u64 in_cluster(u64 offset) const { return offset & (cluster_bytes() - 1); }
    u64 end_of_cluster(u64 offset) const { return (offset | (cluster_bytes() - 1)) + 1; }
    u64 l1_index(u64 offset) const { return offset >> (2 * bits_ - 3); }
    u64 l2_index(u64 offset) const { return (offset >> bits_) & ((u64{1} << (bits_ - 3)) - 1); }
    u64 oldest() const { return active_.empty() ? now_ : *active_.begin() - 1; }
    u64 state_offset() const { return round_up(header_.bytes, header_.bytes_per_l2()); }

    std::string load_l1();
    std::string load_snapshots();
    int load_counts();
    void protect_tables();
    std::string recover();
    bool in_disk(u64 offset, u64 length) const { return offset <= header_.bytes && length <= header_.bytes - offset; }
    int writable() const { return options_.read_only ? EROFS : trouble_.empty() ? 0 : EIO; }
    void corrupt(const std::string& what);
    int write_header();
    bool place_name(std::vector<u8>& header, u64& offset) const;

    // Tables, under the lock.
    Kind kind(u64 entry) const;
    int l2(u64 index, TablePtr& out);  // null: there is none
    int writable_l2(u64 index, TablePtr& out);
    int lookup(u64 offset, u64 length, Mapping& out);
    bool allocating(u64 cluster) const;
    void set_l1(u64 index, u64 value);
    int write_l1();
    int grow_l1(u64 entries);
    int replace_l1(std::vector<u64> table, u64 disk_bytes);
    void release_entry(u64 entry);
    int checkpoint(bool durable);
    int make_room();
    int begin_change();
    void wait_for_quiet(Lock& lock);
    u64 compressed_bytes(u64 entry) const;
    u64 compressed_offset(u64 entry) const;

    // Data.
    int get(u64 offset, u8* data, u64 length);
    int put(u64 offset, const u8* data, u64 length);
    int put_in_place(Lock& lock, const Mapping& m, const u8* data);
    int put_new(Lock& lock, u64 offset, const u8* data, u64 length, u64& done);
    int read_entry(u64 entry, u64 offset, u8* data, u64 length);
    int read_backing(u64 offset, u8* data, u64 length);
    int read_compressed(u64 entry, u64 from, u8* data, u64 length);
    int decompress(std::span<const u8> in, std::vector<u8>& out) const;
    int compress(std::span<const u8> in, std::vector<u8>& out) const;
    int place_compressed(u64 bytes, u64& host);
    int make_zeros(u64 offset, u64 length, bool unmap, u64 disk_bytes);
    enum class Clear { kDiscard, kZero, kZeroUnmap };
    int clear(u64 offset, u64 length, Clear how);
    int clear_in_table(Lock& lock, u64 offset, u64 end, Clear how, u64& done);
    u64 cleared(u64 entry, u64 offset, Clear how, bool& possible) const;

    // Snapshots.
    struct Plan {  // what the header is to point to
        std::vector<u64> l1;
        u64 bytes = 0;
        std::vector<Snapshot> snapshots;
    };
    using Recount = std::function<int(Plan&)>;
    int switch_to(Plan plan, const Recount& recount);
    int prepare(Plan& plan, const Recount& recount, Header& next);
    std::vector<u8> pack_snapshots(const std::vector<Snapshot>& list) const;
    using Visit = std::function<int(u64 cluster)>;
    int for_each_cluster(const std::vector<u64>& l1, const Visit& visit);
    int drop_clusters(u64 offset, u64 bytes);
    int put_clusters(std::vector<u8> data, u64& offset);
    using Wanted = std::function<int(u64 entry, u64& wanted)>;
    int rewrite_tables(std::vector<u64>& l1, const Wanted& wanted);
    int fit_flags(std::vector<u64>& l1);
    int drop_from_l1(u64 first);
    int read_l1_of(const Snapshot& snapshot, std::vector<u64>& out);
    int set_copied_flags();
    std::string new_id() const;

    Storage& storage_;
    Options options_;
    Header header_;
    unsigned bits_ = 16;
    Backing backing_;
    bool opened_ = false;

    mutable std::mutex mutex_;  // guards everything below
    std::condition_variable changed_;
    std::unique_ptr<Refcounts> refcounts_;
    std::unique_ptr<TableCache> l2_;
    std::vector<u64> l1_;
    u64 l1_dirty_from_ = 0, l1_dirty_to_ = 0;
    std::vector<Snapshot> snapshots_;
    u64 snapshot_table_bytes_ = 0;
    std::vector<Range> allocating_;
    std::set<u64> active_;
    u64 now_ = 0;
    bool lazy_ = false;
    u64 compressed_at_ = 0;  // where the next compressed cluster may begin; 0: nowhere
    std::string trouble_;

    std::mutex unpacked_mutex_;  // guards the clusters that were unpacked last
    struct Unpacked {
        u64 entry = 0;
        std::vector<u8> data;
    };
    std::vector<Unpacked> unpacked_;
    std::size_t unpacked_next_ = 0;
    u64 unpacked_generation_ = 0;
};

}  // namespace backplane::image::qcow2
