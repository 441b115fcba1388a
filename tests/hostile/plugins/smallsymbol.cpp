// Exports the right name for something much smaller.
#include <unistd.h>

#include "backplane/plugin.hpp"
#include "card.hpp"

namespace {
__attribute__((constructor)) void explode() { ::_exit(77); }
constexpr auto kSize = backplane::manifest_size<fixture::Card>("fixture.small", "1", "Apache-2.0", "device", "");
}  // namespace

extern "C" {
__attribute__((section(BP_MANIFEST_SECTION), used)) constexpr auto backplane_manifest =
    backplane::make_manifest<kSize, fixture::Card>("fixture.small", "1", "Apache-2.0", "device", "");
__attribute__((visibility("default"))) extern const char backplane_plugin[8];
const char backplane_plugin[8] = {};
}
