// A channel with one or two disks over images in memory, for the drive's tests.
#pragma once

#include <memory>
#include <string>

#include "ata/testkit.hpp"
#include "backplane/testkit/bench.hpp"
#include "model.hpp"

namespace backplane::ata::testkit {

using backplane::testkit::Board;
using backplane::testkit::Properties;

struct Rig : Recorder {
    explicit Rig(u64 sectors = 4194304, Properties properties = {}, bool with_slave = false, bool with_dma = true,
                 bool image_read_only = false)
        : Recorder(with_dma), image(sectors), slave_image(sectors) {
        image.read_only = image_read_only;
        disk = make(image, "0", properties);
        if (with_slave) slave = make(slave_image, "1", {});
        power_on();
    }
    std::unique_ptr<Board> make(FakeImage& medium, std::string_view address, const Properties& properties) {
        auto board = std::make_unique<Board>(&DeviceType<Disk>::value, properties,
                                             backplane::testkit::Links{{"image", medium.interface()}});
        bp_interface host{};
        if (!channel.attach(address, board->offer(BP_ATA_DEVICE_ID), &host).empty()) throw std::logic_error("attach");
        board->plug_into(host);
        return board;
    }
    void power_on() {
        for (Board* b : {disk.get(), slave.get()}) {
            if (!b) continue;
            if (b->start() != BP_OK) throw std::runtime_error("start failed: " + b->failure);
            b->reset(Reset::kPowerOn);
        }
        channel.reset();
    }
    void system_reset() {
        channel.reset();
        for (Board* b : {disk.get(), slave.get()})
            if (b) b->reset(Reset::kSystem);
    }

    u8 in(u32 reg) { return static_cast<u8>(channel.read(reg, 1)); }
    void out(u32 reg, u32 value) { channel.write(reg, 1, value); }
    u8 alternate() { return channel.read_alternate(); }
    void command(u32 code) { out(BP_ATA_STATUS, code); }
    // Lets the medium and the clock do what they have to do.
    void settle() {
        for (int i = 0; i < 100000; ++i) {
            image.run(), slave_image.run();
            if (!(alternate() & 0x80) && !image.pending() && !slave_image.pending()) return;
            disk->advance(1000000);
            if (slave) slave->advance(1000000);
            if (phase_stuck()) return;
        }
        throw std::runtime_error("the drive stays busy");
    }
    // Busy with a DMA window that nobody empties is not something time will change.
    bool phase_stuck() {
        u32 bytes = 0;
        bool to_memory = false;
        return channel.dma_window(&bytes, &to_memory) != nullptr;
    }
    void lba28(u64 lba, u32 count, u32 device = 0xe0) {
        out(BP_ATA_COUNT, count & 0xff);
        out(BP_ATA_LBA_LOW, lba & 0xff), out(BP_ATA_LBA_MID, lba >> 8 & 0xff), out(BP_ATA_LBA_HIGH, lba >> 16 & 0xff);
        out(BP_ATA_DEVICE, device | (lba >> 24 & 15));
    }
    void lba48(u64 lba, u32 count) {
        out(BP_ATA_DEVICE, 0xe0);
        out(BP_ATA_COUNT, count >> 8 & 0xff), out(BP_ATA_COUNT, count & 0xff);
        out(BP_ATA_LBA_LOW, lba >> 24 & 0xff), out(BP_ATA_LBA_LOW, lba & 0xff);
        out(BP_ATA_LBA_MID, lba >> 32 & 0xff), out(BP_ATA_LBA_MID, lba >> 8 & 0xff);
        out(BP_ATA_LBA_HIGH, lba >> 40 & 0xff), out(BP_ATA_LBA_HIGH, lba >> 16 & 0xff);
    }
    void chs(u32 cylinder, u32 head, u32 sector, u32 count) {
        out(BP_ATA_COUNT, count & 0xff);
        out(BP_ATA_LBA_LOW, sector), out(BP_ATA_LBA_MID, cylinder & 0xff), out(BP_ATA_LBA_HIGH, cylinder >> 8);
        out(BP_ATA_DEVICE, 0xa0 | head);
    }
    std::vector<u16> words(unsigned count) {
        std::vector<u16> w;
        for (unsigned i = 0; i < count; ++i) w.push_back(static_cast<u16>(channel.read(0, 2)));
        return w;
    }
    std::vector<u8> bytes(unsigned count) {
        std::vector<u8> b;
        for (const u16 w : words(count / 2)) b.push_back(static_cast<u8>(w)), b.push_back(static_cast<u8>(w >> 8));
        return b;
    }
    void send(const std::vector<u8>& data) {
        for (std::size_t i = 0; i + 1 < data.size(); i += 2) channel.write(0, 2, data[i] | data[i + 1] << 8);
    }
    std::vector<u16> identify() {
        command(0xec);
        return words(256);
    }
    // Fills sectors so that every one of them can be told from every other.
    void mark(u64 lba, u64 count) {
        for (u64 i = lba; i < lba + count; ++i) image.sector(i) = pattern(i);
    }
    static std::vector<u8> pattern(u64 lba) {
        std::vector<u8> s(512);
        for (unsigned i = 0; i < 512; ++i) s[i] = static_cast<u8>(lba * 7 + i * 3 + (lba >> 8));
        return s;
    }

    FakeImage image, slave_image;
    std::unique_ptr<Board> disk, slave;
};

}  // namespace backplane::ata::testkit
