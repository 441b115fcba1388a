// Firmware configuration device: how a virtual PC tells its BIOS what no register says (memory, processors, boot menu,
// option ROM files). Selector port (16 bit) and data port (8 bit): interface revision 1. With `dma`, for large items,
// also a register that takes the address of a request in guest memory.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "backplane/abi/fw_cfg.h"
#include "backplane/device.hpp"

namespace backplane {

struct FwCfg : Device<FwCfg> {
    static constexpr std::string_view kType = "firmware.fw_cfg";
    static constexpr u32 kStateVersion = 2;
    using Device::Device;

    static void describe(Schema<FwCfg>& s);
    bp_status start();
    bp_status consume(const Fact& fact);
    void reset(Reset kind);
    void state(StateVisitor& v);

    void select(u64 offset, u32 bytes, u64 value);
    u64 read(u64 offset, u32 bytes);
    void write(u64 offset, u32 bytes, u64 value);
    u64 read_dma(u64 offset, u32 bytes);
    void write_dma(u64 offset, u32 bytes, u64 value);
    bp_status attach(std::string_view address, std::string_view child_name, bp_interface child, bp_interface* host);

  private:
    using Blob = std::vector<u8>;
    struct Source {
        FwCfg* device;
        std::string address;
        std::string child;
    };
    struct File {
        std::string name;
        u32 size;
        u16 selector;
        std::string child;  // who brought it
    };

    static const bp_fw_cfg kSourceTable;
    bp_status add_file(const Source& source, std::string_view name, const void* data, std::size_t size);
    bp_status add_item(const Source& source, u32 selector, const void* data, std::size_t size);
    bp_status add_drive(const Fact& fact);
    bp_status check_geometry();
    void add_drive_files();
    void build();
    void set_number(u16 selector, u64 value, u32 bytes);
    const Blob* selected() const;
    void serve(u64 request);
    bool copy_to(u64 address, u64 size);
    bool parse_uuid(std::array<u8, 16>* out) const;

    // Properties.
    std::string uuid_;
    bool boot_menu_ = false;
    bool no_graphics_ = false;
    bool irq0_override_ = true;
    bool sleep_states_ = false;
    bool dma_ = false;
    u32 cpus_ = 1;
    u32 max_cpus_ = 0;

    // What facts said about drives: lines of the files bootorder and bios-geometry.
    struct Boot {
        u64 index;
        std::string path;
    };
    std::vector<Boot> boot_order_;
    std::string boot_rom_;
    std::string geometries_, geometry_key_;
    u64 firmware_bytes_ = 0;  // 0: not known
    std::string firmware_name_;

    // Guest-visible state.
    u16 selector_ = 0;
    u32 offset_ = 0;
    u32 dma_high_ = 0;  // of a request's address

    std::array<u8, 16> uuid_bytes_{};
    u64 memory_ = 0;
    std::map<u16, Blob> items_;  // as the guest sees them
    std::map<u16, Blob> given_;  // from sources: these win
    std::vector<File> files_;
    std::vector<std::unique_ptr<Source>> sources_;
    TracePoint trace_;
    Region dma_region_;
};

}  // namespace backplane
