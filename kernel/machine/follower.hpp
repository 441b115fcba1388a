// An engine that executes what another one has executed, with what that one got from the devices: the second side of a
// cross-check.
#pragma once

#include <string>
#include <vector>

#include "backplane/intr_proxy.hpp"
#include "kernel/machine/machine.hpp"

namespace backplane::kernel {

// What passes between a CPU and the rest of the machine, in its order.
struct BusEvent {
    enum class Kind : u8 {
        // What the CPU does. Both engines have to do it at the same instruction; the second one gets the first one's
        // answer.
        kRegister,  // of a device, or memory that a device writes to as well
        kPort,
        kAcknowledge,  // of an interrupt; the value is the vector
        kController,   // another call of bp.intr/1: `address` is its number
        kOutput,       // a line: `address` is its number, the value its level
        // What happens to it.
        kInput,    // likewise
        kStartup,  // the value is the vector
        kOwn,      // the registers that it alone sees are `own`
        kStore,    // a device wrote `data` to guest memory at `address`
        kViews     // the memory map is another one
    };
    Kind kind = Kind::kPort;
    u32 cpu = 0;
    u64 count = 0;  // instructions executed before
    const Region* region = nullptr;
    u64 address = 0;
    u32 bytes = 0;
    bool write = false;
    u64 value = 0;
    std::string data{};
    MemorySpace::Views views{};
    std::vector<Vcpu::Own> own{};

    bool happens() const { return kind >= Kind::kInput; }
    bool of_cpu() const { return happens() && kind < Kind::kStore; }  // it happens to `cpu`, and not to memory
    bool same_call(const BusEvent& other) const;
    std::string text() const;
};

// Of an input line, as its device knows it: one that was always low is none that became low.
enum class LineLevel : u8 { kNever, kHigh, kLow };

// Where a CPU stands, and what it sees that others do not.
struct CpuPoint {
    bp_x86_state state{};
    std::vector<LineLevel> levels{};  // of the input lines
    std::vector<Vcpu::Own> own{};
};

class Follower {
  public:
    // `cpus`: a board of CPUs without links and lines. Throws Error.
    Follower(Machine& machine, const BoardSpec& cpus, Ram& ram);
    ~Follower();
    Follower(const Follower&) = delete;
    Follower& operator=(const Follower&) = delete;
    void build();

    std::deque<Vcpu>& vcpus() { return assembly_->vcpus; }
    const Assembly& assembly() const { return *assembly_; }

    // For CrossCheck's hooks, which are called within build().
    void hook(MemoryEvents& events);
    void hook(PortEvents& events);
    i64 controller_call(u32 cpu, const IntrProxy::Call& call);

    // Puts a CPU there, with this memory map.
    void set(std::size_t cpu, const CpuPoint& point, const MemorySpace::Views& views);

    struct Part {
        const std::vector<BusEvent>* log;
        std::size_t cpu;
        u64 begin, end;  // instruction counts
        i64 time, pace;  // ns at `begin`, and for each instruction
        bool singly;     // one instruction at a time, so that nothing is left of how the engine groups them
        bool open;       // the log may go on behind the end
        bool halts;      // the first engine has halted at the end
    };
    // Executes a part; returns "" or where it went another way.
    std::string follow(const Part& part);

    // Pages of guest memory that the CPUs may have written to since forget(), which also makes them drop what they
    // keep.
    const std::vector<u64>& written() const { return written_; }
    void forget();

  private:
    u64 call(BusEvent event);
    void take_happenings();
    void happen(const BusEvent& event);
    void diverge(std::string text);
    const BusEvent* next_acknowledge(std::size_t from) const;
    void run_to(u64 count, bool singly);
    void halt();
    void set_interrupt(bool level);
    u64 executed() const { return assembly_->vcpus[part_->cpu].shared.instructions; }

    Machine& machine_;
    BoardSpec board_;
    Ram& ram_;
    std::unique_ptr<Assembly> assembly_;
    struct Pin {
        Follower* follower;
        u32 cpu;
    };
    std::deque<Pin> pins_;
    std::vector<std::vector<LineLevel>> told_;  // by CPU and input line
    std::vector<bool> page_seen_;
    std::vector<u64> written_;

    const Part* part_ = nullptr;  // that is being executed
    std::size_t at_ = 0;          // in its log
    u64 taken_at_ = 0;            // the last acknowledge
    bool end_at_acknowledge_ = false;
    std::string diverged_;
};

// The input line that asks for interrupts: it is named as the link to the controller. -1: there is none.
i64 interrupt_line(const TypeInfo& type);

}  // namespace backplane::kernel
