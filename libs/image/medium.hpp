// An image behind bp.block/1: what the plugins that open images have in common.
#pragma once

#include <memory>
#include <string>

#include "backplane/abi/backend.h"
#include "backplane/device.hpp"
#include "image/engine.hpp"
#include "image/image.hpp"

namespace backplane::image {

bp_status status_of(const Error& error);

// The functions are those of bp.block/1. Completions come through the machine's queue, and may still come when this
// object is gone.
class Medium {
  public:
    explicit Medium(const Slot& slot) : slot_(slot) {}
    ~Medium() { close(); }

    // Throws Error. `options.log` is set here.
    void open(OpenOptions options, bool uring);
    // Finishes what was submitted, and flushes; a failure of that is logged.
    void close();
    explicit operator bool() const { return image_ != nullptr; }
    Image& image() { return *image_; }
    const Image& image() const { return *image_; }
    bool uring() { return engine_ && engine_->uring(); }

    void info(bp_block_info* out) const;
    bp_status submit(const bp_block_request& request);
    i32 read_now(u64 offset, void* data, u64 length);
    void drain();
    // Size and time of the last change, or where nothing of the host may enter (deterministic clock) a digest of the
    // contents. Only while no request is under way.
    void identity(StateVisitor& v);
    // Once something else has changed the contents.
    void touched() { digest_stale_ = true; }

    static constexpr u32 kSectorBytes = 512;
    static const bp_block kTable;  // its instances are Mediums

  private:
    bool acceptable(const bp_block_request& request) const;
    void log(Level level, const std::string& text) const;

    Slot slot_;
    std::unique_ptr<Image> image_;
    std::unique_ptr<Engine> engine_;
    u64 bytes_ = 0, changed_ns_ = 0, digest_ = 0;
    bool digest_stale_ = true;
};

// A plugin that offers one image and nothing more.
template <class Self>
class ImageDevice : public Device<Self> {
  public:
    explicit ImageDevice(const Slot& slot) : Device<Self>(slot), medium_(slot) {}

    // Self's describe() says what the format is.
    static void describe_image(Schema<Self>& s) {
        s.property("file", &Self::path_, {.doc = "the image", .required = true});
        s.property("read_only", &Self::read_only_,
                   {.doc = "open for reading only; several machines may do so at once", .def = "false"});
        s.offer(BP_BLOCK_ID, &kTable);
    }
    bp_status start() {
        OpenOptions options;
        options.path = path_.text;
        options.format = std::string(Self::kFormat);
        options.read_only = read_only_;
        try {
            medium_.open(std::move(options), true);
        } catch (const Error& e) {
            return this->fail(status_of(e), "%s", e.what());
        }
        return BP_OK;
    }
    void stop() { medium_.close(); }
    void state(StateVisitor& v) { medium_.identity(v); }

    Path path_;
    bool read_only_ = false;

  private:
    static constexpr bp_block kTable{sizeof(bp_block),
                                     [](void* i, bp_block_info* out) { static_cast<Self*>(i)->medium_.info(out); },
                                     [](void* i, const bp_block_request* request) -> bp_status {
                                         try {
                                             return static_cast<Self*>(i)->medium_.submit(*request);
                                         } catch (const std::bad_alloc&) {
                                             return BP_ERR_NO_MEMORY;
                                         }
                                     },
                                     [](void* i, uint64_t offset, void* data, uint64_t length) -> int32_t {
                                         return static_cast<Self*>(i)->medium_.read_now(offset, data, length);
                                     },
                                     [](void* i) { static_cast<Self*>(i)->medium_.drain(); }};

    Medium medium_;
};

}  // namespace backplane::image
