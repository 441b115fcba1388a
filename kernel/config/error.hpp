// The kernel's one exception type, and the place in a file that an error names.
#pragma once

#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

namespace backplane::kernel {

// Exit codes of the process that a failure stands for (documented in the man page).
inline constexpr int kExitOk = 0;
inline constexpr int kExitFailure = 1;  // something went wrong while the machine ran
inline constexpr int kExitConfig = 2;   // a YAML file, the command line, or a file that they name
inline constexpr int kExitPlugin = 3;   // a plugin is missing, broken, or of another version
inline constexpr int kExitHost = 6;     // this computer does not have what the machine needs

// A place in a YAML file, or the command line option that brought a value (then line is 0).
struct Position {
    std::shared_ptr<const std::string> file;  // as the user named it; null: nowhere
    int line = 0;                             // from 1
    int column = 0;                           // from 1

    std::string text() const;       // "winxp.yaml:31:7", "--set memory=1Z", or ""
    std::string directory() const;  // of the file; "" for the working directory and the command line
    bool from_file() const { return file && line > 0; }
};

Position position_of_option(std::string_view option);

class Error : public std::runtime_error {
  public:
    explicit Error(const std::string& text, int code = kExitConfig) : std::runtime_error(text), exit_code(code) {}
    Error(const Position& position, const std::string& text, int code = kExitConfig)
        : Error(with_place(position, text), code) {}

    int exit_code;

  private:
    static std::string with_place(const Position& position, const std::string& text);
};

}  // namespace backplane::kernel
