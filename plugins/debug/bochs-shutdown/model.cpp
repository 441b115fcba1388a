#include "model.hpp"

namespace backplane {
namespace {
constexpr std::string_view kWord = "Shutdown";
}

void BochsShutdown::describe(Schema<BochsShutdown>& s) {
    s.doc("Bochs shutdown port: writing the text Shutdown powers the machine off");
    s.ports<nullptr, &BochsShutdown::write>("port", 1, 1, "text, one character a write");
}

void BochsShutdown::reset(Reset) { matched_ = 0; }
void BochsShutdown::state(StateVisitor& v) { v("matched", matched_, {.max = kWord.size() - 1}); }

void BochsShutdown::write(u64, u32, u64 value) {
    const char c = static_cast<char>(value);
    if (c != kWord[matched_]) {
        matched_ = c == kWord[0] ? 1 : 0;
        return;
    }
    if (++matched_ < kWord.size()) return;
    matched_ = 0;
    request(BP_REQUEST_POWEROFF, 0, "the guest asked for it at the Bochs shutdown port");
}

}  // namespace backplane
