// Runs one x87 or MMX instruction on the host's own unit: loads a state image,
// executes the instruction, saves the image. Test support only.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <stdexcept>

namespace backplane::interp::fpu_test {

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

// An executable stub for one instruction.
class HostStub {
  public:
    explicit HostStub(std::initializer_list<std::uint8_t> insn) {
        append({0x53});                             // push rbx
        append({0x48, 0x89, 0xfb});                 // mov rbx, rdi
        append({0xdd, 0x23});                       // frstor [rbx]
        append({0x48, 0x8b, 0x43, 0x78});           // mov rax, [rbx+120]
        append({0x48, 0x8b, 0x93, 0x80, 0, 0, 0});  // mov rdx, [rbx+128]
        append({0xff, 0x73, 0x70, 0x9d});           // push [rbx+112]; popfq
        insn_offset_ = size_;
        append(insn);
        append({0xdd, 0x33});              // fnsave [rbx]
        append({0x9c, 0x8f, 0x43, 0x70});  // pushfq; pop [rbx+112]
        append({0x48, 0x89, 0x43, 0x78});  // mov [rbx+120], rax
        append({0xdb, 0xe3, 0x5b, 0xc3});  // fninit; pop rbx; ret
        page_ = mmap(nullptr, kCapacity, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (page_ == MAP_FAILED) throw std::runtime_error("no memory for a host stub");
        std::memcpy(page_, code_, sizeof code_);
        mprotect(page_, kCapacity, PROT_READ | PROT_EXEC);
    }
    HostStub(const HostStub&) = delete;
    HostStub& operator=(const HostStub&) = delete;
    ~HostStub() { munmap(page_, kCapacity); }

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
    static constexpr std::size_t kCapacity = 64;

    void append(std::initializer_list<std::uint8_t> bytes) {
        if (bytes.size() > kCapacity - size_) throw std::length_error("instruction too long");
        for (const std::uint8_t byte : bytes) code_[size_++] = byte;
    }

    std::uint8_t code_[kCapacity] = {};
    std::size_t size_ = 0;
    std::size_t insn_offset_ = 0;
    void* page_ = nullptr;
};

}  // namespace backplane::interp::fpu_test
