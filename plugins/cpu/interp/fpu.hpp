// x87 FPU, MMX and the legacy part of FXSAVE of a Pentium II class processor
// (Intel 64 and IA-32 Architectures SDM, volume 1 chapters 8 and 9).
//
// Self-contained: nothing here knows the engine that fetches and decodes. The
// engine looks an instruction up once, when it decodes (`fpu_lookup`,
// `mmx_lookup`), and then calls the handler each time it executes:
//
//   FpuEntry entry = fpu_lookup(0xd8..0xdf, modrm);   // handler == nullptr: #UD
//   ...
//   if (cr0 & (kEm | kTs)) raise #NM;                 // MMX: EM -> #UD, TS -> #NM
//   if ((entry.traits & kFpuWaits) && fpu.error_pending())
//       CR0.NE ? raise #MF : FERR# (stop here unless IGNNE# is asserted);
//   entry.handler(fpu, insn, mem);
//   if (entry.traits & kFpuWritesFlags) ... = insn.eflags;
//
// WAIT/FWAIT (9B) is the engine's: it is the `error_pending()` check alone.
//
// A handler may leave through a non-local jump out of a memory call-out (page
// fault): no handler holds an object with a destructor, changes the state
// before its last read, or changes it before its last write has succeeded.
// The host's x87 unit is at its ABI default (037F) during every call-out.
#pragma once

#include <cstdint>
#include <type_traits>

namespace backplane::interp {

// One 80-bit register image. MMX register n is the mantissa of physical register n.
struct alignas(16) Float80 {
    std::uint64_t mantissa = 0;
    std::uint16_t sign_exponent = 0;

    friend bool operator==(const Float80& a, const Float80& b) {
        return a.mantissa == b.mantissa && a.sign_exponent == b.sign_exponent;
    }
};

// Status word bits (SDM vol. 1, 8.1.3). TOP lives in FpuState::top.
inline constexpr std::uint16_t kFpuInvalid = 0x0001;
inline constexpr std::uint16_t kFpuDenormal = 0x0002;
inline constexpr std::uint16_t kFpuZeroDivide = 0x0004;
inline constexpr std::uint16_t kFpuOverflow = 0x0008;
inline constexpr std::uint16_t kFpuUnderflow = 0x0010;
inline constexpr std::uint16_t kFpuPrecision = 0x0020;
inline constexpr std::uint16_t kFpuExceptions = 0x003f;
inline constexpr std::uint16_t kFpuStackFault = 0x0040;
inline constexpr std::uint16_t kFpuErrorSummary = 0x0080;
inline constexpr std::uint16_t kFpuC0 = 0x0100;
inline constexpr std::uint16_t kFpuC1 = 0x0200;
inline constexpr std::uint16_t kFpuC2 = 0x0400;
inline constexpr std::uint16_t kFpuTopMask = 0x3800;
inline constexpr unsigned kFpuTopShift = 11;
inline constexpr std::uint16_t kFpuC3 = 0x4000;
inline constexpr std::uint16_t kFpuBusy = 0x8000;

// Control word (SDM vol. 1, 8.1.5). Bit 6 reads as one; bits 7, 13-15 as zero.
inline constexpr std::uint16_t kFpuControlWritable = 0x1f3f;
inline constexpr std::uint16_t kFpuControlFixed = 0x0040;
inline constexpr std::uint16_t kFpuPrecisionControl = 0x0300;
inline constexpr std::uint16_t kFpuRoundingControl = 0x0c00;
inline constexpr std::uint16_t kFpuControlDefault = 0x037f;

// Plain data: copying the struct is saving the state.
struct FpuState {
    Float80 regs[8];          // physical registers R0..R7; ST(i) is regs[(top + i) & 7]
    std::uint16_t cw = 0;     // control word
    std::uint16_t sw = 0;     // status word with the TOP field zero
    std::uint8_t top = 0;     // 0..7
    std::uint8_t in_use = 0;  // bit n: physical register n is not empty (FXSAVE's abridged tag)
    std::uint16_t fop = 0;    // last opcode, 11 bits: (first byte & 7) << 8 | modrm
    std::uint64_t fip = 0;    // last instruction: offset and selector
    std::uint64_t fdp = 0;    // last memory operand: offset and selector
    std::uint16_t fcs = 0;
    std::uint16_t fds = 0;

    // Power-on / RESET# (SDM vol. 3, table "processor state after reset"):
    // cw 0040, all registers +0.0 and tagged zero. INIT# does not touch the FPU.
    void reset() noexcept;

    // FNINIT: cw 037F, sw 0, all registers empty (contents kept), pointers and opcode 0.
    void init() noexcept;

    // An unmasked exception waits to be reported (drives FERR# when CR0.NE = 0).
    [[nodiscard]] bool error_pending() const noexcept { return (sw & kFpuErrorSummary) != 0; }

    [[nodiscard]] std::uint16_t status_word() const noexcept {
        return static_cast<std::uint16_t>(sw | (top << kFpuTopShift));
    }
    void set_status_word(std::uint16_t value) noexcept;   // also derives ES and B from cw
    void set_control_word(std::uint16_t value) noexcept;  // also derives ES and B from sw

    // The full 16-bit tag word: the hardware keeps only empty / not empty and
    // derives valid, zero and special from the contents when asked.
    [[nodiscard]] std::uint16_t tag_word() const noexcept;
    void set_tag_word(std::uint16_t value) noexcept;
};
static_assert(std::is_trivially_copyable_v<FpuState>);

// What the engine hands to one execution. The first block is filled by the
// engine; `eflags`, `ax` and `gpr` are inputs and outputs as the traits say.
struct FpuInsn {
    std::uint16_t opcode = 0;         // x87: (first byte & 7) << 8 | modrm; MMX: second byte << 8 | modrm
    std::uint8_t imm8 = 0;            // MMX shifts 0F 71/72/73 only
    bool operand_size_32 = false;     // layout of FSTENV/FLDENV/FSAVE/FRSTOR
    bool protected_mode = false;      // same: CR0.PE = 1 and EFLAGS.VM = 0
    std::uint16_t cs = 0;             // selector and offset of the instruction's
    std::uint64_t eip = 0;            //   first byte, prefixes included
    std::uint16_t data_selector = 0;  // segment register used by the memory operand
    std::uint64_t data_offset = 0;    // effective address within that segment
    std::uint64_t address = 0;        // what the call-outs get (+ n for later parts)
    std::uint32_t eflags = 0;         // kFpuReadsFlags / kFpuWritesFlags
    std::uint16_t ax = 0;             // kFpuWritesAx (FNSTSW AX)
    std::uint64_t gpr = 0;            // kMmxReadsGpr / kMmxWritesGpr (MOVD, MOVQ, register rm)
};

// Guest memory. `ctx` carries whatever the engine needs (CPU, segment). Values
// are little-endian numbers; any alignment. A call that faults does not return.
struct FpuMem {
    void* ctx = nullptr;
    std::uint16_t (*read16)(void* ctx, std::uint64_t address) = nullptr;
    std::uint32_t (*read32)(void* ctx, std::uint64_t address) = nullptr;
    std::uint64_t (*read64)(void* ctx, std::uint64_t address) = nullptr;
    void (*write16)(void* ctx, std::uint64_t address, std::uint16_t value) = nullptr;
    void (*write32)(void* ctx, std::uint64_t address, std::uint32_t value) = nullptr;
    void (*write64)(void* ctx, std::uint64_t address, std::uint64_t value) = nullptr;
};

using FpuHandler = void (*)(FpuState& fpu, FpuInsn& insn, const FpuMem& mem);

enum FpuTraits : std::uint8_t {
    kFpuWaits = 0x01,        // a pending error is reported before this instruction
    kFpuMemory = 0x02,       // has a memory operand (modrm < C0)
    kFpuReadsFlags = 0x04,   // FCMOVcc: fill insn.eflags (CF, PF, ZF are looked at)
    kFpuWritesFlags = 0x08,  // FCOMI...: copy insn.eflags back (fill it before as well)
    kFpuWritesAx = 0x10,     // FNSTSW AX: copy insn.ax to AX
    kMmxReadsGpr = 0x20,     // MOVD mm, r32: fill insn.gpr from register rm
    kMmxWritesGpr = 0x40,    // MOVD r32, mm: copy insn.gpr to register rm
    kMmxImmediate = 0x80,    // an imm8 follows: fill insn.imm8
};

struct FpuEntry {
    FpuHandler handler = nullptr;  // nullptr: #UD
    std::uint8_t traits = 0;       // FpuTraits
};

// `opcode` D8..DF.
[[nodiscard]] FpuEntry fpu_lookup(std::uint8_t opcode, std::uint8_t modrm) noexcept;

// `opcode` is the byte after 0F, no 66/F2/F3 prefix in effect. Every MMX
// instruction waits, EMMS too; entries that are not MMX have a null handler.
[[nodiscard]] FpuEntry mmx_lookup(std::uint8_t opcode, std::uint8_t modrm) noexcept;

// FXSAVE (0F AE /0) and FXRSTOR (0F AE /1): the x87/MMX part of the 512-byte
// image, bytes 0-23 and 32-159. The engine has checked the 16-byte alignment,
// CR0.EM and CR0.TS; neither instruction waits. A processor without SSE leaves
// MXCSR (24-31) and the XMM area untouched; an engine with SSE handles those
// bytes itself, around this call.
// `wide`: the layout of REX.W, 64-bit offsets instead of 32-bit ones with selectors.
void fpu_fxsave(const FpuState& fpu, std::uint64_t address, const FpuMem& mem, bool wide = false);
void fpu_fxrstor(FpuState& fpu, std::uint64_t address, const FpuMem& mem, bool wide = false);

}  // namespace backplane::interp
