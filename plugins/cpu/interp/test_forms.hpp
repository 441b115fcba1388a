// Encodings of general user instructions, for tests that make random ones.
#pragma once

#include <vector>

#include "cpu.hpp"

namespace backplane::interp::test {

enum Shape : u32 {
    kModrm = 1,
    kImm8 = 2,
    kImmV = 4,   // 2 or 4 bytes by operand size
    kGroup = 8,  // modrm.reg fixed by `digit`
    kMemOnly = 16,
    kImm16 = 32,
    kForward = 64,  // imm8 is a branch displacement
    kNoRep = 128,   // F2/F3 change the meaning on today's processors
    kString = 256,
    kMoffs = 512,
    kShift = 1024,  // flags depend on the count
    kByCl = 2048,
    kTwoByte = 4096,
    kDefined = 8192,  // all flags defined: fit for sequences
    kWide = 16384     // no 16-bit form
};
struct Form_ {
    u32 opcode;
    u32 shape;
    u32 undefined;  // flags
    u8 digit;
};

inline const std::vector<Form_>& forms() {
    static const std::vector<Form_> list = [] {
        std::vector<Form_> f;
        const auto add = [&f](u32 opcode, u32 shape, u32 undefined = 0, u8 digit = 0) {
            f.push_back({opcode, shape, undefined, digit});
        };
        for (u32 op = 0; op < 8; ++op) {
            const u32 undefined = op == 1 || op == 4 || op == 6 ? kAf : 0u;
            const u32 whole = undefined == 0 ? kDefined : 0u;
            for (u32 k = 0; k < 4; ++k) add(op * 8 + k, kModrm | whole, undefined);
            add(op * 8 + 4, kImm8 | whole, undefined);
            add(op * 8 + 5, kImmV | whole, undefined);
            add(0x80, kModrm | kGroup | kImm8 | whole, undefined, static_cast<u8>(op));
            add(0x81, kModrm | kGroup | kImmV | whole, undefined, static_cast<u8>(op));
            add(0x83, kModrm | kGroup | kImm8 | whole, undefined, static_cast<u8>(op));
        }
        for (u32 op = 0x40; op < 0x60; ++op) add(op, kDefined);
        add(0x27, 0, kOf);
        add(0x2f, 0, kOf);
        add(0x37, 0, kOf | kSf | kZf | kPf);
        add(0x3f, 0, kOf | kSf | kZf | kPf);
        add(0xd4, kImm8, kOf | kAf | kCf);
        add(0xd5, kImm8, kOf | kAf | kCf);
        add(0x60, kDefined);
        add(0x61, kDefined);
        add(0x62, kModrm | kMemOnly);
        add(0x63, kModrm);
        add(0x68, kImmV | kDefined);
        add(0x6a, kImm8 | kDefined);
        add(0x69, kModrm | kImmV, kSf | kZf | kAf | kPf);
        add(0x6b, kModrm | kImm8, kSf | kZf | kAf | kPf);
        for (u32 c = 0; c < 16; ++c) {
            add(0x70 + c, kForward | kDefined);
            add(0x90 + c, kTwoByte | kModrm | kDefined);
            add(0x40 + c, kTwoByte | kModrm | kDefined);
        }
        for (u32 op : {0x84u, 0x85u}) add(op, kModrm, kAf);
        for (u32 op : {0x86u, 0x87u, 0x88u, 0x89u, 0x8au, 0x8bu}) add(op, kModrm | kDefined);
        add(0x8d, kModrm | kMemOnly | kDefined);
        add(0x8f, kModrm | kGroup | kDefined);
        for (u32 op = 0x90; op < 0x9a; ++op) add(op, kDefined | kNoRep);
        add(0x9c, kDefined);
        add(0x9d, 0);
        add(0x9e, kDefined);
        add(0x9f, kDefined);
        for (u32 op = 0xa0; op < 0xa4; ++op) add(op, kMoffs | kDefined);
        for (u32 op : {0xa4u, 0xa5u, 0xa6u, 0xa7u, 0xaau, 0xabu, 0xacu, 0xadu, 0xaeu, 0xafu}) add(op, kString);
        add(0xa8, kImm8, kAf);
        add(0xa9, kImmV, kAf);
        for (u32 op = 0xb0; op < 0xb8; ++op) add(op, kImm8 | kDefined);
        for (u32 op = 0xb8; op < 0xc0; ++op) add(op, kImmV | kDefined);
        for (u8 d = 0; d < 8; ++d) {
            for (u32 op : {0xc0u, 0xc1u}) add(op, kModrm | kGroup | kImm8 | kShift, 0, d);
            for (u32 op : {0xd0u, 0xd1u}) add(op, kModrm | kGroup | kShift, 0, d);
            for (u32 op : {0xd2u, 0xd3u}) add(op, kModrm | kGroup | kShift | kByCl, 0, d);
        }
        add(0xc2, kImm16);
        add(0xc3, 0);
        add(0xc6, kModrm | kGroup | kImm8 | kDefined);
        add(0xc7, kModrm | kGroup | kImmV | kDefined);
        add(0xc9, kDefined);
        add(0xcc, 0);
        add(0xce, 0);
        add(0xd6, kDefined);
        add(0xd7, kDefined);
        for (u32 op = 0xe0; op < 0xe4; ++op) add(op, kForward | kNoRep);
        add(0xeb, kForward);
        for (u32 op : {0xf4u, 0xfau, 0xfbu}) add(op, 0);
        for (u32 op : {0xf5u, 0xf8u, 0xf9u, 0xfcu, 0xfdu}) add(op, kDefined);
        for (u32 op : {0xf6u, 0xf7u}) {
            add(op, kModrm | kGroup | (op == 0xf6 ? kImm8 : kImmV), kAf, 0);
            add(op, kModrm | kGroup | kDefined, 0, 2);
            add(op, kModrm | kGroup | kDefined, 0, 3);
            add(op, kModrm | kGroup, kSf | kZf | kAf | kPf, 4);
            add(op, kModrm | kGroup, kSf | kZf | kAf | kPf, 5);
            add(op, kModrm | kGroup, kArith, 6);
            add(op, kModrm | kGroup, kArith, 7);
        }
        for (u32 op : {0xfeu, 0xffu}) {
            add(op, kModrm | kGroup | kDefined, 0, 0);
            add(op, kModrm | kGroup | kDefined, 0, 1);
        }
        for (u8 d : {2, 4, 6}) add(0xff, kModrm | kGroup, 0, d);
        for (u32 op : {0xa3u, 0xabu, 0xb3u, 0xbbu}) add(op, kTwoByte | kModrm, kOf | kSf | kAf | kPf);
        for (u8 d = 4; d < 8; ++d) add(0xba, kTwoByte | kModrm | kGroup | kImm8, kOf | kSf | kAf | kPf, d);
        for (u32 op : {0xa4u, 0xacu}) add(op, kTwoByte | kModrm | kImm8 | kShift, 0, 8);
        for (u32 op : {0xa5u, 0xadu}) add(op, kTwoByte | kModrm | kShift | kByCl, 0, 8);
        add(0xaf, kTwoByte | kModrm, kSf | kZf | kAf | kPf);
        for (u32 op : {0xb0u, 0xb1u, 0xc0u, 0xc1u, 0xb6u, 0xb7u, 0xbeu, 0xbfu})
            add(op, kTwoByte | kModrm | kDefined | kNoRep);
        for (u32 op : {0xbcu, 0xbdu}) add(op, kTwoByte | kModrm | kNoRep, kOf | kSf | kAf | kPf | kCf);
        add(0xc7, kTwoByte | kModrm | kGroup | kMemOnly | kDefined | kNoRep, 0, 1);
        for (u32 op = 0xc8; op < 0xd0; ++op) add(op, kTwoByte | kDefined | kWide);
        add(0x0b, kTwoByte);
        return f;
    }();
    return list;
}

}  // namespace backplane::interp::test
