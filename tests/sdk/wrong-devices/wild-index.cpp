// The index comes from a snapshot as it likes.
#include "backplane/plugin.hpp"

using namespace backplane;

struct Wrong final : Device<Wrong> {
    static constexpr std::string_view kType = "wrong.wild-index";
    using Device::Device;

    static void describe(Schema<Wrong>& s) {
        s.doc("A bank of registers.");
        s.ports<&Wrong::read, &Wrong::write>("ports", 2, 1, "index, data");
    }
    void reset(Reset) { index_ = 0, bank_ = {}; }
    void state(StateVisitor& v) { v("index", index_), v("bank", bank_); }
    u64 read(u64 offset, u32) { return offset ? bank_.data()[index_] : index_; }
    void write(u64 offset, u32, u64 value) {
        if (offset == 0)
            index_ = value & 15;
        else
            bank_.data()[index_] = static_cast<u8>(value);
    }
    u64 index_ = 0;
    std::array<u8, 16> bank_{};
};

BACKPLANE_PLUGIN("wrong.wild-index", "0.1.0", "Apache-2.0", kDevice, "", Wrong)
