#include "boot.hpp"

#include <utility>

namespace backplane::drives {
namespace {

std::string order_of(Keys& keys, const char* key) {
    const std::string letters = keys.text(key).value_or("");
    for (std::size_t i = 0; i < letters.size(); ++i) {
        if (std::string_view("abcdn").find(letters[i]) == std::string_view::npos)
            keys.fail(std::string("'") + letters[i] + "' is none of a, b floppy, c hard disk, d CD-ROM, n network");
        if (letters.find(letters[i]) != i) keys.fail(std::string("'") + letters[i] + "' stands there twice");
    }
    if (letters.size() > 3) keys.fail("\"" + letters + "\": the configuration memory has room for three");
    return letters;
}

}  // namespace

std::vector<Setting> boot_settings(std::string_view text, const std::string& option) {
    Keys keys(text, "order", option);
    std::vector<Setting> all;
    for (const auto& [key, parameter] : {std::pair{"order", "boot"}, {"once", "boot_once"}})
        if (keys.has(key)) all.push_back({parameter, order_of(keys, key), option});
    if (const auto menu = keys.boolean("menu")) all.push_back({"boot_menu", *menu ? "true" : "false", option});
    keys.ignore({"strict"});
    for (const char* name : {"splash", "splash-time", "reboot-timeout"})
        if (keys.has(name)) keys.fail(std::string(name) + "= is not served by this version; leave it out");
    keys.reject_rest({"order", "once", "menu", "strict"});
    return all;
}

}  // namespace backplane::drives
