/// @file
/// Where a device's message-signalled interrupts go in a unit test.
///
/// @code{.cpp}
/// MsiLog msi;
/// Bench<Nic> nic({}, {{"msi", msi.interface()}});
/// CHECK(msi.sent.back().data == 0x41);
/// @endcode
#pragma once

#include <vector>

#include "backplane/abi/msi.h"
#include "backplane/types.hpp"

namespace backplane::testkit {

/// Keeps the messages that a device sends.
struct MsiLog {
    /// A message: a write of `data` to `address`.
    struct Message {
        u64 address;  ///< where it is written
        u32 data;     ///< what is written
        /// Address and data.
        bool operator==(const Message&) const = default;
    };
    /// For the links of a Bench.
    bp_interface interface() { return {&kTable, this}; }
    std::vector<Message> sent;  ///< in the order in which they were sent

  private:
    static constexpr bp_msi kTable{sizeof(bp_msi), [](void* i, uint64_t address, uint32_t data) {
                                       static_cast<MsiLog*>(i)->sent.push_back({address, data});
                                   }};
};

}  // namespace backplane::testkit
