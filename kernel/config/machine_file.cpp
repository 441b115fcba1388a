#include "kernel/config/machine_file.hpp"

#include <algorithm>
#include <filesystem>

#include "kernel/config/convert.hpp"

namespace backplane::kernel {

namespace fs = std::filesystem;

namespace {

const std::vector<std::string>& machine_keys() {
    static const std::vector<std::string> keys = {
        "name",  "description", "extends", "parameters", "aliases", "firmware_folders", "spaces",
        "clock", "lines",       "devices", "repeat",     "when",    "publish"};
    return keys;
}

bool is_list_section(std::string_view key) { return key == "when" || key == "repeat" || key == "publish"; }

Value read_machine(const std::string& path) {
    Value root = read_yaml_file(path);
    if (!root.is_map())
        throw Error(root.position().from_file() ? root.position() : position_of_option(path),
                    std::string("a machine file is a map with `name`, `devices` and so on, not ") + root.kind_name());
    if (const Value* machine = root.find("machine"))
        throw Error(machine->position(), "this is a VM file (it names a `machine`), not a machine file");
    for (const auto& entry : root.entries()) {
        if (std::find(machine_keys().begin(), machine_keys().end(), entry.key) == machine_keys().end())
            throw Error(entry.position,
                        "`" + entry.key + "` is not known in a machine file" + did_you_mean(entry.key, machine_keys()));
        const bool text = entry.key == "name" || entry.key == "description" || entry.key == "extends";
        if (entry.value.is_null()) continue;
        if (text)
            to_text(entry.value, "`" + entry.key + "`");
        else if (is_list_section(entry.key) && entry.value.is_scalar())
            throw Error(entry.value.position(), "`" + entry.key + "` must be a list, not a single value");
        else if (!is_list_section(entry.key) && entry.key != "firmware_folders")
            to_map(entry.value, "`" + entry.key + "`");
    }
    return root;
}

// The extended machine: beside the extending file first, then where machines are searched.
std::string find_base(const Value& extends, const SearchPaths& search) {
    SearchPaths wider = search;
    const std::string folder = extends.position().directory();
    wider.machines.insert(wider.machines.begin(), folder.empty() ? "." : folder);
    std::string name = extends.text();
    if (name.find('/') != std::string::npos && !fs::path(name).is_absolute() && !folder.empty())
        name = folder + "/" + name;
    try {
        return find_machine(wider, name);
    } catch (const Error& e) {
        throw Error(extends.position(), e.what(), e.exit_code);
    }
}

std::string identity(const std::string& path) {
    std::error_code error;
    const fs::path real = fs::canonical(path, error);
    return error ? path : real.string();
}

inline constexpr std::size_t kMaxAncestors = 32;

void add_folders(std::vector<std::string>& out, const std::string& path, const Value& root) {
    const Value* listed = root.find("firmware_folders");
    std::vector<std::string> fresh;
    if (listed)
        for (const Value* folder : listed->as_list()) fresh.push_back(to_path(*folder, "`firmware_folders`"));
    const std::string own = fs::path(path).parent_path().string();
    fresh.push_back(own.empty() ? "." : own);
    for (std::string& folder : fresh)
        if (std::find(out.begin(), out.end(), folder) == out.end()) out.push_back(std::move(folder));
}

}  // namespace

void merge_section(Value& board, const Value::Entry& section) {
    Value* there = board.find(section.key);
    // A map section whose entries are all commented out does not mean to remove the board's devices. A null list has a
    // use: other entries cannot be taken out of it.
    if (section.value.is_null()) {
        if (is_list_section(section.key)) board.erase(section.key);
        return;
    }
    if (is_list_section(section.key)) {
        if (section.value.is_scalar())
            throw Error(section.value.position(), "`" + section.key + "` must be a list, not a single value");
        Value all = Value::list(section.value.position());
        if (there)
            for (const Value* item : there->as_list()) all.items().push_back(*item);
        for (const Value* item : section.value.as_list()) all.items().push_back(*item);
        board.set(section.key, section.position, std::move(all));
        return;
    }
    to_map(section.value, "`" + section.key + "`");
    std::vector<std::string> known;
    if (there)
        for (const auto& entry : there->entries()) known.push_back(entry.key);
    for (const auto& entry : section.value.entries())
        if (entry.value.is_null() && std::find(known.begin(), known.end(), entry.key) == known.end())
            throw Error(entry.position, "there is no `" + entry.key + "` in `" + section.key + "` to remove" +
                                            did_you_mean(entry.key, known));
    if (!there) there = &board.set(section.key, section.position, Value::map(section.value.position()));
    merge(*there, section.value);
}

MachineFile load_machine_file(const std::string& path, const SearchPaths& search) {
    // The chain from the named file up to the one that extends nothing.
    std::vector<std::string> paths, identities;
    std::vector<Value> roots;
    for (std::string next = path;;) {
        const std::string id = identity(next);
        if (const auto seen = std::find(identities.begin(), identities.end(), id); seen != identities.end()) {
            std::string cycle;
            for (auto it = seen; it != identities.end(); ++it)
                cycle += paths[static_cast<std::size_t>(it - identities.begin())] + " -> ";
            throw Error(roots.back().find("extends")->position(), "`extends` goes round in a circle: " + cycle + next);
        }
        if (paths.size() >= kMaxAncestors)
            throw Error(roots.back().find("extends")->position(),
                        "more than " + std::to_string(kMaxAncestors) + " machines extend one another");
        paths.push_back(next), identities.push_back(id);
        roots.push_back(read_machine(next));
        const Value* extends = roots.back().find("extends");
        if (!extends || extends->is_null()) break;
        next = find_base(*extends, search);
    }

    MachineFile machine;
    machine.root = Value::map(roots.front().position());
    for (std::size_t i = roots.size(); i-- > 0;)
        for (const auto& entry : roots[i].entries()) {
            if (entry.key == "name" || entry.key == "description" || entry.key == "extends" ||
                entry.key == "firmware_folders")
                continue;
            merge_section(machine.root, entry);
        }
    for (std::size_t i = 0; i < roots.size(); ++i) add_folders(machine.firmware_folders, paths[i], roots[i]);
    const Value* name = roots.front().find("name");
    machine.name = name && name->is_scalar() ? name->text() : fs::path(path).stem().string();
    for (std::size_t i = roots.size(); i-- > 0;)
        if (const Value* text = roots[i].find("description"); text && text->is_scalar())
            machine.description = text->text();
    machine.ancestry.assign(paths.begin() + 1, paths.end());
    return machine;
}

}  // namespace backplane::kernel
