#include "vm.hpp"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <map>
#include <stdexcept>

namespace backplane::kvm {
namespace {

// Below 4 GiB, where no chip of a PC is: three pages for Intel's processors without "unrestricted guest", and one for
// their page tables (KVM_SET_TSS_ADDR, KVM_SET_IDENTITY_MAP_ADDR).
constexpr u64 kIdentityMap = 0xfeffc000, kTssPages = 0xfeffd000;
constexpr i64 kDirtyAge = 5'000'000;  // ns

struct Need {
    unsigned long capability;
    const char* name;
};
constexpr Need kNeeds[] = {
    {KVM_CAP_USER_MEMORY, "memory of the user's (KVM_CAP_USER_MEMORY)"},
    {KVM_CAP_DESTROY_MEMORY_REGION_WORKS, "memory that goes (KVM_CAP_DESTROY_MEMORY_REGION_WORKS)"},
    {KVM_CAP_EXT_CPUID, "CPUID by table (KVM_CAP_EXT_CPUID)"},
    {KVM_CAP_READONLY_MEM, "read-only memory (KVM_CAP_READONLY_MEM)"},
    {KVM_CAP_IMMEDIATE_EXIT, "an immediate exit (KVM_CAP_IMMEDIATE_EXIT)"},
    {KVM_CAP_VCPU_EVENTS, "the events of a processor (KVM_CAP_VCPU_EVENTS)"},
    {KVM_CAP_DEBUGREGS, "debug registers (KVM_CAP_DEBUGREGS)"},
    {KVM_CAP_XSAVE, "the floating-point state (KVM_CAP_XSAVE)"},
    {KVM_CAP_SET_TSS_ADDR, "a place for the TSS (KVM_CAP_SET_TSS_ADDR)"},
};

struct Registry {
    std::mutex mutex;
    std::map<const void*, std::weak_ptr<Vm>> machines;
};
Registry& registry() {
    static Registry r;
    return r;
}

[[noreturn]] void refuse(const char* what) {
    const int error = errno;
    throw std::runtime_error(std::string("KVM: ") + what + ": " + error_text(error));
}

}  // namespace

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
    if (this != &other) {
        if (fd_ >= 0) ::close(fd_);
        fd_ = other.fd_;
        other.fd_ = -1;
    }
    return *this;
}
Descriptor::~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
}

std::string error_text(int number) {
    char text[128];
    return ::strerror_r(number, text, sizeof text);
}

int control(int fd, unsigned long request, void* argument) {
    int result = 0;
    do result = ::ioctl(fd, request, argument);
    while (result < 0 && errno == EINTR);
    return result;
}
int control(int fd, unsigned long request, unsigned long argument) {
    return control(fd, request, reinterpret_cast<void*>(argument));
}

Host open_host(const char* path) {
    Host h;
    h.device = Descriptor(::open(path, O_RDWR | O_CLOEXEC));
    if (!h.device) {
        const int error = errno;
        h.missing = std::string(path) + ": " + error_text(error);
        if (error == ENOENT)
            h.hint = "the modules kvm_intel or kvm_amd are not loaded, or the firmware has switched virtualization off";
        else if (error == EACCES || error == EPERM)
            h.hint = "it takes root or membership in the group kvm (`sudo adduser USER kvm`, then log in anew)";
        else if (error == ENODEV || error == ENXIO)
            h.hint = "the modules kvm_intel or kvm_amd are not loaded";
        return h;
    }
    const int fd = h.device.get();
    const int version = control(fd, KVM_GET_API_VERSION);
    if (version != KVM_API_VERSION) {
        h.missing = std::string(path) +
                    (version < 0 ? " is no KVM device"
                                 : " has version " + std::to_string(version) + " of the interface, and 12 is needed");
        return h;
    }
    for (const Need& n : kNeeds)
        if (control(fd, KVM_CHECK_EXTENSION, n.capability) <= 0) {
            h.missing = std::string("the host's KVM lacks ") + n.name;
            return h;
        }
    const int run_bytes = control(fd, KVM_GET_VCPU_MMAP_SIZE);
    if (run_bytes < static_cast<int>(sizeof(kvm_run))) {
        h.missing = "the host's KVM shares too little memory with a processor";
        return h;
    }
    h.run_bytes = static_cast<u32>(run_bytes);
    constexpr int wanted = KVM_SYNC_X86_REGS;
    h.sync_registers = (control(fd, KVM_CHECK_EXTENSION, KVM_CAP_SYNC_REGS) & wanted) == wanted;
    h.sregs2 = control(fd, KVM_CHECK_EXTENSION, KVM_CAP_SREGS2) > 0;
    h.user_msrs = control(fd, KVM_CHECK_EXTENSION, KVM_CAP_X86_USER_SPACE_MSR) > 0;
    h.debug = control(fd, KVM_CHECK_EXTENSION, KVM_CAP_SET_GUEST_DEBUG) > 0;
    const int banks = control(fd, KVM_CHECK_EXTENSION, KVM_CAP_MCE);
    h.mce = banks > 0;
    h.mce_banks = banks > 0 ? static_cast<u32>(banks) : 0;
    return h;
}

Vm::Vm(const char* path) : host_(open_host(path)) {
    if (!host_.missing.empty()) throw std::runtime_error(host_.missing);
    vm_ = Descriptor(control(host_.device.get(), KVM_CREATE_VM));
    if (!vm_) refuse("the host makes no virtual machine (another hypervisor may be at work)");
    u64 identity = kIdentityMap;
    // Hosts that need neither may lack the first.
    control(fd(), KVM_SET_IDENTITY_MAP_ADDR, &identity);
    if (control(fd(), KVM_SET_TSS_ADDR, kTssPages) < 0) refuse("KVM_SET_TSS_ADDR");
    const int slots = control(fd(), KVM_CHECK_EXTENSION, KVM_CAP_NR_MEMSLOTS);
    if (slots > 0) most_slots_ = static_cast<u32>(slots);
    tsc_scaling_ = control(fd(), KVM_CHECK_EXTENSION, KVM_CAP_TSC_CONTROL) > 0;
    debug_ = host_.debug;
    // Otherwise a program finds an instruction undefined that KVM could not emulate.
    kvm_enable_cap told{};
    told.cap = KVM_CAP_EXIT_ON_EMULATION_FAILURE;
    told.args[0] = 1;
    control(fd(), KVM_ENABLE_CAP, &told);
    if (host_.user_msrs) {
        kvm_enable_cap cap{};
        cap.cap = KVM_CAP_X86_USER_SPACE_MSR;
        cap.args[0] = KVM_MSR_EXIT_REASON_UNKNOWN;
        if (control(fd(), KVM_ENABLE_CAP, &cap) < 0) host_.user_msrs = false;
    }
}

std::shared_ptr<Vm> Vm::of(const bp_cpu_bus& bus, const char* path) {
    Registry& r = registry();
    const std::lock_guard guard(r.mutex);
    std::erase_if(r.machines, [](const auto& entry) { return entry.second.expired(); });
    std::weak_ptr<Vm>& place = r.machines[bus.board];
    std::shared_ptr<Vm> vm = place.lock();
    if (vm == nullptr) {
        vm = std::make_shared<Vm>(path);
        place = vm;
    }
    return vm;
}

void Vm::set_slot(const Slot& s, u64 bytes) const {
    kvm_userspace_memory_region region{};
    region.slot = s.id;
    region.flags = (s.writable ? 0u : u32{KVM_MEM_READONLY}) | (s.dirty != nullptr ? u32{KVM_MEM_LOG_DIRTY_PAGES} : 0u);
    region.guest_phys_addr = s.address;
    region.memory_size = bytes;
    region.userspace_addr = reinterpret_cast<u64>(s.host);
    if (control(fd(), KVM_SET_USER_MEMORY_REGION, &region) < 0) refuse("KVM_SET_USER_MEMORY_REGION");
}

void Vm::sync(const bp_cpu_bus& bus) {
    // The list is asked for under this mutex, so that an older one never comes after a newer one. The machine's lock is
    // taken first: collect_dirty() comes with it.
    bus.lock(bus.self);
    struct Unlock {
        const bp_cpu_bus& bus;
        ~Unlock() { bus.unlock(bus.self); }
    } const unlock{bus};
    const std::lock_guard guard(mutex_);
    u32 count = static_cast<u32>(ranges_.size());
    for (;;) {
        const u32 there = bus.ranges(bus.self, ranges_.data(), count);
        ranges_.resize(there);
        if (there <= count) break;
        count = there;
    }
    const SlotChanges c = plan_slots(slots_, ranges_, most_slots_);
    if (c.too_many)
        throw std::runtime_error("the board's memory has more parts than the host's KVM has slots (" +
                                 std::to_string(most_slots_) + ")");
    for (const Slot& s : c.removed) {
        if (s.dirty != nullptr) collect(s);
        set_slot(s, 0);
    }
    for (const Slot& s : c.modified) set_slot(s, s.bytes);
    for (const Slot& s : c.added) set_slot(s, s.bytes);
    slot_changes += c.removed.size() + c.modified.size() + c.added.size();
    slots_ = c.result;
    any_watched_ = false;
    for (const Slot& s : slots_) any_watched_ = any_watched_ || s.dirty != nullptr;
}

void Vm::collect(const Slot& slot) {
    const u64 pages = slot.bytes / 4096;
    bitmap_.assign((pages + 63) / 64, 0);
    kvm_dirty_log log{};
    log.slot = slot.id;
    log.dirty_bitmap = bitmap_.data();
    if (control(fd(), KVM_GET_DIRTY_LOG, &log) < 0)
        std::memset(slot.dirty, 1, pages);  // rather too many
    else
        spread_dirty(bitmap_, pages, slot.dirty);
}

void Vm::collect_dirty(i64 now) {
    const std::lock_guard guard(mutex_);
    if (!any_watched_ || !wrote_.load(std::memory_order_relaxed)) return;
    const bool inside = inside_.load(std::memory_order_relaxed) > 0;
    if (inside && now - collected_at_ < kDirtyAge && now >= collected_at_) return;
    if (!inside) wrote_.store(false, std::memory_order_relaxed);
    collected_at_ = now;
    for (const Slot& s : slots_)
        if (s.dirty != nullptr) collect(s);
}

}  // namespace backplane::kvm
