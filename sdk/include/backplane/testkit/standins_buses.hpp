// Stand-ins for PCI, PS/2, ISA DMA and the firmware configuration device: hosts, children, users.
#pragma once

#include <algorithm>
#include <deque>

#include "backplane/abi/fw_cfg.h"
#include "backplane/abi/isa_dma.h"
#include "backplane/abi/pci.h"
#include "backplane/abi/ps2.h"
#include "backplane/testkit/standin.hpp"

namespace backplane::testkit {

// --- PCI ------------------------------------------------------------------------------------------------------------

// The bus over the function under test, and a guest that configures it.
class PciHost : public Standin {
  public:
    using Standin::Standin;
    bp_interface interface() override { return {&kTable, this}; }
    void act(Random& random) override {
        if (!met()) return;
        const u32 bytes = 1u << random.below(3);
        u32 reg = random.small(256) & ~(bytes - 1);
        if (random.one_in(4)) return configure(random);
        if (random.one_in(2)) return write(reg, bytes, static_cast<u32>(random.value(bytes)));
        read(reg, bytes);
    }
    void sweep() override {
        for (u32 reg = 0; met() && reg < 256; reg += 4) read(reg, 4);
    }

  private:
    void read(u32 reg, u32 bytes) {
        note("pci %02x -> %x", reg, table<bp_pci_function>().config_read(device_.instance, reg, bytes));
    }
    // Decoding on, base addresses where a firmware would put them, or where they are in the way.
    void configure(Random& random) {
        switch (random.below(4)) {
            case 0: return write(0x04, 2, random.small(8));
            case 1: return write(0x04, 2, 7);
            case 2: return write(0x10 + 4 * random.small(6), 4, random.small(0x100) << 8 | random.small(16));
            default: return write(0x10 + 4 * random.small(6), 4, static_cast<u32>(random.next()) & 0xfffff000);
        }
    }
    void write(u32 reg, u32 bytes, u32 value) {
        note("pci %02x <- %x", reg, value);
        table<bp_pci_function>().config_write(device_.instance, reg, bytes, value);
    }
    static PciHost& at(void* i) { return *static_cast<PciHost*>(i); }
    static const bp_pci_bus kTable;
};

inline const bp_pci_bus PciHost::kTable{sizeof(bp_pci_bus),
                                        [](void* i, u32 pin, int level) {
                                            if (pin < 1 || pin > 4)
                                                at(i).blame("it drives a PCI pin that there is not");
                                            at(i).note("pci pin %u %d", pin, level != 0);
                                        },
                                        [](void*) { return u32{3 << 3}; }};

// A function on the bus under test: 256 bytes of storage, and pins that move.
class PciChild : public Standin {
  public:
    using Standin::Standin;
    bp_interface interface() override { return {&kTable, this}; }
    void act(Random& random) override {
        if (!met()) return;
        table<bp_pci_bus>().intx(device_.instance, 1 + random.small(4), random.small(2) != 0);
        if (random.one_in(8)) note("devfn %x", table<bp_pci_bus>().devfn(device_.instance));
    }
    void copy(const Standin& other) override {
        Standin::copy(other);
        std::copy_n(static_cast<const PciChild&>(other).config_, sizeof config_, config_);
    }

  private:
    static PciChild& at(void* i) { return *static_cast<PciChild*>(i); }
    static void check(void* i, u32 reg, u32 bytes) {
        if (reg > 255 || (bytes != 1 && bytes != 2 && bytes != 4) || reg % bytes)
            at(i).blame("it makes a configuration cycle that PCI does not know");
    }
    static u32 read(void* i, u32 reg, u32 bytes) {
        check(i, reg, bytes);
        u32 value = 0;
        std::memcpy(&value, at(i).config_ + reg, bytes);
        return value;
    }
    static void write(void* i, u32 reg, u32 bytes, u32 value) {
        check(i, reg, bytes);
        at(i).note("function: %02x <- %x", reg, value);
        std::memcpy(at(i).config_ + reg, &value, bytes);
    }
    static const bp_pci_function kTable;
    u8 config_[256] = {0x34, 0x12};
};

inline const bp_pci_function PciChild::kTable{sizeof(bp_pci_function), read, write};

// --- PS/2 -----------------------------------------------------------------------------------------------------------

// A controller that takes bytes from the device under test and sends it commands.
class Ps2Host : public Standin {
  public:
    using Standin::Standin;
    bp_interface interface() override { return {&kTable, this}; }
    void act(Random& random) override {
        if (!met()) return;
        if (random.one_in(2)) return take();
        if (random.one_in(8)) return send_rates(random);
        u8 byte = static_cast<u8>(random.one_in(2) ? 0xe0 + random.small(32) : random.next());
        if ((byte == 0xff || byte == 0xf6) && !random.one_in(8)) byte = 0xf4;  // a reset undoes all else
        send(byte);
    }
    void sweep() override {
        if (!met()) return;
        // Resend, status, scan code set, identify: what a device says about itself.
        for (const u8 byte : {0xfe, 0xe9, 0xf0, 0x00, 0xf2}) {
            for (u32 n = 0; n < 8; ++n) take();
            send(byte);
        }
        for (u32 n = 0; n < 32; ++n) take();
    }

  private:
    // Sample rates, of which some sequences mean something to a mouse.
    void send_rates(Random& random) {
        static constexpr u8 kSecond[] = {100, 200, 40};
        for (const u8 byte : {u8{0xf3}, u8{200}, u8{0xf3}, random.pick(kSecond), u8{0xf3}, u8{80}}) send(byte);
    }
    void send(u8 byte) {
        note("ps2 <- %02x", byte);
        table<bp_ps2_device>().receive(device_.instance, byte);
    }
    void take() {
        const i32 byte = table<bp_ps2_device>().take(device_.instance);
        if (byte < -1 || byte > 0xff) blame("it sends something that is no byte");
        note("ps2 -> %d", byte);
    }
    static Ps2Host& at(void* i) { return *static_cast<Ps2Host*>(i); }
    static void ready(void* i) {
        at(i).note("ps2 ready");
        if (at(i).random_.one_in(3)) at(i).take();
    }
    static const bp_ps2_port kTable;
};

inline const bp_ps2_port Ps2Host::kTable{sizeof(bp_ps2_port), ready};

// A device on the port under test: sends what it likes and answers what it gets.
class Ps2Child : public Standin {
  public:
    using Standin::Standin;
    bp_interface interface() override { return {&kTable, this}; }
    void act(Random& random) override {
        if (!met()) return;
        if (queue_.size() < 16) queue_.push_back(static_cast<u8>(random.next()));
        table<bp_ps2_port>().ready(device_.instance);
    }
    void copy(const Standin& other) override {
        Standin::copy(other);
        queue_ = static_cast<const Ps2Child&>(other).queue_;
    }

  private:
    static Ps2Child& at(void* i) { return *static_cast<Ps2Child*>(i); }
    static i32 take(void* i) {
        auto& queue = at(i).queue_;
        if (queue.empty()) return -1;
        const u8 byte = queue.front();
        queue.pop_front();
        return byte;
    }
    static void receive(void* i, u8 byte) {
        at(i).note("ps2 device <- %02x", byte);
        if (at(i).queue_.size() < 16) at(i).queue_.push_back(byte == 0xff ? 0xaa : 0xfa);
        if (at(i).met() && at(i).random_.one_in(2)) at(i).table<bp_ps2_port>().ready(at(i).device_.instance);
    }
    static const bp_ps2_device kTable;
    std::deque<u8> queue_;
};

inline const bp_ps2_device Ps2Child::kTable{sizeof(bp_ps2_device), take, receive};

// --- ISA DMA --------------------------------------------------------------------------------------------------------

// A channel for the device under test; open at times.
class IsaDmaStandin : public Standin {
  public:
    using Standin::Standin;
    bp_interface interface() override { return {&kTable, this}; }
    void act(Random& random) override {
        open_ = random.one_in(2);
        if (open_ && level_) serve();
    }
    void copy(const Standin& other) override {
        Standin::copy(other);
        const auto& o = static_cast<const IsaDmaStandin&>(other);
        level_ = o.level_, open_ = o.open_;
    }

  private:
    static IsaDmaStandin& at(void* i) { return *static_cast<IsaDmaStandin*>(i); }
    void serve() {
        if (!peer_ || serving_) return;
        serving_ = true;
        u8 data[64];
        random_.fill(data, sizeof data);
        const u32 count = 2 * (1 + random_.small(sizeof data / 2)), direction = random_.small(3);
        const u32 moved = peer_->transfer(peer_instance_, direction, data, count);
        if (moved > count) blame("it moves more bytes over its DMA channel than it was asked to");
        note("dma %u: %u of %u, checksum %llx", direction, moved, count,
             static_cast<unsigned long long>(checksum(data, direction == BP_ISA_DMA_FROM_DEVICE ? moved : 0)));
        if (moved < count) level_ = false;
        if (moved == count && random_.one_in(2)) peer_->terminal_count(peer_instance_);
        serving_ = false;
    }
    static bp_status connect(void* i, const bp_isa_dma_device* device, void* instance) {
        at(i).check_table(device, "a bp_isa_dma_device");
        if (at(i).peer_) return BP_ERR_CONFLICT;
        at(i).peer_ = device, at(i).peer_instance_ = instance;
        return BP_OK;
    }
    static void request(void* i, int level) {
        at(i).note("dma request %d", level != 0);
        at(i).level_ = level != 0;
        if (level && at(i).open_) at(i).serve();
    }
    static const bp_isa_dma kTable;
    const bp_isa_dma_device* peer_ = nullptr;
    void* peer_instance_ = nullptr;
    bool level_ = false, open_ = false, serving_ = false;
};

inline const bp_isa_dma IsaDmaStandin::kTable{sizeof(bp_isa_dma), connect, request};

// A device on the channel under test.
class IsaDmaUser : public Standin {
  public:
    using Standin::Standin;
    void start() override {}
    void started() override {
        if (met() && table<bp_isa_dma>().connect(device_.instance, &kDevice, this) != BP_OK)
            blame("its DMA channel refuses the first device");
    }
    void act(Random& random) override {
        if (met()) table<bp_isa_dma>().request(device_.instance, random.small(4) != 0);
    }

  private:
    static IsaDmaUser& at(void* i) { return *static_cast<IsaDmaUser*>(i); }
    static u32 transfer(void* i, u32 direction, u8* data, u32 count) {
        IsaDmaUser& self = at(i);
        if (direction > BP_ISA_DMA_TO_DEVICE || !count) self.blame("it asks a device for a DMA transfer that is none");
        if (direction == BP_ISA_DMA_FROM_DEVICE)
            self.random_.fill(data, count);
        else
            self.note("channel %u gives %u bytes, checksum %llx", self.number_, count,
                      static_cast<unsigned long long>(checksum(data, count)));
        if (self.random_.one_in(8)) self.table<bp_isa_dma>().request(self.device_.instance, self.random_.small(2) != 0);
        return self.random_.one_in(2) ? count : self.random_.small(count + 1);
    }
    static const bp_isa_dma_device kDevice;
};

inline const bp_isa_dma_device IsaDmaUser::kDevice{
    sizeof(bp_isa_dma_device), transfer, [](void* i) { at(i).note("channel %u: terminal count", at(i).number_); }};

// --- Firmware configuration -----------------------------------------------------------------------------------------

class FwCfgHost : public Standin {
  public:
    using Standin::Standin;
    bp_interface interface() override { return {&kTable, this}; }

  private:
    static FwCfgHost& at(void* i) { return *static_cast<FwCfgHost*>(i); }
    static const bp_fw_cfg kTable;
};

inline const bp_fw_cfg FwCfgHost::kTable{sizeof(bp_fw_cfg), [](void*) { return to_bp("etc/check"); },
                                         [](void* i, bp_str name, const void* data, size_t size) -> bp_status {
                                             at(i).note("file %s, checksum %llx", std::string(to_view(name)).c_str(),
                                                        static_cast<unsigned long long>(checksum(data, size)));
                                             return BP_OK;
                                         },
                                         [](void* i, u32 selector, const void* data, size_t size) -> bp_status {
                                             at(i).note("item %x, checksum %llx", selector,
                                                        static_cast<unsigned long long>(checksum(data, size)));
                                             return BP_OK;
                                         }};

class FwCfgChild : public Standin {
  public:
    using Standin::Standin;
    bp_interface interface() override { return {&kTable, this}; }
    void start() override {
        if (!met()) return;
        static constexpr u8 kData[] = {1, 2, 3, 4, 5};
        table<bp_fw_cfg>().address(device_.instance);
        table<bp_fw_cfg>().put_file(device_.instance, to_bp("etc/check"), kData, sizeof kData);
        table<bp_fw_cfg>().put_item(device_.instance, 0x8001, kData, sizeof kData);
    }

  private:
    static const bp_fw_cfg_source kTable;
};

inline const bp_fw_cfg_source FwCfgChild::kTable{sizeof(bp_fw_cfg_source)};

}  // namespace backplane::testkit
