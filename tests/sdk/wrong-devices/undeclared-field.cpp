// The register is no part of the state.
#include "backplane/plugin.hpp"

using namespace backplane;

struct Wrong final : Device<Wrong> {
    static constexpr std::string_view kType = "wrong.undeclared-field";
    using Device::Device;

    static void describe(Schema<Wrong>& s) {
        s.doc("A register of which a snapshot knows nothing.");
        s.ports<&Wrong::read, &Wrong::write>("port", 1, 1, "the register");
    }
    void reset(Reset) { value_ = 0; }
    u64 read(u64, u32) { return value_; }
    void write(u64, u32, u64 value) { value_ = static_cast<u8>(value); }
    u8 value_ = 0;
};

BACKPLANE_PLUGIN("wrong.undeclared-field", "0.1.0", "Apache-2.0", kDevice, "", Wrong)
