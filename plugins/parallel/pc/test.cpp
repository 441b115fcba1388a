#include <catch2/catch.hpp>

#include "backplane/testkit/bench.hpp"
#include "model.hpp"

using namespace backplane;
using backplane::parallel::PcParallel;

namespace {

struct Paper {
    std::string text;
    bool full = false;
    static constexpr bp_chardev kTable{sizeof(bp_chardev),
                                       [](void* p, const u8* data, u32 count) -> u32 {
                                           Paper& paper = *static_cast<Paper*>(p);
                                           if (paper.full) return 0;
                                           paper.text.append(reinterpret_cast<const char*>(data), count);
                                           return count;
                                       },
                                       [](void*, const bp_char_receiver*, void*) {}, [](void*) {}};
};

struct Port {
    Port() : lpt({}, {{"backend", {&Paper::kTable, &paper}}}) {}
    void strobe(u8 byte, unsigned extra = 0) {
        lpt.out("ports", 0, byte);
        lpt.out("ports", 2, 0x0d | extra);
        lpt.out("ports", 2, 0x0c | extra);
    }
    Paper paper;
    testkit::Bench<PcParallel> lpt;
};

}  // namespace

TEST_CASE("values after reset") {
    Port p;
    CHECK(p.lpt.in("ports", 0) == 0xff);
    CHECK(p.lpt.in("ports", 1) == 0xd9);
    CHECK(p.lpt.in("ports", 2) == 0xcc);
}

TEST_CASE("a strobe prints the byte with busy and acknowledge") {
    Port p;
    p.strobe('A');
    CHECK(p.lpt.in("ports", 1) == 0x59);  // busy
    p.lpt.advance(2'000);
    CHECK(p.paper.text == "A");
    CHECK(p.lpt.in("ports", 1) == 0x19);  // ACK low
    p.lpt.advance(5'000);
    CHECK(p.lpt.in("ports", 1) == 0xd9);
    CHECK(p.lpt.rises("irq") == 0);
}

TEST_CASE("a late timer does not keep the printer busy") {
    Port p;
    p.strobe('A');
    p.lpt.time += 2'000;
    CHECK(p.lpt.in("ports", 1) == 0x19);
    p.lpt.time += 5'000;
    CHECK(p.lpt.in("ports", 1) == 0xd9);
    CHECK(p.paper.text == "A");
}

TEST_CASE("the end of ACK interrupts if enabled, and reading the status ends it") {
    Port p;
    p.strobe('B', 0x10);
    p.lpt.advance(10'000);
    CHECK(p.lpt.line("irq"));
    p.lpt.in("ports", 1);
    CHECK_FALSE(p.lpt.line("irq"));
    p.strobe('C', 0x10);
    p.lpt.advance(10'000);
    CHECK(p.lpt.line("irq"));
    p.lpt.out("ports", 2, 0x0c);
    CHECK_FALSE(p.lpt.line("irq"));
}

TEST_CASE("a full back end keeps the printer busy until it takes the byte") {
    Port p;
    p.paper.full = true;
    p.strobe('X');
    p.lpt.advance(50'000'000);
    CHECK((p.lpt.in("ports", 1) & 0x80) == 0);
    p.paper.full = false;
    p.lpt.advance(2'000'000);
    CHECK(p.paper.text == "X");
    CHECK((p.lpt.in("ports", 1) & 0x80) == 0x80);
}

TEST_CASE("an unselected printer takes nothing, and INIT ends what goes on") {
    Port p;
    p.lpt.out("ports", 2, 0x04), p.lpt.out("ports", 2, 0x05);
    p.lpt.advance(10'000);
    CHECK(p.paper.text.empty());
    p.strobe('Y');
    p.lpt.out("ports", 2, 0x08);
    CHECK(p.lpt.in("ports", 1) == 0xd9);
    p.lpt.advance(1'000'000);
    CHECK(p.paper.text.empty());
}

TEST_CASE("the data latch reads back, turned round it reads FFh") {
    Port p;
    p.lpt.out("ports", 0, 0xaa);
    CHECK(p.lpt.in("ports", 0) == 0xaa);
    p.lpt.out("ports", 2, 0x2c);
    CHECK(p.lpt.in("ports", 0) == 0xff);
    CHECK(p.lpt.in("ports", 2) == 0xec);
}

TEST_CASE("without a back end printing still completes") {
    testkit::Bench<PcParallel> lpt;
    lpt.out("ports", 2, 0x0d);
    lpt.advance(10'000);
    CHECK(lpt.in("ports", 1) == 0xd9);
}

TEST_CASE("state survives a save and load") {
    Port p, q;
    p.strobe('S', 0x10);
    REQUIRE(q.lpt.load(p.lpt.save()) == BP_OK);
    q.lpt.advance(10'000);
    CHECK(q.paper.text == "S");
    CHECK(q.lpt.line("irq"));
}
