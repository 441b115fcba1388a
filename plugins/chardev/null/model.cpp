#include "model.hpp"

namespace backplane {
namespace {

constexpr bp_chardev kTable{sizeof(bp_chardev), [](void*, const uint8_t*, uint32_t count) { return count; },
                            [](void*, const bp_char_receiver*, void*) {}, [](void*) {}};

}  // namespace

void NullChardev::describe(Schema<NullChardev>& s) {
    s.doc("A character stream that takes everything and gives nothing");
    s.offer(BP_CHARDEV_ID, &kTable);
}

}  // namespace backplane
