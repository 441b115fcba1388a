// What a conformance check is about, and how its cases bring devices up.
#pragma once

#include <memory>
#include <string>

#include "backplane/testkit/rig.hpp"

namespace backplane::testkit {

struct Subject {
    const bp_device_type* type = nullptr;
    RigOptions rig;
    u64 accesses = 1'000'000;  // of the case that makes the most; others make a part of them
    u64 seed = 1;
    // A back end has the host on its other end: two of them cannot have the same file, and nobody knows when a byte
    // comes. The cases that compare two instances step by step leave it out.
    bool backend = false;

    std::unique_ptr<Rig> powered(Case& check) const { return powered(rig, check); }
    // A powered device that is not connected yet; the case fails if that is impossible.
    std::unique_ptr<Rig> powered(const RigOptions& options, Case& check) const {
        std::unique_ptr<Rig> out;
        std::string fault = power(options, check, out);
        if (!fault.empty() && options.vary) {  // the values contradict one another: then those that were declared
            RigOptions plain = options;
            plain.vary = 0;
            fault = power(plain, check, out);
        }
        if (!fault.empty()) check.fail(fault);
        return out;
    }
    std::unique_ptr<Rig> running(Case& check) const {
        auto out = powered(check);
        out->connect();
        return out;
    }

    // The surroundings in a round of a case: with and without what the device may have, traced or not.
    RigOptions conditions(u64 round) const {
        RigOptions out = rig;
        out.optional_links = round % 4 != 1;
        out.children = round % 4 != 2;
        out.tracing = round % 2;
        out.low_registers = round % 3 == 1;
        out.vary = round % 8 < 4 ? 0 : seed + round;
        return out;
    }

  private:
    std::string power(const RigOptions& options, Case& check, std::unique_ptr<Rig>& out) const {
        out.reset();
        check.doing("create()");
        try {
            out = std::make_unique<Rig>(type, options, check);
        } catch (const std::exception& e) {
            return e.what();
        }
        return out->power_on();
    }
};

// The first difference between two states, or "".
inline std::string difference(const SavedState& a, const SavedState& b) {
    const auto hex = [](const std::string& bytes) {
        static constexpr char kDigits[] = "0123456789abcdef";
        std::string out;
        for (std::size_t i = bytes.size(); i-- > 0 && out.size() < 32;)
            out += {kDigits[static_cast<u8>(bytes[i]) >> 4], kDigits[bytes[i] & 15]};
        return out;
    };
    for (const auto& [name, field] : a.fields) {
        const auto other = b.fields.find(name);
        if (other == b.fields.end()) return "state field " + name + " is missing";
        if (field == other->second) continue;
        const std::string& x = field.bytes;
        const std::string& y = other->second.bytes;
        if (x.size() != y.size()) return "state field " + name + " has another count";
        const u64 at = static_cast<u64>(std::mismatch(x.begin(), x.end(), y.begin()).first - x.begin());
        const u64 size = field.element_size, first = at / size * size;
        return "state field " + name + (x.size() > size ? "[" + std::to_string(at / size) + "]" : "") + " is " +
               hex(x.substr(first, size)) + "h and " + hex(y.substr(first, size)) + "h";
    }
    for (const auto& [name, unused] : b.fields)
        if (!a.fields.count(name)) return "state field " + name + " is there once only";
    for (const auto& [name, due] : a.timers)
        if (const auto other = b.timers.find(name); other == b.timers.end() || other->second != due)
            return "timer " + name + " is due at " + std::to_string(due) + " and at " +
                   std::to_string(other == b.timers.end() ? -1 : other->second);
    for (const auto& [name, level] : a.lines)
        if (const auto other = b.lines.find(name); other == b.lines.end() || other->second != level)
            return "line " + name + " is " + (level ? "high" : "low") + " and " + (level ? "low" : "high");
    for (const auto& [name, pages] : a.memory)
        if (const auto other = b.memory.find(name); other == b.memory.end() || other->second != pages)
            return "guest memory " + name + " differs";
    return a == b ? "" : "the states differ";
}

}  // namespace backplane::testkit
