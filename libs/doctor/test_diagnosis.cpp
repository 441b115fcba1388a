#include <catch2/catch.hpp>

#include "doctor/testkit.hpp"

using namespace backplane::doctor;
using namespace backplane::doctor::test;
using backplane::geometry::Policy;
using backplane::geometry::Settings;

namespace {

// What the doctor offers makes the disk boot, by its own judgement.
void check_cures(Disk& d, Policy policy = Policy::kQemu012) {
    const Subject s = d.subject({}, policy);
    const Diagnosis before = diagnose(s);
    INFO(before.verdict);
    REQUIRE(before.result() == Result::kFails);
    for (const Cure& c : before.cures) {
        INFO(c.text);
        if (!c.settings && c.fixes.empty()) continue;
        Disk copy = d;
        const Subject again = copy.subject(c.settings.value_or(Settings{}), policy);
        const auto int13 = diagnose(again).ways.front().attachment.geometry.logical;
        const Plan p =
            plan(read_layout(again.reader, copy.sectors), again.reader, c.fixes, {}, {int13.heads, int13.sectors});
        CHECK(p.refused.empty());
        copy.write(p.writes);
        CHECK(diagnose(again).result() == Result::kStarts);
    }
}

}  // namespace

TEST_CASE("an XP disk made under 255 heads boots, and fails where the bug of 2010 hides the translation") {
    Disk d = windows({255, 63}, {255, 63});
    const Diagnosis x = diagnose(d.subject());
    CHECK(x.result() == Result::kStarts);
    CHECK(x.cures.empty());
    CHECK(way(x, "ide-auto") == Result::kStarts);
    CHECK(way(x, "ide-0.12.4-device") == Result::kFails);
    CHECK(way(x, "virtio") == Result::kStarts);
    CHECK(way(x, "extboot") == Result::kStarts);
    CHECK(x.verdict.find("cannot be seen from here") != std::string::npos);
}

TEST_CASE("heads: the boot sector says 16, INT 13h says 255") {
    Disk d = windows({255, 63}, {16, 63});
    const Diagnosis x = diagnose(d.subject());
    CHECK(x.result() == Result::kFails);
    CHECK(has(x, "heads"));
    CHECK(way(x, "ide-0.12.4-device") == Result::kStarts);
    CHECK(x.verdict.find("16 heads, 63 sectors a track, but INT 13h has 255 heads") != std::string::npos);
    CHECK(report(d.subject(), x).find("set the byte at 1Ah to FFh by hand") != std::string::npos);
    REQUIRE(cure(x, "pin"));
    CHECK(cure(x, "pin") == &x.cures[0]);
    CHECK(cure(x, "fix")->fixes == std::set<Fix>{Fix::kBpb});
    check_cures(d);
}

TEST_CASE("rare heads are pinned: a translation where one yields them, else the firmware is told") {
    for (const Tracks t : {Tracks{240, 63}, {15, 63}, {128, 63}}) {
        Disk d = windows(t, t);
        const Diagnosis x = diagnose(d.subject());
        INFO(t.heads);
        REQUIRE(x.result() == Result::kFails);
        CHECK_FALSE(cure(x, "pin")->settings->logical);
        CHECK(way(x, "ide-auto") == Result::kStarts);
        check_cures(d);
    }
    Disk d = windows({43, 63}, {43, 63});
    const Diagnosis x = diagnose(d.subject());
    REQUIRE(cure(x, "pin"));
    CHECK(cure(x, "pin")->settings->logical->heads == 43);
    CHECK(cure(x, "pin")->commands[0].find("bios-256k.bin") != std::string::npos);
    check_cures(d);
}

TEST_CASE("hidden sectors: a volume moved from 63 to 2048") {
    Disk d = windows({255, 63}, {255, 63}, 2048, 63);
    const Diagnosis x = diagnose(d.subject());
    CHECK(x.result() == Result::kFails);
    CHECK(has(x, "hidden-sectors"));
    CHECK_FALSE(cure(x, "pin"));
    CHECK(cure(x, "fix")->fixes == std::set<Fix>{Fix::kHidden});
    CHECK(x.verdict.find("counts from sector 63") != std::string::npos);
    check_cures(d);
}

TEST_CASE("hidden sectors and heads both wrong") {
    Disk d = windows({255, 63}, {16, 63}, 2048, 63);
    const Diagnosis x = diagnose(d.subject());
    CHECK(cure(x, "fix")->fixes == std::set<Fix>{Fix::kBpb, Fix::kHidden});
    CHECK_FALSE(cure(x, "pin"));  // the table wants 255 heads, the boot sector 16
    check_cures(d);
    Disk both = windows({16, 63}, {16, 63}, 2048, 63);
    const Diagnosis y = diagnose(both.subject());
    REQUIRE(cure(y, "pin"));
    CHECK(cure(y, "pin")->fixes == std::set<Fix>{Fix::kHidden});
    check_cures(both);
}

TEST_CASE("a partition at 2048 whose table was written under another geometry") {
    Disk d = windows({16, 63}, {255, 63}, 2048, 2048);  // 10 GiB: 16/63 needs too many cylinders, so INT 13h says 255
    const Diagnosis x = diagnose(d.subject());
    CHECK(x.result() == Result::kFails);
    CHECK(x.verdict.find("the partition table says that partition 1 starts at cylinder 2, head 0, sector 33") !=
          std::string::npos);
    CHECK(cure(x, "fix")->fixes == std::set<Fix>{Fix::kTable});
    check_cures(d);
    Disk lba = d;
    lba.debian_mbr();
    CHECK(diagnose(lba.subject()).layout.code.id == "debian-mbr");
    CHECK(diagnose(lba.subject()).result() == Result::kStarts);
}

TEST_CASE("one head and one sector a track: a drive that was reported as CHS 41943040 1 1") {
    Disk d = windows({255, 63}, {1, 1});
    const Diagnosis x = diagnose(d.subject());
    CHECK(x.result() == Result::kFails);
    CHECK(has(x, "one-head-one-sector"));
    REQUIRE(cure(x, "fix"));
    check_cures(d);
    Disk table{20971520};
    table.xp_mbr();
    table.entry(1, 63, 500, {1, 1});
    CHECK(has(diagnose(table.subject()), "one-head-one-sector"));
}

TEST_CASE("a boot sector with no geometry at all, or an impossible one") {
    for (const Tracks t : {Tracks{0, 0}, {0, 63}, {255, 0}, {1000, 63}, {255, 200}}) {
        Disk d = windows({255, 63}, t);
        const Diagnosis x = diagnose(d.subject());
        INFO(t.heads << "/" << t.sectors);
        CHECK(x.result() == Result::kFails);
        CHECK((has(x, "zero-geometry") || has(x, "impossible-geometry")));
        check_cures(d);
    }
}

TEST_CASE("cylinders that two partitions share, and partitions that overlap") {
    Disk d = windows({255, 63}, {255, 63});
    d.entry(1, 63, 100000, {255, 63});
    d.ntfs(63, 100000, {255, 63}, 63);
    d.entry(2, 100063, 300000, {255, 63}, false);
    Diagnosis x = diagnose(d.subject());
    CHECK(has(x, "shared-cylinder"));
    CHECK_FALSE(has(x, "overlap"));
    CHECK(x.result() == Result::kStarts);
    d.entry(2, 90000, 300000, {255, 63}, false);
    CHECK(has(diagnose(d.subject()), "overlap"));
}

TEST_CASE("boot code is missing: it is offered, and the other cures with it") {
    Disk d = windows({255, 63}, {16, 63});
    std::fill_n(d.content[0].begin(), 446, std::uint8_t{0});
    const Diagnosis x = diagnose(d.subject());
    CHECK(x.result() == Result::kFails);
    CHECK(cure(x, "code"));
    CHECK(cure(x, "pin"));
    Disk right = windows({255, 63}, {255, 63});
    std::fill_n(right.content[0].begin(), 446, std::uint8_t{0});
    CHECK(diagnose(right.subject()).cures.size() == 1);
}

TEST_CASE("no active partition, several, an odd flag") {
    Disk d = windows({255, 63}, {255, 63});
    d.content[0][0x1be] = 0;
    Diagnosis x = diagnose(d.subject());
    CHECK(x.result() == Result::kFails);
    CHECK(cure(x, "activate")->commands[0] == "sfdisk --activate disk.img 1");
    d.content[0][0x1be] = 0x80, d.content[0][0x1ce] = 0x80;
    d.content[0][0x1ce + 4] = 7, d.content[0][0x1ce + 12] = 1;
    CHECK(diagnose(d.subject()).verdict.find("more than one partition is active") != std::string::npos);
    d.content[0][0x1ce] = 0x12;
    CHECK(diagnose(d.subject()).result() == Result::kFails);
}

TEST_CASE("a placeholder is judged as if Windows' code stood in its place") {
    Disk d = windows({255, 63}, {16, 63});
    for (auto& [lba, s] : d.content)
        if (lba != 0) Disk::text(s, 0x180, "This is not a bootable disk.");
    const Diagnosis x = diagnose(d.subject());
    CHECK(x.ways.front().chain.placeholder);
    CHECK(x.result() == Result::kFails);
    CHECK(x.verdict.find("placeholder") != std::string::npos);
}

TEST_CASE("Vista and boot managers do not depend on heads") {
    Disk d = windows({255, 63}, {16, 63});
    d.ntfs(63, 1000000, {16, 63}, 63, "BOOTMGR is missing");
    CHECK(diagnose(d.subject()).result() == Result::kStarts);
    d.ntfs(63, 1000000, {16, 63}, 2048, "BOOTMGR is missing");
    CHECK(diagnose(d.subject()).result() == Result::kFails);
}

TEST_CASE("nothing to start: blank disks, data disks without code, GPT") {
    Disk blank;
    CHECK(diagnose(blank.subject()).result() == Result::kNothing);
    CHECK(report(blank.subject(), diagnose(blank.subject())).find("Nothing to start") != std::string::npos);
    Disk gpt;
    gpt.entry(1, 1, 20971519, {255, 63}, false, 0xee);
    CHECK(diagnose(gpt.subject()).result() == Result::kNothing);
}

TEST_CASE("a disk that is cut off") {
    Disk d = windows({255, 63}, {255, 63});
    d.sectors = 15000000;
    const Diagnosis x = diagnose(d.subject());
    CHECK(has(x, "beyond-end"));
    CHECK(x.result() == Result::kFails);
    CHECK(x.verdict.find("beyond the end") != std::string::npos);
}

TEST_CASE("what is pinned is what the verdict is about") {
    Disk d = windows({240, 63}, {240, 63});
    CHECK(diagnose(d.subject()).result() == Result::kFails);
    const Diagnosis x = diagnose(d.subject({{}, backplane::geometry::Translation::kRechs}));
    CHECK(x.ways.front().attachment.id == "pinned");
    CHECK(x.result() == Result::kStarts);
    CHECK(has(x, "pinned"));
    CHECK(diagnose(d.subject({}, Policy::kAuto)).ways.front().attachment.id == "ide-auto");
}

TEST_CASE("the text names everything, the JSON is an object with the same verdict") {
    Disk d = windows({255, 63}, {16, 63});
    const Diagnosis x = diagnose(d.subject());
    const std::string text = report(d.subject(), x);
    for (const char* part : {"[1111", "Windows 2000, XP or 2003", "63 sectors a track, 16 heads, 63 hidden sectors",
                             "copy of the boot sector", "1024/255/63", "extboot", "virtio", "WRONG", "Will not boot",
                             "--fix bpb", "drives.hda.geometry.", "geometry: {"})
        CHECK(text.find(part) != std::string::npos);
    const std::string json = json_report(d.subject(), x);
    for (const char* part :
         {"\"result\": \"fails\"", "\"attachments\"", "\"reads\"", "\"hidden_sectors\": 63", "\"cures\""})
        CHECK(json.find(part) != std::string::npos);
}
