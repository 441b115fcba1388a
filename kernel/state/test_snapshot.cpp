#include <catch2/catch.hpp>

#include "kernel/state/testing.hpp"

using namespace backplane;
using namespace backplane::kernel;
using namespace backplane::kernel::testing;

TEST_CASE("a snapshot comes back as it was written") {
    const Folder folder;
    const Sample sample;
    sample.write(folder.file("a"));
    const SnapshotFile file(folder.file("a"));
    CHECK(file.snapshot() == sample.snapshot);
    for (std::size_t i = 0; i < sample.contents.size(); ++i) {
        std::string memory(sample.contents[i].size(), '\x55');
        file.load_memory(i, reinterpret_cast<u8*>(memory.data()));
        CHECK(memory == sample.contents[i]);
    }
}
