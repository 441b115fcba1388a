// The place of a processor with nothing in it: a board without CPU, whose devices another program drives
// (control.qtest). It has the pins of one, so that boards need not know, but offers no bp.cpu/1: with the deterministic
// clock the machine's time then stands still until a front end lets it go on.
#pragma once

#include <string>

#include "backplane/abi/cpu.h"
#include "backplane/device.hpp"

namespace backplane {

struct NoCpu final : Device<NoCpu> {
    static constexpr std::string_view kType = "cpu.none";
    using Device::Device;
    static void describe(Schema<NoCpu>& s);
    void state(StateVisitor&) {}

  private:
    void ignored(bool) {}

    std::string model_, features_;
    static const bp_cpu_startup kStartup;

    u64 tsc_frequency_ = 0;
    u32 apic_id_ = 0, processors_ = 1;
    LineOut ferr_;
    Link<bp_intr> intr_;
};

}  // namespace backplane
