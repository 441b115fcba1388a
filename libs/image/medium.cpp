#include "image/medium.hpp"

#include <cerrno>
#include <cstring>
#include <system_error>

namespace backplane::image {

bp_status status_of(const Error& error) {
    switch (error.fault()) {
        case Fault::kNotFound: return BP_ERR_NOT_FOUND;
        case Fault::kInvalid: return BP_ERR_INVALID;
        case Fault::kUnsupported: return BP_ERR_UNSUPPORTED;
        case Fault::kReadOnly: return BP_ERR_READ_ONLY;
        case Fault::kInUse: return BP_ERR_CONFLICT;
        case Fault::kIo: return BP_ERR_IO;
    }
    return BP_ERR_IO;
}

const bp_block Medium::kTable{sizeof(bp_block), [](void* i, bp_block_info* out) { static_cast<Medium*>(i)->info(out); },
                              [](void* i, const bp_block_request* request) -> bp_status {
                                  try {
                                      return static_cast<Medium*>(i)->submit(*request);
                                  } catch (const std::bad_alloc&) {
                                      return BP_ERR_NO_MEMORY;
                                  }
                              },
                              [](void* i, uint64_t offset, void* data, uint64_t length) -> int32_t {
                                  return static_cast<Medium*>(i)->read_now(offset, data, length);
                              },
                              [](void* i) { static_cast<Medium*>(i)->drain(); }};

void Medium::log(Level level, const std::string& text) const {
    const u32 kind = level == Level::kDebug  ? BP_LOG_DEBUG
                     : level == Level::kInfo ? BP_LOG_INFO
                     : level == Level::kWarn ? BP_LOG_WARN
                                             : BP_LOG_ERROR;
    slot_.log().log(slot_.self(), kind, to_bp(text));
}

void Medium::open(OpenOptions options, bool uring) {
    close();
    options.log = [this](Level level, const std::string& text) { log(level, text); };
    image_ = image::open(options);
    engine_ = std::make_unique<Engine>(*image_, Engine::Options{.uring = uring, .log = options.log});
    digest_stale_ = true;
}

void Medium::close() {
    if (!image_) return;
    engine_.reset();
    if (const int error = image_->read_only() ? 0 : image_->flush())
        log(Level::kError, image_->info().path + ": what was written last may be lost: " + std::strerror(error));
    image_.reset();
}

void Medium::info(bp_block_info* out) const {
    const u32 size = out->size;
    *out = {};
    out->size = size;
    if (!image_) return;
    const Info i = image_->info();
    out->bytes = i.bytes;
    out->read_only = i.read_only ? 1 : 0;
    out->hint_cylinders = i.cylinders;
    out->hint_heads = i.heads;
    out->hint_sectors = i.sectors;
}

bool Medium::acceptable(const bp_block_request& r) const {
    if (r.operation == BP_BLOCK_FLUSH) return true;
    if (r.operation < BP_BLOCK_READ || r.operation > BP_BLOCK_DISCARD) return false;
    if (r.offset % kSectorBytes || r.length % kSectorBytes) return false;
    const u64 bytes = image_->bytes();
    return r.offset <= bytes && r.length <= bytes - r.offset;
}

bp_status Medium::submit(const bp_block_request& request) {
    if (!image_) return BP_ERR_STATE;
    if (!acceptable(request)) return BP_ERR_INVALID;
    const bool changes = request.operation == BP_BLOCK_WRITE || request.operation == BP_BLOCK_DISCARD;
    if (changes && image_->read_only()) return BP_ERR_READ_ONLY;
    if (changes) digest_stale_ = true;

    struct Request {
        bp_block_request request;
        Slot slot;
        int error;
    };
    auto r = std::make_unique<Request>(Request{request, slot_, 0});
    Job job;
    job.operation = request.operation == BP_BLOCK_READ    ? Operation::kRead
                    : request.operation == BP_BLOCK_WRITE ? Operation::kWrite
                    : request.operation == BP_BLOCK_FLUSH ? Operation::kFlush
                                                          : Operation::kDiscard;
    job.offset = request.offset;
    job.length = request.length;
    job.data = static_cast<u8*>(request.data);
    job.argument = r.get();
    job.done = [](void* argument, int error) {
        auto* done = static_cast<Request*>(argument);
        done->error = error;
        const Slot slot = done->slot;
        slot.machine().post(
            slot.self(),
            [](void* a) {
                const std::unique_ptr<Request> finished(static_cast<Request*>(a));
                finished->request.done(finished->request.argument, finished->error);
            },
            done);
    };
    try {
        engine_->submit(job);
    } catch (const std::system_error& e) {
        log(Level::kError, image_->info().path + ": no thread for the image: " + e.what());
        return BP_ERR_NO_MEMORY;
    }
    r.release();
    return BP_OK;
}

i32 Medium::read_now(u64 offset, void* data, u64 length) {
    if (!image_) return EBADF;
    const u64 bytes = image_->bytes();
    if (offset > bytes || length > bytes - offset) return EINVAL;
    drain();
    return image_->read(offset, {static_cast<u8*>(data), length});
}

void Medium::drain() {
    if (engine_) engine_->drain();
}

void Medium::identity(StateVisitor& v) {
    if (!image_) return;
    // What is under way belongs to the contents that are described.
    drain();
    bytes_ = image_->bytes();
    if (!slot_.machine().deterministic(slot_.self())) {
        changed_ns_ = image_->last_change();
    } else if (digest_stale_) {
        digest_ = digest(*image_);
        digest_stale_ = false;
    }
    v.identity("bytes", bytes_);
    v.identity("changed", changed_ns_);
    v.identity("digest", digest_);
}

}  // namespace backplane::image
