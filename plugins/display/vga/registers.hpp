// Register bits of the IBM VGA (IBM PS/2 Hardware Interface Technical Reference, "Video Subsystem") and of the Bochs
// VBE extension ("VBE Display Interface").
#pragma once

#include "backplane/types.hpp"

namespace backplane::vga {

// Miscellaneous output (3C2h write, 3CCh read).
inline constexpr u8 kMiscColor = 1u << 0;  // CRTC at 3Dxh rather than 3Bxh
inline constexpr u8 kMiscMemory = 1u << 1;
inline constexpr u8 kMiscClock = 3u << 2;

// Input status 1.
inline constexpr u8 kStatusBlank = 1u << 0;
inline constexpr u8 kStatusRetrace = 1u << 3;

// Sequencer (3C4h).
inline constexpr u32 kSeqClocking = 1, kSeqMapMask = 2, kSeqFont = 3, kSeqMemory = 4;
inline constexpr u8 kClocking8Dots = 1u << 0, kClockingHalf = 1u << 3, kClockingOff = 1u << 5;
inline constexpr u8 kMemorySequential = 1u << 2, kMemoryChain4 = 1u << 3;

// CRT controller (3D4h).
inline constexpr u32 kCrtcTotal = 0x00, kCrtcDisplayEnd = 0x01, kCrtcVerticalTotal = 0x06, kCrtcOverflow = 0x07,
                     kCrtcPresetRow = 0x08, kCrtcMaxScan = 0x09, kCrtcCursorStart = 0x0a, kCrtcCursorEnd = 0x0b,
                     kCrtcStartHigh = 0x0c, kCrtcStartLow = 0x0d, kCrtcCursorHigh = 0x0e, kCrtcCursorLow = 0x0f,
                     kCrtcRetraceStart = 0x10, kCrtcRetraceEnd = 0x11, kCrtcVerticalEnd = 0x12, kCrtcOffset = 0x13,
                     kCrtcUnderline = 0x14, kCrtcMode = 0x17, kCrtcLineCompare = 0x18, kCrtcCount = 0x19;
inline constexpr u8 kRetraceEndProtect = 1u << 7;
inline constexpr u8 kMaxScanDouble = 1u << 7;
inline constexpr u8 kCursorOff = 1u << 5;
inline constexpr u8 kModeRow0 = 1u << 0, kModeRow1 = 1u << 1, kModeDoubleLines = 1u << 2, kModeByte = 1u << 6;

// Graphics controller (3CEh).
inline constexpr u32 kGfxSetReset = 0, kGfxEnableSetReset = 1, kGfxCompare = 2, kGfxRotate = 3, kGfxReadMap = 4,
                     kGfxMode = 5, kGfxMisc = 6, kGfxDontCare = 7, kGfxBitMask = 8;
inline constexpr u8 kGfxReadCompare = 1u << 3, kGfxOddEven = 1u << 4, kGfxShiftInterleaved = 1u << 5,
                    kGfxShift256 = 1u << 6;
inline constexpr u8 kGfxGraphics = 1u << 0;

// Attribute controller (3C0h).
inline constexpr u8 kAttrScreenOn = 1u << 5;  // in the index register
inline constexpr u32 kAttrMode = 0x10, kAttrOverscan = 0x11, kAttrPlanes = 0x12, kAttrPanning = 0x13,
                     kAttrSelect = 0x14, kAttrCount = 0x15;
inline constexpr u8 kAttrLineGraphics = 1u << 2, kAttrBlink = 1u << 3, kAttrPanSplit = 1u << 5, kAttrSelect54 = 1u << 7;

// VBE interface: index registers.
inline constexpr u32 kVbeId = 0, kVbeWidth = 1, kVbeHeight = 2, kVbeDepth = 3, kVbeEnable = 4, kVbeBank = 5,
                     kVbeVirtualWidth = 6, kVbeVirtualHeight = 7, kVbeX = 8, kVbeY = 9, kVbeMemory = 10, kVbeCount = 11;
inline constexpr u16 kVbeEnabled = 1u << 0, kVbeCapabilities = 1u << 1, kVbeDac8 = 1u << 5, kVbeLinear = 1u << 6,
                     kVbeNoClear = 1u << 7;
inline constexpr u16 kVbeIdFirst = 0xb0c0, kVbeIdLast = 0xb0c5;
inline constexpr u16 kVbeMaxWidth = 2560, kVbeMaxHeight = 1600, kVbeMaxDepth = 32;

}  // namespace backplane::vga
