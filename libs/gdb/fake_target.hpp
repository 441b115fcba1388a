// For tests: processors that consist of their state, and a client that says packets and hears the answers.
#pragma once

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "gdb/session.hpp"

namespace backplane::gdb {

struct FakeTarget final : Target {
    std::vector<bp_x86_state> states;
    u32 has = BP_CPU_HAS_X87;
    std::string memory = std::string(0x10000, '\0');
    std::vector<std::string> calls;
    bool full = false;

    explicit FakeTarget(std::size_t count = 1, u32 features_in = BP_CPU_HAS_X87) : states(count), has(features_in) {
        for (bp_x86_state& s : states) s.size = sizeof s, s.rflags = 2;
    }
    std::size_t cpus() override { return states.size(); }
    std::string cpu_name(std::size_t cpu) override { return "cpu" + std::to_string(cpu); }
    u32 features(std::size_t) override { return has; }
    bp_x86_state state(std::size_t cpu) override { return states.at(cpu); }
    bool set_state(std::size_t cpu, const bp_x86_state& s) override {
        if (s.cr0 == 0xbad) return false;
        states.at(cpu) = s;
        return true;
    }
    u64 read(std::size_t, u64 address, void* data, u64 size, bool physical) override {
        if (physical) calls.push_back("physical");
        const u64 n = address < memory.size() ? std::min<u64>(size, memory.size() - address) : 0;
        std::memcpy(data, memory.data() + (n != 0 ? address : 0), n);
        return n;
    }
    u64 write(std::size_t, u64 address, const void* data, u64 size, bool) override {
        const u64 n = address < memory.size() ? std::min<u64>(size, memory.size() - address) : 0;
        if (n != 0) std::memcpy(memory.data() + address, data, n);
        return n;
    }
    bool point(const char* what, u64 address, u32 length, u32 access) {
        calls.push_back(what + hex_number(address) +
                        (length ? "/" + hex_number(length) + "/" + hex_number(access) : ""));
        return !full;
    }
    bool add_breakpoint(u64 a) override { return point("+", a, 0, 0); }
    bool remove_breakpoint(u64 a) override { return point("-", a, 0, 0); }
    bool add_watchpoint(u64 a, u32 l, u32 w) override { return point("+", a, l, w); }
    bool remove_watchpoint(u64 a, u32 l, u32 w) override { return point("-", a, l, w); }
    void go(const std::vector<Go>& what, bool hold) override {
        std::string text = hold ? "go held" : "go";
        for (const Go g : what) text += g == Go::kOn ? " on" : g == Go::kStep ? " step" : " stay";
        calls.push_back(text);
    }
    void pause() override { calls.push_back("pause"); }
    void leave(bool on) override { calls.push_back(on ? "leave on" : "leave"); }
    std::string monitor(const std::string& line) override {
        return line == "long" ? std::string(20000, 'x') : "said " + line + "\n";
    }
    void kill() override { calls.push_back("kill"); }
};

struct Client {
    FakeTarget target;
    std::string heard;
    Session session;

    explicit Client(std::size_t cpus = 1, u32 features = BP_CPU_HAS_X87)
        : target(cpus, features), session(target, [this](std::string_view bytes) { heard += bytes; }) {}

    // The data of the packets that answer, joined by "|".
    std::string say(std::string_view packet) {
        heard.clear();
        session.take(framed(packet));
        return packets();
    }
    std::string packets() const {
        std::string text;
        std::string_view left = heard;
        Decoder decoder;
        while (const auto piece = decoder.next(left)) text += (text.empty() ? "" : "|") + piece->text;
        return text;
    }
    std::string stop(std::vector<Stop> stops) {
        heard.clear();
        session.stopped(stops);
        return packets();
    }
    std::string last_call() const { return target.calls.empty() ? "" : target.calls.back(); }
};

inline Stop stop_at(std::size_t cpu, u32 kind, u64 address = 0, u32 watched = 0) {
    Stop s{cpu, {}};
    s.what.kind = kind;
    s.what.address = address;
    s.what.watched = watched;
    return s;
}

}  // namespace backplane::gdb
