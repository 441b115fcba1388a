// From machine file, VM file and command line to one BoardSpec.
#include <algorithm>
#include <filesystem>
#include <functional>

#include "kernel/config/board_spec.hpp"
#include "kernel/config/convert.hpp"
#include "kernel/config/machine_file.hpp"
#include "kernel/config/parameters.hpp"
#include "kernel/config/repeat.hpp"

namespace backplane::kernel {

namespace {
struct VmFile {
    Value root;
    std::string machine;  // "" if the file names none
    Position machine_position;
};
}  // namespace

struct BoardSource {
    BoardRequest request;
    std::string vm_path, machine_path;
    VmFile vm;
    MachineFile machine;
};

namespace {

// What VM files, fragments and settings may change, beside parameters.
const std::vector<std::string>& sections() {
    static const std::vector<std::string> names = {"devices", "lines", "repeat", "publish", "clock", "spaces"};
    return names;
}
bool is_section(std::string_view key) {
    return std::find(sections().begin(), sections().end(), key) != sections().end();
}

void check_name(const std::string& name, const Position& position, const char* what) {
    const bool good = !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), [](unsigned char c) {
        return std::isalnum(c) || c == '-' || c == '_';
    });
    if (!good)
        throw Error(position, std::string(what) +
                                  " names consist of letters, digits, `-` and `_`: " + in_ticks(name.substr(0, 64)));
}

// A fragment that refuses the board. What the user gave of what its conditions ask for is what is wrong.
[[noreturn]] void refuse(const Value& fragment, const Value& text, const ParameterSet& parameters) {
    Position place = text.position();
    const std::function<void(const Value&)> look = [&](const Value& condition) {
        const auto name = [&](const std::string& path) {
            if (const Parameter* p = parameters.find(path); p && p->given) place = p->value_position;
        };
        if (condition.is_scalar()) name(condition.text());
        for (const Value& item : condition.items()) look(item);
        for (const auto& entry : condition.entries()) name(entry.key);
    };
    for (const char* key : {"unless", "if"})
        if (const Value* condition = fragment.find(key)) look(*condition);
    Value said = text;
    parameters.substitute(said);
    throw Error(place, to_text(said, "`refuse`"));
}

void apply_fragments(Value& board, const ParameterSet& parameters) {
    const Value* when = board.find("when");
    if (!when) return;
    const Value fragments = *when;
    for (const Value* fragment : fragments.as_list()) {
        const Value *condition = to_map(*fragment, "a fragment of `when`").find("if"),
                    *negated = fragment->find("unless"), *refused = fragment->find("refuse");
        if (!condition && !negated) throw Error(fragment->position(), "a fragment of `when` needs `if` or `unless`");
        for (const auto& entry : fragment->entries())
            if (entry.key != "if" && entry.key != "unless" && entry.key != "refuse" && !is_section(entry.key))
                throw Error(entry.position, in_ticks(entry.key) + " cannot stand in a fragment of `when`" +
                                                did_you_mean(entry.key, {"if", "unless", "refuse", "devices", "lines",
                                                                         "repeat", "publish", "clock", "spaces"}));
        if ((condition && !parameters.holds(*condition)) || (negated && parameters.holds(*negated))) continue;
        if (refused) refuse(*fragment, *refused, parameters);
        for (const auto& entry : fragment->entries())
            if (is_section(entry.key)) merge_section(board, entry);
    }
}

VmFile read_vm(const std::string& path) {
    VmFile vm;
    vm.root = read_yaml_file(path);
    if (!vm.root.is_map())
        throw Error(vm.root.position().from_file() ? vm.root.position() : position_of_option(path),
                    std::string("a VM file is a map that begins with `machine: NAME`, not ") + vm.root.kind_name());
    const Value* machine = vm.root.find("machine");
    if (machine) vm.machine = to_text(*machine, "`machine`"), vm.machine_position = machine->position();
    return vm;
}

// The VM file's machine may lie beside it.
std::string machine_of(const VmFile& vm, const std::string& vm_path, const SearchPaths& search) {
    SearchPaths wider = search;
    const std::string folder = std::filesystem::path(vm_path).parent_path().string();
    if (!folder.empty()) wider.machines.insert(wider.machines.begin(), folder);
    try {
        if (vm.machine.find('/') != std::string::npos && vm.machine.front() != '/' && !folder.empty())
            return find_machine(wider, folder + "/" + vm.machine);
        return find_machine(wider, vm.machine);
    } catch (const Error& e) {
        throw Error(vm.machine_position, e.what(), e.exit_code);
    }
}

void give_vm_parameters(ParameterSet& parameters, const Value& root) {
    std::vector<std::string> other = sections();
    other.insert(other.end(), {"machine", "name", "description"});
    for (const auto& entry : root.entries()) {
        if (entry.key == "machine" || entry.key == "name" || entry.key == "description" || is_section(entry.key))
            continue;
        parameters.give_tree(entry.key, entry.position, entry.value, other);
    }
}

// A setting that changes a section: `devices.clock.base=3` becomes {devices: {clock: {base: 3}}}.
void apply_section_setting(Value& board, const Setting& setting) {
    const Position position = position_of_option(setting.option.empty() ? setting.path : setting.option);
    std::vector<std::string> parts;
    for (std::size_t begin = 0; begin <= setting.path.size();) {
        const std::size_t end = std::min(setting.path.find('.', begin), setting.path.size());
        parts.push_back(setting.path.substr(begin, end - begin));
        begin = end + 1;
    }
    if (parts.size() < 2)
        throw Error(position,
                    in_ticks(setting.path) + " as a whole cannot be set: name an entry, `" + setting.path + ".NAME`");
    for (const std::string& part : parts)
        if (part.empty()) throw Error(position, "an empty name in " + in_ticks(setting.path));
    Value value = parse_yaml_option(setting.value, position);
    if (parts[0] == "publish" || parts[0] == "repeat")
        throw Error(position, in_ticks(parts[0]) + " is a list and cannot be set here");
    if (parts[0] == "devices" && parts.size() > 2) {
        const Value* devices = board.find("devices");
        std::vector<std::string> known;
        if (devices)
            for (const auto& entry : devices->entries()) known.push_back(entry.key);
        if (std::find(known.begin(), known.end(), parts[1]) == known.end())
            throw Error(position, "the board has no device " + in_ticks(parts[1]) + did_you_mean(parts[1], known));
    }
    for (std::size_t i = parts.size(); i-- > 1;) {
        Value outer = Value::map(position);
        outer.set(parts[i], position, std::move(value));
        value = std::move(outer);
    }
    merge_section(board, {parts[0], position, std::move(value)});
}

bool is_section_setting(const Setting& setting) { return is_section(setting.path.substr(0, setting.path.find('.'))); }

void give_setting(ParameterSet& parameters, const Setting& setting) {
    const Position position = position_of_option(setting.option.empty() ? setting.path : setting.option);
    if (Parameter* p = parameters.find(setting.path)) {
        parameters.give(*p, Value::scalar(setting.value, position));
        return;
    }
    if (parameters.is_group(setting.path))
        throw Error(position,
                    in_ticks(setting.path) + " is a group: set " + list_of(parameters.paths_in(setting.path + ".")));
    std::vector<std::string> known = parameters.names();
    for (const std::string& section : sections()) known.push_back(section);
    throw Error(position, "the board has no parameter " + in_ticks(setting.path) + did_you_mean(setting.path, known));
}

void build_spaces(BoardSpec& spec, const Value& section) {
    for (const auto& entry : to_map(section, "`spaces`").entries()) {
        check_name(entry.key, entry.position, "space");
        SpaceSpec space;
        space.name = entry.key, space.position = entry.position;
        const std::string what = "space " + in_ticks(entry.key);
        const Value *kind = to_map(entry.value, what).find("kind"), *bits = entry.value.find("bits");
        for (const auto& inner : entry.value.entries())
            if (inner.key != "kind" && inner.key != "bits")
                throw Error(inner.position,
                            what + ": " + in_ticks(inner.key) + " is not known here; a space has `kind` and `bits`");
        if (!kind) throw Error(entry.position, what + " has no `kind`: ports or memory");
        const bool ports = to_choice(*kind, what + ": `kind`", {"ports", "memory"}) == "ports";
        space.kind = ports ? SpaceSpec::Kind::kPorts : SpaceSpec::Kind::kMemory;
        space.bits = ports ? 16 : 32;
        if (bits) space.bits = static_cast<u32>(to_number(*bits, what + ": `bits`", ports ? 8 : 16, ports ? 16 : 52));
        spec.spaces.push_back(std::move(space));
    }
}

void build_lines(BoardSpec& spec, const Value& section) {
    for (const auto& entry : to_map(section, "`lines`").entries()) {
        check_name(entry.key, entry.position, "line");
        WireSpec wire{entry.key, entry.position, {}};
        for (const Value* sink : entry.value.as_list()) {
            if (sink->is_null()) continue;
            const std::string& text = to_text(*sink, "an end of the line " + in_ticks(entry.key));
            const auto dot = text.find('.');
            if (dot == std::string::npos || dot == 0 || dot + 1 == text.size())
                throw Error(sink->position(), "an end of the line " + in_ticks(entry.key) +
                                                  " must be DEVICE.INPUT, not " + in_ticks(text));
            wire.sinks.push_back(*sink);
        }
        spec.lines.push_back(std::move(wire));
    }
}

void build_devices(BoardSpec& spec, const Value& section) {
    std::vector<std::string> names;
    for (const auto& entry : to_map(section, "`devices`").entries())
        if (entry.value.find("type")) names.push_back(entry.key);
    for (const auto& entry : section.entries()) {
        check_name(entry.key, entry.position, "device");
        const std::string what = "device " + in_ticks(entry.key);
        const Value* type = to_map(entry.value, what).find("type");
        if (!type) throw Error(entry.position, what + " has no `type`" + did_you_mean(entry.key, names));
        DeviceSpec device;
        device.name = entry.key, device.position = entry.position;
        device.type = to_text(*type, what + ": `type`"), device.type_position = type->position();
        for (const auto& inner : entry.value.entries())
            if (inner.key != "type") device.entries.push_back(inner);
        spec.devices.push_back(std::move(device));
    }
}

void build_publish(BoardSpec& spec, const Value& section) {
    for (const Value* route : section.as_list()) {
        for (const auto& entry : to_map(*route, "a route of `publish`").entries())
            if (entry.key != "what" && entry.key != "from" && entry.key != "into")
                throw Error(entry.position,
                            in_ticks(entry.key) + " is not known here; a route has `what`, `from` and `into`");
        const auto part = [&](const char* key) -> const Value& {
            const Value* value = route->find(key);
            if (!value) throw Error(route->position(), "a route of `publish` needs " + in_ticks(key));
            return *value;
        };
        const Value &what = part("what"), &from = part("from"), &into = part("into");
        to_text(what, "`what`"), to_text(from, "`from`");
        for (const Value* target : into.as_list()) {
            if (target->is_null()) continue;
            to_text(*target, "`into`");
            spec.publish.push_back({route->position(), what, from, *target});
        }
    }
}

}  // namespace

const Value* DeviceSpec::find(std::string_view key) const {
    for (const auto& entry : entries)
        if (entry.key == key) return &entry.value;
    return nullptr;
}

const Parameter* BoardSpec::parameter(std::string_view path) const {
    for (const Parameter& p : parameters)
        if (p.path == path) return &p;
    return nullptr;
}

const DeviceSpec* BoardSpec::device(std::string_view wanted) const {
    for (const DeviceSpec& d : devices)
        if (d.name == wanted) return &d;
    return nullptr;
}

namespace {
// A board's name where a VM file is expected means the board alone.
bool names_only_a_machine(const BoardRequest& request, const SearchPaths& search) {
    if (request.vm_file.empty() || !request.machine.empty() || request.vm_file.find('/') != std::string::npos)
        return false;
    const auto has_name = [&](const std::vector<FoundFile>& files) {
        return std::any_of(files.begin(), files.end(), [&](const FoundFile& f) { return f.name == request.vm_file; });
    };
    return has_name(list_machines(search)) && !has_name(list_vms(search));
}
}  // namespace

namespace {
BoardSource read_source(const BoardRequest& request, const SearchPaths& search) {
    BoardSource source;
    source.request = request;
    VmFile& vm = source.vm;
    std::string &machine_file = source.machine_path, &vm_file = source.vm_path;
    if (names_only_a_machine(request, search)) {
        machine_file = find_machine(search, request.vm_file);
    } else if (!request.vm_file.empty()) {
        vm_file = find_vm(search, request.vm_file);
        vm = read_vm(vm_file);
    }
    if (!request.machine.empty())
        machine_file = find_machine(search, request.machine);
    else if (!vm.machine.empty())
        machine_file = machine_of(vm, vm_file, search);
    else if (!vm_file.empty())
        throw Error(vm.root.position(), "the file names no machine: expected `machine: NAME` (see `machine list`)");
    else if (machine_file.empty())
        throw Error("neither a machine nor a VM file is named");

    source.machine = load_machine_file(machine_file, search);
    return source;
}

BoardSpec expand(const std::shared_ptr<const BoardSource>& source) {
    BoardSpec spec;
    spec.source = source;
    const BoardRequest& request = source->request;
    const VmFile& vm = source->vm;
    const MachineFile& machine = source->machine;
    spec.machine_file = source->machine_path, spec.vm_file = source->vm_path;
    spec.name = machine.name, spec.description = machine.description, spec.ancestry = machine.ancestry;
    Value board = machine.root;
    ParameterSet parameters(board.find("parameters"), board.find("aliases"));
    for (const std::string& path : parameters.paths_in("")) {
        const std::string first = path.substr(0, path.find('.'));
        if (is_section(first) || first == "machine" || first == "name" || first == "description")
            throw Error(parameters.find(path)->position,
                        in_ticks(first) + " cannot be the name of a parameter: VM files use it otherwise");
    }

    if (vm.root.is_map()) {
        give_vm_parameters(parameters, vm.root);
        spec.vm_name = std::filesystem::path(spec.vm_file).stem().string();
        if (const Value* name = vm.root.find("name")) spec.vm_name = to_text(*name, "`name`");
        if (const Value* text = vm.root.find("description")) spec.description = to_text(*text, "`description`");
        spec.firmware_folders.push_back(std::filesystem::path(spec.vm_file).parent_path().string());
        if (spec.firmware_folders.back().empty()) spec.firmware_folders.back() = ".";
    }
    for (const std::string& folder : machine.firmware_folders) spec.firmware_folders.push_back(folder);
    for (const Setting& setting : request.settings) {
        if (setting.path == "name")
            spec.vm_name = setting.value;
        else if (!is_section_setting(setting))
            give_setting(parameters, setting);
    }
    parameters.check_complete(spec.name);

    apply_fragments(board, parameters);
    expand_repeats(board, parameters);
    for (const auto& entry : vm.root.entries())
        if (is_section(entry.key)) merge_section(board, entry);
    expand_repeats(board, parameters);
    for (const Setting& setting : request.settings)
        if (is_section_setting(setting)) apply_section_setting(board, setting);

    for (const std::string& section : sections()) {
        Value* value = board.find(section);
        if (!value) continue;
        parameters.substitute(*value);
        if (value->is_null()) continue;
        if (section == "spaces") build_spaces(spec, *value);
        if (section == "lines") build_lines(spec, *value);
        if (section == "devices") build_devices(spec, *value);
        if (section == "publish") build_publish(spec, *value);
        if (section == "clock") spec.clock = to_map(*value, "`clock`");
    }
    spec.parameters = parameters.take_parameters();
    spec.aliases = parameters.take_aliases();
    return spec;
}
}  // namespace

BoardSpec load_board(const BoardRequest& request, const SearchPaths& search) {
    return expand(std::make_shared<BoardSource>(read_source(request, search)));
}

const BoardRequest& request_of(const BoardSpec& board) {
    static const BoardRequest none;
    return board.source ? board.source->request : none;
}

BoardSpec with_parameter(const BoardSpec& board, const std::string& parameter, const std::string& value,
                         const std::string& option) {
    if (!board.source) throw Error("the board was not read from files and cannot be set up otherwise");
    std::string path = parameter;
    for (const Alias& a : board.aliases)
        if (a.name == parameter) path = a.parameter;
    if (!board.parameter(path))
        throw Error(position_of_option(option), "the board has no parameter " + in_ticks(parameter));
    auto source = std::make_shared<BoardSource>(*board.source);
    std::erase_if(source->request.settings, [&](const Setting& s) {
        return s.path == path || std::any_of(board.aliases.begin(), board.aliases.end(),
                                             [&](const Alias& a) { return a.name == s.path && a.parameter == path; });
    });
    source->request.settings.push_back({path, value, option});
    return expand(source);
}

}  // namespace backplane::kernel
