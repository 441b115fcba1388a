#include <catch2/catch.hpp>

#include "backplane/testkit/bench.hpp"
#include "model.hpp"

using namespace backplane;

namespace {

struct Local {
    u32 id;
    u32 level = 0;
    std::vector<bp_apic_message> got;
    static constexpr bp_apic_local kTable{
        sizeof(bp_apic_local),
        [](void* i, u32 destination, u32 logical) -> int {
            const u32 id = static_cast<Local*>(i)->id;
            return destination == 0xff || (logical ? (destination & 1 << id) != 0 : destination == id);
        },
        [](void* i) { return static_cast<Local*>(i)->level; },
        [](void* i, const bp_apic_message* m) { static_cast<Local*>(i)->got.push_back(*m); }};
};

struct Io {
    std::vector<u32> ended;
    static constexpr bp_apic_io kTable{sizeof(bp_apic_io),
                                       [](void* i, u32 vector) { static_cast<Io*>(i)->ended.push_back(vector); }};
};

struct Bus : testkit::Bench<intc::ApicBus> {
    Bus() {
        for (Local& l : locals) table()->join_local(self(), &Local::kTable, &l);
        table()->join_io(self(), &Io::kTable, &io);
    }
    const bp_apic_bus* table() { return static_cast<const bp_apic_bus*>(offer(BP_APIC_BUS_ID).table); }
    void* self() { return offer(BP_APIC_BUS_ID).instance; }
    u32 send(u32 mode, u32 vector, u32 destination, u32 logical = 0, u32 shorthand = 0, const void* sender = nullptr) {
        const bp_apic_message m{sizeof m, mode, vector, logical, destination, shorthand, 0, 1};
        return table()->deliver(self(), &m, sender);
    }
    std::vector<std::size_t> counts() const {
        return {locals[0].got.size(), locals[1].got.size(), locals[2].got.size()};
    }
    std::array<Local, 3> locals{Local{0, 0, {}}, Local{1, 0, {}}, Local{2, 0, {}}};
    Io io;
};

using Counts = std::vector<std::size_t>;

}  // namespace

TEST_CASE("messages reach whom they address") {
    Bus bus;
    CHECK(bus.send(BP_APIC_FIXED, 0x40, 1) == 1);
    CHECK(bus.counts() == Counts{0, 1, 0});
    CHECK(bus.send(BP_APIC_NMI, 0, 0xff) == 3);
    CHECK(bus.send(BP_APIC_FIXED, 0x41, 0x05, 1) == 2);
    CHECK(bus.counts() == Counts{2, 2, 2});
    CHECK(bus.send(BP_APIC_FIXED, 0x41, 9) == 0);
}

TEST_CASE("shorthands go by the sender") {
    Bus bus;
    CHECK(bus.send(BP_APIC_INIT, 0, 0, 0, BP_APIC_TO_OTHERS, &bus.locals[1]) == 2);
    CHECK(bus.counts() == Counts{1, 0, 1});
    CHECK(bus.send(BP_APIC_FIXED, 0x50, 0, 0, BP_APIC_TO_SELF, &bus.locals[1]) == 1);
    CHECK(bus.send(BP_APIC_FIXED, 0x50, 0, 0, BP_APIC_TO_ALL, &bus.locals[1]) == 3);
    CHECK(bus.counts() == Counts{2, 2, 2});
}

TEST_CASE("lowest priority picks the least busy one, and equals in turn") {
    Bus bus;
    bus.locals[0].level = 0x40, bus.locals[1].level = 0x20, bus.locals[2].level = ~0u;
    bus.send(BP_APIC_LOWEST_PRIORITY, 0x60, 0xff, 1);
    CHECK(bus.counts() == Counts{0, 1, 0});
    CHECK(bus.locals[1].got[0].mode == BP_APIC_FIXED);
    for (Local& l : bus.locals) l.level = 0;
    for (int i = 0; i < 3; ++i) bus.send(BP_APIC_LOWEST_PRIORITY, 0x60, 0xff, 1);
    CHECK(bus.counts() == Counts{1, 2, 1});
    for (Local& l : bus.locals) l.level = ~0u;
    CHECK(bus.send(BP_APIC_LOWEST_PRIORITY, 0x60, 0xff, 1) == 0);
}

TEST_CASE("lowest priority to a shorthand picks one of those it stands for") {
    Bus bus;
    bus.locals[1].level = 0x10, bus.locals[2].level = 0x20;
    CHECK(bus.send(BP_APIC_LOWEST_PRIORITY, 0x60, 0, 0, BP_APIC_TO_OTHERS, &bus.locals[0]) == 1);
    CHECK(bus.counts() == Counts{0, 1, 0});
    CHECK(bus.send(BP_APIC_LOWEST_PRIORITY, 0x60, 0, 0, BP_APIC_TO_ALL, &bus.locals[2]) == 1);
    CHECK(bus.counts() == Counts{1, 1, 0});
}

TEST_CASE("message-signalled interrupts are decoded from address and data") {
    Bus bus;
    bus.out("msi", 0x1000, 0x0051, 4);  // FEE02000h: APIC id 2
    REQUIRE(bus.counts() == Counts{0, 0, 1});
    CHECK(bus.locals[2].got[0].vector == 0x51);
    CHECK(bus.locals[2].got[0].level_triggered == 0);
    bus.table()->msi(bus.self(), 0xfee03004, 0xc452);  // logical 3, NMI, level
    REQUIRE(bus.counts() == Counts{1, 1, 1});
    CHECK(bus.locals[0].got[0].mode == BP_APIC_NMI);
    CHECK(bus.locals[0].got[0].level_triggered == 1);
    bus.table()->msi(bus.self(), 0xfee0300c, 0x0053);  // with redirection hint: one of them
    CHECK(bus.locals[0].got.size() + bus.locals[1].got.size() == 3);
    bus.table()->msi(bus.self(), 0xfee00000, 0x8054);  // de-assertion
    CHECK(bus.locals[0].got.size() + bus.locals[1].got.size() == 3);
}

TEST_CASE("a device's message takes the same way, and one to another address none") {
    Bus bus;
    const bp_interface offered = bus.offer(BP_MSI_ID);
    REQUIRE(offered.table);
    const auto& msi = *static_cast<const bp_msi*>(offered.table);
    msi.send(offered.instance, 0xfee01000, 0x4061);  // APIC id 1
    REQUIRE(bus.counts() == Counts{0, 1, 0});
    CHECK(bus.locals[1].got[0].vector == 0x61);
    for (u64 address : {0x00001000ull, 0xfed01000ull, 0xfef01000ull, 0x1fee01000ull})
        msi.send(offered.instance, address, 0x4061);
    CHECK(bus.counts() == Counts{0, 1, 0});
    CHECK(bus.log.size() == 4);
}

TEST_CASE("ends of interrupt reach the I/O APICs") {
    Bus bus;
    bus.table()->end_of_interrupt(bus.self(), 0x77);
    CHECK(bus.io.ended == std::vector<u32>{0x77});
}

TEST_CASE("an empty bus takes messages without harm") {
    testkit::Bench<intc::ApicBus> bus;
    bus.out("msi", 0, 0x0041, 4);
    const bp_interface i = bus.offer(BP_APIC_BUS_ID);
    const bp_apic_message m{sizeof m, BP_APIC_LOWEST_PRIORITY, 0x41, 1, 0xff, 0, 0, 1};
    CHECK(static_cast<const bp_apic_bus*>(i.table)->deliver(i.instance, &m, nullptr) == 0);
}
