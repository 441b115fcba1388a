// FXSAVE and FXRSTOR: layout, what they leave alone, and the host's own.
#include <catch2/catch.hpp>
#include <csetjmp>

#include "test_fpu_random.hpp"

namespace backplane::interp::fpu_test {
namespace {

constexpr std::uint32_t kBase = 0x00123450;

struct Area {
    alignas(16) std::uint8_t bytes[512];
    unsigned reads = 0;

    explicit Area(std::uint8_t fill) { std::memset(bytes, fill, sizeof bytes); }

    template <typename T>
    static T read(void* ctx, std::uint64_t address) {
        auto* self = static_cast<Area*>(ctx);
        T value{};
        if (address - kBase + sizeof(T) <= 512) std::memcpy(&value, self->bytes + (address - kBase), sizeof(T));
        ++self->reads;
        return value;
    }
    template <typename T>
    static void write(void* ctx, std::uint64_t address, T value) {
        auto* self = static_cast<Area*>(ctx);
        if (address - kBase + sizeof(T) <= 512) std::memcpy(self->bytes + (address - kBase), &value, sizeof(T));
    }
    FpuMem mem() {
        return {this,
                &read<std::uint16_t>,
                &read<std::uint32_t>,
                &read<std::uint64_t>,
                &write<std::uint16_t>,
                &write<std::uint32_t>,
                &write<std::uint64_t>};
    }
    template <typename T>
    T get(unsigned offset) {
        return read<T>(this, kBase + offset);
    }
};

bool same_state(const FpuState& a, const FpuState& b) {
    for (unsigned n = 0; n < 8; ++n) {
        if (!(a.regs[n] == b.regs[n])) return false;
    }
    return a.cw == b.cw && a.sw == b.sw && a.top == b.top && a.in_use == b.in_use && a.fop == b.fop && a.fip == b.fip &&
           a.fdp == b.fdp && a.fcs == b.fcs && a.fds == b.fds;
}

TEST_CASE("FXSAVE writes the documented layout", "[fpu][fxsave]") {
    FpuState fpu;
    fpu.init();
    fpu.set_control_word(0x0e7f);
    fpu.set_status_word(0x7021);  // TOP 6, C3, PE and IE
    fpu.in_use = 0xc0;
    fpu.regs[6] = {0x8123456789abcdef, 0xbffe};
    fpu.regs[5] = {0x1111111111111111, 0x2222};  // ST(7): empty, but saved
    fpu.fop = 0x7ab;
    fpu.fip = 0x11223344;
    fpu.fcs = 0x5566;
    fpu.fdp = 0x778899aa;
    fpu.fds = 0xbbcc;
    Area area(0xee);
    fpu_fxsave(fpu, kBase, area.mem());
    CHECK(area.get<std::uint16_t>(0) == 0x0e7f);
    CHECK(area.get<std::uint16_t>(2) == 0x7021);
    CHECK(area.get<std::uint8_t>(4) == 0xc0);  // abridged: by physical register
    CHECK(area.get<std::uint8_t>(5) == 0);
    CHECK(area.get<std::uint16_t>(6) == 0x7ab);
    CHECK(area.get<std::uint32_t>(8) == 0x11223344);
    CHECK(area.get<std::uint16_t>(12) == 0x5566);
    CHECK(area.get<std::uint32_t>(16) == 0x778899aa);
    CHECK(area.get<std::uint16_t>(20) == 0xbbcc);
    CHECK(area.get<std::uint64_t>(32) == 0x8123456789abcdef);  // ST(0)
    CHECK(area.get<std::uint64_t>(40) == 0xbffe);
    CHECK(area.get<std::uint64_t>(32 + 7 * 16) == 0x1111111111111111);
    CHECK(area.get<std::uint64_t>(40 + 7 * 16) == 0x2222);
}

TEST_CASE("FXSAVE leaves MXCSR, the XMM area and the FPU state alone", "[fpu][fxsave]") {
    Random random(3);
    const FpuState before = random.state(false);
    FpuState fpu = before;
    Area area(0xee);
    fpu_fxsave(fpu, kBase, area.mem());
    unsigned untouched = 0;
    for (unsigned n = 24; n < 32; ++n) untouched += area.bytes[n] == 0xee ? 1 : 0;
    for (unsigned n = 160; n < 512; ++n) untouched += area.bytes[n] == 0xee ? 1 : 0;
    CHECK(untouched == 8 + 352);
    CHECK(same_state(fpu, before));  // unlike FNSAVE, no FNINIT
}

TEST_CASE("FXRSTOR restores what FXSAVE saved", "[fpu][fxsave]") {
    Random random(5);
    for (unsigned n = 0; n < 200; ++n) {
        FpuState saved = random.state(false);
        saved.fcs = static_cast<std::uint16_t>(random.bits());
        saved.fds = static_cast<std::uint16_t>(random.bits());
        Area area(0);
        fpu_fxsave(saved, kBase, area.mem());
        FpuState fpu = random.state(false);
        fpu_fxrstor(fpu, kBase, area.mem());
        REQUIRE(same_state(fpu, saved));
        REQUIRE(fpu.tag_word() == saved.tag_word());
    }
}

TEST_CASE("FXRSTOR does not look at MXCSR or the XMM area", "[fpu][fxsave]") {
    Area area(0xff);  // an MXCSR of all ones would be #GP with SSE
    const std::uint16_t control = 0x037f;
    std::memcpy(area.bytes, &control, 2);
    FpuState fpu;
    fpu.init();
    fpu_fxrstor(fpu, kBase, area.mem());
    CHECK(fpu.cw == 0x037f);
    CHECK(fpu.in_use == 0xff);
    CHECK(fpu.fop == 0x7ff);
    CHECK(fpu.fcs == 0xffff);
    CHECK(area.reads == 8 + 2 * 8);
}

TEST_CASE("FXRSTOR of unmasked flags makes an exception pending", "[fpu][fxsave]") {
    Area area(0);
    const std::uint16_t image[] = {0x037e, 0x0001};  // IE unmasked and set, ES clear
    std::memcpy(area.bytes, image, sizeof image);
    FpuState fpu;
    fpu.init();
    fpu_fxrstor(fpu, kBase, area.mem());
    CHECK(fpu.error_pending());
    CHECK(fpu.status_word() == 0x8081);
}

TEST_CASE("a fault in FXRSTOR leaves the state unchanged", "[fpu][fxsave]") {
    struct Faulting {
        std::jmp_buf out;
        unsigned left;
        static void step(void* ctx) {
            auto* self = static_cast<Faulting*>(ctx);
            if (self->left-- == 0) std::longjmp(self->out, 1);
        }
    };
    static Faulting memory;
    FpuMem mem;
    mem.ctx = &memory;
    mem.read16 = [](void* ctx, std::uint64_t) { return Faulting::step(ctx), std::uint16_t{0x5555}; };
    mem.read32 = [](void* ctx, std::uint64_t) { return Faulting::step(ctx), std::uint32_t{0x5555}; };
    mem.read64 = [](void* ctx, std::uint64_t) { return Faulting::step(ctx), std::uint64_t{0x5555}; };
    Random random(9);
    static FpuState before;
    static FpuState fpu;
    static unsigned accesses;
    for (accesses = 0; accesses < 24; ++accesses) {
        before = fpu = random.state(true);
        memory.left = accesses;
        if (setjmp(memory.out) == 0) {
            fpu_fxrstor(fpu, kBase, mem);
            FAIL("no fault");
        }
        REQUIRE(same_state(fpu, before));
    }
}

// Host images: the pointers are left out, AMD saves them only with an
// exception pending.
TEST_CASE("FXSAVE matches the host's image", "[fpu][fxsave]") {
    const HostStub stub{0x0f, 0xae, 0x02};  // fxsave [rdx]
    Random random(21);
    for (unsigned n = 0; n < random_cases(400); ++n) {
        FpuState fpu = random.state(n % 2 == 0);
        Area host(0);
        Area ours(0);
        HostFrame frame;
        frame.state = to_image(fpu);
        frame.memory = host.bytes;
        stub.run(frame);
        fpu_fxsave(fpu, kBase, ours.mem());
        REQUIRE(std::memcmp(host.bytes, ours.bytes, 6) == 0);
        REQUIRE(std::memcmp(host.bytes + 32, ours.bytes + 32, 128) == 0);
    }
}

TEST_CASE("FXRSTOR of any image matches the host", "[fpu][fxsave]") {
    const HostStub stub{0x0f, 0xae, 0x0a};  // fxrstor [rdx]
    const std::uint32_t mxcsr = 0x1f80;     // also loaded on the host: keep its default
    Random random(22);
    for (unsigned n = 0; n < random_cases(400); ++n) {
        Area area(0);
        for (unsigned offset = 0; offset < 160; offset += 8) {
            const std::uint64_t word = random.bits();
            std::memcpy(area.bytes + offset, &word, 8);
        }
        std::memcpy(area.bytes + 24, &mxcsr, 4);
        FpuState fpu = random.state(true);
        HostFrame frame;
        frame.state = to_image(fpu);
        frame.memory = area.bytes;
        stub.run(frame);
        fpu_fxrstor(fpu, kBase, area.mem());
        const FsaveImage ours = to_image(fpu);
        INFO(std::hex << "image cw " << area.get<std::uint16_t>(0) << " sw " << area.get<std::uint16_t>(2));
        REQUIRE(ours.cw == frame.state.cw);
        REQUIRE(ours.sw == frame.state.sw);
        REQUIRE(ours.tag == frame.state.tag);
        REQUIRE(std::memcmp(ours.stack, frame.state.stack, sizeof ours.stack) == 0);
    }
}

}  // namespace
}  // namespace backplane::interp::fpu_test
