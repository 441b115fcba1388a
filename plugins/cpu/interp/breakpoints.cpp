// Breakpoints, watchpoints and single steps for a debugger outside the machine.
#include "breakpoints.hpp"

#include <algorithm>

#include "block.hpp"
#include "memory.hpp"

namespace backplane::interp {

Breakpoints& breakpoints(Cpu& c) {
    if (c.debugger == nullptr) c.debugger = std::make_unique<Breakpoints>();
    return *c.debugger;
}

bp_status Breakpoints::add(Cpu&, u64 address) {
    const auto place = std::lower_bound(at_.begin(), at_.end(), address);
    if (place != at_.end() && *place == address) return BP_OK;
    if (at_.size() >= kMost) return BP_ERR_NO_MEMORY;
    at_.insert(place, address);
    wanted_.set(address & 0xfffu);
    return BP_OK;
}

bp_status Breakpoints::remove(u64 address) {
    const auto place = std::lower_bound(at_.begin(), at_.end(), address);
    if (place == at_.end() || *place != address) return BP_ERR_NOT_FOUND;
    at_.erase(place);
    wanted_.reset();
    for (const u64 a : at_) wanted_.set(a & 0xfffu);
    return BP_OK;
}

bp_status Breakpoints::watch(Cpu& c, u64 address, u32 length, u32 access) {
    constexpr u32 kBoth = BP_WATCH_READ | BP_WATCH_WRITE;
    if (length == 0 || length > 8 || access == 0 || (access & ~kBoth) != 0) return BP_ERR_INVALID;
    const Watch w{address, length, access};
    if (std::find(watched_.begin(), watched_.end(), w) != watched_.end()) return BP_OK;
    if (watched_.size() >= kMostWatched) return BP_ERR_NO_MEMORY;
    watched_.push_back(w);
    c.tlb_flush(true);
    return BP_OK;
}

bp_status Breakpoints::unwatch(Cpu& c, u64 address, u32 length, u32 access) {
    const auto place = std::find(watched_.begin(), watched_.end(), Watch{address, length, access});
    if (place == watched_.end()) return BP_ERR_NOT_FOUND;
    watched_.erase(place);
    c.tlb_flush(true);
    return BP_OK;
}

void Breakpoints::clear(Cpu& c) {
    at_.clear();
    wanted_.reset();
    if (cut_.any()) c.cache->flush(&c);
    cut_.reset();
    if (!watched_.empty()) {
        watched_.clear();
        c.tlb_flush(true);
    }
    step_ = BP_STEP_OFF;
    step_done_ = hit_ = over_ = false;
}

void Breakpoints::request_step(u32 mode) {
    step_ = mode;
    step_done_ = false;
}

void Breakpoints::begin(Cpu& c) {
    last_ = {};
    if ((wanted_ & ~cut_).none()) return;
    c.cache->flush(&c);
    cut_ = wanted_;
}

bool Breakpoints::stop_due() {
    if (!hit_ && !step_done_) return false;
    last_ = hit_ ? hit_stop_ : bp_cpu_stop{};
    if (!hit_) last_.kind = BP_STOP_STEP;
    hit_ = step_done_ = false;
    step_ = BP_STEP_OFF;
    return true;
}

bool Breakpoints::stops_before(u64 linear) {
    if (!wanted_[linear & 0xfffu] || !std::binary_search(at_.begin(), at_.end(), linear)) return false;
    if (over_ && over_at_ == linear) return false;
    over_ = true;
    over_at_ = linear;
    last_ = {};
    last_.kind = BP_STOP_BREAKPOINT;
    last_.address = linear;
    step_ = BP_STEP_OFF;
    return true;
}

// HLT ends with an interrupt or never: there they do not wait.
u32 Breakpoints::held_lines(const Cpu& c) const {
    if (step_ != BP_STEP_ONE_HELD || c.halted || c.wait_for_sipi) return 0;
    return kLineIntr | kLineNmi | kLineSmi;
}

void Breakpoints::executed(const Cpu& c, u64 begun_at) {
    over_ = false;
    // Between two iterations of REP the flag RF is set and EIP still there.
    const bool repeats = (c.eflags_rest & kRf) != 0 && static_cast<u64>(c.eip) == begun_at;
    if (step_ != BP_STEP_OFF && !repeats) step_done_ = true;
}

void Breakpoints::delivered() {
    over_ = false;
    if (step_ != BP_STEP_OFF) step_done_ = true;
}

void Breakpoints::faulted() { hit_ = false; }

bool Breakpoints::watches_page(u64 page) const {
    const u64 first = page & ~u64{0xfff};
    return std::any_of(watched_.begin(), watched_.end(), [first](const Watch& w) {
        return w.address - first < 0x1000 || (w.address + w.length - 1) - first < 0x1000;
    });
}

void Breakpoints::accessed(Cpu& c, u64 address, u32 bytes, bool write) {
    const u32 what = write ? BP_WATCH_WRITE : BP_WATCH_READ;
    for (const Watch& w : watched_) {
        if ((w.access & what) == 0) continue;
        if (address - w.address >= w.length && w.address - address >= bytes) continue;
        if (!hit_)
            hit_stop_ = {sizeof(bp_cpu_stop), BP_STOP_WATCHPOINT, w.address, w.length, w.access, what, 0, address};
        hit_ = true;
        c.leave_after(kLeaveStop);
        // Where a block follows without a look at `leave`.
        __atomic_fetch_or(&c.vcpu->attention, BP_ATTENTION_ENGINE, __ATOMIC_RELEASE);
        return;
    }
}

}  // namespace backplane::interp
