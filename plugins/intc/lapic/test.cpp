#include <catch2/catch.hpp>

#include "backplane/testkit/bench.hpp"
#include "model.hpp"

using namespace backplane;
using namespace backplane::intc::lapic;
using backplane::intc::LocalApic;

namespace {

struct FakeBus {
    std::vector<bp_apic_message> sent;
    std::vector<u32> ended;
    std::vector<std::pair<u64, u32>> msis;
    const bp_apic_local* local = nullptr;
    void* local_instance = nullptr;
    bool loop = false;  // messages to self come back
    static FakeBus& at(void* i) { return *static_cast<FakeBus*>(i); }
    static constexpr bp_apic_bus kTable{sizeof(bp_apic_bus),
                                        [](void* i, const bp_apic_local* local, void* instance) {
                                            at(i).local = local;
                                            at(i).local_instance = instance;
                                        },
                                        [](void*, const bp_apic_io*, void*) {},
                                        [](void* i, const bp_apic_message* m, const void*) {
                                            at(i).sent.push_back(*m);
                                            if (at(i).loop) at(i).local->accept(at(i).local_instance, m);
                                            return 1u;
                                        },
                                        [](void* i, u64 address, u32 data) { at(i).msis.emplace_back(address, data); },
                                        [](void* i, u32 vector) { at(i).ended.push_back(vector); }};
};

struct FakePic {
    int vector = 0x08;
    unsigned acknowledges = 0;
    static constexpr bp_intr kTable{sizeof(bp_intr),
                                    [](void* i) {
                                        ++static_cast<FakePic*>(i)->acknowledges;
                                        return static_cast<FakePic*>(i)->vector;
                                    },
                                    [](void*) { return i64{-1}; },
                                    [](void*, u64) { return bp_status{BP_ERR_UNSUPPORTED}; },
                                    [](void*) { return 0u; },
                                    [](void*, u32) {}};
};

struct FakeProcessor {
    std::vector<u32> started;
    static constexpr bp_cpu_startup kTable{
        sizeof(bp_cpu_startup), [](void* i, u32 vector) { static_cast<FakeProcessor*>(i)->started.push_back(vector); }};
};

struct Cpu {
    explicit Cpu(testkit::Properties p = testkit::Properties{})
        : apic(p, {{"bus", {&FakeBus::kTable, &bus}},
                   {"pic", {&FakePic::kTable, &pic}},
                   {"startup", {&FakeProcessor::kTable, &processor}}}) {}
    u32 get(u32 reg) { return static_cast<u32>(apic.in("registers", reg << 4, 4)); }
    void set(u32 reg, u32 value) { apic.out("registers", reg << 4, value, 4); }
    void enable() { set(kSpurious, 0x1ff); }
    void lvt(u32 index, u32 value) { set(kLvtFirst + index, value); }
    u32 lvt(u32 index) { return get(kLvtFirst + index); }
    const bp_intr& intr() { return *static_cast<const bp_intr*>(apic.offer(BP_INTR_ID).table); }
    void* self() { return apic.offer(BP_INTR_ID).instance; }
    int acknowledge() { return intr().acknowledge(self()); }
    void message(u32 mode, u32 vector, bool level = false) {
        const bp_apic_message m{sizeof m, mode, vector, 0, 0, 0, level, 1};
        bus.local->accept(bus.local_instance, &m);
    }
    bool matches(u32 destination, u32 logical) {
        return bus.local->matches(bus.local_instance, destination, logical) != 0;
    }
    bool request() { return apic.line("intr"); }
    FakeBus bus;
    FakePic pic;
    FakeProcessor processor;
    testkit::Bench<LocalApic> apic;
};

}  // namespace

TEST_CASE("values after reset") {
    Cpu c;
    CHECK(c.get(kId) == 0);
    CHECK(c.get(kVersion) == 0x00050011);
    CHECK(c.get(kTaskPriority) == 0);
    CHECK(c.get(kLogicalDestination) == 0);
    CHECK(c.get(kDestinationFormat) == 0xf0000000);
    CHECK(c.get(kSpurious) == 0xff);
    CHECK(c.lvt(kLvtTimer) == 0x10000);
    CHECK(c.lvt(kLvtLint0) == 0x700);
    CHECK(c.lvt(kLvtLint1) == 0x10000);
    CHECK(c.intr().apic_base(c.self()) == 0xfee00900);
    Cpu second(testkit::Properties{{"id", "3"}, {"boot_processor", "false"}});
    CHECK(second.get(kId) == 0x03000000);
    CHECK(second.lvt(kLvtLint0) == 0x10000);
    CHECK(second.intr().apic_base(second.self()) == 0xfee00800);
}

TEST_CASE("the PIC reaches the processor through LINT0 from reset on") {
    Cpu c;
    c.apic.drive("lint0", true);
    CHECK(c.request());
    CHECK(c.acknowledge() == 0x08);
    CHECK(c.pic.acknowledges == 1);
    c.apic.drive("lint0", false);
    CHECK_FALSE(c.request());
    CHECK(c.acknowledge() == -1);
    c.lvt(kLvtLint0, 0x10700);
    c.apic.drive("lint0", true);
    CHECK_FALSE(c.request());
}

TEST_CASE("switched off by IA32_APIC_BASE the PIC passes and the registers are gone") {
    Cpu c;
    c.enable();
    c.lvt(kLvtLint0, 0x10700);
    c.message(BP_APIC_FIXED, 0x40);
    CHECK(c.request());
    CHECK(c.intr().set_apic_base(c.self(), 0xfee00000) == BP_OK);
    CHECK(c.intr().apic_base(c.self()) == 0xfee00100);
    CHECK_FALSE(c.request());
    CHECK(c.get(kVersion) == 0xffffffff);
    c.message(BP_APIC_FIXED, 0x41);
    CHECK_FALSE(c.request());
    CHECK_FALSE(c.matches(0, 0));
    c.apic.drive("lint0", true);
    CHECK(c.request());
    CHECK(c.acknowledge() == 0x08);
    c.apic.drive("lint1", true);
    CHECK(c.apic.rises("nmi") == 1);
}

TEST_CASE("a message becomes a request, is acknowledged, served and ended") {
    Cpu c;
    c.enable();
    c.message(BP_APIC_FIXED, 0x51);
    CHECK(c.request());
    CHECK(c.get(kRequest + 2) == 1u << 17);
    CHECK(c.acknowledge() == 0x51);
    CHECK_FALSE(c.request());
    CHECK(c.get(kRequest + 2) == 0);
    CHECK(c.get(kInService + 2) == 1u << 17);
    CHECK(c.get(kProcessorPriority) == 0x50);
    c.set(kEndOfInterrupt, 0);
    CHECK(c.get(kInService + 2) == 0);
    CHECK(c.bus.ended.empty());  // it was an edge
}

TEST_CASE("the end of a level-triggered interrupt is broadcast") {
    Cpu c;
    c.enable();
    c.message(BP_APIC_FIXED, 0x61, true);
    CHECK(c.get(kTriggerMode + 3) == 2);
    CHECK(c.acknowledge() == 0x61);
    c.set(kEndOfInterrupt, 0);
    CHECK(c.bus.ended == std::vector<u32>{0x61});
    c.set(kEndOfInterrupt, 0);
    CHECK(c.bus.ended.size() == 1);
}

TEST_CASE("only a higher class interrupts") {
    Cpu c;
    c.enable();
    c.message(BP_APIC_FIXED, 0x52);
    CHECK(c.acknowledge() == 0x52);
    c.message(BP_APIC_FIXED, 0x5f);
    CHECK_FALSE(c.request());
    c.message(BP_APIC_FIXED, 0x60);
    CHECK(c.acknowledge() == 0x60);
    c.set(kEndOfInterrupt, 0);
    CHECK_FALSE(c.request());
    c.set(kEndOfInterrupt, 0);
    CHECK(c.acknowledge() == 0x5f);
}

TEST_CASE("the task priority holds interrupts back, also as CR8") {
    Cpu c;
    c.enable();
    c.set(kTaskPriority, 0x50);
    c.message(BP_APIC_FIXED, 0x5a);
    CHECK_FALSE(c.request());
    CHECK(c.intr().tpr(c.self()) == 5);
    c.intr().set_tpr(c.self(), 4);
    CHECK(c.get(kTaskPriority) == 0x40);
    CHECK(c.request());
    c.set(kTaskPriority, 0xf0);
    CHECK(c.acknowledge() == 0xff);  // spurious
    CHECK(c.get(kInService + 7) == 0);
    c.set(kTaskPriority, 0);
    CHECK(c.acknowledge() == 0x5a);
}

TEST_CASE("software disable refuses vectors and masks the local ones") {
    Cpu c;
    c.enable();
    c.lvt(kLvtTimer, 0x40);
    c.set(kSpurious, 0xff);
    CHECK(c.lvt(kLvtTimer) == 0x10040);
    c.lvt(kLvtTimer, 0x40);
    CHECK(c.lvt(kLvtTimer) == 0x10040);
    c.message(BP_APIC_FIXED, 0x70);
    CHECK_FALSE(c.request());
    c.message(BP_APIC_NMI, 0);
    CHECK(c.apic.rises("nmi") == 1);
    c.enable();
    c.lvt(kLvtTimer, 0x40);
    CHECK(c.lvt(kLvtTimer) == 0x40);
}

TEST_CASE("the one-shot timer fires once") {
    Cpu c;
    c.enable();
    c.lvt(kLvtTimer, 0x31);
    c.set(kTimerDivide, 0x03);  // by 16
    c.set(kTimerInitial, 1000);
    c.apic.advance(8'000);
    CHECK(c.get(kTimerCurrent) == 500);
    CHECK_FALSE(c.request());
    c.apic.advance(8'000);
    CHECK(c.request());
    CHECK(c.get(kTimerCurrent) == 0);
    CHECK(c.acknowledge() == 0x31);
    c.set(kEndOfInterrupt, 0);
    c.apic.advance(1'000'000);
    CHECK_FALSE(c.request());
}

TEST_CASE("a one-shot timer that is over before the processor's write is comes all the same") {
    Cpu c;
    c.enable();
    c.lvt(kLvtTimer, 0x31);
    c.set(kTimerDivide, 0x0b);  // by 1
    c.apic.look_takes = 5'000;
    SECTION("set to less than a look at the clock takes") { c.set(kTimerInitial, 1000); }
    SECTION("its vector is written when it is late") {
        c.set(kTimerInitial, 12'000);
        c.lvt(kLvtTimer, 0x31);
        c.lvt(kLvtTimer, 0x31);
    }
    SECTION("the divider is written when it is late") {
        c.set(kTimerInitial, 12'000);
        c.get(kTimerCurrent);
        c.get(kTimerCurrent);
        c.set(kTimerDivide, 0x0b);
    }
    c.apic.look_takes = 0;
    c.apic.advance(100'000);
    CHECK(c.request());
    CHECK(c.acknowledge() == 0x31);
}

TEST_CASE("divide codes") {
    const std::pair<u32, u32> codes[] = {{0, 2}, {1, 4}, {2, 8}, {3, 16}, {8, 32}, {9, 64}, {10, 128}, {11, 1}};
    for (const auto& [code, divisor] : codes) {
        Cpu c;
        c.set(kTimerDivide, code);
        c.set(kTimerInitial, 0xffffffff);
        c.apic.advance(128'000);
        CHECK(0xffffffff - c.get(kTimerCurrent) == 128'000 / divisor);
    }
    Cpu c;  // not written yet: the clock is not divided
    c.set(kTimerInitial, 5000);
    c.apic.advance(1000);
    CHECK(c.get(kTimerCurrent) == 4000);
}

TEST_CASE("the periodic timer goes on, and stops with a count of 0") {
    Cpu c;
    c.enable();
    c.lvt(kLvtTimer, 0x20031);
    c.set(kTimerDivide, 0x0b);
    c.set(kTimerInitial, 10'000);
    unsigned seen = 0;
    for (int i = 0; i < 100; ++i) {
        c.apic.advance(1'000);
        if (c.request()) ++seen, c.acknowledge(), c.set(kEndOfInterrupt, 0);
    }
    CHECK(seen == 10);
    c.set(kTimerInitial, 0);
    c.apic.advance(100'000);
    CHECK_FALSE(c.request());
    CHECK(c.get(kTimerCurrent) == 0);
}

TEST_CASE("a masked timer counts without interrupting") {
    Cpu c;
    c.enable();
    c.lvt(kLvtTimer, 0x30031);
    c.set(kTimerDivide, 0x0b);
    c.set(kTimerInitial, 10'000);
    c.apic.advance(13'000);
    CHECK(c.get(kTimerCurrent) == 7'000);
    CHECK_FALSE(c.request());
    c.lvt(kLvtTimer, 0x20031);
    c.apic.advance(6'999);
    CHECK_FALSE(c.request());
    c.apic.advance(1);
    CHECK(c.request());
}

TEST_CASE("a periodic timer of one nanosecond leaves time for the machine") {
    Cpu c;
    c.enable();
    c.lvt(kLvtTimer, 0x20031);
    c.set(kTimerDivide, 0x0b);
    c.set(kTimerInitial, 1);
    c.apic.advance(1'000'000);
    CHECK(c.request());
}

TEST_CASE("a changed divider keeps the count") {
    Cpu c;
    c.set(kTimerDivide, 0x0b);
    c.set(kTimerInitial, 10'000);
    c.apic.advance(4'000);
    c.set(kTimerDivide, 0x00);
    CHECK(c.get(kTimerCurrent) == 6'000);
    c.apic.advance(2'000);
    CHECK(c.get(kTimerCurrent) == 5'000);
}

TEST_CASE("LINT1 delivers NMI, LINT0 vectors by edge or level") {
    Cpu c;
    c.enable();
    c.lvt(kLvtLint1, 0x400);
    c.apic.drive("lint1", true);
    CHECK(c.apic.rises("nmi") == 1);
    c.lvt(kLvtLint0, 0x0033);
    c.apic.drive("lint0", true);
    CHECK(c.acknowledge() == 0x33);
    c.set(kEndOfInterrupt, 0);
    CHECK_FALSE(c.request());
    c.apic.drive("lint0", false);
    c.lvt(kLvtLint0, 0x8034);
    c.apic.drive("lint0", true);
    CHECK(c.lvt(kLvtLint0) == 0xc034);
    CHECK(c.acknowledge() == 0x34);
    c.set(kEndOfInterrupt, 0);
    CHECK(c.acknowledge() == 0x34);
    c.apic.drive("lint0", false);
    c.set(kEndOfInterrupt, 0);
    CHECK_FALSE(c.request());
    CHECK(c.lvt(kLvtLint0) == 0x8034);
}

TEST_CASE("the command register sends messages") {
    Cpu c;
    c.enable();
    c.set(kCommandHigh, 0x05000000);
    c.set(kCommandLow, 0x00000841);
    REQUIRE(c.bus.sent.size() == 1);
    CHECK((c.bus.sent[0].vector == 0x41 && c.bus.sent[0].destination == 5 && c.bus.sent[0].logical == 1));
    CHECK(c.get(kCommandLow) == 0x841);
    CHECK(c.get(kCommandHigh) == 0x05000000);
    c.set(kCommandLow, 0x000c4500);  // INIT to all others, as SeaBIOS does
    c.set(kCommandLow, 0x000c4610);
    REQUIRE(c.bus.sent.size() == 3);
    CHECK((c.bus.sent[1].mode == BP_APIC_INIT && c.bus.sent[1].shorthand == BP_APIC_TO_OTHERS));
    CHECK((c.bus.sent[2].mode == BP_APIC_STARTUP && c.bus.sent[2].vector == 0x10));
    c.set(kCommandLow, 0x00088500);  // INIT de-assertion
    CHECK(c.bus.sent.size() == 3);
    c.bus.loop = true;
    c.set(kCommandLow, 0x00040055);
    CHECK(c.acknowledge() == 0x55);
}

TEST_CASE("messages of the other modes reach the processor's pins") {
    Cpu c;
    c.enable();
    c.message(BP_APIC_SMI, 0);
    CHECK(c.apic.rises("smi") == 1);
    c.message(BP_APIC_EXTINT, 0);
    CHECK(c.acknowledge() == 0x08);
    CHECK_FALSE(c.request());
    c.set(kTaskPriority, 0x30);
    c.message(BP_APIC_INIT, 0);
    CHECK(c.apic.rises("init") == 1);
    CHECK(c.get(kTaskPriority) == 0);
    CHECK(c.get(kSpurious) == 0xff);
}

TEST_CASE("STARTUP messages reach the processor, also while the APIC is software disabled") {
    Cpu c(testkit::Properties{{"id", "2"}, {"boot_processor", "false"}});
    c.message(BP_APIC_INIT, 0);
    c.message(BP_APIC_STARTUP, 0x9f);
    CHECK(c.apic.rises("init") == 1);
    CHECK(c.processor.started == std::vector<u32>{0x9f});
    CHECK_FALSE(c.request());
    c.intr().set_apic_base(c.self(), 0xfee00000);
    c.message(BP_APIC_STARTUP, 0x9f);
    c.message(BP_APIC_INIT, 0);
    CHECK(c.processor.started.size() == 1);
    CHECK(c.apic.rises("init") == 1);
}

TEST_CASE("an INIT leaves the id and IA32_APIC_BASE, and only the first processor's pin open") {
    for (const bool boot : {true, false}) {
        Cpu c(testkit::Properties{{"id", "3"}, {"boot_processor", boot ? "true" : "false"}});
        c.enable();
        c.set(kId, 0x07000000);
        c.lvt(kLvtLint0, 0x8034);
        c.message(BP_APIC_INIT, 0);
        CHECK(c.get(kId) == 0x07000000);
        CHECK(c.lvt(kLvtLint0) == (boot ? 0x700u : 0x10000u));
        CHECK(c.intr().apic_base(c.self()) == (boot ? 0xfee00900 : 0xfee00800));
    }
}

TEST_CASE("the registers follow their processor's IA32_APIC_BASE") {
    std::vector<std::string> seen;
    Cpu c(testkit::Properties{{"processor", "2"}, {"boot_processor", "false"}});
    c.apic.observe = [&](const std::string& what) {
        if (what.starts_with("region")) seen.push_back(what);
    };
    const auto moved = [&](u64 base) {
        seen.clear();
        CHECK(c.intr().set_apic_base(c.self(), base) == BP_OK);
        return seen.empty() ? "" : seen.front();
    };
    const std::string first = moved(0xfee00800);
    CHECK(first.starts_with("region registers at "));
    CHECK(first.ends_with("fee00000 for vCPU 2"));
    CHECK(moved(0x12345800).ends_with("12345000 for vCPU 2"));
    CHECK(moved(0xfee00000) == "region registers for no vCPU");
    CHECK(moved(0xfee00800).ends_with("fee00000 for vCPU 2"));
    CHECK(c.apic.log.empty());
    Cpu one;  // of a board with one processor they stay
    one.intr().set_apic_base(one.self(), 0x12345800);
    CHECK(one.apic.log.size() == 1);
}

TEST_CASE("a processor learns whether it is the first one before its APIC is reset") {
    for (const bool boot : {true, false}) {
        FakeBus bus;
        testkit::Board apic(&DeviceType<LocalApic>::value,
                            testkit::Properties{{"boot_processor", boot ? "true" : "false"}},
                            {{"bus", {&FakeBus::kTable, &bus}}});
        REQUIRE(apic.start() == BP_OK);
        const bp_interface intr = apic.offer(BP_INTR_ID);
        CHECK(((static_cast<const bp_intr*>(intr.table)->apic_base(intr.instance) & 0x100) != 0) == boot);
    }
}

TEST_CASE("destinations: physical, flat and cluster") {
    Cpu c(testkit::Properties{{"id", "2"}});
    CHECK((c.matches(2, 0) && c.matches(0xff, 0) && !c.matches(3, 0)));
    c.set(kLogicalDestination, 0x04ffffff);
    CHECK(c.get(kLogicalDestination) == 0x04000000);
    CHECK((c.matches(0x06, 1) && !c.matches(0x08, 1) && c.matches(0xff, 1)));
    c.set(kDestinationFormat, 0);
    c.set(kLogicalDestination, 0x32000000);
    CHECK((c.matches(0x32, 1) && c.matches(0x33, 1) && !c.matches(0x31, 1) && !c.matches(0x22, 1)));
    CHECK(c.bus.local->priority(c.bus.local_instance) == ~0u);  // software disabled
    c.enable();
    CHECK(c.bus.local->priority(c.bus.local_instance) == 0);
}

TEST_CASE("illegal vectors and registers are reported after a write to the error status") {
    Cpu c;
    c.enable();
    c.lvt(kLvtError, 0xe1);
    c.message(BP_APIC_FIXED, 0x0f);
    CHECK(c.acknowledge() == 0xe1);
    CHECK(c.get(kErrorStatus) == 0);
    c.set(kCommandLow, 0x0004000a);
    CHECK(c.bus.sent.empty());
    c.set(kErrorStatus, 0);
    CHECK(c.get(kErrorStatus) == (kErrorReceiveVector | kErrorSendVector));
    c.get(0x3f);
    c.set(kErrorStatus, 0);
    CHECK(c.get(kErrorStatus) == kErrorRegister);
    c.set(kErrorStatus, 0);
    CHECK(c.get(kErrorStatus) == 0);
}

TEST_CASE("a write to the first register is a message-signalled interrupt") {
    Cpu c;
    c.apic.out("registers", 0x0, 0x41, 4), c.apic.out("registers", 0x4, 0x42, 4);
    REQUIRE(c.bus.msis.size() == 2);
    CHECK(c.bus.msis[1] == std::pair<u64, u32>{0xfee00004, 0x42});
}

TEST_CASE("state survives a save and load") {
    Cpu c, d;
    c.enable();
    c.lvt(kLvtTimer, 0x20031);
    c.set(kTimerDivide, 0x0b), c.set(kTimerInitial, 5'000);
    c.message(BP_APIC_FIXED, 0x80), c.acknowledge();
    c.message(BP_APIC_FIXED, 0x90);
    c.apic.advance(1'000);
    d.apic.time = c.apic.time;
    REQUIRE(d.apic.load(c.apic.save()) == BP_OK);
    CHECK(d.get(kTimerCurrent) == 4'000);
    CHECK(d.acknowledge() == 0x90);
    d.apic.advance(4'000);
    CHECK(d.get(kRequest + 1) == 1u << 17);
}
