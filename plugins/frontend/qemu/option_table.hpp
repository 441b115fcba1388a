// QEMU's options, from 0.12 to 7.2.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "translator.hpp"

namespace backplane::qemu {

struct Option {
    std::string_view name;      // without dashes
    std::string_view argument;  // what follows, for the help; "" if nothing
    Translator::Handler handler = nullptr;
    std::string_view text;  // of a served option: what it does; of another: what to do instead
};

std::span<const Option> options();
const Option* find_option(std::string_view name);
// The nearest one, for a misspelt name: "; did you mean -hda?", or "".
std::string suggestion(std::string_view name);
std::string help_text();
std::string board_list();
std::string cpu_list();
std::string device_list();

// Names of processors that QEMU has had and that are no models here.
bool is_foreign_cpu(std::string_view name);

}  // namespace backplane::qemu
