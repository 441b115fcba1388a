#include "translator.hpp"

#include <nlohmann/json.hpp>

#include "option_table.hpp"

namespace backplane::qemu {

using drives::Key;
using drives::Keys;
using drives::OptionError;

namespace {

// Nested JSON objects become keys with dots, as on the command line.
void flatten(const nlohmann::json& object, const std::string& prefix, int depth, std::vector<Key>& out,
             const std::string& option) {
    constexpr int kDeepest = 16;
    if (depth > kDeepest) throw OptionError(option + ": nested too deeply");
    for (const auto& [name, value] : object.items()) {
        if (value.is_object())
            flatten(value, prefix + name + ".", depth + 1, out, option);
        else if (value.is_string())
            out.push_back({prefix + name, value.get<std::string>()});
        else if (value.is_boolean())
            out.push_back({prefix + name, value.get<bool>() ? "on" : "off"});
        else if (value.is_number())
            out.push_back({prefix + name, value.dump()});
        else
            throw OptionError(option + ": \"" + name + "\" is neither a text, a number, on/off nor an object");
    }
}

// How deep braces and brackets go; the JSON reader recurses.
int nesting(const std::string& text) {
    int depth = 0, most = 0;
    for (const char c : text) {
        if (c == '{' || c == '[') most = std::max(most, ++depth);
        if (c == '}' || c == ']') --depth;
    }
    return most;
}

}  // namespace

Keys Translator::keys_of(const std::string& text, const char* first, const std::string& option) {
    if (!text.starts_with('{')) return {text, first, option};
    constexpr int kDeepest = 64;
    const nlohmann::json json =
        nesting(text) > kDeepest ? nlohmann::json() : nlohmann::json::parse(text, nullptr, false);
    if (json.is_discarded() || !json.is_object()) throw OptionError(option + ": this is no JSON object");
    std::vector<Key> keys;
    flatten(json, "", 0, keys, option);
    return {std::move(keys), option};
}

void Translator::attempt(const std::function<void()>& work) {
    try {
        work();
    } catch (const OptionError& e) {
        if (!lenient_) throw;
        warn(e.what());
    }
}

std::vector<Item> read_arguments(const std::vector<std::string>& arguments) {
    std::vector<Item> items;
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        const std::string& word = arguments[i];
        if (word.empty()) throw OptionError("\"\": an empty argument");
        // A disk may stand without an option.
        if (!word.starts_with('-')) {
            items.push_back({"hda", word, word});
            continue;
        }
        Item item{word.substr(word.starts_with("--") ? 2 : 1), "", ""};
        item.option = "-" + item.name;
        const Option* known = find_option(item.name);
        if (known && !known->argument.empty()) {
            if (i + 1 == arguments.size())
                throw OptionError(item.option + ": " + std::string(known->argument) + " is missing");
            item.value = arguments[++i];
            item.option += " " + item.value;
        }
        items.push_back(std::move(item));
    }
    return items;
}

void Translator::apply(const Item& item) {
    const Option* known = find_option(item.name);
    if (known && known->handler) return (this->*known->handler)(item.value, item.option);
    throw OptionError(item.option + ": " +
                      (known ? "not served by this version: " + std::string(known->text)
                             : "there is no such option" + suggestion(item.name) + "; -help lists them"));
}

Result Translator::translate(const std::vector<Item>& items, const std::string& title) {
    for (const Item& item : items) {
        attempt([&] { apply(item); });
        if (!result_.print.empty()) return std::move(result_);
    }
    finish();
    if (lenient_)
        for (const std::string& w : result_.warnings) vm_.remark(w);
    result_.machine = vm_.text(title);
    return std::move(result_);
}

void Translator::finish() {
    finish_firmware();
    attempt([&] {
        if (!acpi_off_option_.empty() && vm_.machine() != "isapc" && vm_.machine() != "none")
            throw OptionError(acpi_off_option_ +
                              ": acpi=off is not served by this version: " + std::string(find_option("no-acpi")->text));
    });
    attempt([&] { finish_devices(); });
    finish_drives();
    finish_defaults();
    finish_ports();
    finish_protocols();
    for (const Global& g : globals_)
        if (!g.used) warn(g.option + ": has no effect here; it is a default for -device " + g.driver);
}

}  // namespace backplane::qemu
