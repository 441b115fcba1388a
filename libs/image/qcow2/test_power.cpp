// Power cuts during everything that a qcow2 image can do: whatever the moment, and whichever unflushed sectors are
// missing, the file has no errors, what was flushed reads back, and snapshots that were complete have their contents.
#include <cstring>

#include "image/test_power.hpp"

using namespace backplane;
using namespace backplane::image;
using namespace backplane::image::testkit;

namespace {

constexpr u64 kDisk = 256 << 10;
using Bytes = std::vector<u8>;

// What a machine does with its disk, and what the disk is after each step.
class Story {
  public:
    Story(const qcow2::CreateOptions& o, bool full, std::mt19937& random) : random_(random) {
        if (!o.backing_file.empty()) {
            below_ = filled(o.bytes + (32 << 10), random_());  // longer than the disk, so that it could come to light
            disks_[o.backing_file].bytes = below_;
        }
        const auto storage = disks_.storage("disk");
        REQUIRE(qcow2::create(*storage, o) == 0);
        below_.resize(std::max<u64>(below_.size(), o.bytes));
        shadow_ = Bytes(below_.begin(), below_.begin() + static_cast<std::ptrdiff_t>(o.bytes));
        resizes_ = o.version >= 3 && !full;
        if (!full) return;
        shadow_ = filled(o.bytes, random_());
        REQUIRE(open(disks_.on("disk", "qcow2"))->write(0, shadow_) == 0);
    }

    void run(unsigned steps) {
        recorder_ = std::make_unique<Recorder>(disks_);
        moments_.push_back({0, 0, shadow_, true});
        image_ = open(disks_.on("disk", "qcow2"));
        for (unsigned i = 0; i < steps; ++i) {
            const std::size_t begin = recorder_->now();
            const bool durable = step();
            moments_.push_back({begin, recorder_->now(), shadow_, durable});
        }
        image_.reset();
        moments_.push_back({recorder_->now(), recorder_->now(), shadow_, true});
    }

    std::size_t length() const { return recorder_->now(); }
    bool counts_grew() {
        qcow2::Header h;
        REQUIRE(h.parse(disks_["disk"].bytes, disks_["disk"].bytes.size()).empty());
        return h.refcount_table_clusters > 1;
    }

    // What is wrong if the power goes after so many writes; empty: nothing.
    std::string cut(std::size_t at, std::mt19937* lost, QemuCheck& qemu) {
        Disks after;
        for (auto& [name, bytes] : recorder_->after(at, lost)) after[name].bytes = bytes;
        if (std::string wrong = wrong_after_cut(after, "disk", qemu); !wrong.empty()) return wrong;
        auto image = open(after.on("disk", "qcow2"));
        const auto last = std::find_if(moments_.rbegin(), moments_.rend(),
                                       [at](const Moment& m) { return m.durable && m.end <= at; });
        std::vector<const Bytes*> possible;
        for (auto m = last.base() - 1; m != moments_.end() && (m->begin < at || m->end <= at); ++m)
            possible.push_back(&m->disk);
        if (std::string wrong = compare(read_all(*image), possible); !wrong.empty()) return wrong;
        const auto list = image->snapshots();
        for (const Kept& k : kept_) {
            const bool there =
                std::any_of(list.begin(), list.end(), [&](const SnapshotInfo& s) { return s.name == k.name; });
            if (k.made_to <= at && at <= k.dropped_from && !there) return "the snapshot " + k.name + " is lost";
            if ((k.made_from >= at || k.dropped_to <= at) && there) return "there is a snapshot " + k.name;
            if (!there) continue;
            OpenOptions o = after.on("disk", "qcow2");
            o.read_only = true;
            o.inside = k.name;
            if (read_all(*open(o)) != k.disk) return "the snapshot " + k.name + " has other contents";
        }
        // And it goes on from there.
        if (image->write(0, Bytes(700, 9)) != 0 || image->flush() != 0) return "it cannot be written to";
        image.reset();
        const auto storage = after.storage("disk");
        const auto result = qcow2::check(*storage, qcow2::Repair::kNothing);
        return result.corruptions ? "after a write: " + result.messages.front() : "";
    }

  private:
    struct Moment {
        std::size_t begin, end;
        Bytes disk;
        bool durable;
    };
    struct Kept {
        std::string name;
        Bytes disk;
        std::size_t made_from, made_to, dropped_from = ~std::size_t{0}, dropped_to = ~std::size_t{0};
    };

    static std::string compare(const Bytes& now, const std::vector<const Bytes*>& possible) {
        const auto same_size = [&](const Bytes* b) { return b->size() == now.size(); };
        if (std::none_of(possible.begin(), possible.end(), same_size))
            return "it has " + std::to_string(now.size()) + " bytes";
        u64 least = ~u64{0};
        for (const Bytes* b : possible) least = std::min<u64>(least, b->size());
        for (u64 p = 0; p < now.size(); p += kSector) {
            // What a smaller size cuts off may be gone before the size says so.
            bool known = p >= least && std::all_of(&now[p], &now[p] + kSector, [](u8 b) { return b == 0; });
            for (const Bytes* b : possible)
                known = known || (p + kSector <= b->size() && std::memcmp(&now[p], &(*b)[p], kSector) == 0);
            if (!known) return "the sector at " + std::to_string(p) + " is neither old nor new";
        }
        return {};
    }

    // Returns whether it survives a power cut once it is done.
    bool step() {
        const u64 cluster = image_->info().cluster_bytes, sectors = shadow_.size() / kSector;
        const u64 first = random_() % sectors * kSector;
        const u64 length = std::min<u64>((1 + random_() % 24) * kSector, shadow_.size() - first);
        const u64 begin = first / cluster * cluster;
        const auto at = [this](u64 offset) { return shadow_.begin() + static_cast<std::ptrdiff_t>(offset); };
        switch (random_() % 20) {
            case 0:
            case 1: {
                REQUIRE(image_->write_zeroes(first, length, random_() & 1) == 0);
                std::fill_n(at(first), length, u8{0});
                return false;
            }
            case 2: {
                const u64 n = std::min<u64>(cluster * (1 + random_() % 3), shadow_.size() - begin);
                REQUIRE(image_->discard(begin, n) == 0);
                REQUIRE(image_->read(begin, {&shadow_[begin], n}) == 0);  // zeros, or what it was
                return false;
            }
            case 3:
            case 4: {
                const Bytes data(std::min<u64>(cluster, shadow_.size() - begin), static_cast<u8>(random_()));
                REQUIRE(image_->write_compressed(begin, data) == 0);
                std::copy(data.begin(), data.end(), at(begin));
                return false;
            }
            case 5: return snapshot();
            case 6: return snapshot();
            case 7: return resize();
            case 8:
            case 9:
            case 10: REQUIRE(image_->flush() == 0); return true;
            default: {
                const Bytes data = filled(length, random_());
                REQUIRE(image_->write(first, data) == 0);
                std::copy(data.begin(), data.end(), at(first));
                return false;
            }
        }
    }
    bool snapshot() {
        const std::size_t begin = recorder_->now();
        std::vector<Kept*> there;
        for (Kept& k : kept_)
            if (k.dropped_from == ~std::size_t{0}) there.push_back(&k);
        Kept* const one = there.empty() ? nullptr : there[random_() % there.size()];
        const unsigned what = one ? random_() % 3 : 0;
        if (what == 0 && there.size() < 3) {
            SnapshotInfo about;
            about.name = "s" + std::to_string(kept_.size());
            image_->create_snapshot(about);
            kept_.push_back({about.name, shadow_, begin, recorder_->now()});
        } else if (what == 1) {
            image_->apply_snapshot(one->name);
            shadow_ = one->disk;
        } else if (one) {
            one->dropped_from = begin;
            image_->delete_snapshot(one->name);
            one->dropped_to = recorder_->now();
        } else {
            return false;
        }
        return true;
    }
    bool resize() {
        if (!resizes_) return false;
        const u64 bytes = (64 + random_() % 900) * kSector;
        image_->resize(bytes);
        shadow_.resize(bytes);
        return true;
    }

    std::mt19937& random_;
    Disks disks_;
    std::unique_ptr<Recorder> recorder_;
    std::unique_ptr<Image> image_;
    Bytes below_, shadow_;
    std::vector<Moment> moments_;
    std::vector<Kept> kept_;
    bool resizes_ = true;
};

}  // namespace

TEST_CASE("whenever the power goes, a qcow2 image has no errors, and what was flushed and its snapshots are there") {
    std::mt19937 random(11);
    QemuCheck qemu(rounds(1) > 1 ? 1 : 25);
    // With qemu-img at every cut a round takes a minute.
    for (unsigned round = 0; round < std::min(rounds(1), 3u); ++round)
        for (const unsigned shape : {0u, 1u, 2u, 3u, 4u, 5u, 6u}) {
            qcow2::CreateOptions o;
            o.bytes = kDisk;
            o.cluster_bits = shape % 2 || shape == 6 ? 9 : 12;
            if (shape == 6) {  // the table of reference counts is soon too short
                o.bytes = 7 * kDisk;
                o.refcount_order = 6;
            }
            o.version = shape == 4 ? 2 : 3;
            o.lazy_refcounts = shape == 2 || shape == 3;
            if (shape == 1 || shape == 5) {
                o.backing_file = "below";
                o.backing_format = "raw";
            }
            Story story(o, shape == 6, random);
            story.run(60);
            CHECK(story.counts_grew() == (shape == 6));
            const std::size_t apart = shape == 6 && rounds(1) == 1 ? 7 : 1;  // it is large
            for (std::size_t at = 0; at <= story.length(); at += apart)
                for (std::mt19937* lost : {static_cast<std::mt19937*>(nullptr), &random}) {
                    const std::string wrong = story.cut(at, lost, qemu);
                    INFO("shape " << shape << ", round " << round << ", after " << at << " of " << story.length()
                                  << (lost ? " with losses" : "") << ": " << wrong);
                    CHECK(wrong.empty());
                }
        }
}
