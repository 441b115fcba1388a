// Where a device's message-signalled interrupts go in a unit test.
//
//   MsiLog msi;
//   Bench<Nic> nic({}, {{"msi", msi.interface()}});
//   CHECK(msi.sent.back().data == 0x41);
#pragma once

#include <vector>

#include "backplane/abi/msi.h"
#include "backplane/types.hpp"

namespace backplane::testkit {

struct MsiLog {
    struct Message {
        u64 address;
        u32 data;
        bool operator==(const Message&) const = default;
    };
    bp_interface interface() { return {&kTable, this}; }
    std::vector<Message> sent;

  private:
    static constexpr bp_msi kTable{sizeof(bp_msi), [](void* i, uint64_t address, uint32_t data) {
                                       static_cast<MsiLog*>(i)->sent.push_back({address, data});
                                   }};
};

}  // namespace backplane::testkit
