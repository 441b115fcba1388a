// Registers, modes, lines and the clock of the processor.
#include "cpu.hpp"

#include <algorithm>
#include <cstring>

#include "access.hpp"
#include "block.hpp"
#include "breakpoints.hpp"
#include "flags.hpp"

namespace backplane::interp {
namespace {

constexpr u32 kFlagsWritable = kArith | kTf | kIf | kDf | kIopl | kNt | kRf | kVm | kAc | kVif | kVip | kId;
constexpr u16 kRealData = kAttrP | kAttrS | kAttrWritable | kAttrAccessed;

void derive(const Cpu* c, Segment& s) {
    s.read_end = 0;
    s.write_end = 0;
    if (!s.present() || (s.attr & kAttrS) == 0) return;
    const bool code = (s.attr & kAttrCode) != 0;
    if (!code && (s.attr & kAttrExpandDown) != 0) return;
    const u64 end = static_cast<u64>(s.limit) + 1;
    if (!code || (s.attr & kAttrReadable) != 0 || !c->protected_mode()) s.read_end = end;
    if ((!code && (s.attr & kAttrWritable) != 0) || !c->protected_mode()) s.write_end = end;
}
bool flat(const Segment& s) { return s.base == 0 && s.read_end == 1ull << 32; }
bool flat_writable(const Segment& s) { return flat(s) && s.write_end == 1ull << 32; }

}  // namespace

Cpu::Cpu() : cache(new BlockCache), tlbs(new Tlb[3]), phys_cache(new PhysicalCache) {
    for (unsigned u = 0; u < 3; ++u) {
        tlbs[u].used = 0;
        std::memset(tlbs[u].large, 0, sizeof tlbs[u].large);
        tlbs[u].huge = false;
        for (u32 k = 0; k < kTlbSize; ++k) {
            tlbs[u].entry[k] = {kNoPage, kNoPage, 0};
            tlbs[u].info[k] = TlbInfo{};
            tlbs[u].info[k].page = kNoPage;
        }
    }
    tlb = &tlbs[0];
    model = find_model("pentium2");  // until somebody chooses
}
Cpu::~Cpu() = default;

void Cpu::attach(bp_vcpu* vcpu_in, const bp_cpu_bus* bus_in) {
    vcpu = vcpu_in;
    bus = bp_cpu_bus{};
    std::memcpy(&bus, bus_in, std::min<std::size_t>(bus_in->size, sizeof bus));
    count = vcpu->instructions;
    several = bus.code_cached != nullptr && bus.code_written != nullptr && bus.code_settled != nullptr;
    constexpr u32 own_bits = 7;  // the eighth one is everybody else's
    code_bit = static_cast<u8>(several ? 1u << std::min(vcpu->index, own_bits) : 1u);
    cache->several = several;
    cache->code_bit = code_bit;
    cache->may_unflag = !several || vcpu->index < own_bits;
}

void Cpu::reset(bool power_on) {
    (void)power_on;
    msr = Msrs{};
    fpu.reset();
    sse_reset(this);
    tsc_offset = 0;
    smbase = kSmbaseAtReset;
    lines.fetch_and(~(u32{kLineSmi} | kLineSipi | kSipiVector));
    if (vcpu != nullptr) write_tsc(0);
    init_signal();
    // Whether it waits for STARTUP is the local APIC's to say, which may not have been reset yet.
    wait_for_sipi = false;
    startup_undecided = true;
    cr0 = 0x60000010;
    mode_changed();
    update_ferr();
    leave = 0;
}

// State after INIT# (SDM 3, table 9-1).
void Cpu::init_signal() {
    for (u64& r : gpr) r = 0;
    gpr[kEdx] = model->version;
    flag_result = 1;
    flag_aux = 0;
    eflags_rest = kFixed1;
    set_arith(0);
    cr0 = (cr0 & (kCr0Cd | kCr0Nw)) | kCr0Et;
    cr2 = cr3 = cr4 = 0;
    for (u64& d : dr) d = 0;
    msr.efer = 0;  // INIT# clears it as well
    dr6 = 0xffff0ff0;
    dr7 = 0x400;
    cpl = 0;
    for (unsigned s = 0; s < kSegCount; ++s) set_segment(static_cast<Seg>(s), 0, 0, 0xffff, kRealData);
    set_segment(kCs, 0xf000, 0xffff0000u, 0xffff, kRealData);
    ldtr = Segment{};
    ldtr.limit = 0xffff;
    ldtr.attr = 0x82;
    tr = Segment{};
    tr.limit = 0xffff;
    tr.attr = 0x8b;
    gdtr = {0, 0xffff};
    idtr = {0, 0xffff};
    eip = prev_eip = 0xfff0;
    halted = wait_for_sipi = shutdown = nmi_blocked = false;
    inhibit_interrupts = inhibit_all = step_suppressed = esp_guard = false;
    // INIT# comes outside system management mode only; a reset ends that mode.
    if (smm) cache->flush(this);
    smm = smm_nmi_blocked = false;
    update_a20_mask();  // address line 20 is the board's: a reset of the processor leaves it
    debug_pending = smm_debug_pending = 0;
    delivering = -1;
    ext = 0;
    insn = nullptr;
    lines.fetch_and(~static_cast<u32>(kLineInit | kLineNmi));
    tlb_flush(true);
    startup_undecided = true;
    decide_startup();
}

// The bootstrap processor begins by itself, and so does one without a local APIC (SDM 3, 8.4.2).
void Cpu::decide_startup() {
    if (!startup_undecided) return;
    startup_undecided = false;
    constexpr i64 bootstrap = 1 << 8;
    const i64 base = host.apic_base != nullptr ? host.apic_base(host.self) : -1;
    wait_for_sipi = base >= 0 && (base & bootstrap) == 0;
}

void Cpu::startup(u32 vector) {
    if ((lines.load() & kLineSipi) != 0) return;  // the first one counts
    lines.fetch_or(kLineSipi | (vector << kSipiVectorShift & kSipiVector));
    if (vcpu != nullptr) __atomic_fetch_or(&vcpu->attention, BP_ATTENTION_LINES, __ATOMIC_RELEASE);
}

void Cpu::start_at(u32 vector) {
    set_segment(kCs, static_cast<u16>(vector << 8), u64{vector} << 12, 0xffff, kRealData);
    eip = prev_eip = 0;
    wait_for_sipi = halted = false;
}

void Cpu::set_segment_base(Seg s, u64 base) { seg[s].base = base; }

void Cpu::set_segment(Seg s, u16 selector, u64 base, u32 limit, u16 attr) {
    Segment& g = seg[s];
    const bool code_moved = s == kCs && (g.base != base || g.limit != limit);
    g.selector = selector;
    g.base = base;
    g.limit = limit;
    g.attr = attr;
    derive(this, g);
    // The jump cache is keyed by EIP and trusts the limit.
    if (code_moved && !((mode & kModeFlatCode) != 0 && base == 0 && limit == 0xffffffffu)) ++generation;
    mode_changed();
}

void Cpu::set_segment_real(Seg s, u16 selector) {
    const u32 base = static_cast<u32>(selector) << 4;
    if (v86()) return set_segment(s, selector, base, 0xffff, kRealData | 0x60);
    if (s == kCs) {  // size and granularity stay as well: a 32-bit segment is still one after a far jump
        constexpr u16 kept = kAttrBig | kAttrGranular | kAttrAvl;
        return set_segment(s, selector, base, seg[s].limit, static_cast<u16>(kRealData | (seg[s].attr & kept)));
    }
    set_segment(s, selector, base, seg[s].limit, seg[s].present() ? seg[s].attr : kRealData);
}

void Cpu::mode_changed() {
    if (derived_for_protected != protected_mode()) {
        derived_for_protected = protected_mode();
        for (Segment& s : seg) derive(this, s);
    }
    u32 m = mode & kModeSingle;
    if (seg[kCs].big()) m |= kModeCode32;
    if (seg[kSs].big()) m |= kModeStack32;
    if (flat_writable(seg[kDs]) && flat_writable(seg[kEs]) && flat_writable(seg[kSs])) m |= kModeFlatData;
    if (seg[kCs].base == 0 && seg[kCs].limit == 0xffffffffu) m |= kModeFlatCode;
    mode64 = long_mode() && seg[kCs].long_code();
    if (mode64) m |= kModeLong | kModeCode32 | kModeStack32 | kModeFlatData | kModeFlatCode;
    if (cpl == 3) m |= kModeUser;
    mode = m;
    sse_update(this);
    alignment_checks = (cr0 & kCr0Am) != 0 && (eflags_rest & kAc) != 0 && cpl == 3;
    tlb = alignment_checks ? &tlbs[2] : &tlbs[cpl == 3 ? 1 : 0];
    const u32 tag = generation << kModeBits | mode;
    // The tag has wrapped: an old entry might look current.
    if ((generation >> (32 - kModeBits)) != 0) {
        generation = 0;
        cache->forget_jumps();
        jump_tag = mode;
        return;
    }
    jump_tag = tag;
}

u32 Cpu::flags() const {
    return eflags_rest | get_cf(this) * kCf | get_pf(this) * kPf | get_af(this) * kAf | get_zf(this) * kZf |
           get_sf(this) * kSf | get_of(this) * kOf;
}

void Cpu::set_arith(u32 v) {
    const u32 cf = (v & kCf) != 0 ? 1 : 0;
    const u32 of = (v & kOf) != 0 ? 1 : 0;
    const bool zf = (v & kZf) != 0;
    flag_result = zf ? 0 : 1;  // natural PF: 1 for zero, 0 for one; natural SF: 0
    u64 aux = (cf << 31) | ((cf ^ of) << 30) | ((v & kAf) != 0 ? 8u : 0u);
    if (((v & kPf) != 0) != zf) aux |= 1ull << 32;
    if ((v & kSf) != 0) aux |= 1ull << 33;
    flag_aux = aux;
}

void Cpu::set_flags(u32 value) {
    const u32 old = eflags_rest;
    eflags_rest = (value & kFlagsWritable & ~kArith) | kFixed1;
    set_arith(value);
    const u32 changed = old ^ eflags_rest;
    if ((changed & eflags_rest & kIf) != 0 || (changed & kTf) != 0) leave |= kLeaveStop;
    if ((changed & (kTf | kVm | kAc)) != 0) mode_changed();
}

void Cpu::raise(u8 vector) {
    fault = {vector, false, 0};
    _longjmp(fault_exit, 1);
}
void Cpu::raise(u8 vector, u32 error) {
    fault = {vector, true, error};
    _longjmp(fault_exit, 1);
}

void Cpu::set_line(LineBit line, bool level) {
    if (line == kLineIntr || line == kLineIgnne || line == kLineA20) {
        if (level)
            lines.fetch_or(line);
        else
            lines.fetch_and(~static_cast<u32>(line));
    } else {
        // Edges: the level bit remembers what the line was.
        const u32 level_bit = line == kLineNmi ? kLineNmiLevel : line == kLineInit ? kLineInitLevel : kLineSmiLevel;
        if (level) {
            const u32 before = lines.fetch_or(level_bit);
            if ((before & level_bit) == 0) {
                // A STARTUP interrupt that came before INIT is not the one that the processor will wait for.
                if (line == kLineInit) lines.fetch_and(~(u32{kLineSipi} | kSipiVector));
                lines.fetch_or(line);
            }
        } else {
            lines.fetch_and(~level_bit);
        }
    }
    if (vcpu != nullptr) __atomic_fetch_or(&vcpu->attention, BP_ATTENTION_LINES, __ATOMIC_RELEASE);
}

void Cpu::invalidate(Physical address, u64 size) {
    {
        const std::lock_guard<std::mutex> guard(cache->queue_lock);
        // A guest that does DMA into its own code without running must not make this grow for ever.
        if (cache->queue.size() < 4096)
            cache->queue.emplace_back(address, size);
        else
            cache->queue_all = true;
    }
    if (vcpu != nullptr) __atomic_fetch_or(&vcpu->attention, BP_ATTENTION_INVALIDATE, __ATOMIC_RELEASE);
}

void Cpu::state_replaced() {
    insn = nullptr;
    leave = 0;
    startup_undecided = false;
    if (vcpu != nullptr) count = vcpu->instructions;
    for (PhysicalCache::Entry& e : phys_cache->entry) e.key = ~0ull;
    cache->flush(this);
    derived_for_protected = !protected_mode();
    update_a20_mask();
    tlb_flush(true);
}

void Cpu::update_a20_mask() {
    a20_mask = smm || (lines.load(std::memory_order_relaxed) & kLineA20) != 0 ? ~0ull : ~(1ull << 20);
}

void Cpu::sync_out() { tell_instruction(this); }

u64 Cpu::read_tsc() {
    sync_out();
    __extension__ using Wide = unsigned __int128;
    sse_sleep(this);
    const auto now = static_cast<Wide>(static_cast<u64>(bus.now(bus.self)));
    return static_cast<u64>(now * tsc_hz / 1000000000u) + tsc_offset;
}
void Cpu::write_tsc(u64 value) {
    tsc_offset = 0;
    tsc_offset = value - read_tsc();
}

u32 Cpu::port_in(u32 port, u32 bytes) {
    if (debug_data_enabled() && (cr4 & kCr4De) != 0) debug_io(port, bytes);
    tell_instruction(this);
    if (sse.loaded) sse_sleep(this);
    const u32 v = static_cast<u32>(bus.port_read(bus.self, port & 0xffffu, bytes));
    if (__atomic_load_n(&vcpu->attention, __ATOMIC_RELAXED) != 0) leave |= kLeaveStop;
    return v;
}
void Cpu::port_out(u32 port, u32 bytes, u32 value) {
    if (debug_data_enabled() && (cr4 & kCr4De) != 0) debug_io(port, bytes);
    tell_instruction(this);
    if (sse.loaded) sse_sleep(this);
    bus.port_write(bus.self, port & 0xffffu, bytes, value);
    if (__atomic_load_n(&vcpu->attention, __ATOMIC_RELAXED) != 0) leave |= kLeaveStop;
}

}  // namespace backplane::interp
