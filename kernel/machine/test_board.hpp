// Boards for tests, from the sections `clock`, `lines`, `devices` and `publish` of a YAML text; one port space and one
// of memory.
#pragma once

#include <string>

#include "kernel/config/board_spec.hpp"
#include "kernel/config/value.hpp"

namespace backplane::kernel {

inline BoardSpec board(const std::string& yaml) {
    const Value v = parse_yaml(yaml, "board.yaml");
    BoardSpec b;
    b.name = "test";
    SpaceSpec io;
    io.name = "io", io.kind = SpaceSpec::Kind::kPorts;
    SpaceSpec mem;
    mem.name = "mem", mem.kind = SpaceSpec::Kind::kMemory, mem.bits = 32;
    b.spaces = {io, mem};
    if (const Value* c = v.find("clock")) b.clock = *c;
    if (const Value* lines = v.find("lines"))
        for (const auto& e : lines->entries()) {
            WireSpec w;
            w.name = e.key, w.position = e.position;
            for (const Value* s : e.value.as_list()) w.sinks.push_back(*s);
            b.lines.push_back(w);
        }
    for (const auto& e : v.find("devices")->entries()) {
        DeviceSpec d;
        d.name = e.key, d.position = e.position;
        for (const auto& x : e.value.entries()) {
            if (x.key == "type")
                d.type = x.value.text(), d.type_position = x.value.position();
            else
                d.entries.push_back(x);
        }
        b.devices.push_back(d);
    }
    if (const Value* publish = v.find("publish"))
        for (const auto& p : publish->items())
            b.publish.push_back({p.position(), *p.find("what"), *p.find("from"), *p.find("into")});
    return b;
}

}  // namespace backplane::kernel
