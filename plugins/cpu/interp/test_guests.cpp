// Whole programs: the guests of tests/guests/cpu, assembled by the build, print every event they meet. The expected
// texts agree with QEMU's TCG except where that leaves the manual: limits and null selectors are not checked there, RF,
// EXT and RSVD|P bits of error codes and images, INT1, LOCK MOV, general detect, the T bit, the delay of traps behind
// MOV SS.
#include <cstddef>

#include "test_guest_machine.hpp"

using namespace backplane::interp;
using namespace backplane::interp::guest_test;

TEST_CASE("the CPU guests meet the events they expect") {
    const std::string name = GENERATE("protection", "v86", "paging", "tasks", "debug", "limits", "modes");
    const std::string image = contents(std::string(BACKPLANE_GUEST_IMAGES) + "/" + name + ".bin");
    const auto expected = lines(contents(std::string(BACKPLANE_GUEST_SOURCES) + "/expected/" + name + ".txt"));
    Machine m;
    m.run(image);
    INFO(name);
    const auto got = lines(m.text);
    for (std::size_t i = 0; i < got.size() && i < expected.size(); ++i) {
        INFO("line " << i + 1);
        REQUIRE(got[i] == expected[i]);
    }
    REQUIRE(got.size() == expected.size());
    REQUIRE(m.ended);
}
