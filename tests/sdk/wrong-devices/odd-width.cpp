// The offset is taken for an index of elements, which it is for bytes only.
#include <cstring>

#include "backplane/plugin.hpp"

using namespace backplane;

struct Wrong final : Device<Wrong> {
    static constexpr std::string_view kType = "wrong.odd-width";
    using Device::Device;

    static void describe(Schema<Wrong>& s) {
        s.doc("A page of memory behind ports.");
        s.ports<&Wrong::read, &Wrong::write>("page", 4096, 1 | 2 | 4, "the page");
    }
    bp_status start() {
        u32 block = 0;
        if (const bp_status s = slot().ram().create(slot().self(), to_bp("page"), 4096, &block)) return s;
        page_ = static_cast<u8*>(slot().ram().data(slot().self(), block));
        return BP_OK;
    }
    u64 read(u64 offset, u32 bytes) {
        u64 value = 0;
        std::memcpy(&value, page_ + offset * bytes, bytes);
        return value;
    }
    void write(u64 offset, u32 bytes, u64 value) { std::memcpy(page_ + offset * bytes, &value, bytes); }
    u8* page_ = nullptr;
};

BACKPLANE_PLUGIN("wrong.odd-width", "0.1.0", "Apache-2.0", kDevice, "", Wrong)
