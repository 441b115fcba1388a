/// @file
/// A device's view of its slot: typed handles over the C services of abi/host.h.
#pragma once

#include <array>
#include <cstdarg>
#include <cstdio>
#include <string_view>

#include "backplane/abi/host.h"
#include "backplane/types.hpp"

namespace backplane {

/// Service tables of one slot, looked up once. Cheap to copy.
class Slot {
  public:
    Slot() = default;
    /// Asks for every table; called by the kernel's side of a device.
    explicit Slot(const bp_slot& slot)
        : self_(slot.self),
          core_(find<bp_slot_api>(slot, BP_SLOT_API)),
          log_(find<bp_log_api>(slot, BP_LOG_API)),
          trace_(find<bp_trace_api>(slot, BP_TRACE_API)),
          clock_(find<bp_clock_api>(slot, BP_CLOCK_API)),
          line_(find<bp_line_api>(slot, BP_LINE_API)),
          space_(find<bp_space_api>(slot, BP_SPACE_API)),
          dma_(find<bp_dma_api>(slot, BP_DMA_API)),
          ram_(find<bp_ram_api>(slot, BP_RAM_API)),
          publish_(find<bp_publish_api>(slot, BP_PUBLISH_API)),
          machine_(find<bp_machine_api>(slot, BP_MACHINE_API)),
          run_state_(find<bp_run_state_api>(slot, BP_RUN_STATE_API)),
          input_(find<bp_input_api>(slot, BP_INPUT_API)),
          events_(find<bp_events_api>(slot, BP_EVENTS_API)),
          files_(find<bp_files_api>(slot, BP_FILES_API)),
          vcpu_(find<bp_vcpu_api>(slot, BP_VCPU_API)),
          control_(find<bp_control_api>(slot, BP_CONTROL_API)) {}

    /// First argument of every service.
    void* self() const { return self_; }
    /// bp.slot/1
    const bp_slot_api& core() const { return *core_; }
    /// bp.log/1
    const bp_log_api& log() const { return *log_; }
    /// bp.trace/1
    const bp_trace_api& trace() const { return *trace_; }
    /// bp.clock/1
    const bp_clock_api& clock() const { return *clock_; }
    /// bp.line/1
    const bp_line_api& line() const { return *line_; }
    /// bp.space/1
    const bp_space_api& space() const { return *space_; }
    /// bp.dma/1
    const bp_dma_api& dma() const { return *dma_; }
    /// bp.ram/1
    const bp_ram_api& ram() const { return *ram_; }
    /// bp.publish/1
    const bp_publish_api& publish() const { return *publish_; }
    /// bp.machine/1
    const bp_machine_api& machine() const { return *machine_; }
    /// bp.run-state/1
    const bp_run_state_api& run_state() const { return *run_state_; }
    /// bp.input/1
    const bp_input_api& input() const { return *input_; }
    const bp_events_api* events() const { return events_; }     ///< nullptr on kernels that hear of none
    const bp_files_api* files() const { return files_; }        ///< nullptr unless the plugin declared the need
    const bp_vcpu_api* vcpu() const { return vcpu_; }           ///< nullptr on kernels that do not tell
    const bp_control_api* control() const { return control_; }  ///< nullptr unless the plugin is a front end

  private:
    template <class Table>
    static const Table* find(const bp_slot& slot, std::string_view id) {
        return static_cast<const Table*>(slot.service(slot.self, to_bp(id)));
    }
    void* self_ = nullptr;
    const bp_slot_api* core_ = nullptr;
    const bp_log_api* log_ = nullptr;
    const bp_trace_api* trace_ = nullptr;
    const bp_clock_api* clock_ = nullptr;
    const bp_line_api* line_ = nullptr;
    const bp_space_api* space_ = nullptr;
    const bp_dma_api* dma_ = nullptr;
    const bp_ram_api* ram_ = nullptr;
    const bp_publish_api* publish_ = nullptr;
    const bp_machine_api* machine_ = nullptr;
    const bp_run_state_api* run_state_ = nullptr;
    const bp_input_api* input_ = nullptr;
    const bp_events_api* events_ = nullptr;
    const bp_files_api* files_ = nullptr;
    const bp_vcpu_api* vcpu_ = nullptr;
    const bp_control_api* control_ = nullptr;
};

/// An output line. Remembers its level: setting the same level twice costs a compare.
class LineOut {
  public:
    /// Called by Schema.
    void bind(const Slot* slot, u32 index) { slot_ = slot, index_ = index; }
    /// Drives the line.
    void set(bool level) {
        if (level == level_) return;
        level_ = level;
        slot_->line().set(slot_->self(), index_, level);
    }
    /// Drives it high.
    void raise() { set(true); }
    /// Drives it low.
    void lower() { set(false); }
    /// A rising edge; leaves it low.
    void pulse() { lower(), raise(), lower(); }
    /// What it is driven to.
    bool level() const { return level_; }
    /// After a restore: the kernel has set the wires; the handle takes the level over without driving it again.
    void adopt() { level_ = slot_->line().driven(slot_->self(), index_) != 0; }

  private:
    const Slot* slot_ = nullptr;
    u32 index_ = 0;
    bool level_ = false;
};

/// A one-shot timer on the virtual clock; saved and restored by the kernel.
class Timer {
  public:
    /// Called by Schema.
    void bind(const Slot* slot, u32 index) { slot_ = slot, index_ = index; }
    /// Lets it expire once, at this virtual time in ns; a past time at the next opportunity. Replaces an earlier call.
    void arm(i64 when) { slot_->clock().arm(slot_->self(), index_, when); }
    /// The same, counted from now.
    void arm_in(i64 delay_ns) { arm(slot_->clock().now(slot_->self()) + delay_ns); }
    /// Disarms it.
    void cancel() { slot_->clock().cancel(slot_->self(), index_); }
    i64 due() const { return slot_->clock().due(slot_->self(), index_); }  ///< -1: not armed
    /// Whether it is going to expire.
    bool armed() const { return due() >= 0; }

  private:
    const Slot* slot_ = nullptr;
    u32 index_ = 0;
};

/// A declared region, for devices that place it themselves (PCI BARs, relocatable blocks).
class Region {
  public:
    /// Called by Schema.
    void bind(const Slot* slot, u32 index) { slot_ = slot, index_ = index; }
    /// Claims the range from `base` in the space of the region's kind; moves it if it is mapped.
    bp_status map(u64 base, i32 priority = BP_PRIORITY_PCI) {
        return slot_->space().map(slot_->self(), index_, base, priority);
    }
    /// Gives the range up.
    void unmap() { slot_->space().unmap(slot_->self(), index_); }
    /// Claims the range in the eyes of one vCPU; moves it if it is mapped so. BP_ERR_NOT_FOUND: there is no such vCPU.
    bp_status map_for(u32 vcpu, u64 base) {
        const bp_vcpu_api* api = slot_->vcpu();
        return api ? api->map(slot_->self(), vcpu, index_, base) : bp_status{BP_ERR_NOT_FOUND};
    }
    /// Gives that range up.
    void unmap_for_vcpu() {
        if (const bp_vcpu_api* api = slot_->vcpu()) api->unmap(slot_->self(), index_);
    }
    /// Changes its length while it is not mapped.
    bp_status resize(u64 bytes) { return slot_->space().resize(slot_->self(), index_, bytes); }

  private:
    const Slot* slot_ = nullptr;
    u32 index_ = 0;
};

/// A trace point: costs one load and one branch while nobody listens.
class TracePoint {
  public:
    /// Called by Schema.
    void bind(const Slot* slot, u32 index) {
        slot_ = slot, index_ = index;
        flag_ = slot->trace().flag(slot->self(), index);
    }
    /// Whether somebody listens: for arguments that are dear to compute.
    bool on() const { return __builtin_expect(*flag_ != 0, 0); }
    /// Emits a line, in the manner of printf().
    __attribute__((format(printf, 2, 3))) void operator()(const char* format, ...) const {
        if (!on()) return;
        char text[512];
        va_list args;
        va_start(args, format);
        const int n = std::vsnprintf(text, sizeof text, format, args);
        va_end(args);
        slot_->trace().emit(slot_->self(), index_, {text, clip(n, sizeof text)});
    }
    /// Length of what vsnprintf() left in a buffer of `capacity` bytes when it returned n.
    static std::size_t clip(int n, std::size_t capacity) {
        return n < 0 ? 0 : static_cast<std::size_t>(n) < capacity ? static_cast<std::size_t>(n) : capacity - 1;
    }

  private:
    static constexpr u32 kNever = 0;
    const Slot* slot_ = nullptr;
    u32 index_ = 0;
    const u32* flag_ = &kNever;
};

/// A joined interface. Table is one of the C structs of abi/; false while an optional link is open.
template <class Table>
class Link {
  public:
    /// Called by Schema.
    void bind(bp_interface interface) { interface_ = interface; }
    /// Whether it is joined.
    explicit operator bool() const { return interface_.table != nullptr; }
    /// The functions; the first argument of each is instance().
    const Table* operator->() const { return static_cast<const Table*>(interface_.table); }
    /// The other device's instance.
    void* instance() const { return interface_.instance; }
    /// `link.call(&bp_intr::acknowledge)` calls a function of the table with the instance first.
    template <class R, class... P, class... A>
    R call(R (*Table::*function)(void*, P...), A... args) const {
        return (operator->()->*function)(interface_.instance, static_cast<P>(args)...);
    }

  private:
    bp_interface interface_{nullptr, nullptr};
};

}  // namespace backplane
