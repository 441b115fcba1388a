// What comes from outside: one door for all of it, and the session's recording.
#include <xxhash.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "kernel/machine/device_state.hpp"
#include "kernel/machine/machine.hpp"

namespace backplane::kernel {

namespace {

// XXH3 over texts and numbers, each with its length: "ab", "c" is not "a", "bc".
class Digest {
  public:
    Digest() : state_(::XXH3_createState()) { ::XXH3_64bits_reset(state_.get()); }
    Digest& operator<<(std::string_view text) {
        *this << text.size();
        ::XXH3_64bits_update(state_.get(), text.data(), text.size());
        return *this;
    }
    Digest& operator<<(u64 number) {
        u8 bytes[8];
        for (unsigned i = 0; i < 8; ++i) bytes[i] = static_cast<u8>(number >> (8 * i));
        ::XXH3_64bits_update(state_.get(), bytes, sizeof bytes);
        return *this;
    }
    Digest& operator<<(const Value& value) {
        *this << static_cast<u64>(value.kind());
        if (value.is_scalar()) *this << value.text();
        for (const Value& v : value.items()) *this << v;
        for (const Value::Entry& e : value.entries()) *this << e.key << e.value;
        return *this;
    }
    u64 value() const { return ::XXH3_64bits_digest(state_.get()); }

  private:
    struct Free {
        void operator()(XXH3_state_t* state) const { ::XXH3_freeState(state); }
    };
    std::unique_ptr<XXH3_state_t, Free> state_;
};

// A device as it is wired and as it stands. Of a back end only what it says must be the same (an image's contents):
// where a session's terminal was is no part of the machine.
u64 digest_of(const Instance& d) {
    const DeviceState state = save_device(d);
    Digest digest;
    for (const StateValue& f : state.fields) digest << f.name << f.kind << f.count << f.bytes;
    if (d.type->backend) return digest.value();
    digest << state.type;
    for (const auto& [name, value] : state.properties) digest << name << value;
    for (const Value::Entry& e : d.spec->entries)
        if (!d.type->property(e.key) && e.key != "plugin") digest << e.key << e.value;
    for (const auto& [name, level] : state.lines) digest << name << u64{level};
    for (const DeviceState::Timer& t : state.timers) digest << t.name << static_cast<u64>(t.due) << t.sequence;
    return digest.value();
}

}  // namespace

void Machine::add_input(std::string channel, Input deliver) { inputs_[std::move(channel)] = std::move(deliver); }

void Machine::input(const std::string& channel, std::string bytes, std::function<void(bool)> done) {
    {
        std::lock_guard g(posted_mutex_);
        if (!ended_) {
            pending_input_.push_back({channel, std::move(bytes), std::move(done)});
            has_input_.store(true, std::memory_order_release);
            wake();
            return;
        }
    }
    if (done) done(false);
}

std::optional<Machine::PendingInput> Machine::take_input() {
    std::lock_guard g(posted_mutex_);
    if (pending_input_.empty()) return std::nullopt;
    std::optional<PendingInput> first(std::move(pending_input_.front()));
    pending_input_.pop_front();
    has_input_.store(!pending_input_.empty(), std::memory_order_release);
    return first;
}

void Machine::drop_input() {
    while (const auto p = take_input())
        if (p->done) p->done(false);
}

void Machine::deliver_input(const std::string& channel, std::string_view bytes) {
    const auto* data = reinterpret_cast<const u8*>(bytes.data());
    if (const auto own = inputs_.find(channel); own != inputs_.end()) return own->second(data, bytes.size());
    if (const Instance* d = device(channel)) return d->type->abi->input(d->object, data, bytes.size());
    logger_.log(log_, BP_LOG_WARN, "input for " + channel + ", which is not on this machine");
}

// A reset that came in is done before anything that came in after it.
bool Machine::deliver_more() const { return !reset_requested_ && !outcome_; }

void Machine::deliver_live_input() {
    if (!has_input_.load(std::memory_order_acquire)) return;
    constexpr int kMost = 1000;  // at once: the machine goes on however fast somebody types
    for (int n = 0; n < kMost && deliver_more(); ++n) {
        const auto p = take_input();
        if (!p) return;
        if (input_log_.recording()) {
            const auto* data = reinterpret_cast<const u8*>(p->bytes.data());
            if (!input_log_.record(stamp(), p->channel, {data, p->bytes.size()}))
                logger_.log(log_, BP_LOG_ERROR, input_log_.error());
        }
        deliver_input(p->channel, p->bytes);
        if (p->done) p->done(true);
    }
}

void Machine::record_input(const std::string& path) {
    if (!clock_->deterministic()) throw Error(path + ": a session is recorded with the deterministic clock only");
    std::lock_guard g(lock_);
    input_log_.record_to(path, identity());
}

void Machine::replay_input(const std::string& path) {
    if (!clock_->deterministic()) throw Error(path + ": a session is replayed with the deterministic clock only");
    std::lock_guard g(lock_);
    input_log_.replay_from(path, identity());
    if (input_log_.exhausted()) logger_.log(log_, BP_LOG_WARN, path + " holds no input, and no end");
}

MachineIdentity Machine::identity() {
    const Snapshot s = collect();
    MachineIdentity id;
    id.board = board_.name;
    Digest clock, wires, facts;
    clock << static_cast<u64>(clock_->ns_per_instruction()) << s.start_time << s.random_state
          << static_cast<u64>(s.time_ns) << s.timer_sequence << s.timers_fired;
    for (const u64 count : s.instructions) clock << count;
    if (s.instructions.size() > 1) clock << u64{s.turn} << s.turn_left;
    id.parts.push_back({"clock", clock.value()});
    for (const WireSpec& w : board_.lines) {
        wires << w.name;
        for (const Value& sink : w.sinks) wires << sink;
    }
    for (const PublishSpec& p : board_.publish) wires << p.what << p.from << p.into;
    id.parts.push_back({"wires", wires.value()});
    for (const FactState& f : s.facts) {
        facts << f.from << f.what << f.key;
        for (const auto& [name, value] : f.fields) facts << name << value;
    }
    id.parts.push_back({"facts", facts.value()});
    for (const Instance& d : live_->all()) {
        id.parts.push_back({d.name(), digest_of(d)});
        for (const u32 index : d.blocks) {
            const Ram::Block& b = ram_.block(index);
            Digest memory;
            memory << b.size;
            ram_.visit_pages(index, [&](u64 offset, const u8* page) {
                memory << offset << std::string_view(reinterpret_cast<const char*>(page), kPageSize);
            });
            id.parts.push_back({"memory " + b.name + " of " + b.owner, memory.value()});
        }
    }
    return id;
}

}  // namespace backplane::kernel
