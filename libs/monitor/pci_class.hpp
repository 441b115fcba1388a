// Names of PCI classes (PCI Local Bus Specification 2.1, appendix D), as far as boards have such functions.
#pragma once

#include <cstdint>
#include <string>

namespace backplane::monitor {

// `value`: base class and sub-class, 0101h for IDE.
inline std::string pci_class(std::uint32_t value) {
    switch (value) {
        case 0x0100: return "SCSI controller";
        case 0x0101: return "IDE controller";
        case 0x0102: return "Floppy controller";
        case 0x0200: return "Ethernet controller";
        case 0x0300: return "VGA controller";
        case 0x0400: return "Video controller";
        case 0x0401: return "Audio controller";
        case 0x0500: return "RAM controller";
        case 0x0600: return "Host bridge";
        case 0x0601: return "ISA bridge";
        case 0x0604: return "PCI bridge";
        case 0x0680: return "Bridge";
        case 0x0c03: return "USB controller";
        case 0x0c05: return "SMBus";
        default: break;
    }
    constexpr char kDigits[] = "0123456789abcdef";
    std::string out = "Class ";
    for (int shift = 12; shift >= 0; shift -= 4) out += kDigits[(value >> shift) & 15];
    return out;
}

}  // namespace backplane::monitor
