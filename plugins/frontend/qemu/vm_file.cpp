#include "vm_file.hpp"

#include <algorithm>
#include <array>
#include <cctype>

namespace backplane::qemu {
namespace {

// Fit for a comment: one line of printable text.
std::string comment(std::string_view text) {
    std::string out(text);
    for (char& c : out)
        if (static_cast<unsigned char>(c) < ' ' || c == 0x7f) c = '?';
    return out;
}

void write_line(std::string& out, const std::string& line, const std::string& option) {
    out += line;
    if (!option.empty()) out += "  # " + comment(option);
    out += '\n';
}

}  // namespace

std::string yaml_value(std::string_view text) {
    static constexpr std::array kSpecial{"null", "Null", "NULL", "~", "-"};
    const bool plain = !text.empty() && std::find(kSpecial.begin(), kSpecial.end(), text) == kSpecial.end() &&
                       std::isalnum(static_cast<unsigned char>(text.front())) &&
                       std::all_of(text.begin(), text.end(), [](unsigned char c) {
                           return c < 0x80 && (std::isalnum(c) || c == '.' || c == '_' || c == '-' || c == '+');
                       });
    if (plain) return std::string(text);
    static constexpr char kHex[] = "0123456789abcdef";
    std::string out = "\"";
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\')
            out += '\\', out += c;
        else if (byte < ' ' || byte == 0x7f)
            out += "\\x", out += kHex[byte >> 4], out += kHex[byte & 15];
        else
            out += c;
    }
    return out + '"';
}

VmFile::Node& VmFile::child(std::vector<Node>& nodes, std::string_view name) {
    for (Node& n : nodes)
        if (n.name == name) return n;
    nodes.push_back({std::string(name), "", "", {}});
    return nodes.back();
}

void VmFile::set(const std::string& path, const std::string& value, const std::string& option) {
    std::vector<Node>* nodes = &parameters_;
    std::string_view rest = path;
    for (auto dot = rest.find('.'); dot != std::string_view::npos; dot = rest.find('.')) {
        nodes = &child(*nodes, rest.substr(0, dot)).children;
        rest.remove_prefix(dot + 1);
    }
    Node& node = child(*nodes, rest);
    node.value = yaml_value(value), node.option = option;
}

bool VmFile::has(std::string_view path) const {
    const std::vector<Node>* nodes = &parameters_;
    for (;;) {
        const auto dot = path.find('.');
        const auto found =
            std::find_if(nodes->begin(), nodes->end(), [&](const Node& n) { return n.name == path.substr(0, dot); });
        if (found == nodes->end()) return false;
        if (dot == std::string_view::npos) return true;
        nodes = &found->children, path.remove_prefix(dot + 1);
    }
}

void VmFile::device(const std::string& name, const Entries& entries, const std::string& option) {
    std::string value;
    for (const auto& [key, text] : entries) value += (value.empty() ? "" : ", ") + key + ": " + yaml_value(text);
    Node& node = child(devices_, name);
    if (node.value.starts_with('{'))
        node.value.insert(node.value.size() - 1, ", " + value);
    else
        node.value = "{" + value + "}";
    node.option = option;
}

void VmFile::device_text(const std::string& name, const std::string& text, const std::string& option) {
    Node& node = child(devices_, name);
    node.value = text, node.option = option;
}

void VmFile::remove(const std::string& name, const std::string& option) {
    Node& node = child(devices_, name);
    node.value = "~", node.option = option;
}

bool VmFile::has_device(std::string_view name) const {
    return std::any_of(devices_.begin(), devices_.end(), [&](const Node& n) { return n.name == name; });
}

void VmFile::clock(const std::string& key, const std::string& value, const std::string& option) {
    Node& node = child(clock_, key);
    node.value = yaml_value(value), node.option = option;
}

void VmFile::write(std::string& out, const std::vector<Node>& nodes, unsigned depth) {
    for (const Node& n : nodes) {
        const std::string indent(depth * std::size_t{2}, ' ');
        if (n.children.empty()) {
            write_line(out, indent + n.name + ": " + n.value, n.option);
        } else {
            out += indent + n.name + ":\n";
            write(out, n.children, depth + 1);
        }
    }
}

std::string VmFile::text(const std::string& title) const {
    std::string out = "# " + comment(title) + "\n";
    for (const std::string& r : remarks_) out += "# " + comment(r) + "\n";
    out += "machine: " + yaml_value(machine_) + "\n";
    write(out, parameters_, 0);
    if (!devices_.empty()) {
        out += "devices:\n";
        write(out, devices_, 1);
    }
    if (!clock_.empty()) {
        out += "clock:\n";
        write(out, clock_, 1);
    }
    return out;
}

}  // namespace backplane::qemu
