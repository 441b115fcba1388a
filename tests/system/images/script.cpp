// Carries out a script of operations on an image in one process, for the tests that compare with qemu-io. Reads lines
// from the standard input:
//   open PATH FORMAT | close | write OFFSET LENGTH BYTE | zero OFFSET LENGTH | unmap OFFSET LENGTH
//   discard OFFSET LENGTH | verify OFFSET LENGTH BYTE | flush | dump FILE | snapshot NAME | apply NAME | delete NAME
//   resize BYTES | state OFFSET LENGTH BYTE | verify-state OFFSET LENGTH BYTE | threads N (writes until "join" run at
//   once)
// Ends with 1 and the line's number at the first one that fails.
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iostream>
#include <sstream>
#include <thread>
#include <vector>

#include "image/image.hpp"

using namespace backplane;

namespace {

class Script {
  public:
    bool line(const std::string& text) {
        std::istringstream in(text);
        std::string what;
        if (!(in >> what)) return true;
        if (what == "open") {
            image::OpenOptions o;
            in >> o.path >> o.format;
            o.cache = image::Cache::kUnsafe;  // orders its writes as ever, and does not wait for the disk
            o.log = [](image::Level level, const std::string& t) {
                if (level >= image::Level::kWarn) std::cerr << t << "\n";
            };
            image_ = image::open(o);
            return true;
        }
        if (!image_) return false;
        if (what == "close") return image_.reset(), true;
        if (what == "flush") return ok(image_->flush());
        if (what == "threads") return in >> threads_, true;
        if (what == "join") return join();
        if (what == "dump") return in >> what, dump(what);
        if (what == "snapshot") {
            image::SnapshotInfo i;
            in >> i.name >> i.vm_state_bytes;
            return image_->create_snapshot(i), true;
        }
        if (what == "apply") return in >> what, image_->apply_snapshot(what), true;
        if (what == "delete") return in >> what, image_->delete_snapshot(what), true;
        u64 offset = 0, length = 0;
        unsigned byte = 0;
        in >> offset;
        if (what == "resize") return image_->resize(offset), true;
        in >> length >> byte;
        if (threads_) {
            waiting_.push_back({what, offset, length, byte});
            return true;
        }
        return request(what, offset, length, byte);
    }

  private:
    struct Job {
        std::string what;
        u64 offset, length;
        unsigned byte;
    };
    static bool ok(int error) {
        if (error) std::cerr << std::strerror(error) << "\n";
        return error == 0;
    }
    bool request(const std::string& what, u64 offset, u64 length, unsigned byte) {
        std::vector<u8> data(length, static_cast<u8>(byte));
        if (what == "write") return ok(image_->write(offset, data));
        if (what == "zero") return ok(image_->write_zeroes(offset, length, false));
        if (what == "unmap") return ok(image_->write_zeroes(offset, length, true));
        if (what == "discard") return ok(image_->discard(offset, length));
        if (what == "state") return image_->write_vm_state(offset, data), true;
        std::vector<u8> found(length);
        if (what == "verify-state")
            image_->read_vm_state(offset, found);
        else if (what != "verify" || !ok(image_->read(offset, found)))
            return false;
        return found == data;
    }
    bool join() {
        std::vector<std::thread> threads;
        std::vector<char> results(threads_, 1);
        for (unsigned t = 0; t < threads_; ++t)
            threads.emplace_back([this, t, &results] {
                for (std::size_t i = t; i < waiting_.size(); i += threads_)
                    if (!request(waiting_[i].what, waiting_[i].offset, waiting_[i].length, waiting_[i].byte))
                        results[t] = 0;
            });
        for (std::thread& t : threads) t.join();
        threads_ = 0;
        waiting_.clear();
        for (const char r : results)
            if (!r) return false;
        return true;
    }
    bool dump(const std::string& path) {
        std::ofstream out(path, std::ios::binary);
        std::vector<u8> data(1 << 20);
        for (u64 at = 0; at < image_->bytes(); at += data.size()) {
            const u64 n = std::min<u64>(data.size(), image_->bytes() - at);
            if (!ok(image_->read(at, std::span(data).first(n)))) return false;
            out.write(reinterpret_cast<const char*>(data.data()), static_cast<std::streamsize>(n));
        }
        return static_cast<bool>(out);
    }

    std::unique_ptr<image::Image> image_;
    unsigned threads_ = 0;
    std::vector<Job> waiting_;
};

}  // namespace

int main() {
    Script script;
    std::string text;
    for (int n = 1; std::getline(std::cin, text); ++n) try {
            if (script.line(text)) continue;
            std::fprintf(stderr, "line %d failed: %s\n", n, text.c_str());
            return 1;
        } catch (const std::exception& e) {
            std::fprintf(stderr, "line %d: %s: %s\n", n, text.c_str(), e.what());
            return 1;
        }
    return 0;
}
