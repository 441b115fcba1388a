#include "trace.hpp"

#include <Zydis/Zydis.h>
#include <cstring>

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
    if (c.long_mode()) {
        u64 table = c.cr3;
        for (unsigned shift = 39;; shift -= 9) {
            u64 entry = 0;
            if (!physical((table & 0xffffffffff000ull) + (address >> shift & 0x1ffu) * 8, &entry, 8)) return false;
            if ((entry & 1u) == 0) return false;
            table = entry & 0xffffffffff000ull;
            if (shift == 12 || (shift < 39 && (entry & 0x80u) != 0)) {
                const u64 inside = (1ull << shift) - 1;
                return physical((table & ~inside) | (address & inside), &value, 1);
            }
        }
    }
    const bool pae = (c.cr4 & kCr4Pae) != 0;
    u64 pde = 0;
    if (pae) {
        const u64 pdpte = c.pdpte[address >> 30 & 3u];
        if ((pdpte & 1u) == 0 || !physical((pdpte & ~0xfffull) + (address >> 21 & 0x1ffu) * 8, &pde, 8)) return false;
    } else if (!physical((c.cr3 & 0xfffff000u) + (address >> 22) * 4, &pde, 4)) {
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

std::string disassemble(const u8* bytes, unsigned size, u64 address, unsigned code_bits, unsigned* length) {
    ZydisDecoder decoder;
    ZydisDecodedInstruction insn;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
    *length = size == 0 ? 0 : 1;
    ZydisDecoderInit(&decoder,
                     code_bits == 64   ? ZYDIS_MACHINE_MODE_LONG_64
                     : code_bits == 32 ? ZYDIS_MACHINE_MODE_LEGACY_32
                                       : ZYDIS_MACHINE_MODE_LEGACY_16,
                     code_bits == 64   ? ZYDIS_STACK_WIDTH_64
                     : code_bits == 32 ? ZYDIS_STACK_WIDTH_32
                                       : ZYDIS_STACK_WIDTH_16);
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

namespace {

unsigned code_bits(const Cpu& c) { return c.mode64 ? 64 : c.seg[kCs].big() ? 32 : 16; }

// General registers, as wide as the mode makes them; `separator` stands before R8.
std::string registers_text(const Cpu& c, const char* separator) {
    static constexpr const char* kNames[] = {"ax", "cx", "dx", "bx", "sp", "bp", "si", "di"};
    std::string out;
    char text[40];
    for (unsigned n = 0; n < (c.mode64 ? 16u : 8u); ++n) {
        if (n < 8)
            std::snprintf(text, sizeof text, "%s%c%s=", n == 0 ? "" : " ", c.mode64 ? 'r' : 'e', kNames[n]);
        else
            std::snprintf(text, sizeof text, "%sr%u=", n == 8 ? separator : " ", n);
        out += text;
        if (c.mode64)
            std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(c.gpr[n]));
        else
            std::snprintf(text, sizeof text, "%08x", static_cast<u32>(c.gpr[n]));
        out += text;
    }
    return out;
}

unsigned long long ull(u64 v) { return v; }

}  // namespace

void Tracer::instruction(Cpu& c) {
    u8 bytes[15];
    const unsigned n = peek(c, c.code_address(c.eip), bytes, sizeof bytes);
    unsigned length = 0;
    const std::string text = disassemble(bytes, n, c.eip, code_bits(c), &length);
    std::fprintf(file_, "%llu %04x:%08llx %-22s %-40s %s fl=%08x\n", ull(c.count), c.seg[kCs].selector, ull(c.eip),
                 bytes_text(bytes, length).c_str(), text.c_str(), registers_text(c, " ").c_str(), c.flags());
}

std::string describe_state(Cpu& c) {
    char line[512];
    std::string out;
    const char* mode = c.v86()              ? "virtual-8086"
                       : c.mode64           ? "64-bit"
                       : c.long_mode()      ? "compatibility"
                       : c.protected_mode() ? "protected"
                                            : "real";
    const char* width = c.mode64 ? "" : c.seg[kCs].big() ? ", 32-bit" : ", 16-bit";
    std::snprintf(line, sizeof line, "cs:eip=%04x:%08llx (linear %08llx) %s mode%s, cpl %u%s%s%s, %llu instructions\n",
                  c.seg[kCs].selector, ull(c.eip), ull(c.code_address(c.eip)), mode, width, c.cpl,
                  c.smm ? ", system management" : "",
                  c.wait_for_sipi ? ", waits for STARTUP"
                  : c.halted      ? ", halted"
                                  : "",
                  c.shutdown ? ", shut down" : "", ull(c.count));
    out += line;
    out += registers_text(c, "\n");
    std::snprintf(line, sizeof line, " eflags=%08x\n", c.flags());
    out += line;
    static constexpr const char* kNames[] = {"es", "cs", "ss", "ds", "fs", "gs"};
    for (unsigned s = 0; s < kSegCount; ++s) {
        std::snprintf(line, sizeof line, "%s=%04x base %08llx limit %08x attr %04x%s", kNames[s], c.seg[s].selector,
                      ull(c.seg[s].base), c.seg[s].limit, c.seg[s].attr, s == 2 || s == 5 ? "\n" : "; ");
        out += line;
    }
    std::snprintf(
        line, sizeof line,
        "cr0=%08x cr2=%08llx cr3=%08llx cr4=%08x gdt=%08llx/%04x idt=%08llx/%04x tr=%04x ldtr=%04x lines=%03x\n", c.cr0,
        ull(c.cr2), ull(c.cr3), c.cr4, ull(c.gdtr.base), c.gdtr.limit, ull(c.idtr.base), c.idtr.limit, c.tr.selector,
        c.ldtr.selector, c.lines.load());
    out += line;
    u64 eip = c.eip;
    for (unsigned k = 0; k < 4; ++k) {
        u8 bytes[15];
        const unsigned n = peek(c, c.code_address(eip), bytes, sizeof bytes);
        if (n == 0) break;
        unsigned length = 0;
        const std::string text = disassemble(bytes, n, eip, code_bits(c), &length);
        std::snprintf(line, sizeof line, "  %08llx  %-22s %s\n", ull(eip), bytes_text(bytes, length).c_str(),
                      text.c_str());
        out += line;
        eip += length;
    }
    return out;
}

}  // namespace backplane::interp
