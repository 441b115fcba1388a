// A bare board without a CPU that holds one device and drives it through the C ABI. No kernel is linked.
#pragma once

#include <algorithm>
#include <deque>
#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "backplane/device.hpp"
#include "backplane/testkit/declaration.hpp"
#include "backplane/testkit/guest_memory.hpp"
#include "backplane/testkit/property_text.hpp"
#include "backplane/testkit/saved_state.hpp"

namespace backplane::testkit {

using Properties = std::vector<std::pair<std::string, std::string>>;
// Links by name: what the device is joined to.
using Links = std::vector<std::pair<std::string, bp_interface>>;

struct PublishedFact {
    std::string what, key;
    std::map<std::string, u64> numbers;
    std::map<std::string, std::string> texts;
};

// What a device's DMA meets: the board's memory, or a failure each time.
enum class DmaAnswer { kMemory, kInvalid, kReentrant };

class Board {
  public:
    // Runs create(); start() and reset(POWER_ON) follow.
    Board(const bp_device_type* type, Properties properties, Links links) : type_(type), links_(std::move(links)) {
        declaration_ = declare(type);
        for (const auto& l : declaration_.inputs)
            for (u32 i = 0; i < l.count; ++i) ins_.push_back({l.line_name(i), i, l.changed});
        for (const auto& l : declaration_.outputs)
            for (u32 i = 0; i < l.count; ++i) outs_.push_back({l.line_name(i)});
        for (const auto& t : declaration_.timers) timers_.push_back({t.name, t.expired});
        bases_.assign(declaration_.regions.size(), kNowhere);
        set_properties(properties);
        slot_ = {this, &Board::service};
        if (type_->create(&slot_, &instance_) != BP_OK) throw std::runtime_error("create failed: " + failure);
    }
    ~Board() {
        if (started_) type_->stop(instance_);
        type_->destroy(instance_);
    }
    Board(const Board&) = delete;
    Board& operator=(const Board&) = delete;

    const bp_device_type* type() const { return type_; }
    void* instance() const { return instance_; }
    const Declaration& declaration() const { return declaration_; }

    // One more link, before start().
    void join(std::string name, bp_interface interface) { links_.emplace_back(std::move(name), interface); }

    // --- The life of the instance -----------------------------------------------------------------------------------
    bp_status begin() {
        const bp_status s = type_->start(instance_);
        started_ = s == BP_OK;
        return s;
    }
    void connect() { type_->connect(instance_); }
    bp_status publish() { return type_->publish(instance_); }
    // All three, for tests that have no snapshot to restore before connect().
    bp_status start() {
        if (const bp_status s = begin()) return s;
        connect();
        return publish();
    }
    void reset(Reset kind = Reset::kSystem) { type_->reset(instance_, static_cast<u32>(kind)); }

    // --- Register accesses ------------------------------------------------------------------------------------------
    // By the region's declared name. An access width that is not declared reads all ones / is dropped.
    u64 in(std::string_view region, u64 offset, u32 bytes = 1) {
        const Declaration::Region& r = declaration_.regions[region_index(region)];
        if (!(r.widths & bytes) || !r.read || offset + bytes > r.length) return ones(bytes);
        return r.read(instance_, offset, bytes);
    }
    void out(std::string_view region, u64 offset, u64 value, u32 bytes = 1) {
        const Declaration::Region& r = declaration_.regions[region_index(region)];
        if ((r.widths & bytes) && r.write && offset + bytes <= r.length) r.write(instance_, offset, bytes, value);
    }
    static u64 ones(u32 bytes) { return bytes == 8 ? ~u64{0} : (u64{1} << (8 * bytes)) - 1; }

    // --- Lines ------------------------------------------------------------------------------------------------------
    // Level of an output line ("irq", or "irq3" of a bundle), and how often it rose.
    bool line(std::string_view name) const { return outs_[out_index(name)].level; }
    unsigned rises(std::string_view name) const { return outs_[out_index(name)].rises; }
    // Drives an input line.
    void drive(std::string_view name, bool level) {
        for (u32 i = 0; i < ins_.size(); ++i)
            if (ins_[i].name == name) return drive_input(i, level);
        throw std::out_of_range("no input line " + std::string(name));
    }
    u32 inputs() const { return static_cast<u32>(ins_.size()); }
    void drive_input(u32 index, bool level) {
        In& l = ins_.at(index);
        if (std::exchange(l.level, level) != level && l.changed) l.changed(instance_, l.line, level);
    }
    bool input_level(u32 index) const { return ins_.at(index).level; }
    // The level is there without the device having heard of it, as after a restore.
    void set_input_level(u32 index, bool level) { ins_.at(index).level = level; }

    // --- Time -------------------------------------------------------------------------------------------------------
    // Moves the clock to now + ns, running due timers in order. With a limit the clock may stop earlier.
    void advance(i64 ns, u64 most_expirations = ~u64{0}) {
        const i64 end = time + ns;
        for (;; --most_expirations) {
            if (!most_expirations) return;
            Timer* next = nullptr;
            for (Timer& t : timers_)
                if (t.due >= 0 && t.due <= end && (!next || t.due < next->due)) next = &t;
            if (!next) break;
            at_this_time_ = next->due > time ? 0 : at_this_time_ + 1;
            if (at_this_time_ > kExpirationsAtOneTime)
                fault("timer " + next->name + " expires again and again at one time");
            time = std::max(time, next->due);
            const i64 due = std::exchange(next->due, -1);
            next->expired(instance_, due);
        }
        if (end > time) at_this_time_ = 0;
        time = end;
    }
    // When the next timer is due, or -1.
    i64 next_due() const {
        i64 next = -1;
        for (const Timer& t : timers_)
            if (t.due >= 0 && (next < 0 || t.due < next)) next = t.due;
        return next;
    }

    // --- The machine's queue ----------------------------------------------------------------------------------------
    // Outside input that reaches the device: what a back end hands to bp.input/1 comes back in run_posted().
    void input(std::string_view bytes) {
        type_->input(instance_, reinterpret_cast<const u8*>(bytes.data()), bytes.size());
    }
    void post(std::function<void()> work) {
        std::lock_guard g(mutex_);
        posted_.push_back(std::move(work));
    }
    // Runs what was posted to the machine's queue (completions of back ends); returns how much that was.
    u64 run_posted(u64 most = ~u64{0}) {
        for (u64 done = 0;; ++done) {
            std::function<void()> work;
            {
                std::lock_guard g(mutex_);
                if (posted_.empty() || done == most) return done;
                work = std::move(posted_.front());
                posted_.pop_front();
            }
            work();
        }
    }

    // --- Other devices ----------------------------------------------------------------------------------------------
    bp_interface offer(std::string_view id, std::string_view name = "") {
        return type_->offer(instance_, to_bp(id), to_bp(name));
    }
    // Plugs the device into a bus made by the test, or a child into a bus of this device.
    void plug_into(bp_interface host) { type_->plugged(instance_, host); }
    bp_status attach(std::string_view bus, std::string_view address, std::string_view child_name, bp_interface child,
                     bp_interface* host) {
        for (const Declaration::Bus& b : declaration_.buses)
            if (b.name == bus) return b.attach(instance_, to_bp(address), to_bp(child_name), child, host);
        throw std::out_of_range("no bus " + std::string(bus));
    }
    bp_status consume(std::string_view what, std::string_view key, const std::vector<FactField>& fields) {
        std::vector<bp_fact_field> list;
        for (const FactField& f : fields) list.push_back({to_bp(f.name), f.number, to_bp(f.text)});
        const bp_fact fact{to_bp(what), to_bp(key), list.data(), list.size()};
        return type_->consume(instance_, &fact);
    }

    // --- Places in the address spaces -------------------------------------------------------------------------------
    static constexpr u64 kNowhere = ~u64{0};
    // Base at which the device mapped one of its regions, or kNowhere.
    u64 mapped(std::string_view region) const { return bases_[region_index(region)]; }
    u64 region_length(std::string_view region) const { return declaration_.regions[region_index(region)].length; }
    // What `at:` does on a board, for the answers that DMA gets.
    void place(u32 region, u64 base) { bases_.at(region) = base; }
    u64 base(u32 region) const { return bases_.at(region); }
    u8* ram_block(u32 block) { return blocks_.at(block)->data(); }
    const std::vector<std::unique_ptr<GuestMemory>>& blocks() const { return blocks_; }
    struct Mapping {
        u32 block;
        u64 offset, base, size;
        u32 flags;
        i32 priority;
        auto operator<=>(const Mapping&) const = default;
    };
    const std::map<u32, Mapping>& mappings() const { return mappings_; }
    u32 open_batches() const { return batch_; }  // begin() of bp.ram/1 without end()

    // --- State ------------------------------------------------------------------------------------------------------
    // Everything that a snapshot holds of the device: declared fields, timers, levels of the outputs, guest memory.
    SavedState save() const {
        SavedState out;
        out.version = declaration_.state_version;
        for (const VisitedField& f : visited_state(type_, instance_))
            if (!f.dropped()) out.fields[f.name] = {f.info.kind, f.info.element_size, f.value};
        for (const Timer& t : timers_) out.timers[t.name] = t.due;
        for (const Out& l : outs_) out.lines[l.name] = l.level;
        for (const auto& b : blocks_) out.memory[b->name()] = b->pages();
        return out;
    }
    // As a kernel restores: all checks, then the fields, lines and timers, then restored(), then guest memory. A state
    // that is refused before restored() leaves the device as it is.
    bp_status load(const SavedState& s) {
        failure = state_fault(visited_state(type_, instance_), s, declaration_.state_version);
        if (failure.empty() && !fits(s)) failure = "the snapshot has a timer, line or memory that the device has not";
        if (!failure.empty()) return BP_ERR_INVALID;
        for_each_state(type_, instance_, [&s](const bp_state_field& f) {
            if (f.flags & (BP_STATE_DROPPED | BP_STATE_IDENTITY)) return;
            const auto found = s.fields.find(to_view(f.name));
            if (found != s.fields.end()) std::memcpy(f.data, found->second.bytes.data(), found->second.bytes.size());
        });
        for (Out& l : outs_)
            if (const auto found = s.lines.find(l.name); found != s.lines.end()) l.level = found->second;
        for (Timer& t : timers_)
            if (const auto found = s.timers.find(t.name); found != s.timers.end())
                t.due = found->second < 0 ? -1 : std::max({found->second, time - kLate, i64{0}});
        const bp_status status = type_->restored(instance_);
        if (status != BP_OK) return status;
        for (const auto& b : blocks_)
            if (const auto found = s.memory.find(b->name()); found != s.memory.end()) b->set_pages(found->second);
        return BP_OK;
    }

    // --- What the test sets and sees --------------------------------------------------------------------------------
    std::string device_name = "device";
    i64 time = 0;
    // Nanoseconds that pass whenever the device asks for the time, as on a host with other work.
    i64 look_takes = 0;
    i64 start_time = 1262304000;                        // 2010-01-01 00:00:00 UTC
    std::vector<u8> memory = std::vector<u8>(1 << 20);  // what DMA reaches
    DmaAnswer dma_answer = DmaAnswer::kMemory;
    u32 tracing = 0;  // nonzero: trace points are listened to
    std::string failure;
    std::vector<std::string> log;     // the first kMostRecords
    std::vector<std::string> events;  // the same, each with its data behind it
    std::vector<PublishedFact> facts;
    struct Request {
        u32 what, argument;
        std::string reason;
    };
    std::vector<Request> requests;
    bool deterministic = true;  // what the clock says that it is
    std::string firmware_folder;
    // Whether the machine runs; run() tells the device under test.
    bool running = true;
    void (*run_changed)(void* context, int running) = nullptr;
    void* run_context = nullptr;
    void run(bool on) {
        running = on;
        if (run_changed) run_changed(run_context, on ? 1 : 0);
    }
    // Instead of firmware_folder: the path of the file for a name.
    std::function<std::string(const std::string& name)> find_firmware;
    // Hears what the device does to its surroundings, as text, if set.
    std::function<void(const std::string& what)> observe;
    // Calls of services that a device may still make before it counts as hanging; set it before each access.
    u64 call_budget = ~u64{0};
    // What happens when the device breaks a rule of its slot; by default an exception, which few devices survive.
    std::function<void(const std::string& text)> on_fault;

    static constexpr std::size_t kMostRecords = 10'000;
    static constexpr u64 kExpirationsAtOneTime = 1'000;
    static constexpr i64 kLate = 1'000'000'000;  // so long overdue a timer of a snapshot may be at most

  private:
    struct In {
        std::string name;
        u32 line;
        void (*changed)(void*, u32, int);
        bool level = false;
    };
    struct Out {
        std::string name;
        bool level = false;
        unsigned rises = 0;
    };
    struct Timer {
        std::string name;
        void (*expired)(void*, i64);
        i64 due = -1;
    };
    struct PropertyValue {
        std::string text;
        u64 number = 0;
        bool given = false;
    };

    u32 region_index(std::string_view name) const {
        for (u32 i = 0; i < declaration_.regions.size(); ++i)
            if (declaration_.regions[i].name == name) return i;
        throw std::out_of_range("no region " + std::string(name));
    }
    std::size_t out_index(std::string_view name) const {
        for (std::size_t i = 0; i < outs_.size(); ++i)
            if (outs_[i].name == name) return i;
        throw std::out_of_range("no output line " + std::string(name));
    }
    void set_properties(const Properties& given) {
        for (const auto& p : declaration_.properties) properties_.push_back({p.default_text});
        for (const auto& [name, text] : given) {
            const auto& list = declaration_.properties;
            const auto p = std::find_if(list.begin(), list.end(), [&](auto& v) { return v.name == name; });
            if (p == list.end()) throw std::out_of_range("no property " + name);
            properties_[static_cast<std::size_t>(p - list.begin())] = {text, 0, true};
        }
        for (std::size_t i = 0; i < properties_.size(); ++i)
            properties_[i].number = property_number(declaration_.properties[i], properties_[i].text).value_or(0);
    }
    template <class Map, class List>
    static bool all_known(const Map& saved, const List& own) {
        return std::all_of(saved.begin(), saved.end(), [&own](const auto& item) {
            return std::any_of(own.begin(), own.end(), [&item](const auto& o) { return o.name == item.first; });
        });
    }
    bool fits(const SavedState& s) const {
        const bool memory_known = std::all_of(s.memory.begin(), s.memory.end(), [this](const auto& item) {
            return std::any_of(blocks_.begin(), blocks_.end(), [&](const auto& b) { return b->name() == item.first; });
        });
        const bool old = s.version < declaration_.state_version;
        return memory_known && (old || (all_known(s.timers, timers_) && all_known(s.lines, outs_)));
    }
    void fault(const std::string& text) {
        if (on_fault) on_fault(text);
        throw std::logic_error(text);
    }
    void note(const std::string& what) {
        if (observe) observe(what);
    }

    static const void* service(void* self, bp_str id);

    const bp_device_type* type_;
    Links links_;
    Declaration declaration_;
    bp_slot slot_{};
    void* instance_ = nullptr;
    bool started_ = false;
    std::vector<PropertyValue> properties_;
    std::vector<In> ins_;
    std::vector<Out> outs_;
    std::vector<u64> bases_;
    std::vector<Timer> timers_;
    std::mutex mutex_;
    std::deque<std::function<void()>> posted_;
    std::vector<std::unique_ptr<GuestMemory>> blocks_;
    std::map<u32, Mapping> mappings_;
    u32 next_mapping_ = 1;
    u32 batch_ = 0;         // begin() without end()
    u64 at_this_time_ = 0;  // timers that expired since the clock last moved

    friend struct Services;
};

}  // namespace backplane::testkit
