// The engine as a device: its model is a property, its pins are lines, its registers are declared state.
#pragma once

#include <backplane/abi/cpu.h>
#include <backplane/abi/cpu_state.h>
#include <backplane/device.hpp>
#include <cstddef>
#include <memory>

#include "cpu.hpp"
#include "trace.hpp"

namespace backplane {

extern const bp_cpu_state kInterpState;  // model_debug.cpp
extern const bp_cpu_debug kInterpDebug;

struct InterpCpu : Device<InterpCpu> {
    static constexpr std::string_view kType = "cpu.interp";
    static constexpr u32 kStateVersion = 5;
    explicit InterpCpu(const Slot& slot);
    static void describe(Schema<InterpCpu>& s);
    // What every engine with this processor inside declares: properties, lines, the link.
    template <class T>
    static void describe_processor(Schema<T>& s);

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
    // What a guest that comes from elsewhere has been shown of features (bp_x86_state.cpuid_features).
    bp_status adopt_features(const cpumodel::Words& shown);
    // Likewise of the time-stamp counter's frequency.
    void adopt_frequency(u64 hz);
    static constexpr u64 kLowestTsc = 1'000'000, kHighestTsc = 100'000'000'000;  // Hz

    std::string model, features;
    interp::CpuModel selected{};  // with its changes
    u64 tsc_frequency = 0, apic_id = 0, processors = 1;
    bool tsc_fixed = false;  // it counts by a clock whose frequency nobody can choose
    LineOut ferr;
    Link<bp_intr> intr;
    std::unique_ptr<interp::Cpu> cpu;
    std::unique_ptr<interp::Tracer> tracer;

  private:
    interp::CpuModel complete_{};  // `selected` before a guest was adopted that knows less
    bool adopted_ = false;
    // In the saved state.
    cpumodel::Words shown_{};
    u64 measured_ = 0;
};

template <class T>
void InterpCpu::describe_processor(Schema<T>& s) {
    s.property("model", &T::model,
               {.doc = "CPU model that CPUID shows, with changes: qemu64,+ssse3,-nx", .def = "pentium2"});
    s.property("features", &T::features, {.doc = "more such changes: +ssse3,-nx", .def = ""});
    s.property("tsc-frequency", &T::tsc_frequency,
               {.doc = "time-stamp counter, in Hz of the machine's clock",
                .def = "1000000000",
                .min = kLowestTsc,
                .max = kHighestTsc});
    s.property("apic_id", &T::apic_id,
               {.doc = "initial APIC id that CPUID shows: that of the local APIC", .def = "0", .max = 255});
    s.property("processors", &T::processors,
               {.doc = "cores of the package that this processor belongs to, as CPUID shows it",
                .def = "1",
                .min = 1,
                .max = 64});
    s.template line_in<&T::intr_changed>("intr", "maskable interrupt request (level)");
    s.template line_in<&T::nmi_changed>("nmi", "non-maskable interrupt (rising edge)");
    s.template line_in<&T::init_changed>("init", "INIT# (rising edge)");
    s.template line_in<&T::smi_changed>("smi", "system management interrupt (rising edge)");
    s.template line_in<&T::a20_changed>("a20", "address line 20 passes while this is 1 (not connected: passes)");
    s.template line_in<&T::ignne_changed>("ignne", "numeric errors are ignored while CR0.NE is 0 (IGNNE#)");
    s.line_out("ferr", &T::ferr, "an unmasked numeric error waits and CR0.NE is 0 (FERR#)");
    s.link("intr", &T::intr, BP_INTR_ID, "interrupt controller that acknowledges", true);
}

}  // namespace backplane
