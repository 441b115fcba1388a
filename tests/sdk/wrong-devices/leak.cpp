// What the constructor takes, nobody gives back.
#include <algorithm>

#include "backplane/plugin.hpp"

using namespace backplane;

struct Wrong final : Device<Wrong> {
    static constexpr std::string_view kType = "wrong.leak";
    explicit Wrong(const Slot& slot) : Device(slot), buffer_(new u8[64]()) {}
    static void describe(Schema<Wrong>& s) {
        s.doc("A buffer of 64 bytes.");
        s.ports<&Wrong::read, &Wrong::write>("ports", 64, 1, "the buffer");
    }
    void reset(Reset) { std::fill_n(buffer_, 64, u8{0}); }
    void state(StateVisitor& v) { v.bytes("buffer", buffer_, 64); }
    u64 read(u64 offset, u32) { return buffer_[offset]; }
    void write(u64 offset, u32, u64 value) { buffer_[offset] = static_cast<u8>(value); }
    u8* buffer_;
};

BACKPLANE_PLUGIN("wrong.leak", "0.1.0", "Apache-2.0", kDevice, "", Wrong)
