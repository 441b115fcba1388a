// What a disk takes over from its drive, and what goes before it.
#include <catch2/catch.hpp>

#include "rig.hpp"

using namespace backplane;
using ata::testkit::FakeDrive;
using ata::testkit::FakeImage;
using ata::testkit::Properties;
using ata::testkit::Recorder;
using backplane::testkit::Board;
using backplane::testkit::Links;

namespace {

constexpr u64 kSectors = 4194304;

// A disk on a channel, not yet started.
struct Attached : Recorder {
    explicit Attached(const Links& links, Properties properties = {})
        : board(&DeviceType<ata::Disk>::value, std::move(properties), links) {
        bp_interface host{};
        channel.attach("0", board.offer(BP_ATA_DEVICE_ID), &host);
        board.plug_into(host);
    }
    bp_ata_info info() {
        if (board.start() != BP_OK) throw std::runtime_error(board.failure);
        board.reset(Reset::kPowerOn);
        bp_ata_info out{};
        channel.info(0, &out);
        return out;
    }
    std::string failure() { return board.start() == BP_OK ? "" : board.failure; }
    std::string serial() {
        channel.write(BP_ATA_STATUS, 1, 0xec);
        std::string text;
        for (unsigned i = 0; i < 20; ++i) {
            const u64 word = channel.read(0, 2);
            if (i >= 10) text += {static_cast<char>(word >> 8), static_cast<char>(word)};
        }
        return text.substr(0, text.find_last_not_of(' ') + 1);
    }
    Board board;
};

}  // namespace

TEST_CASE("a disk takes medium, geometry, serial, write cache and boot index from its drive") {
    FakeDrive drive(kSectors);
    drive.prescribed.cylinders = 1000, drive.prescribed.heads = 15, drive.prescribed.sectors = 33;
    drive.prescribed.translation = BP_TRANSLATION_LARGE;
    drive.prescribed.serial = to_bp("OLD-DISK");
    drive.prescribed.boot_index = 3;
    Attached disk({{"drive", drive.drive()}});
    const bp_ata_info info = disk.info();
    CHECK(info.sectors_total == kSectors);
    CHECK((info.cylinders == 1000 && info.heads == 15 && info.sectors == 33));
    CHECK(info.translation == 2);
    CHECK(info.boot_index == 3);
    CHECK(info.logical_given == 0);
    CHECK(disk.serial() == "OLD-DISK");
}

TEST_CASE("what is given for the disk goes before what the drive says") {
    FakeDrive drive(kSectors);
    drive.prescribed.cylinders = 1000, drive.prescribed.heads = 15, drive.prescribed.sectors = 33;
    drive.prescribed.translation = BP_TRANSLATION_LARGE;
    drive.prescribed.serial = to_bp("OLD-DISK");
    Attached disk({{"drive", drive.drive()}}, {{"cylinders", "500"},
                                               {"heads", "8"},
                                               {"sectors", "17"},
                                               {"translation", "lba"},
                                               {"serial", "NEW"},
                                               {"lcylinders", "100"},
                                               {"lheads", "240"},
                                               {"lsectors", "60"}});
    const bp_ata_info info = disk.info();
    CHECK((info.cylinders == 500 && info.heads == 8 && info.sectors == 17));
    CHECK(info.translation == 1);
    CHECK((info.lcylinders == 100 && info.lheads == 240 && info.lsectors == 60));
    CHECK(info.logical_given == 1);
    CHECK(info.boot_index == -1);
    CHECK(disk.serial() == "NEW");
}

TEST_CASE("a drive without write cache: the disk reports none and flushes every write") {
    FakeDrive drive(kSectors);
    drive.prescribed.write_cache = 0;
    Attached disk({{"drive", drive.drive()}});
    disk.info();
    disk.channel.write(BP_ATA_STATUS, 1, 0xec);
    std::vector<u64> words;
    for (unsigned i = 0; i < 256; ++i) words.push_back(disk.channel.read(0, 2));
    CHECK((words[85] & 1u << 5) == 0);
    disk.channel.write(BP_ATA_COUNT, 1, 1);
    disk.channel.write(BP_ATA_LBA_LOW, 1, 5);
    disk.channel.write(BP_ATA_DEVICE, 1, 0xe0);
    disk.channel.write(BP_ATA_STATUS, 1, 0x30);
    for (unsigned i = 0; i < 256; ++i) disk.channel.write(0, 2, i);
    for (int i = 0; i < 3; ++i) drive.run(), disk.board.advance(1000000);
    CHECK(drive.writes == 1);
    CHECK(drive.flushes == 1);
    CHECK(disk.channel.read_alternate() == 0x50);
}

TEST_CASE("the policy auto looks at the image's header, on the drive's word or the disk's own") {
    FakeDrive drive(kSectors);
    drive.header = {2000, 16, 63};
    CHECK(Attached({{"drive", drive.drive()}}).info().cylinders == 4161);
    CHECK(Attached({{"drive", drive.drive()}}, {{"geometry", "auto"}}).info().cylinders == 2000);
    drive.prescribed.policy = BP_GEOMETRY_AUTO;
    CHECK(Attached({{"drive", drive.drive()}}).info().cylinders == 2000);
    CHECK(Attached({{"drive", drive.drive()}}, {{"geometry", "qemu-0.12"}}).info().cylinders == 4161);
}

TEST_CASE("a disk has exactly one medium: a drive or an image") {
    FakeDrive drive(kSectors);
    FakeImage image(kSectors);
    CHECK(Attached({{"drive", drive.drive()}, {"image", image.interface()}}).failure() ==
          "both drive and image are given: a disk has one medium");
    CHECK(Attached(Links{}).failure() == "no medium: give drive (a disk.drive) or image (a bare image)");
    CHECK(Attached({{"image", image.interface()}}).failure() == "");
    FakeDrive empty(0);
    CHECK(Attached({{"drive", empty.drive()}}).failure() == "the drive has no medium: a hard disk needs one");
    drive.prescribed.serial = to_bp("123456789012345678901");
    CHECK(Attached({{"drive", drive.drive()}}).failure() ==
          "the drive's serial \"123456789012345678901\" has more than 20 characters");
}
