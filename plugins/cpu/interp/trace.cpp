#include "trace.hpp"

#include <Zydis/Zydis.h>

#include "memory.hpp"

namespace backplane::interp {
namespace {

// A walk without side effects; false where the page is not mapped or not memory.
bool peek_byte(const Cpu& c, Linear address, u8& value) {
    const auto physical = [&](Physical at, void* data, u32 bytes) {
        bp_page p{};
        c.bus.page(c.bus.self, at & ~0xfffull & c.a20_mask, c.code_view(), &p);
        if (p.read == nullptr) return false;
        std::memcpy(data, p.read + (at & 0xfffu), bytes);
        return true;
    };
    if (!c.paging()) return physical(address, &value, 1);
    const bool pae = (c.cr4 & kCr4Pae) != 0;
    u64 pde = 0;
    if (pae) {
        const u64 pdpte = c.pdpte[address >> 30];
        if ((pdpte & 1u) == 0 || !physical((pdpte & ~0xfffull) + (address >> 21 & 0x1ffu) * 8, &pde, 8)) return false;
    } else if (!physical((c.cr3 & ~0xfffu) + (address >> 22) * 4, &pde, 4)) {
        return false;
    }
    if ((pde & 1u) == 0) return false;
    if ((pde & 0x80u) != 0 && (pae || (c.cr4 & kCr4Pse) != 0)) {
        return physical(
            pae ? (pde & 0xfffe00000ull) | (address & 0x1fffffu) : (pde & 0xffc00000u) | (address & 0x3fffffu), &value,
            1);
    }
    u64 pte = 0;
    const bool got = pae ? physical((pde & 0xffffff000ull) + (address >> 12 & 0x1ffu) * 8, &pte, 8)
                         : physical((pde & ~0xfffull) + (address >> 12 & 0x3ffu) * 4, &pte, 4);
    if (!got || (pte & 1u) == 0) return false;
    return physical((pte & 0xffffff000ull) | (address & 0xfffu), &value, 1);
}

std::string bytes_text(const u8* bytes, unsigned size) {
    std::string text;
    char hex[4];
    for (unsigned k = 0; k < size; ++k) {
        std::snprintf(hex, sizeof hex, "%02x", bytes[k]);
        text += hex;
    }
    return text;
}

}  // namespace

unsigned peek(const Cpu& c, Linear address, u8* bytes, unsigned size) {
    unsigned n = 0;
    while (n < size && peek_byte(c, address + n, bytes[n])) ++n;
    return n;
}

std::string disassemble(const u8* bytes, unsigned size, u32 address, bool code32, unsigned* length) {
    ZydisDecoder decoder;
    ZydisDecodedInstruction insn;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
    *length = size == 0 ? 0 : 1;
    ZydisDecoderInit(&decoder, code32 ? ZYDIS_MACHINE_MODE_LEGACY_32 : ZYDIS_MACHINE_MODE_LEGACY_16,
                     code32 ? ZYDIS_STACK_WIDTH_32 : ZYDIS_STACK_WIDTH_16);
    if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, bytes, size, &insn, operands))) return "(undecodable)";
    *length = insn.length;
    ZydisFormatter formatter;
    ZydisFormatterInit(&formatter, ZYDIS_FORMATTER_STYLE_INTEL);
    char text[128];
    if (!ZYAN_SUCCESS(ZydisFormatterFormatInstruction(&formatter, &insn, operands, insn.operand_count_visible, text,
                                                      sizeof text, address, ZYAN_NULL))) {
        return "(undecodable)";
    }
    return text;
}

void Tracer::instruction(Cpu& c) {
    u8 bytes[15];
    const unsigned n = peek(c, c.seg[kCs].base + c.eip, bytes, sizeof bytes);
    unsigned length = 0;
    const std::string text = disassemble(bytes, n, c.eip, c.seg[kCs].big(), &length);
    std::fprintf(file_,
                 "%llu %04x:%08x %-22s %-40s eax=%08x ecx=%08x edx=%08x ebx=%08x esp=%08x ebp=%08x esi=%08x edi=%08x "
                 "fl=%08x\n",
                 static_cast<unsigned long long>(c.count), c.seg[kCs].selector, c.eip,
                 bytes_text(bytes, length).c_str(), text.c_str(), c.r32(kEax), c.r32(kEcx), c.r32(kEdx), c.r32(kEbx),
                 c.r32(kEsp), c.r32(kEbp), c.r32(kEsi), c.r32(kEdi), c.flags());
}

std::string describe_state(Cpu& c) {
    char line[512];
    std::string out;
    const char* mode = c.v86() ? "virtual-8086" : c.protected_mode() ? "protected" : "real";
    std::snprintf(line, sizeof line, "cs:eip=%04x:%08x (linear %08x) %s mode, %s, cpl %u%s%s%s, %llu instructions\n",
                  c.seg[kCs].selector, c.eip, c.seg[kCs].base + c.eip, mode, c.seg[kCs].big() ? "32-bit" : "16-bit",
                  c.cpl, c.smm ? ", system management" : "", c.halted ? ", halted" : "",
                  c.shutdown ? ", shut down" : "", static_cast<unsigned long long>(c.count));
    out += line;
    std::snprintf(line, sizeof line,
                  "eax=%08x ecx=%08x edx=%08x ebx=%08x esp=%08x ebp=%08x esi=%08x edi=%08x eflags=%08x\n", c.r32(kEax),
                  c.r32(kEcx), c.r32(kEdx), c.r32(kEbx), c.r32(kEsp), c.r32(kEbp), c.r32(kEsi), c.r32(kEdi), c.flags());
    out += line;
    static constexpr const char* kNames[] = {"es", "cs", "ss", "ds", "fs", "gs"};
    for (unsigned s = 0; s < kSegCount; ++s) {
        std::snprintf(line, sizeof line, "%s=%04x base %08x limit %08x attr %04x%s", kNames[s], c.seg[s].selector,
                      c.seg[s].base, c.seg[s].limit, c.seg[s].attr, s == 2 || s == 5 ? "\n" : "; ");
        out += line;
    }
    std::snprintf(line, sizeof line,
                  "cr0=%08x cr2=%08x cr3=%08x cr4=%08x gdt=%08x/%04x idt=%08x/%04x tr=%04x ldtr=%04x lines=%03x\n",
                  c.cr0, c.cr2, c.cr3, c.cr4, c.gdtr.base, c.gdtr.limit, c.idtr.base, c.idtr.limit, c.tr.selector,
                  c.ldtr.selector, c.lines.load());
    out += line;
    u32 eip = c.eip;
    for (unsigned k = 0; k < 4; ++k) {
        u8 bytes[15];
        const unsigned n = peek(c, c.seg[kCs].base + eip, bytes, sizeof bytes);
        if (n == 0) break;
        unsigned length = 0;
        const std::string text = disassemble(bytes, n, eip, c.seg[kCs].big(), &length);
        std::snprintf(line, sizeof line, "  %08x  %-22s %s\n", eip, bytes_text(bytes, length).c_str(), text.c_str());
        out += line;
        eip += length;
    }
    return out;
}

}  // namespace backplane::interp
