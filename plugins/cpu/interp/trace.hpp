// Instruction trace and the description of where the processor is, with Zydis.
#pragma once

#include <cstdio>
#include <memory>
#include <string>
#include <string_view>

#include "cpu.hpp"

namespace backplane::interp {

// One line an instruction: count, address, bytes, disassembly.
struct Tracer {
    explicit Tracer(std::FILE* file) : file_(file) {}
    Tracer(const Tracer&) = delete;
    Tracer& operator=(const Tracer&) = delete;
    ~Tracer() { std::fclose(file_); }
    void instruction(Cpu& c);

  private:
    std::FILE* file_;
};

// Reads guest memory without any side effect: what cannot be had so is left out. Returns the number of bytes read.
unsigned peek(const Cpu& c, Linear address, u8* bytes, unsigned size);
std::string disassemble(const u8* bytes, unsigned size, u64 address, unsigned code_bits, unsigned* length);
// Registers and the next instructions, a few lines.
std::string describe_state(Cpu& c);

}  // namespace backplane::interp
