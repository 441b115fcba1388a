// What goes wrong with an image, for the person who named it.
#pragma once

#include <optional>
#include <stdexcept>
#include <string>

#include "backplane/types.hpp"

namespace backplane::image {

enum class Fault {
    kNotFound,     // there is no such file
    kInvalid,      // it is no disk image, or a damaged one
    kUnsupported,  // a format or feature that is known but not served
    kReadOnly,     // it cannot be written
    kInUse,        // another program has it
    kIo,           // the host failed
};

// The text names the image and, if there is one, the place in it.
class Error : public std::runtime_error {
  public:
    explicit Error(Fault fault, const std::string& text, int number = 0)
        : runtime_error(text), fault_(fault), number_(number) {}
    Error(Fault fault, const std::string& path, const std::string& text, int number = 0)
        : Error(fault, path + ": " + text, number) {}
    Error(Fault fault, const std::string& path, u64 offset, const std::string& text, int number = 0)
        : Error(fault, path, "offset " + std::to_string(offset) + ": " + text, number) {
        offset_ = offset;
    }

    Fault fault() const { return fault_; }
    int number() const { return number_; }  // errno value; 0 if it came from none
    std::optional<u64> offset() const { return offset_; }

  private:
    Fault fault_;
    int number_;
    std::optional<u64> offset_;
};

}  // namespace backplane::image
