// A device under test on a Board with stand-ins on all its ends, and a guest and a world that act on it at random.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include "backplane/testkit/random.hpp"
#include "backplane/testkit/rig_guest.hpp"
#include "backplane/testkit/services.hpp"
#include "backplane/testkit/standins.hpp"
#include "backplane/testkit/verdict.hpp"

namespace backplane::testkit {

struct RigOptions {
    Properties properties;  // "{folder}" in a value stands for `folder`
    std::string folder;     // for files that Path properties and firmware names stand for
    std::vector<StandinKind> standins = standard_standins();
    // For devices whose optional links exclude each other: these are joined in every round, the others in none.
    std::vector<std::string> links = {};
    // What differs from one round of a check to the next.
    bool optional_links = true, children = true, low_registers = false;
    u32 tracing = 0;
    u64 vary = 0;  // nonzero: properties that nobody gave take other values than their defaults, by this seed
};

class Rig {
  public:
    static constexpr u64 kCallsPerStep = 1'000'000;

    Rig(const bp_device_type* type, const RigOptions& options, Case& check)
        : check_(check),
          options_(options),
          properties_(choose_properties(declare(type))),
          board_(type, properties_, {}) {
        board_.on_fault = [this](const std::string& text) { fail(text); };
        board_.find_firmware = [this](const std::string& name) {
            // What --set names in full is meant.
            if (name.starts_with('/') && ::access(name.c_str(), R_OK) == 0) return name;
            return file(name.substr(name.rfind('/') + 1));  // npos + 1 is 0
        };
        board_.tracing = options.tracing;
    }

    Board& board() { return board_; }
    const Declaration& declaration() const { return board_.declaration(); }
    // What the check leaves out because no stand-in is there.
    const std::vector<std::string>& remarks() const { return remarks_; }

    // Interface tables that the device has handed out, by id.
    const std::vector<std::pair<std::string, const void*>>& tables() const { return tables_; }

    // Attaches, starts, publishes, feeds facts and applies power. Returns why it cannot, or "".
    std::string power_on() {
        budget();
        check_.doing("attaching");
        if (std::string fault = join_links(); !fault.empty()) return fault;
        if (std::string fault = join_buses(); !fault.empty()) return fault;
        for (const auto& s : standins_) s->start();
        check_.doing("start()");
        if (board_.begin() != BP_OK) return "start() fails: " + board_.failure;
        if (std::string fault = use_offers(); !fault.empty()) return fault;
        for (const auto& s : standins_) s->started();
        for (u32 i = 0; i < declaration().regions.size(); ++i)
            if (board_.base(i) == Board::kNowhere && declaration().regions[i].kind == BP_REGION_MEMORY)
                board_.place(i, options_.low_registers ? 0x40000 + u64{i} * 0x1000 : 0xd0000000 + u64{i} * 0x1000000);
        check_.doing("publish()");
        if (board_.publish() != BP_OK) return "publish() fails: " + board_.failure;
        if (std::string fault = feed_facts(); !fault.empty()) return fault;
        reset(Reset::kPowerOn);
        return {};
    }
    void connect() {
        check_.doing("connect()");
        board_.connect();
    }
    void reset(Reset kind) {
        budget();
        check_.doing("reset(%s)", kind == Reset::kPowerOn ? "POWER_ON" : "SYSTEM");
        board_.reset(kind);
        examine();
    }

    // One thing that happens: the same for the same numbers, whatever the device answers.
    void step(Random& random) {
        budget();
        const bool regions = !declaration().regions.empty();
        if (random.one_in(1500)) return reset(Reset::kSystem);
        const u64 what = random.below(100);
        if (what < 60 && regions)
            guest_.access(board_, random, check_);
        else if (what < 82 && !standins_.empty())
            act(random);
        else if (what < 90)
            pass_time(random);
        else if (what < 94)
            drive(random);
        else if (what < 97)
            posted();
        else
            write_memory(random);
        examine();
    }
    // Looks at everything there is, the registers that stand behind others only if `indexed`.
    void sweep(bool indexed) {
        budget();
        if (indexed) Guest::sweep_indexed(board_, check_);
        budget();
        Guest::sweep(board_, check_);
        for (std::size_t i = 0; i < standins_.size(); ++i) {
            budget();
            check_.doing("%s", standin_names_[i].c_str());
            standins_[i]->sweep();
        }
        examine();
    }
    // Completes all that is under way, as a machine that comes to a standstill does.
    void settle() {
        budget();
        check_.doing("drain() and the machine's queue");
        for (int round = 0; round < 1000; ++round) {
            board_.type()->drain(board_.instance());
            for (const auto& s : standins_) s->settle();
            if (board_.run_posted(10'000) == 0) return;
        }
        fail("it does not come to rest: drain() and the machine's queue bring new work for ever");
    }
    SavedState save() {
        settle();
        check_.doing("visit_state() for saving");
        return board_.save();
    }
    // Everything around the device as it is around another.
    void take_over(const Rig& other) {
        board_.time = other.board_.time;
        board_.memory = other.board_.memory;
        guest_ = other.guest_;
        for (u32 i = 0; i < board_.inputs(); ++i) board_.set_input_level(i, other.board_.input_level(i));
        for (std::size_t i = 0; i < standins_.size(); ++i) standins_[i]->copy(*other.standins_[i]);
    }
    bp_status load(const SavedState& state) {
        budget();
        check_.doing("restored()");
        return board_.load(state);
    }
    // Where regions and memory appear, for comparing.
    std::string places() const {
        std::string out;
        for (u32 i = 0; i < declaration().regions.size(); ++i)
            out += "region " + declaration().regions[i].name + " at " + Services::hex(board_.base(i)) + "\n";
        std::vector<Board::Mapping> mappings;
        for (const auto& [unused, mapping] : board_.mappings()) mappings.push_back(mapping);
        std::sort(mappings.begin(), mappings.end());
        for (const Board::Mapping& m : mappings)
            out += "memory " + std::to_string(m.block) + "+" + Services::hex(m.offset) + " at " +
                   Services::hex(m.base) + ", " + Services::hex(m.size) + " bytes, flags " + std::to_string(m.flags) +
                   "\n";
        return out;
    }
    // What the device did since the last call, if recording.
    void record() {
        board_.observe = [this](const std::string& what) { seen_.push_back(what); };
    }
    std::vector<std::string> seen() { return std::exchange(seen_, {}); }

  private:
    [[noreturn]] void fail(const std::string& text) { check_.fail(text + ", during: " + check_.action()); }
    void budget() { board_.call_budget = kCallsPerStep; }
    void note(const char* what, u64 value) {
        if (board_.observe) board_.observe(std::string(what) + " " + Services::hex(value));
    }

    // --- Setting up (rig_setup.hpp) ---------------------------------------------------------------------------------
    Properties choose_properties(const Declaration& d) const;
    std::string file(const std::string& name) const;
    std::string join_links();
    std::string join_buses();
    std::string use_offers();
    std::string feed_facts();
    Standin* add(std::string_view id, Role role, const StandinKind** kind = nullptr);

    // --- What happens to it -----------------------------------------------------------------------------------------
    void act(Random& random) {
        const std::size_t index = random.below(standins_.size());
        check_.doing("%s", standin_names_[index].c_str());
        standins_[index]->act(random);
    }
    void pass_time(Random& random) {
        constexpr i64 kUs = 1000, kMs = 1'000'000, kMost[] = {100, kUs, 100 * kUs, kMs, 20 * kMs, 1000 * kMs};
        i64 ns = static_cast<i64>(random.below(static_cast<u64>(random.pick(kMost))));
        if (random.one_in(4) && board_.next_due() >= board_.time) ns = board_.next_due() - board_.time;
        ns = std::min<i64>(ns, 3600'000 * kMs);
        check_.doing("%lld ns of time pass", static_cast<long long>(ns));
        board_.advance(ns, 200);
        note("time", static_cast<u64>(board_.time));
    }
    void drive(Random& random) {
        if (!board_.inputs()) return;
        const u32 index = random.small(board_.inputs());
        const bool level = random.one_in(2);
        check_.doing("input line %u becomes %d", index, level);
        board_.drive_input(index, level);
    }
    void posted() {
        check_.doing("work in the machine's queue");
        board_.run_posted(100);
    }
    // The guest's processor writes to memory, and to the device's own where it can.
    void write_memory(Random& random) {
        const u64 value = random.value(4);
        const u64 address = random.below(board_.memory.size() / 4) * 4;
        check_.doing("a write of memory at %llx", static_cast<unsigned long long>(address));
        std::memcpy(board_.memory.data() + address, &value, 4);
        for (const auto& s : standins_) s->memory_written(address, 4);
        if (board_.blocks().empty()) return;
        const GuestMemory& block = *random.pick(board_.blocks());
        if (block.size()) block.data()[random.below(block.size())] = static_cast<u8>(value);
    }
    // What must hold after everything that happens.
    void examine() {
        if (board_.open_batches()) fail("it begins a change of the memory map and does not end it");
        for (const Board::Request& r : board_.requests) {
            if (r.what < BP_REQUEST_RESET || r.what > BP_REQUEST_EXIT)
                fail("it asks the machine for something unknown: " + std::to_string(r.what));
            if (r.reason.empty()) fail("it asks for request " + std::to_string(r.what) + " and gives no reason");
        }
        board_.requests.clear();
    }

    Case& check_;
    RigOptions options_;
    Properties properties_;
    std::vector<std::unique_ptr<Standin>> standins_;  // outlive the device
    std::vector<std::string> standin_names_;
    std::vector<std::string> remarks_, seen_;
    std::vector<std::pair<std::string, const void*>> tables_;
    Guest guest_;
    Board board_;
};

}  // namespace backplane::testkit

#include "backplane/testkit/rig_setup.hpp"
