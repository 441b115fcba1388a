// What may stand after `backplane ctl`: the short forms, key=value, and JSON.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace backplane::runner {

// A command as it goes over the socket, and how its value is shown.
struct Call {
    enum class Show {
        kJson,
        kText,   // the value is a text
        kValue,  // of the one entry of an object
        kTree,   // a list of devices
        kTrace   // names of what is traced
    };
    std::string command;
    nlohmann::json arguments = nlohmann::json::object();
    Show show = Show::kJson;
};

struct ShortForm {
    std::string name, usage, help;
    std::size_t least, most;  // words after the name
    std::function<Call(const std::vector<std::string>& words, bool force)> make;
};
const std::vector<ShortForm>& short_forms();

// `words` begins with a command or a short form. `arguments_of` tells the declared arguments of a command, as
// query-commands does. Throws kernel::Error.
Call make_call(const std::vector<std::string>& words, bool force,
               const std::function<nlohmann::json(const std::string& command)>& arguments_of);

// What is printed, ended by a newline. `pretty`: for a terminal.
std::string show(const Call& call, const nlohmann::json& value, bool pretty);

// "0x1f", "-3", "true", "[1, 2]", otherwise a text.
nlohmann::json parse_value(const std::string& word);

}  // namespace backplane::runner
