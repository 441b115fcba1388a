// From a VM file in memory to a request: every value becomes a setting with the option that it came from.
#include <nlohmann/json.hpp>

#include "kernel/config/convert.hpp"
#include "kernel/config/value.hpp"
#include "runner/foreign.hpp"

namespace backplane::runner {
namespace {

// The comment at the end of each line.
std::vector<std::string> comments_of(std::string_view yaml) {
    std::vector<std::string> comments;
    while (!yaml.empty()) {
        const std::string_view line = yaml.substr(0, yaml.find('\n'));
        yaml.remove_prefix(std::min(line.size() + 1, yaml.size()));
        bool quoted = false;
        std::string comment;
        for (std::size_t i = 0; i + 4 <= line.size(); ++i) {
            if (quoted && line[i] == '\\')
                ++i;
            else if (line[i] == '"')
                quoted = !quoted;
            else if (!quoted && line.substr(i, 4) == "  # ") {
                comment = line.substr(i + 4);
                break;
            }
        }
        comments.push_back(std::move(comment));
    }
    return comments;
}

std::string flow(const kernel::Value& value) {
    if (value.is_scalar()) return value.quoted() ? nlohmann::json(value.text()).dump() : value.text();
    std::string text;
    if (value.is_list()) {
        for (const kernel::Value& item : value.items()) text += (text.empty() ? "" : ", ") + flow(item);
        return "[" + text + "]";
    }
    if (value.is_map()) {
        for (const auto& entry : value.entries())
            text += (text.empty() ? "" : ", ") + nlohmann::json(entry.key).dump() + ": " + flow(entry.value);
        return "{" + text + "}";
    }
    return "~";
}

class Flattener {
  public:
    Flattener(std::string_view yaml, const std::string& where) : comments_(comments_of(yaml)), where_(where) {}

    kernel::BoardRequest run(const kernel::Value& root) {
        for (const auto& entry : root.entries()) {
            if (entry.key == "machine" && entry.value.is_scalar())
                request_.machine = entry.value.text();
            else if (entry.key == "devices" || entry.key == "lines" || entry.key == "spaces" || entry.key == "clock")
                for (const auto& inner : entry.value.entries())
                    add(entry.key + "." + inner.key, inner.position, flow(inner.value));
            else
                parameter(entry.key, entry);
        }
        return std::move(request_);
    }

  private:
    void parameter(const std::string& path, const kernel::Value::Entry& entry) {
        if (entry.value.is_scalar()) return add(path, entry.position, entry.value.text());
        if (!entry.value.is_map())
            throw kernel::Error(entry.position, kernel::in_ticks(path) + " must be a value or a map");
        for (const auto& inner : entry.value.entries()) parameter(path + "." + inner.key, inner);
    }
    void add(const std::string& path, const kernel::Position& position, std::string value) {
        const auto line = static_cast<std::size_t>(position.line) - 1;
        const bool named = position.line > 0 && line < comments_.size() && !comments_[line].empty();
        request_.settings.push_back({path, std::move(value), named ? comments_[line] : where_ + ": " + path});
    }

    std::vector<std::string> comments_;
    std::string where_;
    kernel::BoardRequest request_;
};

}  // namespace

kernel::BoardRequest request_of_vm(std::string_view yaml, const std::string& where) {
    const kernel::Value root = kernel::parse_yaml(yaml, where);
    if (!root.is_map()) throw kernel::Error(where + ": a VM file is a map", kernel::kExitPlugin);
    return Flattener(yaml, where).run(root);
}

}  // namespace backplane::runner
