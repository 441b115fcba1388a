#include <catch2/catch.hpp>

#include "backplane/testkit/bench.hpp"
#include "model.hpp"

using namespace backplane;
using backplane::intc::IoApic;

namespace {

struct FakeBus {
    std::vector<bp_apic_message> sent;
    const bp_apic_io* io = nullptr;
    void* io_instance = nullptr;
    void eoi(u32 vector) { io->end_of_interrupt(io_instance, vector); }
    static constexpr bp_apic_bus kTable{sizeof(bp_apic_bus),
                                        [](void*, const bp_apic_local*, void*) {},
                                        [](void* i, const bp_apic_io* io, void* instance) {
                                            static_cast<FakeBus*>(i)->io = io;
                                            static_cast<FakeBus*>(i)->io_instance = instance;
                                        },
                                        [](void* i, const bp_apic_message* m, const void*) {
                                            static_cast<FakeBus*>(i)->sent.push_back(*m);
                                            return 1u;
                                        },
                                        [](void*, u64, u32) {},
                                        [](void*, u32) {}};
};

struct Chip {
    Chip() : apic({}, {{"bus", {&FakeBus::kTable, &bus}}}) {}
    u32 get(unsigned index) {
        return apic.out("registers", 0, index, 4), static_cast<u32>(apic.in("registers", 0x10, 4));
    }
    void set(unsigned index, u32 value) { apic.out("registers", 0, index, 4), apic.out("registers", 0x10, value, 4); }
    void entry(unsigned pin, u32 low, u32 high = 0) { set(0x11 + 2 * pin, high), set(0x10 + 2 * pin, low); }
    void pulse(const char* pin) { apic.drive(pin, true), apic.drive(pin, false); }
    FakeBus bus;
    testkit::Bench<IoApic> apic;
};

}  // namespace

TEST_CASE("values after reset") {
    Chip c;
    CHECK(c.get(0) == 0);
    CHECK(c.get(1) == 0x00170011);
    CHECK(c.get(2) == 0);
    for (unsigned i = 0; i < 24; ++i) {
        CHECK(c.get(0x10 + 2 * i) == 0x00010000);
        CHECK(c.get(0x11 + 2 * i) == 0);
    }
    CHECK(c.get(0x40) == 0);
    CHECK(c.apic.in("registers", 0, 4) == 0x40);
}

TEST_CASE("the id and the entries keep their writable bits") {
    Chip c;
    c.set(0, 0xffffffff);
    CHECK(c.get(0) == 0x0f000000);
    c.set(1, 0);
    CHECK(c.get(1) == 0x00170011);
    c.entry(23, 0xffffffff, 0xffffffff);
    CHECK(c.get(0x10 + 46) == 0x0001afff);
    CHECK(c.get(0x11 + 46) == 0xff000000);
}

TEST_CASE("an edge sends one message with the entry's fields") {
    Chip c;
    c.entry(4, 0x0000'0931, 0x02000000);  // lowest priority, logical
    c.pulse("in4");
    REQUIRE(c.bus.sent.size() == 1);
    const bp_apic_message& m = c.bus.sent[0];
    CHECK((m.mode == BP_APIC_LOWEST_PRIORITY && m.vector == 0x31 && m.logical == 1 && m.destination == 2));
    CHECK((m.level_triggered == 0 && m.assert_level == 1 && m.shorthand == BP_APIC_TO_DESTINATION));
    c.pulse("in4");
    CHECK(c.bus.sent.size() == 2);
}

TEST_CASE("an edge on a masked pin is lost") {
    Chip c;
    c.pulse("in3");
    c.apic.drive("in5", true);
    c.entry(3, 0x33), c.entry(5, 0x35);
    CHECK(c.bus.sent.empty());
}

TEST_CASE("a level entry sends once until its EOI, and again while the line is high") {
    Chip c;
    c.entry(10, 0x8041);
    c.apic.drive("in10", true);
    REQUIRE(c.bus.sent.size() == 1);
    CHECK(c.bus.sent[0].level_triggered == 1);
    CHECK((c.get(0x10 + 20) & 0x4000) == 0x4000);
    c.apic.drive("in10", false), c.apic.drive("in10", true);
    CHECK(c.bus.sent.size() == 1);
    c.bus.eoi(0x42);
    CHECK(c.bus.sent.size() == 1);
    c.bus.eoi(0x41);
    CHECK(c.bus.sent.size() == 2);
    c.apic.drive("in10", false);
    c.bus.eoi(0x41);
    CHECK(c.bus.sent.size() == 2);
    CHECK((c.get(0x10 + 20) & 0x4000) == 0);
}

TEST_CASE("a level line that is high when its entry is unmasked sends at once") {
    Chip c;
    c.apic.drive("in11", true);
    c.entry(11, 0x18050);
    CHECK(c.bus.sent.empty());
    c.entry(11, 0x8050);
    CHECK(c.bus.sent.size() == 1);
}

TEST_CASE("switching to edge clears Remote IRR") {
    Chip c;
    c.entry(9, 0x8060);
    c.apic.drive("in9", true);
    c.entry(9, 0x10060);
    CHECK((c.get(0x10 + 18) & 0x4000) == 0);
    c.entry(9, 0x8060);
    CHECK(c.bus.sent.size() == 2);
}

TEST_CASE("NMI entries do not wait for an EOI") {
    Chip c;
    c.entry(8, 0x8400);
    c.apic.drive("in8", true);
    CHECK(c.bus.sent.back().mode == BP_APIC_NMI);
    CHECK((c.get(0x10 + 16) & 0x4000) == 0);
}

TEST_CASE("a reset masks all entries") {
    Chip c;
    c.entry(1, 0x31);
    c.set(0, 0x05000000);
    c.apic.reset();
    CHECK(c.get(0x12) == 0x00010000);
    CHECK(c.get(0) == 0);
    c.pulse("in1");
    CHECK(c.bus.sent.empty());
}

TEST_CASE("state survives a save and load") {
    Chip c, d;
    c.entry(10, 0x8041);
    c.apic.drive("in10", true);
    REQUIRE(d.apic.load(c.apic.save()) == BP_OK);
    CHECK((d.get(0x10 + 20) & 0x4000) == 0x4000);
    d.bus.eoi(0x41);
    CHECK(d.bus.sent.size() == 1);
}
