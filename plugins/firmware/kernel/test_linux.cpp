#include <algorithm>
#include <catch2/catch.hpp>

#include "boot.hpp"

using namespace backplane;
using namespace backplane::boot;

namespace {

constexpr u64 kRam = 128 << 20;

Named kernel(u64 version, bool high = true, std::size_t size = 0x3000) {
    Named k{"linux", "", Blob(size)};
    for (std::size_t i = 0x1000; i < size; ++i) k.data[i] = static_cast<u8>(i * 7);
    k.data[0x1f1] = 4;
    put(k.data, 0x1fe, 0xaa55, 2);
    std::memcpy(&k.data[0x202], "HdrS", 4);
    put(k.data, 0x206, version, 2);
    k.data[0x211] = high;
    put(k.data, 0x22c, 0x37ffffff, 4);
    put(k.data, 0x238, 2047, 4);
    return k;
}
const Blob& item(const Plan& plan, Item item) {
    const auto found =
        std::find_if(plan.parts.begin(), plan.parts.end(), [&](const Part& p) { return p.item == item; });
    if (found == plan.parts.end()) throw std::runtime_error("no such item");
    return found->data;
}
u64 value(const Plan& plan, Item i) { return get(item(plan, i), 0, 4); }
std::string refusal(Named k, Named initrd = {}, const std::string& append = "", u64 ram = kRam) {
    try {
        plan_linux(std::move(k), std::move(initrd), append, ram);
    } catch (const BootError& e) {
        return e.what();
    }
    return "";
}
bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("a Linux kernel is told by its header") {
    CHECK(is_linux(kernel(0x200).data));
    Named other = kernel(0x200);
    other.data[0x202] = 'h';
    CHECK_FALSE(is_linux(other.data));
    other = kernel(0x200);
    other.data[0x1fe] = 0;
    CHECK_FALSE(is_linux(other.data));
    CHECK_FALSE(is_linux(Blob(0x210)));
    CHECK_FALSE(is_linux({}));
}

TEST_CASE("setup code and kernel are the two parts of the file") {
    const Named k = kernel(0x206);
    const Plan plan = plan_linux(k, {}, "quiet", kRam);
    CHECK(value(plan, kSetupSize) == 5 * 512);
    CHECK(value(plan, kKernelSize) == k.data.size() - 5 * 512);
    CHECK(item(plan, kKernelData) == Blob(k.data.begin() + 5 * 512, k.data.end()));
    CHECK(value(plan, kSetupAddress) == 0x10000);
    CHECK(value(plan, kKernelAddress) == 0x100000);
    CHECK(value(plan, kCommandAddress) == 0x20000);
    CHECK(std::string(item(plan, kCommandData).begin(), item(plan, kCommandData).end()).c_str() ==
          std::string("quiet"));
    CHECK_THROWS(value(plan, kInitrdSize));
}

TEST_CASE("no sectors of setup code mean four") {
    Named k = kernel(0x200);
    k.data[0x1f1] = 0;
    CHECK(value(plan_linux(k, {}, "", kRam), kSetupSize) == 5 * 512);
}

TEST_CASE("what each version of the protocol knows is written, and nothing else") {
    for (const u64 version : {0x200, 0x201, 0x202, 0x206}) {
        const Plan plan = plan_linux(kernel(version), {}, "a", kRam);
        const Blob& setup = item(plan, kSetupData);
        CHECK(setup[0x210] == 0xb0);
        CHECK((setup[0x211] & 0x80) == (version >= 0x201 ? 0x80 : 0));
        CHECK((get(setup, 0x224, 2) != 0) == (version >= 0x201));
        CHECK(get(setup, 0x228, 4) == (version >= 0x202 ? 0x20000 : 0));
        CHECK(get(setup, 0x20, 2) == (version >= 0x202 ? 0 : 0xa33f));
        CHECK(get(setup, 0x22, 2) == (version >= 0x202 ? 0 : 0x9ff0));
        CHECK(value(plan, kSetupAddress) == (version >= 0x202 ? 0x10000 : 0x90000));
    }
}

TEST_CASE("a kernel that is loaded low") {
    const Plan plan = plan_linux(kernel(0x201, false), {}, "", kRam);
    CHECK(value(plan, kKernelAddress) == 0x10000);
    CHECK(value(plan, kSetupAddress) == 0x90000);
    CHECK(has(refusal(kernel(0x201, false, 0x80000 + 0xa01)), "at most 80000h bytes, not 80001h"));
}

TEST_CASE("the initial RAM disk lies as high as kernel and memory allow, on a page") {
    const auto address = [](Named k, std::size_t size, u64 ram) {
        const Plan plan = plan_linux(std::move(k), {"initrd", "", Blob(size, 1)}, "", ram);
        const u64 at = value(plan, kInitrdAddress);
        CHECK(at % 4096 == 0);
        CHECK(value(plan, kInitrdSize) == size);
        CHECK(get(item(plan, kSetupData), 0x218, 4) == at);
        CHECK(get(item(plan, kSetupData), 0x21c, 4) == size);
        return at;
    };
    CHECK(address(kernel(0x206), 5000, kRam) == kRam - 0x20000 - 0x2000);
    CHECK(address(kernel(0x206), 5000, u64{2} << 30) == 0x37ffe000);
    Named low = kernel(0x206);
    put(low.data, 0x22c, 0x2ffffff, 4);
    CHECK(address(low, 4096, kRam) == 0x2ffe000);
    CHECK(address(kernel(0x202), 5000, u64{3} << 30) == 0x37ffe000);  // before the field existed
    Named anywhere = kernel(0x20c);
    put(anywhere.data, 0x236, 2, 2);
    CHECK(address(anywhere, 5000, u64{2} << 30) == 0x80000000 - 0x20000 - 0x2000);
}

TEST_CASE("an initial RAM disk that does not fit is refused by name") {
    const std::string text = refusal(kernel(0x206), {"disk.gz", "", Blob(127 << 20)});
    CHECK(has(text, "disk.gz: "));
    CHECK(has(text, "127.0 MiB"));
    CHECK(refusal(kernel(0x206), {"disk.gz", "", Blob(126 << 20)}).empty());
    Named big = kernel(0x20a);
    put(big.data, 0x258, 0x1000000, 8), put(big.data, 0x260, 0x1000000, 4);
    CHECK(has(refusal(big, {"disk.gz", "", Blob(100 << 20)}), "ends at 2000000h"));
}

TEST_CASE("vga= is the video mode") {
    const auto mode = [](const std::string& append) {
        return get(item(plan_linux(kernel(0x206), {}, append, kRam), kSetupData), 0x1fa, 2);
    };
    CHECK(mode("vga=0x317 quiet") == 0x317);
    CHECK(mode("quiet vga=791") == 791);
    CHECK(mode("vga=normal") == 0xffff);
    CHECK(mode("vga=ext") == 0xfffe);
    CHECK(mode("vga=ask") == 0xfffd);
    CHECK(mode("quiet") == 0);
    CHECK(mode("myvga=791") == 0);
    CHECK(mode("vga=") == 0);
    CHECK(mode("vga=99999") == 0);
}

TEST_CASE("what is no kernel for this machine is refused with its offset") {
    CHECK(has(refusal(kernel(0x100)), "offset 206h"));
    CHECK(has(refusal(kernel(0x206, true, 0xa00)), "offset 1f1h"));
    Named k = kernel(0x206, true, 0x20000);
    k.data[0x1f1] = 200;
    CHECK(has(refusal(k), "no room"));
    CHECK(has(refusal(kernel(0x206), {}, std::string(2048, 'x')), "append has 2048 bytes; this kernel takes 2047"));
    CHECK(has(refusal(kernel(0x205), {}, std::string(256, 'x')), "takes 255"));
    CHECK(has(refusal(kernel(0x206, true, 4 << 20), {}, "", 4 << 20), "machine has memory up to 3e0000h"));
    CHECK(has(refusal(kernel(0x206), {}, "", 1 << 20), "memory"));
    CHECK(has(refusal(kernel(0x206), {}, "", 0), "memory"));
    Named wild = kernel(0x20a);
    put(wild.data, 0x258, ~u64{0}, 8), put(wild.data, 0x260, 0xffffffff, 4);
    CHECK(has(refusal(wild), "takes memory up to"));
}
