// State of the SSE family and what its parts share (Intel 64 and IA-32 Architectures SDM, volume 1, chapters 10 to 12).
//
// MXCSR: from the guest's first SSE instruction on, the host's MXCSR holds the guest's rounding control, DAZ and FTZ
// with every exception masked, so the sticky flags gather there at no cost. The guest's MXCSR is SseState::mxcsr or'ed
// with the host's flags. Calls out of the engine run under the MXCSR that run() was entered with (HostFloat); as
// reading MXCSR is a good part of what a device access costs, port accesses and interrupts leave it at that
// (sse_sleep).
//
// That sleep makes SseState::slow nonzero, as do an unmasked exception and everything that forbids SSE instructions
// (CR0.EM, CR0.TS, CR4.OSFXSR): the fast forms of handlers then hand over to the general ones, which look closer.
#pragma once

#include <cstdint>
#include <string>

namespace backplane::cpumodel {
struct CpuModel;
}

namespace backplane::interp {

using cpumodel::CpuModel;
struct Cpu;

// A vector register: the low half is the XMM register.
struct alignas(32) VectorRegister {
    std::uint8_t bytes[32] = {};
};

// MXCSR (SDM 1, 10.2.3).
inline constexpr std::uint32_t kMxcsrFlags = 0x3f, kMxcsrDaz = 0x40, kMxcsrMasks = 0x1f80, kMxcsrRounding = 0x6000,
                               kMxcsrFtz = 0x8000, kMxcsrDefault = 0x1f80;
inline constexpr std::uint32_t kMxcsrInvalid = 1, kMxcsrDenormal = 2, kMxcsrZeroDivide = 4, kMxcsrOverflow = 8,
                               kMxcsrUnderflow = 0x10, kMxcsrPrecision = 0x20;
inline constexpr unsigned kMxcsrMaskShift = 7;

// Bits of SseState::slow.
inline constexpr std::uint32_t kSseOff = 1, kSseUnmasked = 2, kSseAsleep = 4;
// Of SseState::vex_slow, besides these: real and virtual-8086 mode have no VEX prefix at all.
inline constexpr std::uint32_t kVexUnknown = 8;

// State components of XCR0 (SDM 1, 13.1).
inline constexpr std::uint64_t kXcr0X87 = 1, kXcr0Sse = 2, kXcr0Avx = 4;

struct SseState {
    VectorRegister ymm[16];
    std::uint32_t mxcsr = kMxcsrDefault;
    std::uint32_t slow = 0;      // derived
    std::uint32_t vex_slow = 0;  // derived; the same for instructions with a VEX prefix
    std::uint64_t xcr0 = kXcr0X87;
    std::uint32_t outer = kMxcsrDefault;  // the host's MXCSR outside run()
    bool loaded = false;                  // the host's MXCSR is the guest's now
};

// What an instruction needs the model to have.
enum class Feature : std::uint8_t {
    kNone,
    kSse,
    kSse2,
    kSse3,
    kSsse3,
    kSse41,
    kSse42,
    kSse4a,
    kPopcnt,
    kLzcnt,
    kMovbe,
    kAes,
    kPclmul,
    kMmxExtensions,  // the MMX instructions that came with SSE, or AMD's
    k3dnow,
    k3dnowExtensions,
    kPrefetch3dnow,  // 0F 0D
    kClflush,
    kMonitor,
    kXsave,
    kXsaveopt,
    kAvx,
    kAvx2,
    kFma,
    kF16c,
    kBmi1,
    kBmi2,
    kAdx,
    kRdrand,
    kRdseed,
    kFsgsbase,
    kSmep,
    kUmip
};
[[nodiscard]] bool has_feature(const CpuModel& model, Feature feature);
// Names of the extensions that the model announces and the host's processor cannot compute; empty if there are none.
[[nodiscard]] std::string sse_host_missing(const CpuModel& model);

[[nodiscard]] std::uint32_t mxcsr_value(const Cpu* c);
void set_mxcsr(Cpu* c, std::uint32_t value);  // the value is valid
// Flags of an operation computed without the host's; raises if one is unmasked, before the result is written.
void sse_add_flags(Cpu* c, std::uint32_t flags);
[[nodiscard]] std::uint32_t mxcsr_writable(const CpuModel& model);
void sse_update(Cpu* c);  // CR0, CR4, XCR0, the mode or MXCSR has changed: derives `slow` and `vex_slow`
// XCR0: the components of a model's state, and whether it may hold `value`.
inline constexpr std::uint32_t kXsaveAvxAt = 576, kXsaveSize = 832;
[[nodiscard]] std::uint64_t xcr0_components(const CpuModel& model);
[[nodiscard]] bool xcr0_valid(const CpuModel& model, std::uint64_t value);
void sse_reset(Cpu* c);  // RESET#; INIT# changes nothing
void sse_enter(Cpu* c);  // run() begins
// Between two instructions, or where no vector is under way: the host's MXCSR is its own until the next SSE
// instruction.
void sse_sleep(Cpu* c);
inline void sse_leave(Cpu* c) { sse_sleep(c); }  // run() ends

// Around a call out of the engine.
class HostFloat {
  public:
    explicit HostFloat(Cpu* c);
    HostFloat(const HostFloat&) = delete;
    HostFloat& operator=(const HostFloat&) = delete;
    ~HostFloat();

  private:
    Cpu* cpu_;
    std::uint32_t entered_ = 0;  // the host's MXCSR then
    bool changed_ = false;
};

}  // namespace backplane::interp
