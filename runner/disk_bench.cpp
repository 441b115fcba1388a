// backplane disk bench: how fast an image takes requests.
#include <CLI/CLI.hpp>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <nlohmann/json.hpp>
#include <random>
#include <vector>

#include "image/engine.hpp"
#include "kernel/config/error.hpp"
#include "runner/disk_tools.hpp"

namespace backplane::runner {

namespace {

struct Options {
    std::string path, format = "auto", cache = "writeback", io = "auto", pattern = "seq", size = "4K", step;
    bool write = false, json = false;
    unsigned depth = 64;
    u64 count = 75000;
};

// Keeps `depth` requests under way until `count` are done.
class Load {
  public:
    Load(image::Engine& engine, const Options& o, u64 size, u64 step, u64 bytes)
        : engine_(engine),
          write_(o.write),
          random_(o.pattern == "random"),
          size_(size),
          step_(step / size),
          places_(bytes / size) {
        left_ = o.count;
        slots_.resize(std::min<u64>(o.depth, o.count));
        for (Slot& slot : slots_) {
            slot.load = this;
            slot.data.reset(static_cast<u8*>(std::aligned_alloc(4096, (size + 4095) / 4096 * 4096)));
            if (!slot.data) throw std::bad_alloc();
            std::memset(slot.data.get(), 0xa5, size);
        }
    }
    // Returns the first error.
    int run() {
        {
            std::unique_lock guard(mutex_);
            under_way_ = slots_.size();
            left_ -= slots_.size();
        }
        for (Slot& slot : slots_) submit(slot);
        std::unique_lock guard(mutex_);
        ended_.wait(guard, [this] { return under_way_ == 0; });
        return error_;
    }

  private:
    struct Free {
        void operator()(u8* p) const { std::free(p); }
    };
    struct Slot {
        Load* load = nullptr;
        std::unique_ptr<u8, Free> data;
    };

    void submit(Slot& slot) {
        image::Job job;
        job.operation = write_ ? image::Operation::kWrite : image::Operation::kRead;
        {
            const std::lock_guard guard(mutex_);
            job.offset = (random_ ? numbers_() : next_) % places_ * size_;
            next_ += step_;
        }
        job.length = size_;
        job.data = slot.data.get();
        job.argument = &slot;
        job.done = [](void* argument, int error) {
            auto* done = static_cast<Slot*>(argument);
            done->load->finished(*done, error);
        };
        engine_.submit(job);
    }
    void finished(Slot& slot, int error) {
        {
            const std::lock_guard guard(mutex_);
            if (error && !error_) error_ = error;
            if (error_ || left_ == 0) {
                if (--under_way_ == 0) ended_.notify_all();
                return;
            }
            --left_;
        }
        submit(slot);
    }

    image::Engine& engine_;
    const bool write_, random_;
    const u64 size_, step_, places_;
    std::vector<Slot> slots_;
    std::mutex mutex_;
    std::condition_variable ended_;
    std::mt19937_64 numbers_{1};
    u64 next_ = 0, left_ = 0, under_way_ = 0;
    int error_ = 0;
};

image::Cache cache_of(const std::string& name) {
    for (const auto c : {image::Cache::kWriteback, image::Cache::kNone, image::Cache::kWritethrough,
                         image::Cache::kDirectsync, image::Cache::kUnsafe})
        if (image::cache_name(c) == name) return c;
    throw kernel::Error("--cache " + name + ": writeback, none, writethrough, directsync or unsafe");
}

int bench(const Options& o) {
    const u64 size = size_argument(o.size);
    image::OpenOptions open;
    open.path = o.path;
    open.format = o.format;
    open.read_only = !o.write;
    open.cache = cache_of(o.cache);
    const auto disk = open_image(open);
    if (size == 0 || size > disk->bytes()) throw kernel::Error("--size " + o.size + ": the image is smaller than that");
    const u64 step = o.step.empty() ? size : size_argument(o.step);
    if (step % size) throw kernel::Error("--step " + o.step + ": not a multiple of --size");
    image::Engine::Options how;
    how.uring = o.io != "threads";
    image::Engine engine(*disk, how);
    Load load(engine, o, size, step, disk->bytes());
    const auto begin = std::chrono::steady_clock::now();
    expect(load.run(), o.path, 0, o.write ? "written" : "read");
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    const double requests = static_cast<double>(o.count) / seconds;
    const double mib = requests * static_cast<double>(size) / (1 << 20);
    const char* io = engine.uring() ? "io_uring" : "threads";
    if (o.json)
        std::printf(
            "%s\n",
            nlohmann::json{{"seconds", seconds}, {"requests_per_second", requests}, {"mib_per_second", mib}, {"io", io}}
                .dump()
                .c_str());
    else
        std::printf("%.3f seconds: %.0f requests/s, %.1f MiB/s (%s)\n", seconds, requests, mib, io);
    return 0;
}

}  // namespace

void add_disk_bench(CLI::App& disk, int& code) {
    auto o = std::make_shared<Options>();
    CLI::App* sub = disk.add_subcommand(
        "bench", "how many requests an image takes in a second; with --write its contents are overwritten");
    sub->add_option("image", o->path, "disk image or block device")->required();
    sub->add_option("--format", o->format, "raw, qcow2; auto: by its header")->capture_default_str();
    sub->add_flag("--write", o->write, "write instead of read: the contents are lost");
    sub->add_option("--size", o->size, "bytes of a request")->capture_default_str();
    sub->add_option("--step", o->step,
                    "bytes from one request to the next, with the pattern seq; as --size if not given");
    sub->add_option("--depth", o->depth, "requests at once")->check(CLI::Range(1, 4096))->capture_default_str();
    sub->add_option("--count", o->count, "requests in all")
        ->check(CLI::Range(u64{1}, u64{1} << 40))
        ->capture_default_str();
    sub->add_option("--pattern", o->pattern, "one after the other, or anywhere")
        ->check(CLI::IsMember({"seq", "random"}))
        ->capture_default_str();
    sub->add_option("--cache", o->cache, "writeback, none, writethrough, directsync, unsafe")->capture_default_str();
    sub->add_option("--io", o->io, "auto: io_uring where the host has it")
        ->check(CLI::IsMember({"auto", "threads"}))
        ->capture_default_str();
    sub->add_flag("--json", o->json, "the result as JSON");
    sub->callback([o, &code] { code = guarded([&] { return bench(*o); }); });
}

}  // namespace backplane::runner
