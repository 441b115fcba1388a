// Conformance: hostile guests, failing DMA, hostile snapshots.
#pragma once

#include "backplane/testkit/conformance_state.hpp"

namespace backplane::testkit {

// Accesses of all widths everywhere, time, lines, neighbours, resets.
inline void check_accesses(const Subject& s, Case& check) {
    constexpr u64 kRounds = 16;
    for (u64 round = 0; round < kRounds; ++round) {
        const auto rig = s.powered(s.conditions(round), check);
        rig->connect();
        Random random(s.seed + 3000 + round);
        detail::run_steps(*rig, random, s.accesses / kRounds + 1);
        detail::checked_save(s, *rig, check);
    }
}

// DMA that goes nowhere, or to the device's own registers.
inline void check_dma(const Subject& s, Case& check) {
    constexpr u64 kRounds = 12;
    for (u64 round = 0; round < kRounds; ++round) {
        RigOptions options = s.rig;
        options.low_registers = true;
        const auto rig = s.powered(options, check);
        rig->connect();
        Random random(s.seed + 4000 + round);
        // Memory full of addresses, of which many are those of registers.
        for (std::size_t at = 0; at + 4 <= rig->board().memory.size(); at += 4) {
            const u64 value = random.one_in(4) ? 0x40000 + random.below(0x4000) : random.value(4);
            std::memcpy(rig->board().memory.data() + at, &value, 4);
        }
        for (u64 i = 0; i < s.accesses / 8 / kRounds + 100; ++i) {
            if (i % 16 == 0) {
                static constexpr DmaAnswer kAnswers[] = {DmaAnswer::kMemory, DmaAnswer::kInvalid,
                                                         DmaAnswer::kReentrant};
                rig->board().dma_answer = round < 3 ? kAnswers[round] : kAnswers[random.below(3)];
            }
            rig->step(random);
        }
        detail::checked_save(s, *rig, check);
    }
}

namespace detail {

// Puts hostile values into a saved state, all within the declared ranges.
class HostileState {
  public:
    HostileState(SavedState base, const std::vector<VisitedField>& fields, i64 now)
        : base_(std::move(base)), fields_(fields), now_(now) {}

    // Rounds of one field each come first, then rounds of many.
    SavedState round(u64 number, Random& random, std::string& what) const {
        SavedState out = base_;
        if (!fields_.empty() && number < 3 * fields_.size()) {
            const VisitedField& f = fields_[number / 3];
            what = f.name;
            spoil(out, f, number % 3, random);
            return out;
        }
        what = "many fields";
        const u64 share = 1 + random.below(4);
        const u64 way = random.below(4);  // all at their minimum, maximum, or mixed
        for (const VisitedField& f : fields_)
            if (random.one_in(share)) spoil(out, f, way < 2 ? way : 2 + random.below(2), random);
        if (random.one_in(2))
            for (auto& [name, due] : out.timers) due = timer(random);
        if (random.one_in(2))
            for (auto& [name, level] : out.lines) level = random.one_in(2);
        return out;
    }

  private:
    void spoil(SavedState& out, const VisitedField& f, u64 way, Random& random) const {
        if (f.dropped() || f.identity()) return;
        std::string& bytes = out.fields.at(f.name).bytes;
        if (!state_has_range(f.info)) {
            if (way < 2)
                std::fill(bytes.begin(), bytes.end(), way ? '\xff' : '\0');
            else
                random.fill(bytes.data(), std::min<u64>(bytes.size(), 4096));
            return;
        }
        const bool all_alike = random.one_in(4);
        u64 value = element(f.info, way, random);
        for (u64 i = 0; i < f.info.count; ++i) {
            if (!all_alike) value = element(f.info, way, random);
            std::memcpy(bytes.data() + i * f.info.element_size, &value, f.info.element_size);
        }
    }
    static u64 element(const bp_state_field& f, u64 way, Random& random) {
        // The field's own limits may be wider than the type that holds it.
        const u64 ones = Board::ones(f.element_size);
        const bool is_signed = f.kind == BP_STATE_SIGNED;
        u64 low = f.minimum, high = f.maximum;
        if (is_signed) {
            const i64 top = static_cast<i64>(ones >> 1);
            low = static_cast<u64>(std::max(static_cast<i64>(low), -top - 1));
            high = static_cast<u64>(std::min(static_cast<i64>(high), top));
        } else {
            high = std::min(high, ones);
        }
        if (way == 0) return low;
        if (way == 1) return high;
        const u64 wish = random.value(f.element_size);
        const u64 span = high - low;
        if (random.one_in(4))
            return random.one_in(2) ? low + random.below(std::min<u64>(span, 3) + 1)
                                    : high - random.below(std::min<u64>(span, 3) + 1);
        return span == ~u64{0} ? wish : low + wish % (span + 1);
    }
    i64 timer(Random& random) const {
        switch (random.below(5)) {
            case 0: return -1;
            case 1: return 0;
            case 2: return now_ + static_cast<i64>(random.below(2000));
            case 3: return now_ + static_cast<i64>(random.below(u64{1} << 40));
            default: return i64{1} << 62;
        }
    }

    SavedState base_;
    std::vector<VisitedField> fields_;
    i64 now_;
};

}  // namespace detail

// Snapshots that no machine has made, but whose fields pass the declared ranges.
inline void check_hostile_state(const Subject& s, Case& check) {
    auto original = s.running(check);
    Random random(s.seed + 5000);
    detail::run_steps(*original, random, 500);
    const auto fields = visited_state(s.type, original->board().instance());
    const detail::HostileState hostile(detail::checked_save(s, *original, check), fields, original->board().time);
    if (s.backend) original.reset();
    const u64 rounds = 3 * fields.size() + std::max<u64>(s.accesses / 200, 50);
    for (u64 round = 0; round < rounds; ++round) {
        std::string what;
        const SavedState state = hostile.round(round, random, what);
        const auto rig = s.powered(check);
        if (original) rig->take_over(*original);
        check.doing("restored() after hostile values in %s", what.c_str());
        if (rig->board().load(state) != BP_OK) continue;
        rig->connect();
        // Half of them saves at once: a second restore of what the first made of it must do as well.
        if (round % 2 && rig->board().load(rig->board().save()) != BP_OK)
            check.fail("it accepts a snapshot with hostile values in " + what +
                       ", but not what it saves then: " + rig->board().failure);
        detail::run_steps(*rig, random, 60);
        rig->reset(Reset::kSystem);
        detail::run_steps(*rig, random, 10);
        detail::checked_save(s, *rig, check);
    }
}

}  // namespace backplane::testkit
