#include <catch2/catch.hpp>

#include "backplane/testkit/bench.hpp"
#include "model.hpp"

using namespace backplane;

TEST_CASE("it has the pins of a processor and offers none") {
    testkit::Bench<NoCpu> device;
    CHECK(device.offer(BP_CPU_ID).table == nullptr);
    for (const char* pin : {"intr", "nmi", "init", "smi", "a20", "ignne"}) device.drive(pin, true);
}
