// Memory slots without a host that has KVM.
#include <array>
#include <catch2/catch.hpp>

#include "slots.hpp"

namespace backplane::kvm {
namespace {

u8* host(u64 at) { return reinterpret_cast<u8*>(0x7f0000000000ull + at); }
bp_memory_range range(u64 address, u64 bytes, u64 at, bool writable = true, u8* dirty = nullptr) {
    return {address, bytes, host(at), dirty, writable, 0};
}

}  // namespace

TEST_CASE("a change at one place leaves the slots of other places alone") {
    const std::vector<bp_memory_range> before = {range(0, 0xa0000, 0), range(0xc0000, 0x20000, 0x400000, false),
                                                 range(0x100000, 0x7f00000, 0x100000)};
    const SlotChanges first = plan_slots({}, before, 32);
    CHECK(first.removed.empty());
    CHECK(first.added.size() == 3);
    CHECK_FALSE(first.result[1].writable);

    std::vector<bp_memory_range> after = before;
    after[1] = range(0xc0000, 0x20000, 0xc0000);  // shadow RAM in place of the ROM
    const SlotChanges second = plan_slots(first.result, after, 32);
    REQUIRE(second.removed.size() == 1);
    CHECK(second.removed[0].address == 0xc0000);
    REQUIRE(second.added.size() == 1);
    CHECK(second.added[0].id == second.removed[0].id);
    CHECK(second.modified.empty());
    CHECK(second.result.size() == 3);
}

TEST_CASE("no two slots have one number") {
    std::vector<bp_memory_range> ranges;
    for (u64 n = 0; n < 10; ++n) ranges.push_back(range(n * 0x10000, 0x1000, n * 0x1000));
    const SlotChanges first = plan_slots({}, ranges, 32);
    ranges.erase(ranges.begin() + 3);
    for (u64 n = 20; n < 24; ++n) ranges.push_back(range(n * 0x10000, 0x1000, n * 0x1000));
    const SlotChanges second = plan_slots(first.result, ranges, 32);
    std::vector<bool> seen(32, false);
    for (const Slot& s : second.result) {
        CHECK_FALSE(seen[s.id]);
        seen[s.id] = true;
    }
    CHECK(second.result.size() == 13);
}

TEST_CASE("watching a slot's pages changes it in place") {
    u8 flags[4] = {};
    const std::vector<bp_memory_range> plain = {range(0xe0000000, 0x4000, 0)};
    const std::vector<bp_memory_range> watched = {range(0xe0000000, 0x4000, 0, true, flags)};
    const SlotChanges first = plan_slots({}, plain, 8);
    const SlotChanges second = plan_slots(first.result, watched, 8);
    CHECK(second.removed.empty());
    CHECK(second.added.empty());
    REQUIRE(second.modified.size() == 1);
    CHECK(second.modified[0].dirty == flags);
}

TEST_CASE("with few slots, ranges that go on are put together") {
    const std::vector<bp_memory_range> ranges = {range(0, 0x1000, 0), range(0x1000, 0x1000, 0x1000),
                                                 range(0x2000, 0x1000, 0x2000), range(0x4000, 0x1000, 0x9000)};
    CHECK(plan_slots({}, ranges, 4).result.size() == 4);
    const SlotChanges c = plan_slots({}, ranges, 2);
    REQUIRE(c.result.size() == 2);
    CHECK(c.result[0].bytes == 0x3000);
    CHECK(plan_slots({}, ranges, 1).too_many);
}

TEST_CASE("a range that is larger than a slot may be takes several") {
    const u64 large = u64{6} << 40;
    const std::vector<bp_memory_range> ranges = {range(0, large, 0)};
    const SlotChanges c = plan_slots({}, ranges, 8);
    REQUIRE(c.result.size() == 2);
    CHECK(c.result[0].bytes + c.result[1].bytes == large);
    CHECK(c.result[1].address == c.result[0].bytes);
    CHECK(c.result[1].host == host(c.result[0].bytes));
}

TEST_CASE("a bitmap of dirty pages becomes flags, and nothing beyond them is written") {
    std::array<u8, 70> flags{};
    const u64 bitmap[] = {u64{1} | u64{1} << 63, ~u64{0}};
    spread_dirty(bitmap, 66, flags.data());
    CHECK(flags[0] == 1);
    CHECK(flags[1] == 0);
    CHECK(flags[63] == 1);
    CHECK(flags[65] == 1);
    CHECK(flags[66] == 0);
    CHECK(flags[69] == 0);
}

}  // namespace backplane::kvm
