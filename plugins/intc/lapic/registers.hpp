// Registers of the local APIC (Intel SDM volume 3, "Local APIC Register Address Map").
#pragma once

#include "backplane/types.hpp"

namespace backplane::intc::lapic {

// Offset / 10h.
enum Register : u32 {
    kMsiAlias = 0x00,  // no register: a write here is a message-signalled interrupt to APIC id 0
    kId = 0x02,
    kVersion = 0x03,
    kTaskPriority = 0x08,
    kArbitrationPriority = 0x09,
    kProcessorPriority = 0x0a,
    kEndOfInterrupt = 0x0b,
    kLogicalDestination = 0x0d,
    kDestinationFormat = 0x0e,
    kSpurious = 0x0f,
    kInService = 0x10,  // eight each
    kTriggerMode = 0x18,
    kRequest = 0x20,
    kErrorStatus = 0x28,
    kCommandLow = 0x30,
    kCommandHigh = 0x31,
    kLvtFirst = 0x32,
    kLvtLast = 0x37,
    kTimerInitial = 0x38,
    kTimerCurrent = 0x39,
    kTimerDivide = 0x3e
};

// Local vector table, in register order.
enum Lvt : u32 { kLvtTimer, kLvtThermal, kLvtPerformance, kLvtLint0, kLvtLint1, kLvtError, kLvtCount };

constexpr u32 kVectorBits = 0xff;
constexpr u32 kModeShift = 8;
constexpr u32 kLvtRemoteIrr = 1u << 14;
constexpr u32 kLvtLevel = 1u << 15;
constexpr u32 kLvtMasked = 1u << 16;
constexpr u32 kLvtPeriodic = 1u << 17;

constexpr u32 kSpuriousEnable = 1u << 8;

// Interrupt command.
constexpr u32 kCommandLogical = 1u << 11;
constexpr u32 kCommandAssert = 1u << 14;
constexpr u32 kCommandLevel = 1u << 15;
constexpr u32 kCommandShorthandShift = 18;
constexpr u32 kCommandWritable = 0x000c'cfff;

// Error status.
constexpr u32 kErrorSendVector = 1u << 5;
constexpr u32 kErrorReceiveVector = 1u << 6;
constexpr u32 kErrorRegister = 1u << 7;

constexpr u32 kFirstVector = 16;  // lower ones are illegal

// IA32_APIC_BASE.
constexpr u64 kBaseBootProcessor = 1u << 8;
constexpr u64 kBaseEnable = 1u << 11;
constexpr u64 kBaseAddress = 0xff'ffff'f000;

}  // namespace backplane::intc::lapic
