// The engine on a host that has KVM. Hidden where tests are run without a choice: tests/system/kvm runs them, in a
// virtual machine if need be.
#include <sys/mman.h>

#include <atomic>
#include <backplane/testkit/bench.hpp>
#include <catch2/catch.hpp>
#include <chrono>
#include <cstring>
#include <functional>
#include <mutex>
#include <thread>

#include "model.hpp"
#include "probe.hpp"

namespace backplane {
namespace {

constexpr u64 kRam = 4 << 20, kRom = 0xffff0000u, kRegisters = 0xd0000000u, kHidden = 0xc0000;

// A processor with memory, a ROM at the top and at C0000h, a register that executes code, a few ports, and an interrupt
// controller that gives one vector.
struct Socket {
    u8* ram = static_cast<u8*>(::mmap(nullptr, kRam, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    std::vector<u8> code_flags = std::vector<u8>(kRam >> 12);
    std::vector<u8> dirty = std::vector<u8>(kRam >> 12);
    std::vector<u8> registers = std::vector<u8>(4096, 0x90);
    bool watched = false;
    std::string out;
    std::vector<std::pair<u64, u64>> writes;
    std::string in = "KVM!";
    std::size_t in_at = 0;
    int vector = -1;
    u64 apic_base = 0xfee00900;
    u32 tpr = 0;
    std::recursive_mutex mutex;
    std::chrono::steady_clock::time_point begin = std::chrono::steady_clock::now();
    bp_vcpu vcpu{};
    bp_cpu_bus bus{};
    bp_intr intr{};
    testkit::Board board;
    const bp_cpu* cpu = nullptr;
    const bp_cpu_state* states = nullptr;
    const bp_cpu_debug* debug = nullptr;
    void* engine = nullptr;

    static Socket& of(void* self) { return *static_cast<Socket*>(self); }
    u8* host(u64 address, bool write) {
        if (address >= kRom && address <= 0xffffffffu) return write ? nullptr : ram + 0xf0000 + (address - kRom);
        if (address >= kRam || (write && address >= kHidden && address < kHidden + 0x10000)) return nullptr;
        return ram + address;
    }
    u64 read(u64 address, u32 bytes) {
        u64 value = ~u64{0};
        if (address >= kRegisters && address + bytes <= kRegisters + registers.size())
            std::memcpy(&value, &registers[address - kRegisters], bytes);
        else if (const u8* at = host(address, false))
            std::memcpy(&value, at, bytes);
        return bytes == 8 ? value : value & ((u64{1} << 8 * bytes) - 1);
    }
    void write(u64 address, u32 bytes, u64 value) {
        writes.emplace_back(address, value);
        if (u8* at = host(address, true)) std::memcpy(at, &value, bytes);
    }
    u32 ranges(bp_memory_range* list, u32 capacity) {
        const bp_memory_range all[] = {
            {0, kHidden, ram, watched ? dirty.data() : nullptr, 1, 0},
            {kHidden, 0x10000, ram + kHidden, nullptr, 0, 0},
            {kHidden + 0x10000, kRam - kHidden - 0x10000, ram + kHidden + 0x10000, nullptr, 1, 0},
            {kRom, 0x10000, ram + 0xf0000, nullptr, 0, 0},
        };
        for (u32 i = 0; i < 4 && i < capacity; ++i) list[i] = all[i];
        return 4;
    }

    explicit Socket(testkit::Properties p = {}, const bp_device_type* type = &DeviceType<KvmCpu>::value)
        : board(type, std::move(p), {{"intr", {&intr, this}}}) {
        intr = {sizeof(bp_intr),
                [](void* s) -> int32_t {
                    board_line(s, false);
                    return of(s).vector;
                },
                [](void* s) -> int64_t { return static_cast<int64_t>(of(s).apic_base); },
                [](void* s, uint64_t value) -> bp_status {
                    of(s).apic_base = value;
                    return BP_OK;
                },
                [](void* s) -> uint32_t { return of(s).tpr; },
                [](void* s, uint32_t value) { of(s).tpr = value; }};
        bus.size = sizeof bus;
        bus.self = this;
        bus.page = [](void* s, uint64_t address, int, bp_page* page) {
            *page = {};
            page->read = of(s).host(address & ~u64{0xfff}, false);
            page->write = of(s).host(address & ~u64{0xfff}, true);
            if (page->write != nullptr) page->code_flag = &of(s).code_flags[address >> 12];
        };
        bus.read = [](void* s, uint64_t a, uint32_t n, int) -> uint64_t { return of(s).read(a, n); };
        bus.write = [](void* s, uint64_t a, uint32_t n, uint64_t v, int) { of(s).write(a, n, v); };
        bus.port_read = [](void* s, uint32_t port, uint32_t) -> uint64_t {
            Socket& me = of(s);
            return port == 0x60 ? static_cast<u8>(me.in[me.in_at++ % me.in.size()]) : ~u64{0};
        };
        bus.port_write = [](void* s, uint32_t port, uint32_t, uint64_t value) {
            Socket& me = of(s);
            if (port == 0xe9) me.out += static_cast<char>(value);
            if (port == 0xf4) __atomic_fetch_or(&me.vcpu.attention, BP_ATTENTION_STOP, __ATOMIC_RELEASE);
        };
        bus.lock = [](void* s) { of(s).mutex.lock(); };
        bus.unlock = [](void* s) { of(s).mutex.unlock(); };
        bus.now = [](void* s) -> int64_t { return (std::chrono::steady_clock::now() - of(s).begin).count(); };
        bus.ranges = [](void* s, bp_memory_range* list, uint32_t n) -> uint32_t { return of(s).ranges(list, n); };
        bus.board = this;
    }
    ~Socket() { ::munmap(ram, kRam); }
    static void board_line(void* s, bool level) { of(s).board.drive("intr", level); }

    void power_on() {
        board.deterministic = false;
        REQUIRE(board.start() == BP_OK);
        const bp_interface i = board.offer(BP_CPU_ID);
        cpu = static_cast<const bp_cpu*>(i.table);
        engine = i.instance;
        states = static_cast<const bp_cpu_state*>(board.offer(BP_CPU_STATE_ID).table);
        debug = static_cast<const bp_cpu_debug*>(board.offer(BP_CPU_DEBUG_ID).table);
        vcpu.deadline = ~u64{0};
        REQUIRE(cpu->attach(engine, &vcpu, &bus) == BP_OK);
        board.reset(Reset::kPowerOn);
    }
    void code(u64 at, std::initializer_list<int> bytes) {
        for (const int b : bytes) ram[at++] = static_cast<u8>(b);
    }
    // At the reset vector a jump to 0000:7C00.
    void program(std::initializer_list<int> bytes) {
        code(0xffff0, {0xea, 0x00, 0x7c, 0x00, 0x00});
        code(0x7c00, bytes);
    }
    u32 run() {
        __atomic_fetch_and(&vcpu.attention, ~u32{BP_ATTENTION_STOP}, __ATOMIC_ACQUIRE);
        const u32 why = cpu->run(engine);
        if (why == BP_EXIT_ERROR) FAIL(board.failure);
        return why;
    }
    // Unless the thread is asked to end before.
    void stop_after(int milliseconds, std::jthread& thread) {
        thread = std::jthread([this, milliseconds](const std::stop_token& over) {
            for (int n = 0; n < milliseconds && !over.stop_requested(); ++n)
                std::this_thread::sleep_for(std::chrono::milliseconds(1));
            if (over.stop_requested()) return;
            const std::lock_guard guard(mutex);
            __atomic_fetch_or(&vcpu.attention, BP_ATTENTION_STOP, __ATOMIC_RELEASE);
            const auto* h = static_cast<const bp_cpu_hardware*>(board.offer(BP_CPU_HARDWARE_ID).table);
            h->attend(engine);
        });
    }
    bp_x86_state state() {
        bp_x86_state s{};
        s.size = sizeof s;
        REQUIRE(states->get(engine, &s) == BP_OK);
        return s;
    }
    std::string where() {
        char text[4096];
        return {text, cpu->where(engine, text, sizeof text)};
    }
    kvm::Statistics& statistics() { return static_cast<KvmCpu*>(board.instance())->statistics; }
    u64 handed(kvm::Reason r) { return statistics().handed[static_cast<std::size_t>(r)]; }
};

}  // namespace

TEST_CASE("this host runs guests in all modes", "[.hardware]") { CHECK(kvm::probe("/dev/kvm").failed == ""); }

TEST_CASE("a program starts at the reset vector, uses ports, and halts", "[.hardware]") {
    Socket s;
    // mov al,'H'; out E9h,al; mov ax,1234h; hlt
    s.program({0xb0, 'H', 0xe6, 0xe9, 0xb8, 0x34, 0x12, 0xf4});
    s.power_on();
    CHECK(s.run() == BP_EXIT_HALT);
    CHECK(s.out == "H");
    const bp_x86_state now = s.state();
    CHECK((now.gpr[BP_X86_RAX] & 0xffff) == 0x1234);
    CHECK(now.rip == 0x7c08);
    CHECK((now.events & BP_X86_HALTED) != 0);
    CHECK(s.statistics().entries > 0);
    CHECK(s.where().find("KVM:") != std::string::npos);
}

TEST_CASE("what a program computes on KVM it computes on the interpreter as well", "[.hardware]") {
    // mov sp,7000h; mov cx,1000; L: imul ax,ax,77; add ax,cx; push ax; pop di; adc bx,di; xor dx,ax; loop L; fninit;
    // fldpi; fld1; faddp; out F4h,al; hlt
    const std::initializer_list<int> bytes = {0xbc, 0x00, 0x70, 0xb9, 0xe8, 0x03, 0x69, 0xc0, 77,   0,    0x01,
                                              0xc8, 0x50, 0x5f, 0x11, 0xfb, 0x31, 0xc2, 0xe2, 0xf2, 0xdb, 0xe3,
                                              0xd9, 0xeb, 0xd9, 0xe8, 0xde, 0xc1, 0xe6, 0xf4, 0xf4};
    Socket fast, slow({{"device", "/nonexistent"}}, &DeviceType<AutoCpu>::value);
    for (Socket* s : {&fast, &slow}) {
        s->program(bytes);
        s->power_on();
        CHECK(s->run() == BP_EXIT_STOP);
    }
    CHECK(fast.statistics().entries > 0);
    CHECK(slow.statistics().entries == 0);
    bp_x86_state a = fast.state(), b = slow.state();
    a.tsc = b.tsc = 0, a.tsc_time = b.tsc_time = 0;
    CHECK(std::memcmp(a.gpr, b.gpr, sizeof a.gpr) == 0);
    CHECK(a.rip == b.rip);
    CHECK(a.rflags == b.rflags);
    CHECK(std::memcmp(a.segment, b.segment, sizeof a.segment) == 0);
    CHECK(std::memcmp(&a.tr, &b.tr, sizeof a.tr) == 0);
    CHECK(a.cr0 == b.cr0);
    CHECK(a.dr6 == b.dr6);
    CHECK(a.st[0].mantissa == b.st[0].mantissa);
    CHECK(a.st[0].sign_exponent == b.st[0].sign_exponent);
    CHECK(a.fsw == b.fsw);
    CHECK(a.ftw == b.ftw);
    CHECK(a.mxcsr == b.mxcsr);
    CHECK(a.apic_base == b.apic_base);
    CHECK(a.pat == b.pat);
}

TEST_CASE("registers in memory, string instructions on ports, and a ROM that is written", "[.hardware]") {
    Socket s;
    s.registers[0x10] = 0x5a;
    s.ram[kHidden] = 0x77;
    s.program({
        0x66, 0x67, 0xa1, 0x10, 0x00, 0x00, 0x00,        // mov eax,[10h] (warms up)
        0x0f, 0x01, 0x16, 0x40, 0x7c,                    // lgdt [7C40h]
        0x0f, 0x20, 0xc0, 0x0c, 0x01, 0x0f, 0x22, 0xc0,  // PE
        0xb8, 0x08, 0x00, 0x8e, 0xd8,                    // mov ds, flat
        0x67, 0xa0, 0x10, 0x00, 0x00, 0xd0,              // mov al,[D0000010h]
        0x67, 0xa2, 0x20, 0x00, 0x00, 0xd0,              // mov [D0000020h],al
        0x67, 0xa2, 0x00, 0x00, 0x0c, 0x00,              // mov [C0000h],al
        0xf4,
    });
    s.code(0x7c40, {0x0f, 0x00, 0x50, 0x7c, 0x00, 0x00});
    s.code(0x7c58, {0xff, 0xff, 0x00, 0x00, 0x00, 0x93, 0x8f, 0x00});
    s.power_on();
    CHECK(s.run() == BP_EXIT_HALT);
    REQUIRE(s.writes.size() == 2);
    CHECK(s.writes[0] == std::pair<u64, u64>{0xd0000020u, 0x5a});
    CHECK(s.writes[1] == std::pair<u64, u64>{kHidden, 0x5a});
    CHECK(s.ram[kHidden] == 0x77);

    Socket strings;
    // mov di,1000h; mov cx,4; mov dx,60h; rep insb; mov si,1000h; mov cx,4; mov dx,E9h; rep outsb; hlt
    strings.program({0xbf, 0x00, 0x10, 0xb9, 0x04, 0x00, 0xba, 0x60, 0x00, 0xf3, 0x6c, 0xbe,
                     0x00, 0x10, 0xb9, 0x04, 0x00, 0xba, 0xe9, 0x00, 0xf3, 0x6e, 0xf4});
    strings.power_on();
    CHECK(strings.run() == BP_EXIT_HALT);
    CHECK(strings.out == "KVM!");
}

TEST_CASE("interrupts wake a processor and are acknowledged once", "[.hardware]") {
    Socket s;
    // handler of 20h at 0:6000: mov al,'I'; out E9h,al; iret. NMI at 0:6100 likewise with 'N'
    s.code(0x80, {0x00, 0x60, 0x00, 0x00});
    s.code(0x08, {0x00, 0x61, 0x00, 0x00});
    s.code(0x6000, {0xb0, 'I', 0xe6, 0xe9, 0xcf});
    s.code(0x6100, {0xb0, 'N', 0xe6, 0xe9, 0xcf});
    s.program({0xbc, 0x00, 0x70, 0xfb, 0xf4, 0xb0, '.', 0xe6, 0xe9, 0xeb, 0xf9});  // sti; L: hlt; '.'; jmp L
    s.power_on();
    CHECK(s.run() == BP_EXIT_HALT);
    s.vector = 0x20;
    s.board.drive("intr", true);
    CHECK(s.run() == BP_EXIT_HALT);
    CHECK(s.out == "I.");
    s.board.drive("nmi", true);
    s.board.drive("nmi", false);
    CHECK(s.run() == BP_EXIT_HALT);
    CHECK(s.out == "I.N.");
    s.vector = -1;  // spurious
    s.board.drive("intr", true);
    s.run();
    CHECK(s.out.substr(0, 4) == "I.N.");
}

TEST_CASE("a program that never leaves the guest is stopped from outside", "[.hardware]") {
    Socket s;
    s.program({0xfa, 0x40, 0xeb, 0xfd});  // cli; L: inc ax; jmp L
    s.power_on();
    for (int n = 0; n < 3; ++n) {
        std::jthread thread;
        s.stop_after(100, thread);
        CHECK(s.run() == BP_EXIT_STOP);
        thread.join();
    }
    CHECK(s.state().rip - 0x7c01 < 4);
}

TEST_CASE("system management mode and a closed A20 gate are the interpreter's", "[.hardware]") {
    Socket s;
    s.code(0x38000, {0xb0, 'S', 0xe6, 0xe9, 0x0f, 0xaa});  // mov al,'S'; out E9h,al; rsm
    s.program({0xb0, 'a', 0xe6, 0xe9, 0xf4, 0xb0, 'b', 0xe6, 0xe9, 0xf4, 0xeb, 0xfd});
    s.power_on();
    CHECK(s.run() == BP_EXIT_HALT);
    s.board.drive("smi", true);
    s.board.drive("smi", false);
    s.run();
    CHECK(s.out.substr(0, 2) == "aS");
    CHECK(s.handed(kvm::Reason::kSmm) == 1);

    Socket gate;
    // mov ax,FFFFh; mov es,ax; mov al,es:[10h]; out E9h,al; out F4h,al; jmp back to reading
    gate.ram[0x100000] = 'h';
    gate.ram[0] = 'l';
    gate.program({0xb8, 0xff, 0xff, 0x8e, 0xc0, 0x26, 0xa0, 0x10, 0x00, 0xe6, 0xe9, 0xe6, 0xf4, 0xeb, 0xf6});
    gate.power_on();
    gate.board.drive("a20", true);
    CHECK(gate.run() == BP_EXIT_STOP);
    gate.board.drive("a20", false);
    CHECK(gate.run() == BP_EXIT_STOP);
    gate.board.drive("a20", true);
    CHECK(gate.run() == BP_EXIT_STOP);
    CHECK(gate.out == "hlh");
    CHECK(gate.handed(kvm::Reason::kA20) == 1);
}

TEST_CASE("an application processor waits for STARTUP, which says where it begins", "[.hardware]") {
    Socket first, other;
    other.bus.board = &first;
    other.vcpu.index = 1;
    other.apic_base = 0xfee00800;
    // mov al,'A'; out E9h,al; hlt
    other.code(0x8000, {0xb0, 'A', 0xe6, 0xe9, 0xf4});
    first.power_on();
    other.power_on();
    CHECK(other.run() == BP_EXIT_HALT);
    CHECK(other.out.empty());
    CHECK((other.state().events & BP_X86_WAIT_FOR_SIPI) != 0);
    static_cast<const bp_cpu_startup*>(other.board.offer(BP_CPU_STARTUP_ID).table)->startup(other.engine, 8);
    CHECK(other.run() == BP_EXIT_HALT);
    CHECK(other.out == "A");
    CHECK(other.state().rip == 5);
}

TEST_CASE("code that KVM cannot fetch is interpreted, and KVM is tried again", "[.hardware]") {
    Socket s;
    s.registers[0] = 0xb0, s.registers[1] = 'R', s.registers[2] = 0xe6, s.registers[3] = 0xe9;
    s.registers[4] = 0xcb;  // mov al,'R'; out E9h,al; retf
    s.program({
        0xfa, 0x0f, 0x01, 0x16, 0x40, 0x7c,              // lgdt [7C40h]
        0x0f, 0x20, 0xc0, 0x0c, 0x01, 0x0f, 0x22, 0xc0,  // PE
        0xbc, 0x00, 0x70,                                // mov sp
        0x66, 0x9a, 0x00, 0x00, 0x00, 0x00, 0x18, 0x00,  // call far 18h:0, based at D0000000h
        0xf4,
    });
    s.registers[4] = 0x66, s.registers[5] = 0xcb;
    s.code(0x7c40, {0x1f, 0x00, 0x60, 0x7c, 0x00, 0x00});
    s.code(0x7c60 + 0x18, {0xff, 0xff, 0x00, 0x00, 0x00, 0x9b, 0x00, 0xd0});
    s.power_on();
    // The code segment to come back to is that of real mode.
    s.code(0x7c60 + 0x08, {0xff, 0xff, 0x00, 0x00, 0x00, 0x9b, 0x00, 0x00});
    s.run();
    INFO(s.where());
    CHECK(s.out == "R");
    CHECK(s.handed(kvm::Reason::kInternalError) + s.handed(kvm::Reason::kUnknownExit) > 0);
}

TEST_CASE("a state that was taken and set goes on where it was", "[.hardware]") {
    Socket s;
    s.program({0x40, 0xe6, 0xf4, 0xeb, 0xfb});  // L: inc ax; out F4h,al; jmp L
    s.power_on();
    for (int n = 0; n < 3; ++n) CHECK(s.run() == BP_EXIT_STOP);
    const bp_x86_state first = s.state();
    CHECK((first.gpr[BP_X86_RAX] & 0xffff) == 3);
    CHECK(s.run() == BP_EXIT_STOP);
    REQUIRE(s.states->set(s.engine, &first) == BP_OK);
    CHECK(s.run() == BP_EXIT_STOP);
    CHECK((s.state().gpr[BP_X86_RAX] & 0xffff) == 4);
}

TEST_CASE("pages that the guest writes are told of, if somebody watches", "[.hardware]") {
    Socket s;
    s.watched = true;
    s.program({0xc6, 0x06, 0x00, 0x50, 0x01, 0xe6, 0xf4, 0xf4});  // mov byte [5000h],1; out F4h,al
    s.power_on();
    CHECK(s.run() == BP_EXIT_STOP);
    const auto* h = static_cast<const bp_cpu_hardware*>(s.board.offer(BP_CPU_HARDWARE_ID).table);
    h->collect_dirty(s.engine);
    CHECK(s.dirty[5] == 1);
    CHECK(s.dirty[6] == 0);
}

TEST_CASE("a debugger's breakpoint stops the program, which does not see it", "[.hardware]") {
    Socket s;
    s.program({0x40, 0x90, 0x40, 0xeb, 0xfb});  // L: inc ax; nop; inc ax; jmp L
    s.power_on();
    REQUIRE(s.debug->add_breakpoint(s.engine, 0x7c01) == BP_OK);
    CHECK(s.run() == BP_EXIT_BREAK);
    CHECK(s.state().rip == 0x7c01);
    CHECK(s.ram[0x7c01] == 0x90);
    CHECK(s.run() == BP_EXIT_BREAK);
    CHECK((s.state().gpr[BP_X86_RAX] & 0xffff) == 3);
    REQUIRE(s.debug->remove_breakpoint(s.engine, 0x7c01) == BP_OK);
    s.debug->step(s.engine, BP_STEP_ONE);
    CHECK(s.run() == BP_EXIT_BREAK);
    CHECK(s.state().rip == 0x7c02);
}

TEST_CASE("a triple fault ends in shutdown, and a reset begins anew", "[.hardware]") {
    Socket s;
    // In protected mode: some hosts' KVM does not look at the limit of the table in real mode.
    s.program({0xb0, 'x',  0xe6, 0xe9,        // mov al, 'x'; out E9h, al
               0x0f, 0x01, 0x1e, 0x40, 0x7c,  // lidt [7C40h]: limit 0
               0x0f, 0x01, 0x16, 0x48, 0x7c,  // lgdt [7C48h]
               0x0f, 0x20, 0xc0, 0x0c, 1,     // mov eax, cr0; or al, 1
               0x0f, 0x22, 0xc0,              // mov cr0, eax
               0xea, 0x1d, 0x7c, 0x08, 0x00,  // jmp 8:7C1Dh
               0x0f, 0x0b});                  // ud2
    s.code(0x7c40, {0, 0, 0, 0, 0, 0});
    s.code(0x7c48, {15, 0, 0x50, 0x7c, 0, 0});
    s.code(0x7c58, {0xff, 0xff, 0, 0, 0, 0x9b, 0xcf, 0});
    std::jthread late;  // a host that does not notice does not hang the test
    s.stop_after(10'000, late);
    s.power_on();
    CHECK(s.run() == BP_EXIT_SHUTDOWN);
    s.board.reset(Reset::kSystem);
    CHECK(s.run() == BP_EXIT_SHUTDOWN);
    CHECK(s.out == "xx");
}

}  // namespace backplane
