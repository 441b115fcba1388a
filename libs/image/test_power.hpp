// For tests: images in memory whose power is cut. Everything that reaches a disk is recorded in one order; after a cut
// any of the sectors written since the disk's last flush may be missing.
#pragma once

#include <sys/wait.h>

#include <catch2/catch.hpp>
#include <cstdio>
#include <map>
#include <random>

#include "image/qcow2/check.hpp"
#include "image/qcow2/create.hpp"
#include "image/testkit.hpp"

namespace backplane::image::testkit {

inline constexpr u64 kSector = 512;

// Disks by name, opened as files with these names would be.
class Disks {
  public:
    using Disk = MemoryStorage::Disk;
    Disk& operator[](const std::string& name) {
        auto& disk = disks_[name];
        if (!disk) disk = std::make_shared<Disk>();
        return *disk;
    }
    const std::map<std::string, std::shared_ptr<Disk>>& all() const { return disks_; }
    OpenOptions on(const std::string& name, const std::string& format) {
        OpenOptions o;
        o.path = name;
        o.format = format;
        o.storage = [this](const std::string& path, const StorageOptions& s) -> std::unique_ptr<Storage> {
            if (!disks_.contains(path)) throw Error(Fault::kNotFound, path, "there is no such file");
            return storage(path, s.read_only);
        };
        return o;
    }
    std::unique_ptr<Storage> storage(const std::string& name, bool read_only = false) {
        static_cast<void>((*this)[name]);
        return std::make_unique<Switching>(disks_[name], name, read_only);
    }

  private:
    // A backing file that is committed to becomes writable.
    class Switching final : public Storage {
      public:
        Switching(const std::shared_ptr<Disk>& disk, const std::string& path, bool read_only)
            : reader_(disk, path, true), writer_(disk, path, false), read_only_(read_only) {}
        const std::string& path() const override { return reader_.path(); }
        bool read_only() const override { return read_only_; }
        u64 size() override { return reader_.size(); }
        int read(u64 offset, std::span<u8> data) override { return reader_.read(offset, data); }
        int write(u64 offset, std::span<const u8> data) override { return now().write(offset, data); }
        int flush() override { return now().flush(); }
        int truncate(u64 bytes) override { return now().truncate(bytes); }
        int punch(u64 offset, u64 length) override { return now().punch(offset, length); }
        void set_writable(bool writable) override { read_only_ = !writable; }

      private:
        MemoryStorage& now() { return read_only_ ? reader_ : writer_; }
        MemoryStorage reader_, writer_;
        bool read_only_;
    };
    std::map<std::string, std::shared_ptr<Disk>> disks_;
};

class Recorder {
  public:
    // From now on; `disks` has all of them.
    explicit Recorder(Disks& disks) {
        for (const auto& [name, disk] : disks.all()) {
            durable_[name] = disk->bytes;
            disk->log.clear();
            disk->fail = [this, name = name](const Event& e) {
                log_.push_back({name, e});
                return 0;
            };
        }
    }
    std::size_t now() const { return log_.size(); }

    // What the disks hold if the power goes after so many steps. `lost`: sectors that no flush has saved are missing at
    // random. To be called with rising numbers of steps.
    std::map<std::string, std::vector<u8>> after(std::size_t steps, std::mt19937* lost) {
        while (taken_ < steps) {
            const Step& s = log_[taken_++];
            if (s.event.kind != Event::Kind::kFlush) {
                pending_[s.disk].push_back(&s.event);
                continue;
            }
            for (const Event* e : pending_[s.disk]) apply_event(durable_[s.disk], *e);
            pending_[s.disk].clear();
        }
        auto out = durable_;
        for (const auto& [name, events] : pending_)
            for (const Event* e : events) {
                if (!lost)
                    apply_event(out[name], *e);
                else
                    apply_some(out[name], *e, *lost);
            }
        return out;
    }

  private:
    struct Step {
        std::string disk;
        Event event;
    };
    static void apply_some(std::vector<u8>& disk, const Event& e, std::mt19937& random) {
        if (e.kind == Event::Kind::kTruncate) {
            if (random() & 1) apply_event(disk, e);
            return;
        }
        const bool write = e.kind == Event::Kind::kWrite;
        // Often as a whole or not at all, which is what goes wrong at the most distance.
        const unsigned whole = random() % 3;
        for (u64 done = 0; done < e.length;) {
            const u64 n = std::min(kSector - (e.offset + done) % kSector, e.length - done);
            if (whole == 0 || (whole == 1 && (random() & 1))) {
                Event part{e.kind, e.offset + done, n, {}};
                if (write)
                    part.data.assign(e.data.begin() + static_cast<std::ptrdiff_t>(done),
                                     e.data.begin() + static_cast<std::ptrdiff_t>(done + n));
                apply_event(disk, part);
            }
            done += n;
        }
    }

    std::vector<Step> log_;
    std::size_t taken_ = 0;
    std::map<std::string, std::vector<u8>> durable_;
    std::map<std::string, std::vector<const Event*>> pending_;
};

// qemu-img's opinion, where it is installed: it is asked for every `every`th image.
class QemuCheck {
  public:
    explicit QemuCheck(unsigned every) : every_(every) {}
    // Returns what it finds wrong; leaked clusters are not.
    std::string operator()(const std::map<std::string, std::vector<u8>>& disks, const std::string& name) {
        static const bool installed = std::system("command -v qemu-img >/dev/null 2>&1") == 0;
        if (!installed || asked_++ % every_) return {};
        for (const auto& [file, bytes] : disks) folder_.file(file, bytes);
        const std::string command = "cd '" + folder_.path() + "' && qemu-img check -f qcow2 '" + name + "' 2>&1";
        std::FILE* out = ::popen(command.c_str(), "r");
        if (!out) return "popen";
        std::string text;
        char part[256];
        while (std::fgets(part, sizeof part, out)) text += part;
        const int status = ::pclose(out);
        constexpr int kLeaks = 3;
        if (WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == kLeaks)) return {};
        return text;
    }

  private:
    Folder folder_;
    unsigned every_, asked_ = 0;
};

// How a flushed image comes out of a cut: the tables are right (leaks are not counted), except that a file that says
// "not closed" is put right when it is opened.
inline std::string wrong_after_cut(Disks& disks, const std::string& name, QemuCheck& qemu) {
    const auto bytes = [&] {
        std::map<std::string, std::vector<u8>> out;
        for (const auto& [n, disk] : disks.all()) out[n] = disk->bytes;
        return out;
    };
    const auto ours = [&]() -> std::string {
        const auto storage = disks.storage(name);
        const auto result = qcow2::check(*storage, qcow2::Repair::kNothing);
        return result.corruptions ? result.messages.front() : "";
    };
    try {
        qcow2::Header h;
        if (const std::string error = h.parse(disks[name].bytes, disks[name].bytes.size()); !error.empty())
            return error;
        if (!(h.incompatible & qcow2::kDirty)) {
            if (std::string text = ours(); !text.empty()) return text;
            if (std::string text = qemu(bytes(), name); !text.empty()) return text;
        }
        static_cast<void>(open(disks.on(name, "qcow2")));
        if (std::string text = ours(); !text.empty()) return "once opened: " + text;
        return qemu(bytes(), name);
    } catch (const std::exception& e) {
        return e.what();
    }
}

inline std::vector<u8> read_all(Image& image) {
    std::vector<u8> out(image.bytes());
    REQUIRE(image.read(0, out) == 0);
    return out;
}

}  // namespace backplane::image::testkit
