// Builds an assembly from a board description: devices in slots, joined, started and powered on.
#pragma once

#include <string>
#include <vector>

#include "kernel/machine/assembly.hpp"
#include "kernel/machine/machine.hpp"

namespace backplane::kernel {

class Builder {
  public:
    // With `former`, back ends whose name is in `kept` are taken over from it instead of being made.
    // `board`: if it is not the machine's.
    Builder(Machine& machine, Assembly& assembly, const Assembly* former = nullptr, std::vector<std::string> kept = {},
            const BoardSpec* board = nullptr, Ram* ram = nullptr)
        : m_(machine),
          a_(assembly),
          board_(board ? *board : machine.board_),
          ram_(ram ? *ram : machine.ram_),
          former_(former),
          kept_(std::move(kept)) {}

    // Up to the reset at power-on. Throws Error; the assembly is then to be taken down.
    void build();
    // Makes the new devices part of the machine: they register with what calls them back.
    void connect();
    // Stops and destroys what is not kept.
    static void tear_down(Machine& machine, Assembly& assembly, const std::vector<std::string>& kept = {});

    // Back ends that hold nothing a guest can see, and so can stay while everything else is made anew.
    static std::vector<std::string> keepable(const Assembly& assembly);

    static bool publish(Machine& machine, Instance& device, const bp_fact& fact);

  private:
    // builder.cpp
    void make_spaces();
    void create_devices();
    void create_device(const DeviceSpec& spec);
    void check_routes();
    void place_regions();
    void start_devices();
    void publish_facts();
    void check_failure(Instance& device, bp_status status, const Position& position, const char* doing);
    bool kept(const Instance& device) const;

    // join.cpp
    void join_buses();
    void join_links();
    void join_lines();
    void connect_output(Instance& from, u32 output, const Value& to, u32 named_wires);
    u32 wire_for_output(Instance& from, u32 output);
    void connect_sink(u32 wire, const Value& sink);

    // engines.cpp
    void attach_engines();

    Machine& m_;
    Assembly& a_;
    const BoardSpec& board_;
    Ram& ram_;
    const Assembly* former_;
    std::vector<std::string> kept_;
};

}  // namespace backplane::kernel
