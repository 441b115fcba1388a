// x87 control instructions, the FSTENV/FSAVE images in their four layouts and
// the legacy part of the FXSAVE image (SDM vol. 1, 8.1.9, 8.1.10, 8.3.11, 10.5).
#include "fpu_internal.hpp"

namespace backplane::interp {

using namespace x87;

void FpuState::reset() noexcept {
    *this = FpuState{};
    cw = 0x0040;
    in_use = 0xff;  // tag word 5555: eight zeros
}

void FpuState::init() noexcept {
    cw = kFpuControlDefault;
    sw = 0;
    top = 0;
    in_use = 0;
    fop = 0;
    fip = fdp = 0;
    fcs = fds = 0;
}

void FpuState::set_status_word(std::uint16_t value) noexcept {
    top = static_cast<std::uint8_t>((value & kFpuTopMask) >> kFpuTopShift);
    sw = static_cast<std::uint16_t>(value & ~kFpuTopMask);
    update_summary(*this);
}

void FpuState::set_control_word(std::uint16_t value) noexcept {
    cw = static_cast<std::uint16_t>((value & kFpuControlWritable) | kFpuControlFixed);
    update_summary(*this);
}

std::uint16_t FpuState::tag_word() const noexcept {
    enum : unsigned { kValid, kZero, kSpecial, kEmpty };
    unsigned word = 0;
    for (unsigned n = 0; n < 8; ++n) {
        const unsigned exponent = regs[n].sign_exponent & 0x7fffu;
        unsigned tag = kValid;
        if (((in_use >> n) & 1u) == 0) {
            tag = kEmpty;
        } else if (exponent == 0 && regs[n].mantissa == 0) {
            tag = kZero;
        } else if (exponent == 0 || exponent == 0x7fff || (regs[n].mantissa >> 63) == 0) {
            tag = kSpecial;
        }
        word |= tag << (2 * n);
    }
    return static_cast<std::uint16_t>(word);
}

void FpuState::set_tag_word(std::uint16_t value) noexcept {
    unsigned mask = 0;
    for (unsigned n = 0; n < 8; ++n) {
        if (((unsigned{value} >> (2 * n)) & 3u) != 3) mask |= 1u << n;
    }
    in_use = static_cast<std::uint8_t>(mask);
}

namespace {

constexpr std::uint32_t kReservedOnes = 0xffff0000;  // reserved halves are stored as ones

std::uint32_t environment_size(const FpuInsn& insn) { return insn.operand_size_32 ? 28 : 14; }

// Real-address and virtual-8086 layouts hold linear addresses.
std::uint32_t linear(std::uint16_t selector, std::uint64_t offset) {
    return (std::uint32_t{selector} << 4) + static_cast<std::uint32_t>(offset);
}

void store_environment(const FpuState& fpu, const FpuInsn& insn, const FpuMem& mem) {
    const std::uint64_t base = insn.address;
    const auto word = [&](std::uint32_t offset, std::uint32_t value) {
        mem.write16(mem.ctx, base + offset, static_cast<std::uint16_t>(value));
    };
    const auto dword = [&](std::uint32_t offset, std::uint32_t value) { mem.write32(mem.ctx, base + offset, value); };
    const std::uint32_t fip = linear(fpu.fcs, fpu.fip);
    const std::uint32_t fdp = linear(fpu.fds, fpu.fdp);
    if (insn.operand_size_32) {
        dword(0, kReservedOnes | fpu.cw);
        dword(4, kReservedOnes | fpu.status_word());
        dword(8, kReservedOnes | fpu.tag_word());
        if (insn.protected_mode) {
            dword(12, static_cast<std::uint32_t>(fpu.fip));
            dword(16, (std::uint32_t{fpu.fop} << 16) | fpu.fcs);
            dword(20, static_cast<std::uint32_t>(fpu.fdp));
            dword(24, kReservedOnes | fpu.fds);
        } else {
            dword(12, kReservedOnes | (fip & 0xffffu));
            dword(16, ((fip >> 16) << 12) | fpu.fop);
            dword(20, kReservedOnes | (fdp & 0xffffu));
            dword(24, (fdp >> 16) << 12);
        }
    } else {
        word(0, fpu.cw);
        word(2, fpu.status_word());
        word(4, fpu.tag_word());
        if (insn.protected_mode) {
            word(6, static_cast<std::uint32_t>(fpu.fip));
            word(8, fpu.fcs);
            word(10, static_cast<std::uint32_t>(fpu.fdp));
            word(12, fpu.fds);
        } else {
            word(6, fip);
            word(8, ((fip >> 4) & 0xf000u) | fpu.fop);
            word(10, fdp);
            word(12, (fdp >> 4) & 0xf000u);
        }
    }
}

// Reads into a copy so that a fault half-way leaves the state alone.
FpuState load_environment(const FpuState& fpu, const FpuInsn& insn, const FpuMem& mem) {
    const std::uint64_t base = insn.address;
    const auto word = [&](std::uint32_t offset) { return mem.read16(mem.ctx, base + offset); };
    const auto dword = [&](std::uint32_t offset) { return mem.read32(mem.ctx, base + offset); };
    FpuState next = fpu;
    std::uint16_t control;
    std::uint16_t status;
    std::uint16_t tags;
    next.fcs = next.fds = 0;
    if (insn.operand_size_32) {
        control = static_cast<std::uint16_t>(dword(0));
        status = static_cast<std::uint16_t>(dword(4));
        tags = static_cast<std::uint16_t>(dword(8));
        const std::uint32_t d12 = dword(12);
        const std::uint32_t d16 = dword(16);
        const std::uint32_t d20 = dword(20);
        const std::uint32_t d24 = dword(24);
        if (insn.protected_mode) {
            next.fip = d12;
            next.fcs = static_cast<std::uint16_t>(d16);
            next.fop = static_cast<std::uint16_t>((d16 >> 16) & 0x7ffu);
            next.fdp = d20;
            next.fds = static_cast<std::uint16_t>(d24);
        } else {
            next.fip = (d12 & 0xffffu) | ((d16 << 4) & 0xffff0000u);
            next.fop = static_cast<std::uint16_t>(d16 & 0x7ffu);
            next.fdp = (d20 & 0xffffu) | ((d24 << 4) & 0xffff0000u);
        }
    } else {
        control = word(0);
        status = word(2);
        tags = word(4);
        const std::uint32_t w6 = word(6);
        const std::uint32_t w8 = word(8);
        const std::uint32_t w10 = word(10);
        const std::uint32_t w12 = word(12);
        next.fip = w6;
        next.fdp = w10;
        if (insn.protected_mode) {
            next.fcs = static_cast<std::uint16_t>(w8);
            next.fds = static_cast<std::uint16_t>(w12);
            next.fop = 0;  // this layout has no opcode
        } else {
            next.fip |= (w8 & 0xf000u) << 4;
            next.fdp |= (w12 & 0xf000u) << 4;
            next.fop = static_cast<std::uint16_t>(w8 & 0x7ffu);
        }
    }
    next.set_control_word(control);
    next.set_status_word(status);
    next.set_tag_word(tags);
    return next;
}

void fnstenv(FpuState& fpu, FpuInsn& insn, const FpuMem& mem) {
    store_environment(fpu, insn, mem);
    fpu.set_control_word(fpu.cw | kFpuExceptions);
}

void fldenv(FpuState& fpu, FpuInsn& insn, const FpuMem& mem) { fpu = load_environment(fpu, insn, mem); }

void fnsave(FpuState& fpu, FpuInsn& insn, const FpuMem& mem) {
    store_environment(fpu, insn, mem);
    std::uint64_t address = insn.address + environment_size(insn);
    for (unsigned i = 0; i < 8; ++i, address += 10) {
        mem.write64(mem.ctx, address, st(fpu, i).mantissa);
        mem.write16(mem.ctx, address + 8, st(fpu, i).sign_exponent);
    }
    fpu.init();
}

void frstor(FpuState& fpu, FpuInsn& insn, const FpuMem& mem) {
    FpuState next = load_environment(fpu, insn, mem);
    std::uint64_t address = insn.address + environment_size(insn);
    for (unsigned i = 0; i < 8; ++i, address += 10) {
        st(next, i).mantissa = mem.read64(mem.ctx, address);
        st(next, i).sign_exponent = mem.read16(mem.ctx, address + 8);
    }
    fpu = next;
}

void fldcw(FpuState& fpu, FpuInsn& insn, const FpuMem& mem) { fpu.set_control_word(mem.read16(mem.ctx, insn.address)); }
void fnstcw(FpuState& fpu, FpuInsn& insn, const FpuMem& mem) { mem.write16(mem.ctx, insn.address, fpu.cw); }
void fnstsw(FpuState& fpu, FpuInsn& insn, const FpuMem& mem) { mem.write16(mem.ctx, insn.address, fpu.status_word()); }
void fnstsw_ax(FpuState& fpu, FpuInsn& insn, const FpuMem&) { insn.ax = fpu.status_word(); }
void fnclex(FpuState& fpu, FpuInsn&, const FpuMem&) {
    replace_sw(fpu, kFpuExceptions | kFpuStackFault | kFpuErrorSummary | kFpuBusy, 0);
}
void fninit(FpuState& fpu, FpuInsn&, const FpuMem&) { fpu.init(); }
void nothing(FpuState&, FpuInsn&, const FpuMem&) {}

}  // namespace

namespace x87 {

FpuEntry lookup_control(unsigned opcode, unsigned modrm) noexcept {
    const unsigned reg = (modrm >> 3) & 7u;
    if (modrm < 0xc0) {
        if (opcode == 0xd9 && reg == 4) return {fldenv, kFpuWaits | kFpuMemory};
        if (opcode == 0xd9 && reg == 5) return {fldcw, kFpuWaits | kFpuMemory};
        if (opcode == 0xd9 && reg == 6) return {fnstenv, kFpuMemory};
        if (opcode == 0xd9 && reg == 7) return {fnstcw, kFpuMemory};
        if (opcode == 0xdd && reg == 4) return {frstor, kFpuWaits | kFpuMemory};
        if (opcode == 0xdd && reg == 6) return {fnsave, kFpuMemory};
        if (opcode == 0xdd && reg == 7) return {fnstsw, kFpuMemory};
        return {};
    }
    if (opcode == 0xdb) {
        switch (modrm) {
            case 0xe0:  // FNENI, FNDISI and FNSETPM of the 8087 and 80287 do nothing
            case 0xe1:
            case 0xe4: return {nothing, 0};
            case 0xe2: return {fnclex, 0};
            case 0xe3: return {fninit, 0};
            default: return {};
        }
    }
    if (opcode == 0xdf && modrm == 0xe0) return {fnstsw_ax, kFpuWritesAx};
    return {};
}

}  // namespace x87

namespace {
// Offsets in the FXSAVE image (SDM vol. 1, table 10-2).
constexpr std::uint32_t kFxFcw = 0;
constexpr std::uint32_t kFxFsw = 2;
constexpr std::uint32_t kFxFtw = 4;
constexpr std::uint32_t kFxFop = 6;
constexpr std::uint32_t kFxFip = 8;
constexpr std::uint32_t kFxFcs = 12;
constexpr std::uint32_t kFxFdp = 16;
constexpr std::uint32_t kFxFds = 20;
constexpr std::uint32_t kFxRegisters = 32;
constexpr std::uint32_t kFxRegisterPitch = 16;
}  // namespace

void fpu_fxsave(const FpuState& fpu, std::uint64_t address, const FpuMem& mem, bool wide) {
    mem.write16(mem.ctx, address + kFxFcw, fpu.cw);
    mem.write16(mem.ctx, address + kFxFsw, fpu.status_word());
    mem.write16(mem.ctx, address + kFxFtw, fpu.in_use);
    mem.write16(mem.ctx, address + kFxFop, fpu.fop);
    if (wide) {
        mem.write64(mem.ctx, address + kFxFip, fpu.fip);
        mem.write64(mem.ctx, address + kFxFdp, fpu.fdp);
    } else {
        mem.write32(mem.ctx, address + kFxFip, static_cast<std::uint32_t>(fpu.fip));
        mem.write32(mem.ctx, address + kFxFcs, fpu.fcs);
        mem.write32(mem.ctx, address + kFxFdp, static_cast<std::uint32_t>(fpu.fdp));
        mem.write32(mem.ctx, address + kFxFds, fpu.fds);
    }
    for (unsigned i = 0; i < 8; ++i) {
        const std::uint64_t slot = address + kFxRegisters + i * kFxRegisterPitch;
        mem.write64(mem.ctx, slot, st(fpu, i).mantissa);
        mem.write64(mem.ctx, slot + 8, st(fpu, i).sign_exponent);
    }
}

void fpu_fxrstor(FpuState& fpu, std::uint64_t address, const FpuMem& mem, bool wide) {
    FpuState next;
    next.set_control_word(mem.read16(mem.ctx, address + kFxFcw));
    next.set_status_word(mem.read16(mem.ctx, address + kFxFsw));
    next.in_use = static_cast<std::uint8_t>(mem.read16(mem.ctx, address + kFxFtw));
    next.fop = static_cast<std::uint16_t>(mem.read16(mem.ctx, address + kFxFop) & 0x7ffu);
    if (wide) {
        next.fip = mem.read64(mem.ctx, address + kFxFip);
        next.fdp = mem.read64(mem.ctx, address + kFxFdp);
    } else {
        next.fip = mem.read32(mem.ctx, address + kFxFip);
        next.fcs = mem.read16(mem.ctx, address + kFxFcs);
        next.fdp = mem.read32(mem.ctx, address + kFxFdp);
        next.fds = mem.read16(mem.ctx, address + kFxFds);
    }
    for (unsigned i = 0; i < 8; ++i) {
        const std::uint64_t slot = address + kFxRegisters + i * kFxRegisterPitch;
        st(next, i).mantissa = mem.read64(mem.ctx, slot);
        st(next, i).sign_exponent = mem.read16(mem.ctx, slot + 8);
    }
    fpu = next;
}

}  // namespace backplane::interp
