// A manifest, but nothing exported. The constructor tells whether it was loaded all the same.
#include <unistd.h>

#include "backplane/plugin.hpp"
#include "card.hpp"

namespace {
__attribute__((constructor)) void explode() { ::_exit(77); }
constexpr auto kSize = backplane::manifest_size<fixture::Card>("fixture.nosymbol", "1", "Apache-2.0", "device", "");
}  // namespace

extern "C" {
__attribute__((section(BP_MANIFEST_SECTION), used)) constexpr auto backplane_manifest =
    backplane::make_manifest<kSize, fixture::Card>("fixture.nosymbol", "1", "Apache-2.0", "device", "");
}
