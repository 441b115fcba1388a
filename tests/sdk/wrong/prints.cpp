// A device that writes to the terminal
#include <cstdio>
#include <iostream>

#include "backplane/plugin.hpp"

struct Prints : backplane::Device<Prints> {
    static constexpr std::string_view kType = "wrong.prints";
    using Device::Device;
    static void describe(backplane::Schema<Prints>& s) { s.doc("A device that writes to the terminal"); }
    bp_status start() {
        std::cout << name();
        std::puts("");
        return BP_OK;
    }
};

BACKPLANE_PLUGIN("wrong.prints", "0.1.0", "Apache-2.0", kDevice, "", Prints)
