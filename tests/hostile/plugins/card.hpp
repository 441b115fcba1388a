// Device types of no use but to be declared, wired and refused by tests.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "backplane/device.hpp"

namespace fixture {

using namespace backplane;

struct PeerTable {
    u32 size;
};
inline constexpr PeerTable kPeer{sizeof(PeerTable)};

// One of everything that a type can declare.
struct Card : Device<Card> {
    static constexpr std::string_view kType = "fixture.card";
    using Device::Device;
    enum class Mode { kPlain, kFancy };
    static void describe(Schema<Card>& s) {
        s.doc("A card with one of everything");
        s.property("level", &Card::level, {.doc = "How loud", .def = "3", .max = 15});
        s.property("mode", &Card::mode, {.doc = "Which way", .def = "plain", .choices = "plain|fancy"});
        s.property("buffer", &Card::buffer, {.doc = "Bytes held", .def = "4K", .min = 1024, .max = 1 << 20});
        s.property("delay", &Card::delay, {.doc = "Time taken", .def = "1ms"});
        s.property("label", &Card::label, {.doc = "Any text"});
        s.property("loud", &Card::loud, {.doc = "Whether at all", .def = "no"});
        s.line_in<&Card::input>("in", "A lone input");
        s.lines_in<&Card::inputs>("ir", 4, "A bundle of inputs");
        s.line_out("irq", &Card::irq, "A lone output");
        s.lines_out("out", &Card::outs, "A bundle of outputs");
        s.ports<&Card::read, &Card::write>("regs", 8, 1, "Its registers");
        s.bus<&Card::attach>("slot", "fixture.child/1", "fixture.host/1", "Two places");
        s.link("peer", &Card::peer, "fixture.peer/1", "Another card", true);
        s.offer("fixture.peer/1", &kPeer);
    }
    void input(bool) {}
    void inputs(u32, bool) {}
    u64 read(u64, u32) { return 0; }
    void write(u64, u32, u64) {}
    bp_status attach(std::string_view address, std::string_view, bp_interface, bp_interface* host) {
        if (address != "0" && address != "1") return fail(BP_ERR_INVALID, "there is no such place; places are 0 and 1");
        *host = {&kPeer, this};
        return BP_OK;
    }
    u32 level = 0;
    Mode mode = Mode::kPlain;
    Bytes buffer;
    Duration delay;
    std::string label;
    bool loud = false;
    LineOut irq;
    std::array<LineOut, 2> outs;
    Link<PeerTable> peer;
};

struct Child : Device<Child> {
    static constexpr std::string_view kType = "fixture.child";
    using Device::Device;
    static void describe(Schema<Child>& s) {
        s.doc("Sits on a card");
        s.property("colour", &Child::colour, {.doc = "What it looks like", .required = true});
        s.memory<&Child::read, nullptr>("window", 4096, 15, "Read only");
        s.memory<&Child::read, nullptr>("second", 4096, 15, "Read only as well");
        s.plug("fixture.child/1", &kPeer, "fixture.host/1", &Child::host);
        s.publishes("fixture.fact", "Something that somebody must know", true);
    }
    u64 read(u64, u32) { return 0; }
    std::string colour;
    Link<PeerTable> host;
};

struct Listener : Device<Listener> {
    static constexpr std::string_view kType = "fixture.listener";
    using Device::Device;
    static void describe(Schema<Listener>& s) {
        s.doc("Consumes a fact, needs a link");
        s.link("card", &Listener::card, "fixture.peer/1", "The card it listens to");
        s.consumes("fixture.fact", "What it wants to know");
    }
    bp_status consume(const Fact&) { return BP_OK; }
    Link<PeerTable> card;
};

}  // namespace fixture
