// Requests on their way between the attachment and the medium, and what becomes of those that fail.
#include <cerrno>
#include <cstring>
#include <memory>

#include "model.hpp"

namespace backplane::drive {

namespace {
// Not failed: it would be refused again. Or the medium that it was for is gone.
bool refused(i32 error) { return error == EPERM || error == ENOMEDIUM || error == ECANCELED; }
}  // namespace

const bp_block Drive::kBlock{sizeof(bp_block),
                             [](void* i, bp_block_info* out) { static_cast<Drive*>(i)->block_info(out); },
                             [](void* i, const bp_block_request* request) -> bp_status {
                                 try {
                                     return static_cast<Drive*>(i)->submit(*request);
                                 } catch (const std::bad_alloc&) {
                                     return BP_ERR_NO_MEMORY;
                                 }
                             },
                             [](void* i, uint64_t offset, void* data, uint64_t length) -> int32_t {
                                 return static_cast<Drive*>(i)->read_now(offset, data, length);
                             },
                             [](void* i) {
                                 auto* drive = static_cast<Drive*>(i);
                                 if (drive->source_) drive->source_->drain(drive->source_instance_);
                             }};

const bp_drive Drive::kDrive{sizeof(bp_drive),
                             &kBlock,
                             [](void* i, bp_drive_info* out) { static_cast<Drive*>(i)->info(out); },
                             [](void* i, const bp_drive_listener* listener, void* listener_instance) {
                                 auto* drive = static_cast<Drive*>(i);
                                 drive->listener_ = listener;
                                 drive->listener_instance_ = listener_instance;
                             },
                             [](void* i, int open) {
                                 auto* drive = static_cast<Drive*>(i);
                                 const bool moved = drive->tray_open_ != (open != 0);
                                 drive->tray_open_ = open != 0;
                                 if (moved) drive->tell_tray(open != 0);
                             },
                             [](void* i, int locked) { static_cast<Drive*>(i)->locked_ = locked != 0; }};

void Drive::block_info(bp_block_info* out) const {
    if (source_ && !tray_open_) return source_->info(source_instance_, out);
    const u32 size = out->size;
    *out = {};
    out->size = size;
}

bp_status Drive::submit(const bp_block_request& request) {
    if (!source_ || tray_open_) return BP_ERR_STATE;
    auto pending = std::make_unique<Pending>(Pending{this, request});
    const bp_status status = forward(pending.get());
    if (status != BP_OK) return status;
    pending.release();
    if (request.operation < counts_.size()) {
        ++counts_[request.operation].requests;
        if (request.operation != BP_BLOCK_FLUSH) counts_[request.operation].bytes += request.length;
    }
    return BP_OK;
}

i32 Drive::read_now(u64 offset, void* data, u64 length) {
    return source_ ? source_->read_now(source_instance_, offset, data, length) : ENOMEDIUM;
}

bp_status Drive::forward(Pending* pending) {
    bp_block_request request = pending->request;
    request.done = &Drive::answered;
    request.argument = pending;
    return source_->submit(source_instance_, &request);
}

void Drive::answered(void* argument, i32 error) {
    auto* pending = static_cast<Pending*>(argument);
    pending->owner->complete(pending, error);
}

void Drive::complete(Pending* pending, i32 error) {
    const bp_block_request& request = pending->request;
    if (error) {
        if (request.operation < counts_.size()) ++counts_[request.operation].errors;
        const OnError action = policy(request.operation, error);
        if (!refused(error)) tell_error(request.operation, error, action);
        switch (action) {
            case OnError::kStop: return hold(pending, error);
            case OnError::kIgnore:
                if (request.operation == BP_BLOCK_READ) std::memset(request.data, 0, request.length);
                error = 0;
                break;
            default: break;
        }
    }
    const std::unique_ptr<Pending> done(pending);
    done->request.done(done->request.argument, error);
}

// Stop, report or ignore.
Drive::OnError Drive::policy(u32 operation, i32 error) const {
    if (refused(error)) return OnError::kReport;
    if (operation == BP_BLOCK_READ)
        return rerror_ == OnReadError::kStop     ? OnError::kStop
               : rerror_ == OnReadError::kIgnore ? OnError::kIgnore
                                                 : OnError::kReport;
    if (werror_ != OnError::kEnospc) return werror_;
    return error == ENOSPC || error == EDQUOT ? OnError::kStop : OnError::kReport;
}

std::string Drive::label() const {
    if (!disc_.file.empty()) return disc_.file;
    return id_.empty() ? std::string(name()) : id_;
}

void Drive::hold(Pending* pending, i32 error) {
    held_.push_back(pending);
    const bp_block_request& r = pending->request;
    const char* what = r.operation == BP_BLOCK_READ    ? "reading"
                       : r.operation == BP_BLOCK_WRITE ? "writing"
                       : r.operation == BP_BLOCK_FLUSH ? "flushing"
                                                       : "discarding";
    std::string text = label() + ": " + what;
    if (r.operation != BP_BLOCK_FLUSH)
        text += " " + std::to_string(r.length) + " bytes at offset " + std::to_string(r.offset);
    text += std::string(": ") + std::strerror(error);
    log_error("%s; the drive tries again when the machine goes on", text.c_str());
    if (slot().run_state().running(slot().self())) request(BP_REQUEST_STOP, 0, text);
}

void Drive::run_state(bool running) {
    if (!running || held_.empty()) return;
    std::vector<Pending*> again;
    again.swap(held_);
    for (Pending* pending : again)
        if (!source_ || forward(pending) != BP_OK) {
            const std::unique_ptr<Pending> done(pending);
            done->request.done(done->request.argument, EIO);
        }
}

// `later`: through the machine's queue, where the present moment is no good one for the attachment to hear of it.
void Drive::give_up_held(i32 error, bool later) {
    std::vector<Pending*> held;
    held.swap(held_);
    for (Pending* pending : held) {
        if (!later) {
            const std::unique_ptr<Pending> done(pending);
            done->request.done(done->request.argument, error);
            continue;
        }
        slot().machine().post(
            slot().self(),
            [](void* a) {
                const std::unique_ptr<Pending> done(static_cast<Pending*>(a));
                done->request.done(done->request.argument, ECANCELED);
            },
            pending);
    }
}

}  // namespace backplane::drive
