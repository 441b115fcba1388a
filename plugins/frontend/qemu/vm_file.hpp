// A VM file in the making: parameters, devices and the clock, each with the option that it comes from.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace backplane::qemu {

// A YAML value in one line: as it stands if nothing in it can be misread, otherwise in double quotes.
std::string yaml_value(std::string_view text);

class VmFile {
  public:
    using Entries = std::vector<std::pair<std::string, std::string>>;

    void machine(const std::string& name) { machine_ = name; }
    const std::string& machine() const { return machine_; }
    // `path` as in "drives.hda.file". A later value replaces an earlier one.
    void set(const std::string& path, const std::string& value, const std::string& option);
    bool has(std::string_view path) const;
    // Over the board's device of this name, or a new one (then `type` is among the entries).
    void device(const std::string& name, const Entries& entries, const std::string& option);
    // The same in YAML's flow notation.
    void device_text(const std::string& name, const std::string& text, const std::string& option);
    // Takes a device off the board.
    void remove(const std::string& name, const std::string& option);
    bool has_device(std::string_view name) const;
    void clock(const std::string& key, const std::string& value, const std::string& option);
    // A line of its own at the file's head.
    void remark(const std::string& text) { remarks_.push_back(text); }

    std::string text(const std::string& title) const;

  private:
    struct Node {
        std::string name, value, option;
        std::vector<Node> children;
    };
    static Node& child(std::vector<Node>& nodes, std::string_view name);
    static void write(std::string& out, const std::vector<Node>& nodes, unsigned depth);

    std::string machine_ = "pc-0.12";
    std::vector<std::string> remarks_;
    std::vector<Node> parameters_, devices_, clock_;
};

}  // namespace backplane::qemu
