// Options of the form "first,key=value,flag": how a virtual machine's devices have been described on command lines
// since 2009. A comma within a value is written twice.
#pragma once

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace backplane::drives {

// What is wrong with an option. The text names the option as the user wrote it.
class OptionError : public std::runtime_error {
    using std::runtime_error::runtime_error;
};

struct Key {
    std::string name, value;
    bool flag = false;  // written without "="; the value is then "on", or "off" for noNAME
    bool used = false;
};

// The keys of one option. Those that nobody asked for are left for reject_rest().
class Keys {
  public:
    // `first`: name of the key that a leading value without "=" belongs to ("" if there is none). `option` is how the
    // user wrote the whole, for errors.
    Keys(std::string_view text, std::string_view first, std::string option);
    // From keys that were written some other way.
    Keys(std::vector<Key> keys, std::string option) : option_(std::move(option)), keys_(std::move(keys)) {}

    const std::string& option() const { return option_; }
    const std::vector<Key>& all() const { return keys_; }
    bool has(std::string_view name) const;
    // Each takes the key: the last one of that name counts, as it always did. Throw OptionError.
    std::optional<std::string> text(std::string_view name);
    std::optional<bool> boolean(std::string_view name);
    std::optional<std::uint64_t> number(std::string_view name, std::uint64_t minimum, std::uint64_t maximum);
    // One of the choices; each may be "word" or "old=word", where "old" is another spelling of "word".
    std::optional<std::string> choice(std::string_view name, const std::vector<std::string_view>& choices);
    // Keys that are understood and change nothing here.
    void ignore(const std::vector<std::string_view>& names);
    // Throws OptionError for the first key that nobody has taken. `known`: the keys that there are.
    void reject_rest(const std::vector<std::string_view>& known) const;

    [[noreturn]] void fail(const std::string& what) const { throw OptionError(option_ + ": " + what); }

  private:
    Key* take(std::string_view name);
    std::string option_;
    std::vector<Key> keys_;
};

}  // namespace backplane::drives
