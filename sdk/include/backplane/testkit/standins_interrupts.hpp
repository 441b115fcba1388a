// Stand-ins for the ways of interrupts: controllers next to a processor, the APIC bus, message-signalled interrupts.
#pragma once

#include "backplane/abi/apic.h"
#include "backplane/abi/cpu.h"
#include "backplane/abi/msi.h"
#include "backplane/testkit/standin.hpp"

namespace backplane::testkit {

class IntrStandin : public Standin {
  public:
    using Standin::Standin;
    bp_interface interface() override { return {&kTable, this}; }

  private:
    static IntrStandin& at(void* i) { return *static_cast<IntrStandin*>(i); }
    static i32 acknowledge(void* i) {
        const i32 vector = at(i).random_.one_in(4) ? -1 : static_cast<i32>(at(i).random_.small(256));
        at(i).note("acknowledge: %d", vector);
        return vector;
    }
    static const bp_intr kTable;
};

inline const bp_intr IntrStandin::kTable{sizeof(bp_intr),
                                         acknowledge,
                                         [](void*) { return i64{-1}; },
                                         [](void*, u64) { return bp_status{BP_ERR_UNSUPPORTED}; },
                                         [](void*) { return u32{0}; },
                                         [](void* i, u32 value) { at(i).note("task priority %u", value); }};

// A processor behind the controller under test.
class IntrUser : public Standin {
  public:
    using Standin::Standin;
    void act(Random& random) override {
        if (!met()) return;
        const bp_intr& intr = table<bp_intr>();
        switch (random.below(8)) {
            case 0: return intr.set_tpr(device_.instance, random.small(16));
            case 1: note("task priority %u", intr.tpr(device_.instance)); return;
            case 2: note("apic base %llx", static_cast<unsigned long long>(intr.apic_base(device_.instance))); return;
            case 3: intr.set_apic_base(device_.instance, random.one_in(2) ? 0xfee00900 : random.value(8)); return;
            default: break;
        }
        const i32 vector = intr.acknowledge(device_.instance);
        if (vector < -1 || vector > 255) blame("it answers an interrupt acknowledge cycle with no vector");
        note("acknowledged %d", vector);
    }
};

namespace detail {
inline bp_apic_message random_apic_message(Random& random) {
    static constexpr u32 kModes[] = {BP_APIC_FIXED, BP_APIC_FIXED, BP_APIC_LOWEST_PRIORITY,
                                     BP_APIC_SMI,   BP_APIC_NMI,   BP_APIC_EXTINT};
    static constexpr u32 kRare[] = {BP_APIC_INIT, BP_APIC_STARTUP};  // which undo all else
    bp_apic_message m{};
    m.size = sizeof m;
    m.mode = random.one_in(64) ? random.pick(kRare) : random.pick(kModes), m.vector = random.small(256),
    m.logical = random.small(2);
    m.destination = random.one_in(4) ? 0xff : random.one_in(2) ? random.small(4) : random.small(256);
    m.shorthand = random.one_in(4) ? random.small(4) : u32{BP_APIC_TO_DESTINATION};
    m.level_triggered = random.small(2), m.assert_level = random.small(4) != 0;
    return m;
}
}  // namespace detail

// The bus for the APIC under test: hands its messages to local APICs that joined, and brings others.
class ApicBusStandin : public Standin {
  public:
    using Standin::Standin;
    bp_interface interface() override { return {&kTable, this}; }
    void act(Random& random) override {
        if (io_ && random.one_in(2)) return io_->end_of_interrupt(io_instance_, random.small(256));
        if (!local_) return;
        const bp_apic_message m = detail::random_apic_message(random);
        const int matches = local_->matches(local_instance_, m.destination, m.logical);
        note("matches %d, priority %x", matches, local_->priority(local_instance_));
        if (matches) local_->accept(local_instance_, &m);
    }

  private:
    static ApicBusStandin& at(void* i) { return *static_cast<ApicBusStandin*>(i); }
    static u32 deliver(void* i, const bp_apic_message* m, const void* sender) {
        ApicBusStandin& self = at(i);
        if (m->size != sizeof *m || m->vector > 255 || m->mode > 7 || m->destination > 255 || m->shorthand > 3)
            self.blame("it sends an interrupt message that does not exist");
        self.note("message mode %u vector %02x to %u:%02x, level %u%u", m->mode, m->vector, m->shorthand,
                  m->destination, m->level_triggered, m->assert_level);
        if (!self.local_) return 1;
        const bool own = sender == self.local_instance_;
        const bool reaches = m->shorthand == BP_APIC_TO_DESTINATION
                                 ? self.local_->matches(self.local_instance_, m->destination, m->logical) != 0
                                 : m->shorthand == BP_APIC_TO_ALL || (m->shorthand == BP_APIC_TO_SELF) == own;
        if (reaches) self.local_->accept(self.local_instance_, m);
        return reaches ? 1 : 0;
    }
    static const bp_apic_bus kTable;
    const bp_apic_local* local_ = nullptr;
    const bp_apic_io* io_ = nullptr;
    void *local_instance_ = nullptr, *io_instance_ = nullptr;
};

inline const bp_apic_bus ApicBusStandin::kTable{
    sizeof(bp_apic_bus),
    [](void* i, const bp_apic_local* local, void* instance) {
        at(i).check_table(local, "a bp_apic_local");
        at(i).local_ = local, at(i).local_instance_ = instance;
    },
    [](void* i, const bp_apic_io* io, void* instance) {
        at(i).check_table(io, "a bp_apic_io");
        at(i).io_ = io, at(i).io_instance_ = instance;
    },
    deliver,
    [](void* i, u64 address, u32 data) { at(i).note("msi %llx: %x", static_cast<unsigned long long>(address), data); },
    [](void* i, u32 vector) { at(i).note("end of interrupt %02x", vector); }};

// Two local APICs and an I/O APIC on the bus under test.
class ApicBusUser : public Standin {
  public:
    using Standin::Standin;
    void started() override {
        if (!met()) return;
        for (Local& local : locals_)
            local.owner = this, table<bp_apic_bus>().join_local(device_.instance, &kLocal, &local);
        table<bp_apic_bus>().join_io(device_.instance, &kIo, this);
    }
    void act(Random& random) override {
        if (!met()) return;
        const bp_apic_bus& bus = table<bp_apic_bus>();
        switch (random.below(4)) {
            case 0:
                return bus.msi(device_.instance, 0xfee00000 | random.small(1 << 20), static_cast<u32>(random.next()));
            case 1: return bus.end_of_interrupt(device_.instance, random.small(256));
            default: break;
        }
        const bp_apic_message m = detail::random_apic_message(random);
        const u32 taken = bus.deliver(device_.instance, &m, random.one_in(2) ? nullptr : &random.pick(locals_));
        note("taken by %u", taken);
    }

  private:
    struct Local {
        ApicBusUser* owner = nullptr;
    };
    static Local& local(void* i) { return *static_cast<Local*>(i); }
    static const bp_apic_local kLocal;
    static const bp_apic_io kIo;
    Local locals_[2];
};

inline const bp_apic_local ApicBusUser::kLocal{
    sizeof(bp_apic_local),
    [](void* i, u32 destination, u32) {
        return destination == 0xff || destination == static_cast<u32>(&local(i) - local(i).owner->locals_) ? 1 : 0;
    },
    [](void* i) {
        Random& random = local(i).owner->random_;
        return random.one_in(4) ? ~u32{0} : random.small(256);
    },
    [](void* i, const bp_apic_message* m) {
        local(i).owner->note("local %d takes mode %u vector %02x",
                             static_cast<int>(&local(i) - local(i).owner->locals_), m->mode, m->vector);
    }};

inline const bp_apic_io ApicBusUser::kIo{sizeof(bp_apic_io), [](void* i, u32 vector) {
                                             static_cast<ApicBusUser*>(i)->note("io: end of interrupt %02x", vector);
                                         }};

class MsiStandin : public Standin {
  public:
    using Standin::Standin;
    bp_interface interface() override { return {&kTable, this}; }

  private:
    static const bp_msi kTable;
};

inline const bp_msi MsiStandin::kTable{sizeof(bp_msi), [](void* i, u64 address, u32 data) {
                                           static_cast<MsiStandin*>(i)->note(
                                               "msi %llx: %x", static_cast<unsigned long long>(address), data);
                                       }};

class MsiUser : public Standin {
  public:
    using Standin::Standin;
    void act(Random& random) override {
        if (met()) table<bp_msi>().send(device_.instance, random.value(8), static_cast<u32>(random.value(4)));
    }
};

}  // namespace backplane::testkit
