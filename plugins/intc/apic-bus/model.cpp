#include "model.hpp"

namespace backplane::intc {
namespace {

constexpr u64 kWindow = 0xfee01000;  // the page below belongs to the local APICs
constexpr u64 kMessages = 0xfee;     // bits 31-20 of a message address
// Message address and data (SDM, "Message Address Register Format", "Message Data Register Format").
constexpr unsigned kAddressDestination = 12;
constexpr u64 kAddressLogical = 1u << 2;
constexpr u64 kAddressRedirect = 1u << 3;
constexpr unsigned kDataMode = 8;
constexpr u32 kDataAssert = 1u << 14;
constexpr u32 kDataLevel = 1u << 15;
constexpr u32 kRefuses = ~0u;

}  // namespace

const bp_apic_bus ApicBus::kBus{sizeof(bp_apic_bus),
                                [](void* i, const bp_apic_local* table, void* local) {
                                    static_cast<ApicBus*>(i)->locals_.push_back({table, local});
                                },
                                [](void* i, const bp_apic_io* table, void* io) {
                                    static_cast<ApicBus*>(i)->ios_.push_back({table, io});
                                },
                                [](void* i, const bp_apic_message* message, const void* sender) {
                                    return static_cast<ApicBus*>(i)->deliver(*message, sender);
                                },
                                [](void* i, u64 address, u32 data) { static_cast<ApicBus*>(i)->msi(address, data); },
                                [](void* i, u32 vector) { static_cast<ApicBus*>(i)->end_of_interrupt(vector); }};

const bp_msi ApicBus::kMsi{
    sizeof(bp_msi), [](void* i, uint64_t address, uint32_t data) { static_cast<ApicBus*>(i)->msi(address, data); }};

void ApicBus::describe(Schema<ApicBus>& s) {
    s.doc(
        "Carries interrupt messages between I/O APICs, local APICs and devices with message-signalled interrupts. "
        "Local and I/O APICs, and PCI functions that send messages, link to it; the window of message addresses stands "
        "at FEE01000h.");
    s.memory<nullptr, &ApicBus::write_window>("msi", 0xff000, 4,
                                              "message-signalled interrupts written by the processor");
    s.offer(BP_APIC_BUS_ID, &kBus);
    s.offer(BP_MSI_ID, &kMsi);
    s.trace("message", &ApicBus::trace_, "interrupt messages and ends of interrupt");
}

void ApicBus::write_window(u64 offset, u32, u64 value) { msi(kWindow + offset, static_cast<u32>(value)); }

void ApicBus::msi(u64 address, u32 data) {
    if (address >> 20 != kMessages) {
        log_guest("a message to %llx, which is no address of interrupts", static_cast<unsigned long long>(address));
        return;
    }
    bp_apic_message m{};
    m.size = sizeof m;
    m.vector = data & 0xff;
    m.mode = data >> kDataMode & 7;
    m.destination = static_cast<u32>(address >> kAddressDestination) & 0xff;
    m.logical = (address & kAddressLogical) != 0;
    // The redirection hint asks for one receiver, the least busy one.
    if ((address & kAddressRedirect) && m.mode == BP_APIC_FIXED) m.mode = BP_APIC_LOWEST_PRIORITY;
    m.level_triggered = (data & kDataLevel) != 0;
    m.assert_level = !m.level_triggered || (data & kDataAssert);
    if (m.assert_level) deliver(m, nullptr);
}

bool ApicBus::addressed(const Member<bp_apic_local>& local, const bp_apic_message& m, const void* sender) const {
    switch (m.shorthand) {
        case BP_APIC_TO_SELF: return local.instance == sender;
        case BP_APIC_TO_ALL: return true;
        case BP_APIC_TO_OTHERS: return local.instance != sender;
        default: return local.table->matches(local.instance, m.destination, m.logical) != 0;
    }
}

u32 ApicBus::deliver(const bp_apic_message& m, const void* sender) {
    trace_("mode %u vector %02x to %s%02x%s", m.mode, m.vector, m.logical ? "logical " : "", m.destination,
           m.level_triggered ? ", level" : "");
    if (m.mode == BP_APIC_LOWEST_PRIORITY) return deliver_lowest(m, sender);
    u32 taken = 0;
    for (const auto& local : locals_) {
        if (!addressed(local, m, sender)) continue;
        local.table->accept(local.instance, &m);
        ++taken;
    }
    return taken;
}

// One of the addressed takes it: the one with the lowest processor priority, and among equals the next one after who
// took the last (SDM, "Lowest Priority Delivery Mode"). There is no focus processor.
u32 ApicBus::deliver_lowest(const bp_apic_message& m, const void* sender) {
    const auto count = static_cast<u32>(locals_.size());
    u32 best = kRefuses, chosen = 0;
    for (u32 i = 1; i <= count; ++i) {
        const u32 n = (last_ + i) % count;
        if (!addressed(locals_[n], m, sender)) continue;
        const u32 priority = locals_[n].table->priority(locals_[n].instance);
        if (priority < best) best = priority, chosen = n;
    }
    if (best == kRefuses) return 0;
    last_ = chosen;
    bp_apic_message fixed = m;
    fixed.mode = BP_APIC_FIXED;
    locals_[chosen].table->accept(locals_[chosen].instance, &fixed);
    return 1;
}

void ApicBus::end_of_interrupt(u32 vector) {
    trace_("end of interrupt %02x", vector);
    for (const auto& io : ios_) io.table->end_of_interrupt(io.instance, vector);
}

}  // namespace backplane::intc
