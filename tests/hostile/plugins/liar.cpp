// Its manifest names other types than its code has.
#include "backplane/plugin.hpp"
#include "card.hpp"

namespace {
struct Claimed {
    static constexpr std::string_view kType = "fixture.claimed";
};
using Honest = backplane::TypeList<fixture::Card>;
constexpr auto kSize = backplane::manifest_size<Claimed>("fixture.liar", "1", "Apache-2.0", "device", "");
}  // namespace

extern "C" {
__attribute__((section(BP_MANIFEST_SECTION), used)) constexpr auto backplane_manifest =
    backplane::make_manifest<kSize, Claimed>("fixture.liar", "1", "Apache-2.0", "device", "");
__attribute__((visibility("default"))) extern const bp_plugin backplane_plugin;
const bp_plugin backplane_plugin = {BP_PLUGIN_MAGIC,
                                    sizeof(bp_plugin),
                                    BP_ABI_MAJOR,
                                    BP_ABI_MINOR,
                                    backplane::to_bp("fixture.liar"),
                                    backplane::to_bp("1"),
                                    backplane::to_bp("Apache-2.0"),
                                    {backplane_manifest.text, sizeof backplane_manifest.text},
                                    Honest::factory,
                                    sizeof(bp_plugin)};
}
