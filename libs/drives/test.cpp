#include <algorithm>
#include <catch2/catch.hpp>

#include "drives/boot.hpp"
#include "drives/drives.hpp"

using namespace backplane::drives;

namespace {

// What the board is told, without who said it; sorted, "path=value" a line.
std::string told(DriveList& list, bool with_way = false) {
    std::vector<std::string> lines;
    for (const Setting& s : list.settings())
        if (with_way || (!s.path.ends_with(".attached") && !s.path.ends_with(".id")))
            lines.push_back(s.path + "=" + s.value);
    std::sort(lines.begin(), lines.end());
    std::string text;
    for (const std::string& line : lines) text += line + "\n";
    return text;
}

std::string error(auto&& work) {
    try {
        work();
    } catch (const OptionError& e) {
        return e.what();
    }
    return "";
}

std::string drive_error(const char* text) {
    return error([&] {
        DriveList list;
        list.drive(text, std::string("--drive ") + text);
        list.settings();
    });
}

}  // namespace

TEST_CASE("every way of writing a disk tells the board the same, at all four places") {
    for (unsigned i = 0; i < kPositions; ++i) {
        const std::string index = std::to_string(i), bus = std::to_string(i / 2), unit = std::to_string(i % 2);
        DriveList plain, by_index, by_place, separate, two_lines;
        plain.disk(i, "x.img", "--hdX x.img");
        by_index.drive("file=x.img,index=" + index, "a");
        by_place.drive("if=ide,media=disk,file=x.img,bus=" + bus + ",unit=" + unit, "b");
        separate.drive("file=x.img,if=none,id=one", "c");
        separate.device("ide-drive,drive=one,bus=ide." + bus + ",unit=" + unit, "c");
        two_lines.drive("id=one,if=none,file=x.img", "d");
        two_lines.device("driver=ide-hd,unit=" + unit + ",bus=ide." + bus + ",drive=one,id=ide0-0-0", "d");
        const std::string expected = "drives." + std::string(kPositionNames[i]) + ".file=x.img\n";
        CHECK(told(plain) == expected);
        CHECK(told(by_index) == expected);
        CHECK(told(by_place) == expected);
        CHECK(told(separate) == expected);
        CHECK(told(two_lines) == expected);
    }
}

TEST_CASE("geometry may be given with the drive or with the device") {
    DriveList whole, separate;
    whole.drive("file=x,index=0,cyls=1000,heads=15,secs=63,trans=large,serial=A1", "a");
    separate.drive("file=x,if=none,id=d", "b");
    separate.device("ide-hd,drive=d,cyls=1000,heads=15,secs=63,bios-chs-trans=large,serial=A1", "b");
    CHECK(told(whole) == told(separate));
    CHECK(told(whole) ==
          "drives.hda.file=x\ndrives.hda.geometry.cylinders=1000\ndrives.hda.geometry.heads=15\n"
          "drives.hda.geometry.sectors=63\ndrives.hda.geometry.translation=large\ndrives.hda.serial=A1\n");
}

TEST_CASE("the device's word counts more than the drive's") {
    DriveList list;
    list.drive("file=x,if=none,id=d,serial=old", "a");
    list.device("ide-hd,drive=d,serial=new", "b");
    CHECK(told(list) == "drives.hda.file=x\ndrives.hda.serial=new\n");
}

TEST_CASE("places are given out in order, fixed ones first") {
    DriveList list;
    list.drive("file=first", "a");
    list.drive("file=second,index=0", "b");
    list.drive("file=third,bus=1", "c");
    list.cdrom("", "d");
    CHECK(told(list) ==
          "drives.hda.file=second\ndrives.hdb.file=first\ndrives.hdc.media=cdrom\ndrives.hdd.file=third\n");
    DriveList good;
    good.drive("file=first", "a");
    good.drive("file=second,index=0", "b");
    good.drive("file=third,bus=1", "c");
    CHECK(told(good) == "drives.hda.file=second\ndrives.hdb.file=first\ndrives.hdc.file=third\n");
}

TEST_CASE("a CD-ROM drive may be empty and sits where it always sat") {
    DriveList list, by_default, taken;
    list.cdrom("", "--cdrom");
    CHECK(told(list) == "drives.hdc.media=cdrom\n");
    by_default.disk(0, "x", "--hda x");
    by_default.default_cdrom();
    CHECK(told(by_default) == "drives.hda.file=x\ndrives.hdc.media=cdrom\n");
    taken.disk(2, "x", "--hdc x");
    taken.default_cdrom();
    CHECK(told(taken) == "drives.hdc.file=x\n");
    DriveList empty;
    CHECK(empty.device("ide-cd,bus=ide.1,unit=1", "--device"));
    CHECK(told(empty) == "drives.hdd.media=cdrom\n");
}

TEST_CASE("boot=on puts the drive first, whichever way it is attached") {
    DriveList one, two;
    one.drive("file=x,boot=on,if=ide,media=disk", "a");
    two.drive("file=x,boot=on,if=none,id=d", "b");
    two.device("ide-drive,drive=d", "b");
    CHECK(told(one) == "drives.hda.boot_index=0\ndrives.hda.file=x\n");
    CHECK(told(one) == told(two));
}

TEST_CASE("a VM file's drives keep their places") {
    DriveList list;
    list.occupy(0);
    list.drive("file=x", "a");
    CHECK(told(list) == "drives.hdb.file=x\n");
}

TEST_CASE("all disks can be thrown away at the end, discs need not") {
    DriveList list;
    list.disk(0, "x", "--hda x");
    list.drive("file=y,snapshot=off", "b");
    list.cdrom("z", "c");
    list.snapshot("-snapshot");
    CHECK(told(list) ==
          "drives.hda.file=x\ndrives.hda.snapshot=true\ndrives.hdb.file=y\ndrives.hdb.snapshot=false\n"
          "drives.hdc.file=z\ndrives.hdc.media=cdrom\n");
}

TEST_CASE("mistakes are named with the option") {
    CHECK(drive_error("file=x,if=scsi").starts_with("--drive file=x,if=scsi: if=scsi"));
    CHECK(drive_error("file=x,cyls=5").find("together") != std::string::npos);
    CHECK(drive_error("file=x,cyls=5,heads=17,secs=63").find("from 1 to 16") != std::string::npos);
    CHECK(drive_error("file=x,trans=echs").find("none, lba") != std::string::npos);
    CHECK(drive_error("file=x,colour=red").find("colour") != std::string::npos);
    CHECK(drive_error("media=disk").find("needs file=") != std::string::npos);
    CHECK(drive_error("file=x,if=none").find("id=") != std::string::npos);
    CHECK(drive_error("file=x,index=4").find("from 0 to 3") != std::string::npos);
    CHECK(drive_error("file=x,index=0,unit=0").find("the same") != std::string::npos);
    CHECK(drive_error("file=x,media=cdrom,cyls=1,heads=1,secs=1").find("CD-ROM") != std::string::npos);
    CHECK(drive_error("=x").find("without a name") != std::string::npos);
    CHECK(drive_error("file=x,boot=maybe").find("on or off") != std::string::npos);
    CHECK(error([] {
              DriveList list;
              list.device("ide-hd,drive=none-such", "--device");
          }).find("none-such") != std::string::npos);
    CHECK(error([] {
              DriveList list;
              list.disk(0, "x", "--hda x");
              list.drive("file=y,index=0", "--drive y");
              list.settings();
          }).find("taken by --hda x") != std::string::npos);
    CHECK(error([] {
              DriveList list;
              for (int i = 0; i < 5; ++i) list.drive("file=x", "--drive");
              list.settings();
          }).find("no place") != std::string::npos);
}

TEST_CASE("a comma in a file name is written twice") {
    DriveList list;
    list.drive("file=a,,b=c,readonly", "a");
    CHECK(told(list) == "drives.hda.file=a,b=c\ndrives.hda.read_only=true\n");
}

TEST_CASE("a drive that nothing attaches is mentioned") {
    DriveList list;
    list.drive("file=x,if=none,id=lost", "--drive lost");
    CHECK(told(list).empty());
    REQUIRE(list.warnings().size() == 1);
    CHECK(list.warnings()[0].find("lost") != std::string::npos);
}

TEST_CASE("only ATA drives are known here") {
    DriveList list;
    CHECK_FALSE(list.device("isa-serial,chardev=a", "x"));
    CHECK(list.empty());
}

TEST_CASE("a boot order is letters, or keys") {
    const auto text = [](const char* option) {
        std::string all;
        for (const Setting& s : boot_settings(option, std::string("--boot ") + option))
            all += s.path + "=" + s.value + " ";
        return all;
    };
    CHECK(text("c") == "boot=c ");
    CHECK(text("order=dc,once=d,menu=on") == "boot=dc boot_once=d boot_menu=true ");
    CHECK(text("once=a") == "boot_once=a ");
    CHECK(error([&] { text("x"); }).find("--boot x: 'x' is none of") == 0);
    CHECK(error([&] { text("cc"); }).find("twice") != std::string::npos);
    CHECK(error([&] { text("abcd"); }).find("three") != std::string::npos);
    CHECK(error([&] { text("order=c,colour=red"); }).find("colour") != std::string::npos);
    CHECK(error([&] { text("splash=x.bmp"); }).find("not served") != std::string::npos);
}
