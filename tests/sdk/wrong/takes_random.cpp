// A device that takes random numbers from the host
#include <cstdlib>
#include <random>

#include "backplane/plugin.hpp"

struct TakesRandom : backplane::Device<TakesRandom> {
    static constexpr std::string_view kType = "wrong.takes-random";
    using Device::Device;
    static void describe(backplane::Schema<TakesRandom>& s) {
        s.doc("A device that takes random numbers from the host");
    }
    bp_status start() { return std::rand() == static_cast<int>(std::random_device()()) ? BP_ERR_IO : BP_OK; }
};

BACKPLANE_PLUGIN("wrong.takes-random", "0.1.0", "Apache-2.0", kDevice, "", TakesRandom)
