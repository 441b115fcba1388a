#include <catch2/catch.hpp>

#include "backplane/testkit/bench.hpp"
#include "model.hpp"

using namespace backplane;

TEST_CASE("everything is taken") {
    testkit::Bench<NullChardev> null;
    const bp_interface i = null.offer(BP_CHARDEV_ID);
    const auto* table = static_cast<const bp_chardev*>(i.table);
    const u8 bytes[3] = {1, 2, 3};
    CHECK(table->write(i.instance, bytes, 3) == 3);
    table->connect(i.instance, nullptr, nullptr);
    table->room_changed(i.instance);
    CHECK(table->write(i.instance, bytes, 0) == 0);
}
