// A device with a unique symbol, which is never unloaded
#include "backplane/plugin.hpp"

template <class>
__attribute__((visibility("default"))) inline backplane::u64 counter = 0;

struct UniqueSymbol : backplane::Device<UniqueSymbol> {
    static constexpr std::string_view kType = "wrong.unique-symbol";
    using Device::Device;
    static void describe(backplane::Schema<UniqueSymbol>& s) {
        s.doc("A device with a unique symbol, which is never unloaded");
    }
    backplane::u64 count() { return ++counter<int>; }
    bp_status start() { return count() ? BP_OK : BP_ERR_IO; }
};

BACKPLANE_PLUGIN("wrong.unique-symbol", "0.1.0", "Apache-2.0", kDevice, "", UniqueSymbol)
