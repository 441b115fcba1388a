// Copies a word from an address of the guest and tries again until it succeeds: the address may be its own.
#include "backplane/plugin.hpp"

using namespace backplane;

struct Wrong final : Device<Wrong> {
    static constexpr std::string_view kType = "wrong.dma-loop";
    using Device::Device;

    static void describe(Schema<Wrong>& s) {
        s.doc("Reads a word of memory.");
        s.memory<&Wrong::read, &Wrong::write>("registers", 16, 4, "00h: address, a write starts; 04h: the word");
    }
    void reset(Reset) { word_ = 0; }
    void state(StateVisitor& v) { v("word", word_); }
    u64 read(u64 offset, u32) { return offset == 4 ? word_ : 0; }
    void write(u64 offset, u32, u64 value) {
        if (offset != 0) return;
        while (dma_read(value, &word_, sizeof word_) != BP_OK) {}
    }
    u32 word_ = 0;
};

BACKPLANE_PLUGIN("wrong.dma-loop", "0.1.0", "Apache-2.0", kDevice, "", Wrong)
