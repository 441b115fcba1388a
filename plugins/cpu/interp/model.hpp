// The engine as a device: its model is a property, its pins are lines, its registers are declared state.
#pragma once

#include <backplane/abi/cpu.h>
#include <backplane/abi/cpu_state.h>
#include <backplane/device.hpp>
#include <memory>

#include "cpu.hpp"
#include "trace.hpp"

namespace backplane {

extern const bp_cpu_state kInterpState;  // model_debug.cpp
extern const bp_cpu_debug kInterpDebug;

struct InterpCpu final : Device<InterpCpu> {
    static constexpr std::string_view kType = "cpu.interp";
    static constexpr u32 kStateVersion = 4;
    explicit InterpCpu(const Slot& slot);
    static void describe(Schema<InterpCpu>& s);

    bp_status start();
    void reset(Reset kind);
    void state(StateVisitor& v);
    bp_status restored();

    void intr_changed(bool level) { cpu->set_line(interp::kLineIntr, level); }
    void nmi_changed(bool level) { cpu->set_line(interp::kLineNmi, level); }
    void init_changed(bool level) { cpu->set_line(interp::kLineInit, level); }
    void smi_changed(bool level) { cpu->set_line(interp::kLineSmi, level); }
    void a20_changed(bool level) { cpu->set_line(interp::kLineA20, level); }
    void ignne_changed(bool level) { cpu->set_line(interp::kLineIgnne, level); }

    bp_status attach(bp_vcpu* vcpu, const bp_cpu_bus* bus);
    std::size_t where(char* text, std::size_t capacity);
    bp_status trace_instructions(std::string_view path);
    bp_status set_state(const bp_x86_state* state);

    std::string model, features;
    interp::CpuModel selected{};  // with its changes
    u64 tsc_frequency = 0, apic_id = 0, processors = 1;
    LineOut ferr;
    Link<bp_intr> intr;
    std::unique_ptr<interp::Cpu> cpu;
    std::unique_ptr<interp::Tracer> tracer;
};

}  // namespace backplane
