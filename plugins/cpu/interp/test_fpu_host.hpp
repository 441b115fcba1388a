// Runs one x87 or MMX instruction on the host's own unit: loads a state image,
// executes the instruction, saves the image. Test support only.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <stdexcept>
#include <vector>

namespace backplane::interp::test {

// 32-bit protected-mode FSAVE image: the format 64-bit code gets.
struct FsaveImage {
    std::uint16_t cw, cw_reserved;
    std::uint16_t sw, sw_reserved;
    std::uint16_t tag, tag_reserved;
    std::uint32_t fip;
    std::uint16_t fcs, fop;
    std::uint32_t fdp;
    std::uint16_t fds, fds_reserved;
    std::uint8_t stack[8][10];  // ST(0)..ST(7)
};
static_assert(sizeof(FsaveImage) == 108);

struct HostFrame {
    FsaveImage state{};           // offset 0: in and out
    std::uint32_t pad = 0;        // offset 108
    std::uint64_t flags = 0x202;  // offset 112: in and out
    std::uint64_t rax = 0;        // offset 120: in and out
    void* memory = nullptr;       // offset 128: the memory operand
};
static_assert(offsetof(HostFrame, flags) == 112 && offsetof(HostFrame, memory) == 128);

// Executable stubs, one per instruction encoding.
class HostStub {
  public:
    explicit HostStub(std::initializer_list<std::uint8_t> insn) : HostStub(std::vector<std::uint8_t>(insn)) {}
    explicit HostStub(const std::vector<std::uint8_t>& insn) {
        std::vector<std::uint8_t> code;
        const auto emit = [&code](std::initializer_list<std::uint8_t> bytes) { code.insert(code.end(), bytes); };
        emit({0x53});                             // push rbx
        emit({0x48, 0x89, 0xfb});                 // mov rbx, rdi
        emit({0xdd, 0x23});                       // frstor [rbx]
        emit({0x48, 0x8b, 0x43, 0x78});           // mov rax, [rbx+120]
        emit({0x48, 0x8b, 0x93, 0x80, 0, 0, 0});  // mov rdx, [rbx+128]
        emit({0xff, 0x73, 0x70, 0x9d});           // push [rbx+112]; popfq
        insn_offset_ = code.size();
        code.insert(code.end(), insn.begin(), insn.end());
        emit({0xdd, 0x33});              // fnsave [rbx]
        emit({0x9c, 0x8f, 0x43, 0x70});  // pushfq; pop [rbx+112]
        emit({0x48, 0x89, 0x43, 0x78});  // mov [rbx+120], rax
        emit({0xdb, 0xe3, 0x5b, 0xc3});  // fninit; pop rbx; ret
        size_ = code.size();
        page_ = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (page_ == MAP_FAILED) {
            throw std::runtime_error("no memory for a host stub");
        }
        std::memcpy(page_, code.data(), size_);
        mprotect(page_, size_, PROT_READ | PROT_EXEC);
    }
    HostStub(const HostStub&) = delete;
    HostStub& operator=(const HostStub&) = delete;
    ~HostStub() { munmap(page_, size_); }

    void run(HostFrame& frame) const {
        void (*call)(HostFrame*) = nullptr;
        std::memcpy(&call, &page_, sizeof call);
        call(&frame);
    }

    // What FIP holds after the instruction.
    std::uint32_t insn_address() const {
        return static_cast<std::uint32_t>(reinterpret_cast<std::uintptr_t>(page_) + insn_offset_);
    }

  private:
    void* page_ = nullptr;
    std::size_t size_ = 0;
    std::size_t insn_offset_ = 0;
};

}  // namespace backplane::interp::test
