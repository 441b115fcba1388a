// Conformance: reset, saving and restoring.
#pragma once

#include "backplane/testkit/conformance_subject.hpp"

namespace backplane::testkit {

namespace detail {

inline void run_steps(Rig& rig, Random& random, u64 steps) {
    for (u64 i = 0; i < steps; ++i) rig.step(random);
}

// What a device of this type must be able to save at any time.
inline SavedState checked_save(const Subject& s, Rig& rig, Case& check) {
    SavedState saved = rig.save();
    for (const VisitedField& f : visited_state(s.type, rig.board().instance()))
        if (const std::string fault = state_range_fault(f, f.value.data()); !fault.empty())
            check.fail(fault + ": its own snapshot would be refused");
    return saved;
}

// A fresh instance in the place of another that was saved. Not connected.
inline std::unique_ptr<Rig> restored(const Subject& s, const RigOptions& options, const SavedState& saved,
                                     const Rig& from, Case& check) {
    auto rig = s.powered(options, check);
    rig->take_over(from);
    rig->record();
    if (rig->load(saved) != BP_OK) check.fail("it refuses its own snapshot: " + rig->board().failure);
    for (const std::string& done : rig->seen())
        if (done.starts_with("line ") || done.starts_with("DMA ") || done.starts_with("request "))
            check.fail("restored() acts on the board: " + done);
    return rig;
}

// Two devices that must not be told apart.
struct Pair {
    Rig& original;
    Rig& copy;
    Case& check;
    u64 steps = 0;

    // Lets both do the same and compares what they did to their surroundings.
    template <class Function>
    void do_both(Function function) {
        ++steps;
        function(original), function(copy);
        const auto a = original.seen(), b = copy.seen();
        if (a == b) return;
        std::size_t at = 0;
        while (at < a.size() && at < b.size() && a[at] == b[at]) ++at;
        fail("the original has \"" + (at < a.size() ? a[at] : "nothing more") + "\", the copy \"" +
             (at < b.size() ? b[at] : "nothing more") + "\"");
    }
    void compare_states() {
        const std::string fault = difference(original.board().save(), copy.board().save());
        if (!fault.empty()) fail(fault);
    }
    void fail(const std::string& what) {
        check.fail("a restored copy goes another way after " + std::to_string(steps) + " steps, at: " + check.action() +
                   ": " + what);
    }
};

}  // namespace detail

// reset() twice is reset() once.
inline void check_reset(const Subject& s, Case& check) {
    const auto rig = s.running(check);
    Random random(s.seed);
    for (u64 round = 0; round < 16; ++round) {
        detail::run_steps(*rig, random, std::max<u64>(s.accesses / 256, 50));
        rig->settle();
        const Reset kind = round % 2 ? Reset::kPowerOn : Reset::kSystem;
        const char* name = round % 2 ? "POWER_ON" : "SYSTEM";
        rig->reset(kind);
        const SavedState once = detail::checked_save(s, *rig, check);
        const std::string places = rig->places();
        rig->reset(kind);
        const std::string fault = difference(once, rig->save());
        check.require(fault.empty(), std::string("after reset(") + name + ") once and twice " + fault);
        check.require(places == rig->places(), std::string("a second reset(") + name + ") moves its regions");
    }
}

// Saved, restored into a fresh instance, and saved again: nothing may have changed.
inline void check_save(const Subject& s, Case& check) {
    for (u64 round = 0; round < 8; ++round) {
        auto rig = s.running(check);
        Random random(s.seed + round);
        if (round) detail::run_steps(*rig, random, std::max<u64>(s.accesses / 256, 50));
        const SavedState saved = detail::checked_save(s, *rig, check);
        const std::string places = rig->places();
        const i64 time = rig->board().time;
        std::unique_ptr<Rig> copy;
        if (s.backend) {  // the first one still holds what the second needs
            rig.reset();
            copy = s.powered(check);
            copy->board().time = time;
            if (copy->load(saved) != BP_OK) check.fail("it refuses its own snapshot: " + copy->board().failure);
        } else {
            copy = detail::restored(s, s.rig, saved, *rig, check);
        }
        const std::string fault = difference(saved, copy->board().save());
        check.require(fault.empty(), "saved, and saved again after a restore: " + fault);
        check.require(places == copy->places(), "after a restore its regions or memory appear in other places");
        copy->connect();
    }
}

// A restored copy does what the original does, access by access.
inline void check_divergence(const Subject& s, Case& check) {
    if (s.backend) check.skip("a back end");
    const u64 rounds = std::clamp<u64>(s.accesses / 1000, 12, 400), steps = s.accesses / 2 / rounds + 100;
    for (u64 round = 0; round < rounds; ++round) {
        const RigOptions options = s.conditions(round);
        const auto original = s.powered(options, check);
        original->connect();
        Random before(s.seed + 1000 + round);
        detail::run_steps(*original, before, round ? before.below(steps) : 0);
        const SavedState saved = detail::checked_save(s, *original, check);
        const auto copy = detail::restored(s, options, saved, *original, check);
        copy->connect();
        original->record(), original->seen(), copy->seen();
        detail::Pair pair{*original, *copy, check};
        if (round % 3) pair.do_both([round](Rig& rig) { rig.sweep(round % 3 == 2); });
        Random first(s.seed + 2000 + round), second = first;
        for (u64 step = 0; step < steps; ++step) {
            pair.do_both([&](Rig& rig) { rig.step(&rig == original.get() ? first : second); });
            if (step % 256 == 255) pair.compare_states();
        }
        pair.do_both([](Rig& rig) { rig.sweep(true); });
        pair.compare_states();
        check.require(original->places() == copy->places(), "the regions of a restored copy go to other places");
    }
}

// Snapshots of every older version of the state.
inline void check_old_state(const Subject& s, Case& check) {
    const u32 version = s.type->state_version;
    if (version == 1) check.skip("the state has one version only");
    if (s.backend) check.skip("a back end");
    const auto original = s.running(check);
    Random random(s.seed);
    detail::run_steps(*original, random, 200);
    const SavedState saved = detail::checked_save(s, *original, check);
    const auto fields = visited_state(s.type, original->board().instance());
    for (u32 old = 1; old < version; ++old) {
        SavedState snapshot = saved;
        snapshot.version = old;
        auto rig = s.powered(check);
        for (const VisitedField& f : fields) {
            if (f.dropped())
                snapshot.fields[f.name] = {BP_STATE_UNSIGNED, 1, "\x2a"};
            else if (f.info.since > old)
                snapshot.fields.erase(f.name);
        }
        rig->take_over(*original);
        if (rig->load(snapshot) != BP_OK)
            check.fail("it refuses a snapshot of version " + std::to_string(old) + ": " + rig->board().failure);
        rig->connect();
        detail::run_steps(*rig, random, 200);
    }
}

}  // namespace backplane::testkit
