// /dev/kvm and a virtual machine in it, which all processors of one board share.
#pragma once

#include <linux/kvm.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "slots.hpp"

namespace backplane::kvm {

using i64 = std::int64_t;

// A file descriptor; -1 is none.
class Descriptor {
  public:
    Descriptor() = default;
    explicit Descriptor(int fd) : fd_(fd) {}
    Descriptor(Descriptor&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
    Descriptor& operator=(Descriptor&& other) noexcept;
    ~Descriptor();
    [[nodiscard]] int get() const { return fd_; }
    explicit operator bool() const { return fd_ >= 0; }

  private:
    int fd_ = -1;
};

// What the host's KVM can do beside what every use needs.
struct Host {
    Descriptor device;
    std::string missing;  // why it is of no use; empty: it is
    std::string hint;     // what a user can do about it, or ""
    u32 run_bytes = 0;    // of the area shared with a processor
    bool sync_registers = false, sregs2 = false, user_msrs = false, debug = false, mce = false;
    u32 mce_banks = 0;
};
// Opens `path` (/dev/kvm) and asks for what is needed.
[[nodiscard]] Host open_host(const char* path);

class Vm {
  public:
    // Throws std::runtime_error with the reason.
    explicit Vm(const char* path);
    Vm(const Vm&) = delete;
    Vm& operator=(const Vm&) = delete;

    // The one of the board that `bus` belongs to; made if there is none.
    static std::shared_ptr<Vm> of(const bp_cpu_bus& bus, const char* path);

    // Brings the slots up to date with what the bus shows. Any processor's thread, without the machine's lock. Throws.
    void sync(const bp_cpu_bus& bus);
    // Dirty pages into the flags. At most every few milliseconds (`now`) while a processor is in the guest.
    void collect_dirty(i64 now);
    // A processor goes into the guest, or leaves it.
    void enter() {
        inside_.fetch_add(1, std::memory_order_relaxed);
        wrote_.store(true, std::memory_order_relaxed);
    }
    void leave() { inside_.fetch_sub(1, std::memory_order_relaxed); }

    [[nodiscard]] int fd() const { return vm_.get(); }
    [[nodiscard]] const Host& host() const { return host_; }
    [[nodiscard]] bool tsc_scaling() const { return tsc_scaling_; }
    [[nodiscard]] bool debug_registers() const { return debug_; }
    [[nodiscard]] unsigned processors() const { return processors_.load(); }
    void joined() { ++processors_; }

    u64 slot_changes = 0;  // statistics

  private:
    void set_slot(const Slot& slot, u64 bytes) const;
    void collect(const Slot& slot);

    Host host_;
    Descriptor vm_;
    u32 most_slots_ = 32;
    bool tsc_scaling_ = false, debug_ = false;
    std::mutex mutex_;
    std::vector<Slot> slots_;
    std::vector<bp_memory_range> ranges_;
    std::vector<u64> bitmap_;
    bool any_watched_ = false;
    std::atomic<int> inside_{0};
    std::atomic<bool> wrote_{false};
    std::atomic<unsigned> processors_{0};
    i64 collected_at_ = 0;
};

// ioctl(), again after a signal.
int control(int fd, unsigned long request, void* argument);
int control(int fd, unsigned long request, unsigned long argument = 0);
[[nodiscard]] std::string error_text(int number);

}  // namespace backplane::kvm
