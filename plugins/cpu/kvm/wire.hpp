// Lists that KVM takes, with heads of our own: the host's header ends them in open arrays, which have another size in
// C++ than in C, and the sizes are part of the requests' numbers.
#pragma once

#include <linux/kvm.h>

#include <cstring>
#include <span>
#include <vector>

#include "registers.hpp"

namespace backplane::kvm {

struct ListHead {  // of kvm_cpuid2 and kvm_msrs
    u32 count, padding;
};
static_assert(sizeof(ListHead) == 8 && sizeof(kvm_cpuid_entry2) == 40 && sizeof(kvm_msr_entry) == 16);

inline constexpr unsigned long kGetSupportedCpuid = _IOWR(KVMIO, 0x05, ListHead);
inline constexpr unsigned long kGetMsrs = _IOWR(KVMIO, 0x88, ListHead);
inline constexpr unsigned long kSetMsrs = _IOW(KVMIO, 0x89, ListHead);
inline constexpr unsigned long kSetSignalMask = _IOW(KVMIO, 0x8b, u32);
inline constexpr unsigned long kSetCpuid2 = _IOW(KVMIO, 0x90, ListHead);
inline constexpr unsigned long kGetXsave = _IOR(KVMIO, 0xa4, XsaveArea);
inline constexpr unsigned long kSetXsave = _IOW(KVMIO, 0xa5, XsaveArea);

struct OneMsr {
    ListHead head;
    kvm_msr_entry entry;
};

// A head with entries behind it.
template <class Entry>
class List {
  public:
    explicit List(std::size_t room) : bytes_(sizeof(ListHead) + room * sizeof(Entry)) {
        const ListHead head{static_cast<u32>(room), 0};
        std::memcpy(bytes_.data(), &head, sizeof head);
    }
    explicit List(std::span<const Entry> entries) : List(entries.size()) {
        if (!entries.empty()) std::memcpy(bytes_.data() + sizeof(ListHead), entries.data(), entries.size_bytes());
    }
    [[nodiscard]] void* data() { return bytes_.data(); }
    [[nodiscard]] std::vector<Entry> entries() const {
        ListHead head{};
        std::memcpy(&head, bytes_.data(), sizeof head);
        std::vector<Entry> out(head.count);
        if (!out.empty()) std::memcpy(out.data(), bytes_.data() + sizeof(ListHead), out.size() * sizeof(Entry));
        return out;
    }

  private:
    std::vector<u8> bytes_;
};

}  // namespace backplane::kvm
