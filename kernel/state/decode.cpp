// From the bytes of a section to the model, trusting nothing.
#include <fmt/format.h>

#include <algorithm>
#include <unordered_set>

#include "backplane/abi/device.h"
#include "kernel/config/convert.hpp"
#include "kernel/state/format.hpp"
#include "kernel/state/text.hpp"

namespace backplane::kernel::format {

void fail_at(const std::string& place, u64 offset, const std::string& text) {
    throw Error(fmt::format("{}: offset 0x{:x}: {}", place, offset, text));
}

namespace {

class Decoder {
  public:
    explicit Decoder(const Content& content) : content_(content) {}

    // What is being read, for errors: "device `timer0`".
    void enter(std::string what) { what_ = std::move(what); }

    u8 byte(const char* what) { return static_cast<u8>(*take(1, what)); }
    bool boolean(const char* what) {
        const u8 value = byte(what);
        if (value > 1) fail(fmt::format("{} is {}, not 0 or 1", what, value));
        return value != 0;
    }
    u32 number32(const char* what) { return get_u32(take(4, what)); }
    u64 number64(const char* what) { return get_u64(take(8, what)); }
    i64 time(const char* what) {
        const auto value = static_cast<i64>(number64(what));
        if (value < 0 || value > kMaxTime) fail(fmt::format("{} is {} ns, out of range", what, value));
        return value;
    }
    std::string_view bytes(u64 size, const char* what) { return {take(size, what), size}; }
    std::string text(const char* what) { return std::string(sized(kMaxText, what)); }
    // UTF-8 without control characters; may be empty.
    std::string label(const char* what) {
        const std::string_view value = sized(kMaxName, what);
        if (!is_plain_utf8(value)) fail(fmt::format("{} is not UTF-8 text of one line", what));
        return std::string(value);
    }
    std::string name(const char* what) {
        std::string value = label(what);
        if (value.empty()) fail(fmt::format("{} is empty", what));
        return value;
    }
    // How many items of at least `smallest` bytes follow.
    u32 count(u32 most, u64 smallest, const char* what) {
        const u32 value = number32(what);
        const u64 left = content_.bytes.size() - at_;
        if (value > most || value > left / smallest)
            fail(fmt::format("{} is {}, but {} bytes are left", what, value, left));
        return value;
    }
    std::vector<std::pair<std::string, std::string>> pairs(const char* what) {
        std::vector<std::pair<std::string, std::string>> list(count(kMaxItems, 9, what));
        Names names(*this, what);
        for (auto& [key, value] : list) {
            key = name(what);
            names.add(key);
            value = text(what);
        }
        return list;
    }
    void end() {
        if (at_ != content_.bytes.size())
            fail_at(content_.place, content_.base + at_,
                    fmt::format("{} bytes too many in the section", content_.bytes.size() - at_));
    }
    // The item that was read last.
    [[noreturn]] void fail(const std::string& text) const {
        fail_at(content_.place, content_.base + last_, what_.empty() ? text : what_ + ": " + text);
    }

    // Names of which each may appear once.
    class Names {
      public:
        Names(const Decoder& decoder, const char* what) : decoder_(decoder), what_(what) {}
        void add(const std::string& name) { add(name, name); }
        void add(const std::string& key, const std::string& name) {
            if (!keys_.insert(key).second) decoder_.fail(fmt::format("{} {} appears twice", what_, in_ticks(name)));
        }

      private:
        const Decoder& decoder_;
        const char* what_;
        std::unordered_set<std::string> keys_;
    };

  private:
    const char* take(u64 size, const char* what) {
        last_ = at_;
        if (size > content_.bytes.size() - at_)
            fail(fmt::format("{} needs {} bytes, but the section ends after {}", what, size,
                             content_.bytes.size() - at_));
        const char* at = content_.bytes.data() + at_;
        at_ += size;
        return at;
    }
    std::string_view sized(u32 most, const char* what) {
        const u32 size = number32(what);
        if (size > most) fail(fmt::format("{} has {} bytes, more than {}", what, size, most));
        return {take(size, what), size};
    }

    const Content& content_;
    std::string what_;
    u64 at_ = 0, last_ = 0;
};

StateValue decode_field(Decoder& in, const std::string& device) {
    StateValue f;
    f.name = in.name("name of a field");
    in.enter("device " + in_ticks(device) + ": field " + in_ticks(f.name));
    f.kind = in.number32("kind");
    if (f.kind < BP_STATE_UNSIGNED || f.kind > BP_STATE_FLOAT) in.fail(fmt::format("kind {} is not known", f.kind));
    f.element_size = in.number32("element size");
    const u32 size = f.element_size;
    const bool sound = f.kind == BP_STATE_BOOL || f.kind == BP_STATE_BYTES ? size == 1
                       : f.kind == BP_STATE_FLOAT                          ? size == 4 || size == 8
                                                  : size == 1 || size == 2 || size == 4 || size == 8;
    if (!sound) in.fail(fmt::format("elements of {} bytes", size));
    f.since = in.number32("version that brought it");
    f.flags = in.number32("flags");
    f.count = in.number64("count of elements");
    if (f.count > kMaxModelSection / size) in.fail(fmt::format("count of elements is {}, out of range", f.count));
    f.bytes = in.bytes(f.count * size, "value");
    if (f.kind == BP_STATE_BOOL)
        for (const char value : f.bytes)
            if (static_cast<u8>(value) > 1) in.fail(fmt::format("a truth value is {}", static_cast<u8>(value)));
    in.enter("device " + in_ticks(device));
    return f;
}

void decode_fields(Decoder& in, const std::string& device, std::vector<StateValue>& fields) {
    Decoder::Names names(in, "field");
    fields.resize(in.count(kMaxItems, 29, "count of fields"));
    for (StateValue& f : fields) {
        f = decode_field(in, device);
        names.add(f.name);
    }
}

}  // namespace

void decode_machine(const Content& content, Snapshot& s) {
    Decoder in(content);
    s.program_version = in.label("program version");
    s.abi_major = in.number32("plugin ABI");
    s.abi_minor = in.number32("plugin ABI");
    s.board = in.text("board");
    s.request_json = in.text("request");
    s.deterministic = in.boolean("kind of clock");
    s.time_ns = in.time("time");
    s.start_time = in.number64("start time");
    s.random_state = in.number64("random state");
    s.timer_sequence = in.number64("timer sequence");
    s.timers_fired = in.number64("count of expired timers");
    s.instructions.resize(in.count(kMaxVcpus, 8, "count of vCPUs"));
    for (u64& count : s.instructions) count = in.number64("instruction count");
    if (s.instructions.size() > 1) {
        s.turn = in.number32("turn");
        if (s.turn >= s.instructions.size())
            in.fail(fmt::format("the turn is vCPU {}'s, which does not exist", s.turn));
        s.turn_left = in.number64("rest of the turn");
    }
    in.end();
}

void decode_devices(const Content& content, Snapshot& s) {
    Decoder in(content);
    Decoder::Names names(in, "device");
    s.devices.resize(in.count(kMaxDevices, 42, "count of devices"));
    for (DeviceState& d : s.devices) {
        in.enter("");
        d.name = in.name("name of a device");
        names.add(d.name);
        in.enter("device " + in_ticks(d.name));
        d.type = in.name("type");
        d.plugin = in.label("plugin");
        d.plugin_version = in.label("plugin version");
        d.plugin_kind = in.label("plugin kind");
        d.state_version = in.number32("state version");
        d.properties = in.pairs("property");
        Decoder::Names lines(in, "line"), timers(in, "timer");
        decode_fields(in, d.name, d.fields);
        d.lines.resize(in.count(kMaxItems, 6, "count of lines"));
        for (auto& [name, level] : d.lines) {
            name = in.name("name of a line");
            lines.add(name);
            level = in.boolean("level of a line");
        }
        d.timers.resize(in.count(kMaxItems, 21, "count of timers"));
        for (DeviceState::Timer& t : d.timers) {
            t.name = in.name("name of a timer");
            timers.add(t.name);
            t.due = in.time("expiry of a timer");
            t.sequence = in.number64("sequence of a timer");
        }
    }
    in.end();
}

void decode_cpus(const Content& content, Snapshot& s) {
    Decoder in(content);
    for (u32 left = in.count(kMaxVcpus, 37, "count of CPUs"); left > 0; --left) {
        in.enter("");
        const std::string name = in.name("name of a CPU");
        const auto found =
            std::find_if(s.devices.begin(), s.devices.end(), [&](const DeviceState& d) { return d.name == name; });
        if (found == s.devices.end()) in.fail("there is no device " + in_ticks(name));
        if (!found->cpu.empty()) in.fail("the device " + in_ticks(name) + " appears twice");
        in.enter("CPU " + in_ticks(name));
        decode_fields(in, name, found->cpu);
        if (found->cpu.empty()) in.fail("it has no fields");
    }
    in.end();
}

void decode_facts(const Content& content, Snapshot& s) {
    Decoder in(content);
    Decoder::Names names(in, "fact");
    s.facts.resize(in.count(kMaxItems, 18, "count of facts"));
    for (FactState& f : s.facts) {
        in.enter("");
        f.from = in.name("publisher of a fact");
        f.what = in.name("name of a fact");
        f.key = in.label("key of a fact");
        // No name holds a line end.
        names.add(f.what + "\n" + f.key + "\n" + f.from, f.what);
        in.enter("fact " + in_ticks(f.what));
        f.fields = in.pairs("field");
    }
    in.end();
}

void decode_memory(const Content& content, Snapshot& s) {
    Decoder in(content);
    Decoder::Names names(in, "block");
    s.memory.resize(in.count(kMaxBlocks, 18, "count of blocks"));
    u64 total = 0;
    for (MemoryState& m : s.memory) {
        in.enter("");
        m.owner = in.name("owner of a block");
        m.name = in.name("name of a block");
        names.add(m.name + "\n" + m.owner, m.name);
        in.enter("block " + in_ticks(m.name) + " of " + in_ticks(m.owner));
        m.size = in.number64("size");
        if (m.size > kMaxMemory - total)
            in.fail(fmt::format("size is {}: more than {} in all", m.size, size_text(kMaxMemory)));
        total += m.size;
    }
    in.end();
}

}  // namespace backplane::kernel::format
