// What users may ask the bridge: which functions are on its bus, from their configuration space. Reading that has no
// effects, so the guest notices nothing.
#include <cstdio>

#include "model.hpp"

namespace backplane {

namespace {

constexpr std::string_view kList =
    R"([{"name": "pci", "help": "the functions on the PCI bus with identity, class, interrupt and bases", "query": true}])";

std::string member(const char* name, u64 value) { return "\"" + std::string(name) + "\": " + std::to_string(value); }

// One function, as a JSON object. read(register, bytes).
template <class Read>
std::string function_json(u32 devfn, const std::string& name, Read read) {
    std::string out = "{" + member("slot", devfn >> 3) + ", " + member("function", devfn & 7) + ", \"name\": \"" +
                      name + "\", " + member("vendor", read(0x00, 2)) + ", " + member("device", read(0x02, 2)) + ", " +
                      member("command", read(0x04, 2)) + ", " + member("revision", read(0x08, 1)) + ", " +
                      member("class", read(0x0a, 2)) + ", " + member("subsystem-vendor", read(0x2c, 2)) + ", " +
                      member("subsystem", read(0x2e, 2)) + ", " + member("irq", read(0x3c, 1)) + ", " +
                      member("pin", read(0x3d, 1)) + ", \"bases\": [";
    bool first = true;
    for (u32 n = 0; n < 6; ++n) {
        const u32 low = read(0x10 + 4 * n, 4);
        const bool ports = low & 1, wide = !ports && (low & 6) == 4;
        u64 base = low & (ports ? ~u32{3} : ~u32{15});
        if (wide) base |= u64{read(0x14 + 4 * n, 4)} << 32;
        if (low != 0)
            out += std::string(first ? "" : ", ") + "{" + member("index", n) + ", \"kind\": \"" +
                   (ports ? "ports" : "memory") + "\", \"prefetch\": " + (!ports && low & 8 ? "true" : "false") + ", " +
                   member("base", base) + "}";
        first = first && low == 0;
        if (wide) ++n;
    }
    return out + "]}";
}

}  // namespace

std::string I440fx::functions_json() {
    std::string out = "[" + function_json(0, std::string(to_view(slot().core().name(slot().self()))),
                                          [this](u32 reg, u32 bytes) { return host_.read(reg, bytes); });
    for (u32 devfn = 1; devfn < kFunctions; ++devfn) {
        const Place* place = find(devfn);
        if (!place) continue;
        const auto* table = static_cast<const bp_pci_function*>(place->function.table);
        out += ", " + function_json(devfn, place->child, [&](u32 reg, u32 bytes) {
                   return table->config_read(place->function.instance, reg, bytes) &
                          (bytes == 4 ? ~u32{0} : (u32{1} << (8 * bytes)) - 1);
               });
    }
    return out + "]";
}

const bp_commands I440fx::kCommands{
    sizeof(bp_commands), [](void*) { return to_bp(kList); },
    [](void* self, bp_str command, bp_str, void (*answer)(void*, bp_str), void* context) -> bp_status {
        auto* bridge = static_cast<I440fx*>(self);
        if (to_view(command) != "pci") return bridge->fail(BP_ERR_NOT_FOUND, "there is no such command");
        const std::string text = bridge->functions_json();
        answer(context, to_bp(text));
        return BP_OK;
    }};

}  // namespace backplane
