// The settings that a board offers: declared in machine files, given by VM files and the command line, used in
// conditions and as ${name} in the rest of the board.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/config/board_spec.hpp"

namespace backplane::kernel {

class ParameterSet {
  public:
    // From the merged sections `parameters` and `aliases` (null: none).
    ParameterSet(const Value* declarations, const Value* aliases);

    // By full path or alias; null if there is none.
    Parameter* find(std::string_view name);
    const Parameter* find(std::string_view name) const;
    bool is_group(std::string_view path) const;
    std::vector<std::string> names() const;  // paths and aliases
    std::vector<std::string> paths_in(std::string_view group) const;

    // Gives a value; null returns to the default. Throws Error placed at the value.
    void give(Parameter& parameter, const Value& value);
    // Gives what a VM file says under the top-level key `name`: a value or a map of a group. Throws for unknown names;
    // `other` are further keys that may stand there, for the suggestion.
    void give_tree(const std::string& name, const Position& name_position, const Value& value,
                   const std::vector<std::string>& other);
    // Throws if a parameter that is not optional has no value.
    void check_complete(const std::string& machine) const;

    // `if:` of a fragment: a parameter that has a value (and is not false), a map of values to be equal to, or a list
    // of such that must all hold.
    bool holds(const Value& condition) const;
    // Replaces ${name} in all scalars below. False: the whole value was one parameter without a value, so its entry
    // goes.
    bool substitute(Value& value) const;

    std::vector<Parameter> take_parameters() { return std::move(parameters_); }
    std::vector<Alias> take_aliases() { return std::move(aliases_); }

  private:
    void declare_group(const Value& group, const std::string& prefix);
    void declare(const Value& declaration, const std::string& path, const Position& position);
    const Parameter& known(const std::string& name, const Position& position) const;
    bool equals(const Parameter& parameter, const Value& wanted) const;

    std::vector<Parameter> parameters_;
    std::vector<Alias> aliases_;
};

}  // namespace backplane::kernel
