#include <catch2/catch.hpp>

#include "backplane/testkit/bench.hpp"
#include "model.hpp"

using namespace backplane;

namespace {

// A device that offers or takes a string of bytes.
struct Peer {
    std::vector<u8> data;  // to give, or taken
    std::size_t at = 0;
    std::size_t limit = ~std::size_t{0};  // bytes a request
    unsigned terminals = 0;
    u32 direction = 99;
    static constexpr bp_isa_dma_device kTable{sizeof(bp_isa_dma_device),
                                              [](void* i, u32 direction, u8* data, u32 count) {
                                                  Peer& p = *static_cast<Peer*>(i);
                                                  p.direction = direction;
                                                  u32 n = 0;
                                                  for (; n < count && n < p.limit; ++n) {
                                                      if (direction == BP_ISA_DMA_TO_DEVICE)
                                                          p.data.push_back(data[n]);
                                                      else if (p.at < p.data.size())
                                                          data[n] = p.data[p.at++];
                                                      else
                                                          break;
                                                  }
                                                  return n;
                                              },
                                              [](void* i) { ++static_cast<Peer*>(i)->terminals; }};
};

struct Dma : testkit::Bench<dma::I8237Pair> {
    Dma() {
        out("dma2", 0x16, 0xc0);  // channel 4: cascade
        out("dma2", 0x14, 0x00);
    }
    const bp_isa_dma* table(const char* name) {
        return static_cast<const bp_isa_dma*>(offer(BP_ISA_DMA_ID, name).table);
    }
    void connect(const char* name, Peer& peer) {
        const bp_interface i = offer(BP_ISA_DMA_ID, name);
        REQUIRE(i.table);
        REQUIRE(static_cast<const bp_isa_dma*>(i.table)->connect(i.instance, &Peer::kTable, &peer) == BP_OK);
    }
    void request(const char* name, int level = 1) {
        const bp_interface i = offer(BP_ISA_DMA_ID, name);
        static_cast<const bp_isa_dma*>(i.table)->request(i.instance, level);
    }
    void word(const char* region, unsigned port, unsigned value) {
        out(region, port, value & 0xff), out(region, port, value >> 8);
    }
    unsigned word(const char* region, unsigned port) {
        const auto low = static_cast<unsigned>(in(region, port));
        return low | static_cast<unsigned>(in(region, port)) << 8;
    }
    // Channel 2: page 1, address, bytes - 1.
    void program2(unsigned mode, unsigned address, unsigned count) {
        out("dma1", 0x0a, 0x06);
        out("dma1", 0x0c, 0);
        out("dma1", 0x0b, mode | 2);
        word("dma1", 4, address), word("dma1", 5, count);
        out("pages1", 0, 0x01);
    }
    void open2() { out("dma1", 0x0a, 0x02); }
    u8 at(unsigned address) { return memory[address]; }
};

}  // namespace

TEST_CASE("address and count are read back through the flip-flop") {
    Dma dma;
    dma.out("dma1", 0x0c, 0);
    dma.word("dma1", 2, 0x1234), dma.word("dma1", 3, 0x5678);
    CHECK(dma.word("dma1", 2) == 0x1234);
    CHECK(dma.word("dma1", 3) == 0x5678);
    dma.word("dma2", 0x08, 0xabcd);
    CHECK(dma.word("dma2", 0x08) == 0xabcd);
    dma.in("dma1", 2);
    dma.out("dma1", 0x0c, 0);
    CHECK(dma.in("dma1", 2) == 0x34);
    CHECK(dma.in("dma2", 0x09) == 0xff);  // odd ports are not decoded
}

TEST_CASE("page registers have the order of the AT") {
    Dma dma;
    const std::pair<const char*, unsigned> order[] = {{"pages1", 0}, {"pages1", 1}, {"pages1", 2}, {"page0", 0},
                                                      {"pages2", 0}, {"pages2", 1}, {"pages2", 2}, {"refresh", 0}};
    unsigned value = 0x10;
    for (const auto& [region, offset] : order) dma.out(region, offset, value++);
    value = 0x10;
    for (const auto& [region, offset] : order) CHECK(dma.in(region, offset) == value++);
}

TEST_CASE("a device's bytes reach memory and terminal count masks the channel") {
    Dma dma;
    Peer peer{{1, 2, 3, 4, 5, 6}};
    dma.connect("ch2", peer);
    dma.program2(0x44, 0x8000, 3);  // single, write to memory
    dma.request("ch2");
    CHECK(dma.at(0x18000) == 0);  // masked
    CHECK((dma.in("dma1", 8) & 0x40) == 0x40);
    dma.open2();
    CHECK(dma.at(0x18000) == 1);
    CHECK(dma.at(0x18003) == 4);
    CHECK(dma.at(0x18004) == 0);
    CHECK(peer.terminals == 1);
    CHECK(peer.at == 4);
    CHECK((dma.in("dma1", 8) & 0x0f) == 0x04);
    CHECK((dma.in("dma1", 8) & 0x0f) == 0x00);  // reading clears it
    CHECK((dma.in("dma1", 15) & 0x0f) == 0x0f);
    CHECK(dma.word("dma1", 4) == 0x8004);
    CHECK(dma.word("dma1", 5) == 0xffff);
}

TEST_CASE("memory reaches the device") {
    Dma dma;
    Peer peer;
    dma.connect("ch2", peer);
    for (unsigned i = 0; i < 10000; ++i) dma.memory[0x10100 + i] = static_cast<u8>(i * 7);
    dma.program2(0x48, 0x100, 9999);
    dma.open2();
    dma.request("ch2");
    REQUIRE(peer.data.size() == 10000);
    CHECK(peer.data[9999] == static_cast<u8>(9999 * 7));
    CHECK(peer.terminals == 1);
}

TEST_CASE("a device that pauses goes on with its next request") {
    Dma dma;
    Peer peer{{1, 2, 3, 4, 5, 6}};
    peer.limit = 2;
    dma.connect("ch2", peer);
    dma.program2(0x44, 0, 5);
    dma.open2();
    dma.request("ch2");
    CHECK(dma.at(0x10001) == 2);
    CHECK(dma.at(0x10002) == 0);
    CHECK(dma.word("dma1", 5) == 3);
    dma.request("ch2");
    CHECK(dma.at(0x10003) == 4);
    CHECK(peer.terminals == 0);
    dma.request("ch2");
    CHECK(peer.terminals == 1);
}

TEST_CASE("auto-initialisation starts over and lets the guest run in between") {
    Dma dma;
    Peer peer;
    dma.connect("ch2", peer);
    dma.program2(0x58, 0, 15);
    dma.open2();
    dma.request("ch2");
    CHECK(peer.terminals == 1);
    CHECK(dma.word("dma1", 4) == 0);
    CHECK(dma.word("dma1", 5) == 15);
    dma.advance(10'000);
    CHECK(peer.terminals == 2);
    dma.request("ch2", 0);
    dma.advance(1'000'000);
    CHECK(peer.terminals == 2);
}

TEST_CASE("addresses wrap within the page, and count down in decrement mode") {
    Dma dma;
    Peer peer{{1, 2, 3, 4, 5, 6, 7, 8}};
    dma.connect("ch2", peer);
    dma.program2(0x44, 0xfffe, 3);
    dma.open2();
    dma.request("ch2");
    CHECK((dma.at(0x1fffe) == 1 && dma.at(0x1ffff) == 2 && dma.at(0x10000) == 3 && dma.at(0x10001) == 4));
    dma.program2(0x64, 0x0203, 3);
    dma.open2();
    dma.request("ch2");
    CHECK((dma.at(0x10203) == 5 && dma.at(0x10202) == 6 && dma.at(0x10201) == 7 && dma.at(0x10200) == 8));
}

TEST_CASE("a decrementing channel whose device pauses fills from the top") {
    Dma dma;
    Peer peer{{1, 2, 3, 4}};
    peer.limit = 3;
    dma.connect("ch2", peer);
    dma.program2(0x64, 0x0203, 3);
    dma.open2();
    dma.request("ch2");
    CHECK((dma.at(0x10203) == 1 && dma.at(0x10202) == 2 && dma.at(0x10201) == 3 && dma.at(0x10200) == 0));
    dma.request("ch2");
    CHECK(dma.at(0x10200) == 4);
}

TEST_CASE("word channels count words") {
    Dma dma;
    Peer peer{{1, 2, 3, 4, 5, 6}};
    dma.connect("ch5", peer);
    dma.out("dma2", 0x16, 0x45);  // channel 5, single, write
    dma.word("dma2", 0x04, 0x0100), dma.word("dma2", 0x06, 2);
    dma.out("pages2", 2, 0x03);  // bit 0 does not count
    dma.out("dma2", 0x14, 0x01);
    dma.request("ch5");
    CHECK(dma.at(0x20200) == 1);
    CHECK(dma.at(0x20205) == 6);
    CHECK(peer.terminals == 1);
    CHECK(dma.word("dma2", 0x04) == 0x0103);
}

TEST_CASE("verify moves nothing but counts") {
    Dma dma;
    Peer peer{{1, 2, 3, 4}};
    dma.connect("ch2", peer);
    dma.program2(0x40, 0, 3);
    dma.open2();
    dma.request("ch2");
    CHECK(peer.direction == BP_ISA_DMA_VERIFY);
    CHECK(peer.terminals == 1);
    CHECK(dma.at(0x10000) == 0);
}

TEST_CASE("nothing moves while a controller is disabled or the cascade is closed") {
    Dma dma;
    Peer peer{{1, 2, 3, 4}};
    dma.connect("ch2", peer);
    dma.program2(0x44, 0, 3);
    dma.out("dma1", 8, 0x04);
    dma.open2();
    dma.request("ch2");
    CHECK(peer.at == 0);
    dma.out("dma2", 0x14, 0x04);
    dma.out("dma1", 8, 0x00);
    CHECK(peer.at == 0);
    dma.out("dma2", 0x14, 0x00);
    CHECK(peer.at == 4);
}

TEST_CASE("a software request without a device runs to terminal count") {
    Dma dma;
    dma.program2(0x88, 0, 3);
    dma.out("dma1", 9, 0x06);
    CHECK((dma.in("dma1", 8) & 0x0f) == 0x04);
}

TEST_CASE("master clear masks all channels and resets the flip-flop") {
    Dma dma;
    dma.out("dma1", 0x0e, 0);
    dma.in("dma1", 0);
    CHECK((dma.in("dma1", 15) & 0x0f) == 0);
    dma.out("dma1", 0x0d, 0);
    CHECK((dma.in("dma1", 15) & 0x0f) == 0x0f);
    dma.word("dma1", 0, 0x4321);
    CHECK(dma.word("dma1", 0) == 0x4321);
}

TEST_CASE("a channel takes one device, and channel 4 none") {
    Dma dma;
    Peer peer;
    dma.connect("ch1", peer);
    const bp_interface i = dma.offer(BP_ISA_DMA_ID, "ch1");
    CHECK(static_cast<const bp_isa_dma*>(i.table)->connect(i.instance, &Peer::kTable, &peer) == BP_ERR_CONFLICT);
    CHECK(dma.offer(BP_ISA_DMA_ID, "ch4").table == nullptr);
}

TEST_CASE("state survives a save and load") {
    Dma dma, other;
    dma.program2(0x44, 0x1200, 0x34);
    dma.in("dma1", 4);
    REQUIRE(other.load(dma.save()) == BP_OK);
    CHECK(other.in("dma1", 4) == 0x12);
    CHECK(other.in("pages1", 0) == 1);
}
