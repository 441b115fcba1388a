// A device whose code must be changed when it is loaded
#include "backplane/plugin.hpp"

asm(".text\n.quad backplane_plugin\n");

struct TextRelocation : backplane::Device<TextRelocation> {
    static constexpr std::string_view kType = "wrong.text-relocation";
    using Device::Device;
    static void describe(backplane::Schema<TextRelocation>& s) {
        s.doc("A device whose code must be changed when it is loaded");
    }
};

BACKPLANE_PLUGIN("wrong.text-relocation", "0.1.0", "Apache-2.0", kDevice, "", TextRelocation)
