#include "vcpu.hpp"

#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>

#include "wire.hpp"

namespace backplane::kvm {
namespace {

constexpr int kSignalOffset = 5;
// Of the kernel: bits of a mask of signals.
constexpr u32 kKernelMaskBytes = 8;

}  // namespace

int Signals::number() { return SIGRTMIN + kSignalOffset; }

void Signals::claim_thread() {
    const pthread_t self = ::pthread_self();
    if (claimed_ && ::pthread_equal(self, thread_) != 0) return;
    if (timer_made_) ::timer_delete(timer_);
    timer_made_ = false;
    thread_ = self;
    claimed_ = true;
    sigset_t mine;
    ::sigemptyset(&mine);
    ::sigaddset(&mine, number());
    ::pthread_sigmask(SIG_BLOCK, &mine, nullptr);
    sigevent event{};
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = number();
    event._sigev_un._tid = ::gettid();
    if (::timer_create(CLOCK_MONOTONIC, &event, &timer_) != 0) return;
    timer_made_ = true;
    const itimerspec each{{1, 0}, {1, 0}};
    ::timer_settime(timer_, 0, &each, nullptr);
}

Signals::~Signals() {
    if (timer_made_) ::timer_delete(timer_);
}

void Signals::send() const { ::pthread_kill(thread_, number()); }

void Signals::drain() {
    sigset_t mine;
    ::sigemptyset(&mine);
    ::sigaddset(&mine, number());
    const timespec none{};
    while (::sigtimedwait(&mine, nullptr, &none) >= 0) {}
}

Vcpu::Vcpu(std::shared_ptr<Vm> vm, u32 index) : vm_(std::move(vm)) {
    fd_ = Descriptor(control(vm_->fd(), KVM_CREATE_VCPU, index));
    if (!fd_) throw std::runtime_error("KVM: processor " + std::to_string(index) + ": " + error_text(errno));
    void* area = ::mmap(nullptr, vm_->host().run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd_.get(), 0);
    if (area == MAP_FAILED) throw std::runtime_error("KVM: the area of a processor: " + error_text(errno));
    run_ = static_cast<kvm_run*>(area);
    if (vm_->host().sync_registers) run_->kvm_valid_regs = KVM_SYNC_X86_REGS;
    xcrs_ = control(vm_->fd(), KVM_CHECK_EXTENSION, KVM_CAP_XCRS) > 0;
    kvm_device_attr attribute{0, KVM_VCPU_TSC_CTRL, KVM_VCPU_TSC_OFFSET, 0};
    tsc_attribute_ = control(fd_.get(), KVM_HAS_DEVICE_ATTR, &attribute) == 0;
    vm_->joined();
}

Vcpu::~Vcpu() {
    if (run_ != nullptr) ::munmap(run_, vm_->host().run_bytes);
}

void Vcpu::set(unsigned long request, void* what, const char* name) {
    if (control(fd_.get(), request, what) < 0)
        throw std::runtime_error(std::string("KVM refuses the processor's ") + name + ": " + error_text(errno));
}
void Vcpu::get(unsigned long request, void* what, const char* name) {
    if (control(fd_.get(), request, what) < 0)
        throw std::runtime_error(std::string("KVM does not tell the processor's ") + name + ": " + error_text(errno));
}

void Vcpu::set_cpuid(const CpuidTable& table) {
    List<kvm_cpuid_entry2> list(table);
    set(kSetCpuid2, list.data(), "CPUID");
}

void Vcpu::setup_mce(u64 capabilities, u32 banks) {
    if (!vm_->host().mce) return;
    u64 wanted = (capabilities & ~u64{0xff}) | std::min(banks, vm_->host().mce_banks);
    // A host that does not take it shows a processor without banks, which every system understands.
    control(fd_.get(), KVM_X86_SETUP_MCE, &wanted);
}

u64 Vcpu::set_tsc_frequency(u64 hz) {
    const int now = control(fd_.get(), KVM_GET_TSC_KHZ);
    const u64 host = now > 0 ? static_cast<u64>(now) * 1000 : 0;
    if (host != 0) host_tsc_hz_ = host;
    // KVM takes what is near the host's own without scaling, and so do we.
    constexpr u64 near = 4000;  // 250 ppm
    const u64 far = host > hz ? host - hz : hz - host;
    if (host != 0 && far <= hz / near) return host;
    if (vm_->tsc_scaling() && control(fd_.get(), KVM_SET_TSC_KHZ, hz / 1000) == 0) return hz / 1000 * 1000;
    return host;
}

// By the offset where the host has it: a value that is written is taken for an attempt to make processors agree if it
// is less than a second away, and ignored.
void Vcpu::set_tsc(u64 value) {
    u64 offset = 0;
    kvm_device_attr attribute{0, KVM_VCPU_TSC_CTRL, KVM_VCPU_TSC_OFFSET, reinterpret_cast<u64>(&offset)};
    if (tsc_attribute_ && control(fd_.get(), KVM_GET_DEVICE_ATTR, &attribute) == 0) {
        offset += value - read_msr(kMsrTsc, value);
        if (control(fd_.get(), KVM_SET_DEVICE_ATTR, &attribute) == 0) return;
    }
    write_msr(kMsrTsc, value);
}

void Vcpu::set_signal_mask() {
    sigset_t mask;
    ::pthread_sigmask(SIG_BLOCK, nullptr, &mask);
    ::sigdelset(&mask, Signals::number());
    struct {
        u32 bytes = kKernelMaskBytes;
        u8 bits[kKernelMaskBytes] = {};
    } wanted;
    std::memcpy(wanted.bits, &mask, kKernelMaskBytes);
    set(kSetSignalMask, &wanted, "signal mask");
}

void Vcpu::store(const bp_x86_state& state) {
    Registers r;
    to_kvm(state, r);
    // XCR0 decides what of the floating-point state may be there, and events come last: other calls drop them.
    if (vm_->host().sregs2) {
        set(KVM_SET_SREGS2, &r.sregs, "system registers");
    } else {
        kvm_sregs old = narrow(r.sregs);
        set(KVM_SET_SREGS, &old, "system registers");
    }
    if (xcrs_) set(KVM_SET_XCRS, &r.xcrs, "XCR0");
    set(kSetXsave, r.xsave.data(), "floating-point state");
    set(KVM_SET_REGS, &r.regs, "registers");
    set(KVM_SET_DEBUGREGS, &r.debug, "debug registers");
    bp_x86_state copy = state;
    if (!msrs_known_) {
        for (const u32 index : state_msrs()) {
            u64 value = 0;
            if (read_msr(index, ~u64{0}) == ~u64{0} && read_msr(index, 0) == 0) continue;
            value = *msr_field(copy, index);
            if (!write_msr(index, value)) continue;
            msrs_.push_back(index);
            msr_stored_.push_back(value);
        }
        msrs_known_ = true;
    }
    for (std::size_t i = 0; i < msrs_.size(); ++i) {
        const u64 value = *msr_field(copy, msrs_[i]);
        if (msrs_fresh_ && value == msr_stored_[i]) continue;
        if (write_msr(msrs_[i], value)) msr_stored_[i] = value;
    }
    msrs_fresh_ = true;
    set(KVM_SET_VCPU_EVENTS, &r.events, "events");
}

void Vcpu::load(bp_x86_state& state, Unfinished& event) {
    Registers r{};
    get(KVM_GET_VCPU_EVENTS, &r.events, "events");
    get(KVM_GET_REGS, &r.regs, "registers");
    if (vm_->host().sregs2) {
        get(KVM_GET_SREGS2, &r.sregs, "system registers");
    } else {
        kvm_sregs old{};
        get(KVM_GET_SREGS, &old, "system registers");
        widen(old, r.sregs);
    }
    if (xcrs_) get(KVM_GET_XCRS, &r.xcrs, "XCR0");
    get(kGetXsave, r.xsave.data(), "floating-point state");
    get(KVM_GET_DEBUGREGS, &r.debug, "debug registers");
    from_kvm(r, state);
    event = unfinished(r.events);
    for (std::size_t i = 0; i < msrs_.size(); ++i) {
        msr_stored_[i] = read_msr(msrs_[i], msr_stored_[i]);
        *msr_field(state, msrs_[i]) = msr_stored_[i];
    }
    msrs_fresh_ = true;
}

u64 Vcpu::read_msr(u32 index, u64 otherwise) {
    OneMsr one{{1, 0}, {index, 0, 0}};
    return control(fd_.get(), kGetMsrs, &one) == 1 ? one.entry.data : otherwise;
}

bool Vcpu::write_msr(u32 index, u64 value) {
    OneMsr one{{1, 0}, {index, 0, value}};
    return control(fd_.get(), kSetMsrs, &one) == 1;
}

int Vcpu::run() {
    run_->immediate_exit = 0;
    msrs_fresh_ = false;
    return ::ioctl(fd_.get(), KVM_RUN, nullptr) < 0 ? errno : 0;
}

bool Vcpu::complete() {
    run_->immediate_exit = 1;
    const int result = ::ioctl(fd_.get(), KVM_RUN, nullptr);
    const int error = errno;
    run_->immediate_exit = 0;
    return result < 0 && error == EINTR;
}

bool Vcpu::interrupt(u8 vector) {
    kvm_interrupt what{vector};
    return control(fd_.get(), KVM_INTERRUPT, &what) == 0;
}

bool Vcpu::nmi() { return control(fd_.get(), KVM_NMI) == 0; }

bool Vcpu::guest_debug(const kvm_guest_debug& what) {
    kvm_guest_debug copy = what;
    return control(fd_.get(), KVM_SET_GUEST_DEBUG, &copy) == 0;
}

}  // namespace backplane::kvm
