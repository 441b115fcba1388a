// Register bits of the 16550 (PC16550D data sheet, table II).
#pragma once

#include "backplane/types.hpp"

namespace backplane::serial {

// Interrupt enable.
constexpr u8 kIerReceive = 0x01;
constexpr u8 kIerTransmit = 0x02;
constexpr u8 kIerLine = 0x04;
constexpr u8 kIerModem = 0x08;
constexpr u8 kIerBits = 0x0f;
// Interrupt identification.
constexpr u8 kIirNone = 0x01;
constexpr u8 kIirModem = 0x00;
constexpr u8 kIirTransmit = 0x02;
constexpr u8 kIirReceive = 0x04;
constexpr u8 kIirLine = 0x06;
constexpr u8 kIirTimeout = 0x0c;
constexpr u8 kIirFifos = 0xc0;
// FIFO control.
constexpr u8 kFcrEnable = 0x01;
constexpr u8 kFcrClearReceive = 0x02;
constexpr u8 kFcrClearTransmit = 0x04;
// Line control.
constexpr u8 kLcrTwoStop = 0x04;
constexpr u8 kLcrParity = 0x08;
constexpr u8 kLcrBreak = 0x40;
constexpr u8 kLcrDivisor = 0x80;
// Modem control.
constexpr u8 kMcrDtr = 0x01;
constexpr u8 kMcrRts = 0x02;
constexpr u8 kMcrOut1 = 0x04;
constexpr u8 kMcrOut2 = 0x08;
constexpr u8 kMcrLoop = 0x10;
constexpr u8 kMcrBits = 0x1f;
// Line status.
constexpr u8 kLsrDataReady = 0x01;
constexpr u8 kLsrOverrun = 0x02;
constexpr u8 kLsrFraming = 0x08;
constexpr u8 kLsrBreak = 0x10;
constexpr u8 kLsrErrors = 0x1e;
constexpr u8 kLsrHoldingEmpty = 0x20;
constexpr u8 kLsrTransmitterEmpty = 0x40;
constexpr u8 kLsrFifoError = 0x80;
// Modem status; the lower four say which of the upper four changed.
constexpr u8 kMsrRingEnded = 0x04;
constexpr u8 kMsrCts = 0x10;
constexpr u8 kMsrDsr = 0x20;
constexpr u8 kMsrRing = 0x40;
constexpr u8 kMsrCarrier = 0x80;

}  // namespace backplane::serial
