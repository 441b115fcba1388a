// ModRM, SIB and displacement, and which form of a handler they need.
#include "decode_detail.hpp"

namespace backplane::interp {

void Decoder::choose_form(Seg standard) {
    const Seg s = override_seg >= 0 ? static_cast<Seg>(override_seg) : standard;
    o.seg = s;
    note_address_size();
    if (long_mode) {
        if (!address64)
            form = Form::kGeneral;
        else if (s >= kFs)
            form = Form::kLongBased;
        else
            form = o.index == Cpu::kZeroReg * 8 ? Form::kLong : Form::kLongIndex;
        return;
    }
    const bool flat = address32 && (in.mode & kModeFlatData) != 0 && (s == kDs || s == kEs || s == kSs);
    if (!flat)
        form = address32 && (in.mode & kModeFlatData) != 0 ? Form::kBased : Form::kGeneral;
    else
        form = o.index == Cpu::kZeroReg * 8 ? Form::kFlat : Form::kFlatIndex;
}

void Decoder::absolute_address(i64 disp, Seg standard) {
    o.base = Cpu::kZeroReg * 8;
    o.index = Cpu::kZeroReg * 8;
    o.shift = 0;
    o.disp = disp;
    choose_form(standard);
}

void Decoder::parse_modrm() {
    modrm = byte();
    mod = modrm >> 6;
    r = modrm >> 3 & 7u;
    rm = modrm & 7u;
    rx = r | rex_r();
    if (mod == 3) {
        rm |= rex_b();
        form = Form::kReg;
        return;
    }
    o.base = Cpu::kZeroReg * 8;
    o.index = Cpu::kZeroReg * 8;
    o.shift = 0;
    o.link = nullptr;
    Seg standard = kDs;
    if (!address32) {
        static constexpr u8 kBase[8] = {kEbx, kEbx, kEbp, kEbp, kEsi, kEdi, kEbp, kEbx};
        static constexpr u8 kIndex[8] = {kEsi, kEdi, kEsi, kEdi, 0xff, 0xff, 0xff, 0xff};
        if (mod == 0 && rm == 6) {
            o.disp = imm16();
        } else {
            o.base = kBase[rm] * 8;
            if (kIndex[rm] != 0xff) o.index = kIndex[rm] * 8;
            if (kBase[rm] == kEbp) standard = kSs;
            o.disp = mod == 0 ? 0 : mod == 1 ? static_cast<i32>(imm8s()) : static_cast<i64>(imm16());
        }
        return choose_form(standard);
    }
    unsigned base = rm;
    if (rm == 4) {
        const u8 sib = byte();
        base = sib & 7u;
        const unsigned index = (sib >> 3 & 7u) | rex_x();
        if (index != 4) {
            o.index = static_cast<u8>(index * 8);
            o.shift = sib >> 6;
        }
    }
    if (base == 5 && mod == 0) {
        o.disp = disp32();
        if (long_mode && rm == 5) {
            rip_relative = true;  // the rest of the displacement follows when the length is known
            o.base = Cpu::kIpReg * 8;
        }
    } else {
        base |= rex_b();
        o.base = static_cast<u8>(base * 8);
        if (base == kEsp || base == kEbp) standard = kSs;
        o.disp = mod == 0 ? 0 : mod == 1 ? static_cast<i32>(imm8s()) : disp32();
    }
    choose_form(standard);
}

}  // namespace backplane::interp
