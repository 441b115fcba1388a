#include "kernel/plugin/schema.hpp"

#include <nlohmann/json.hpp>

#include "kernel/config/convert.hpp"
#include "kernel/config/machine_file.hpp"
#include "kernel/config/parameters.hpp"

namespace backplane::kernel {

namespace {

// Keys keep the order in which they are written here, so that the file reads well and compares well.
using Json = nlohmann::ordered_json;

inline constexpr const char* kDraft = "http://json-schema.org/draft-07/schema#";
inline constexpr const char* kSizePattern = "^[0-9][0-9_.]*( ?([KMGT](iB)?|k|B))?$|^0[xX][0-9a-fA-F_]+$";
inline constexpr const char* kDurationPattern = "^0$|^[0-9][0-9_.]* ?(ns|us|µs|ms|s|min)$";
inline constexpr const char* kNumberPattern = "^0[xX][0-9a-fA-F_]+$|^0[bB][01_]+$|^0[oO][0-7_]+$|^[0-9][0-9_]*$";

Json described(Json schema, const std::string& text) {
    if (!text.empty()) schema["description"] = text;
    return schema;
}

Json any_of(std::initializer_list<Json> schemas) { return Json{{"anyOf", Json::array_t(schemas)}}; }

Json choices(const std::vector<std::string>& names) {
    Json list = Json::array();
    for (const std::string& name : names) {
        list.push_back(name);
        // YAML reads a bare 486 as a number and a bare off as a boolean.
        if (const auto n = parse_number(name); n && std::to_string(*n) == name) list.push_back(*n);
        if (name == "on" || name == "yes" || name == "true") list.push_back(true);
        if (name == "off" || name == "no" || name == "false") list.push_back(false);
    }
    Json unique = Json::array();
    for (const Json& item : list)
        if (std::find(unique.begin(), unique.end(), item) == unique.end()) unique.push_back(item);
    return {{"enum", unique}};
}

Json number(u64 minimum, u64 maximum) {
    Json integer = {{"type", "integer"}, {"minimum", minimum}};
    // Editors compute with doubles: a limit that they cannot hold is left out.
    if (maximum <= (u64{1} << 53)) integer["maximum"] = maximum;
    return any_of({integer, {{"type", "string"}, {"pattern", kNumberPattern}}});
}

Json boolean() { return any_of({{{"type", "boolean"}}, {{"enum", {"yes", "no", "on", "off", "true", "false"}}}}); }
Json text() { return {{"type", {"string", "number", "boolean"}}}; }
Json patterned(const char* pattern) {
    return any_of({{{"type", "integer"}, {"minimum", 0}}, {{"type", "string"}, {"pattern", pattern}}});
}

// In a board every value may be a parameter, and null removes it.
Json or_parameter(Json schema) {
    return any_of({std::move(schema), {{"type", "string"}, {"pattern", "\\$\\{[^}]+\\}"}}, {{"type", "null"}}});
}

Json property_schema(const PropertyInfo& p) {
    Json schema;
    switch (p.kind) {
        case BP_PROPERTY_BOOL: schema = boolean(); break;
        case BP_PROPERTY_U64: schema = number(p.minimum, p.maximum); break;
        case BP_PROPERTY_SIZE: schema = patterned(kSizePattern); break;
        case BP_PROPERTY_DURATION: schema = patterned(kDurationPattern); break;
        case BP_PROPERTY_ENUM: schema = choices(p.choices); break;
        default: schema = text(); break;
    }
    std::string doc = p.doc;
    doc += p.required() ? " (required)" : p.default_text->empty() ? "" : " (default: " + *p.default_text + ")";
    return described(or_parameter(std::move(schema)), doc);
}

Json line_schema(const LineInfo& line, bool bundle) {
    Json one = {{"type", "string"}};
    Json many = {{"type", "array"}, {"items", {{"type", {"string", "null"}}}}};
    const std::string doc = line.doc + (bundle ? ": the wires that its lines drive, one after the other"
                                               : ": the wire, or DEVICE.INPUT, that it drives");
    return described(any_of({one, many, {{"type", "null"}}}), doc);
}

Json address_schema(const TypeInfo& type) {
    const Json base = or_parameter(number(0, ~u64{0}));
    const Json bases = any_of({base, {{"type", "array"}, {"items", base}}});
    if (type.regions.size() == 1)
        return described(any_of({bases,
                                 {{"type", "object"},
                                  {"properties", {{type.regions[0].name, bases}}},
                                  {"additionalProperties", false}}}),
                         "Where " + type.regions[0].name + " lies: " + type.regions[0].doc);
    Json regions = Json::object();
    for (const RegionInfo& region : type.regions) regions[region.name] = described(bases, region.doc);
    return {{"type", {"object", "null"}},
            {"description", "Where its regions lie"},
            {"properties", regions},
            {"additionalProperties", false}};
}

Json type_schema(const TypeInfo& type) {
    Json properties = Json::object();
    properties["type"] = described({{"const", type.name}}, type.doc);
    properties["plugin"] =
        described({{"type", {"string", "null"}}},
                  "Which plugin's implementation, if several define the type: its id, or a .so file");
    if (!type.plugs.empty())
        properties["on"] =
            described({{"type", {"string", "null"}}}, "The bus that it sits on: DEVICE/ADDRESS or DEVICE.BUS/ADDRESS");
    if (!type.regions.empty()) properties["at"] = address_schema(type);
    for (const PropertyInfo& p : type.properties) properties[p.name] = property_schema(p);
    for (const LinkInfo& link : type.links)
        properties[link.name] =
            described({{"type", {"string", "null"}}},
                      link.doc + (link.optional ? "" : " (required)") + ": a device that offers " + link.interface_id);
    for (const LineInfo& line : type.outputs) {
        properties[line.name] = line_schema(line, line.count > 1);
        for (u32 i = 0; line.count > 1 && i < line.count; ++i) properties[line.line_name(i)] = line_schema(line, false);
    }
    return described({{"type", "object"}, {"properties", properties}, {"additionalProperties", false}}, type.doc);
}

// Definitions of all types, and `devices` made from them.
void add_devices(Json& root, Json& section, PluginRegistry& registry) {
    std::vector<std::string> names;
    Json cases = Json::array();
    for (const std::string& name : registry.type_names()) {
        try {
            root["definitions"][name] = type_schema(registry.type(name));
        } catch (const Error&) {
            continue;  // `plugin list` says what is wrong with it
        }
        names.push_back(name);
        cases.push_back({{"if", {{"properties", {{"type", {{"const", name}}}}}, {"required", {"type"}}}},
                         {"then", {{"$ref", "#/definitions/" + name}}}});
    }
    Json type = any_of({choices(names), {{"type", "string"}, {"pattern", "\\$\\{[^}]+\\}"}}});
    Json device = {{"type", {"object", "null"}}, {"properties", {{"type", described(type, "The device's type")}}}};
    if (!cases.empty()) device["allOf"] = cases;
    root["definitions"]["device"] = device;
    section = {{"type", "object"},
               {"description", "Devices by name; null removes one that an extended machine has"},
               {"propertyNames", {{"pattern", "^[A-Za-z0-9_-]{1,64}$"}}},
               {"additionalProperties", {{"$ref", "#/definitions/device"}}}};
}

// The sections that machine files, fragments and VM files share.
Json sections(Json& root, PluginRegistry& registry) {
    Json out = Json::object();
    add_devices(root, out["devices"], registry);
    const Json sink = {{"type", "string"}, {"pattern", "^[^.]+\\.[^.]+$"}};
    out["lines"] = {{"type", "object"},
                    {"description", "Wires by name, each with the inputs (DEVICE.INPUT) that hear it"},
                    {"additionalProperties", any_of({sink, {{"type", "array"}, {"items", sink}}, {{"type", "null"}}})}};
    const Json name = {{"type", "string"}};
    out["publish"] = {
        {"type", {"array", "null"}},
        {"description", "Which facts go from which device to which others"},
        {"items",
         {{"type", "object"},
          {"properties",
           {{"what", name}, {"from", name}, {"into", any_of({name, {{"type", "array"}, {"items", name}}})}}},
          {"required", {"what", "from", "into"}},
          {"additionalProperties", false}}}};
    out["clock"] = {{"type", "object"}, {"description", "How time passes"}};
    out["spaces"] = {{"type", "object"},
                     {"description", "Address spaces by name"},
                     {"additionalProperties",
                      {{"type", {"object", "null"}},
                       {"properties", {{"kind", {{"enum", {"ports", "memory"}}}}, {"bits", number(8, 52)}}},
                       {"additionalProperties", false}}}};
    // Names and values of what is repeated hold the round's number.
    const Json part = {{"type", "object"}};
    out["repeat"] = {{"type", {"array", "null"}},
                     {"description", "Devices, lines and routes that are there several times"},
                     {"items",
                      {{"type", "object"},
                       {"properties",
                        {{"for", described(text(), "Name of the round's number, which ${NAME} stands for")},
                         {"from", described(or_parameter(number(0, 1024)), "Its first value (default: 0)")},
                         {"below", described(or_parameter(number(0, 1024)), "The value before which it ends")},
                         {"devices", part},
                         {"lines", part},
                         {"publish", out["publish"]}}},
                       {"required", {"for", "below"}},
                       {"additionalProperties", false}}}};
    root["definitions"]["sections"] = {{"type", "object"}, {"properties", out}};
    return out;
}

Json declaration_schema() {
    const Json any = {{"type", {"string", "number", "boolean", "null"}}};
    Json declaration = {{"type", "object"},
                        {"properties",
                         {{"type", {{"enum", {"string", "number", "size", "duration", "bool", "enum", "path"}}}},
                          {"default", any},
                          {"doc", {{"type", "string"}}},
                          {"optional", boolean()},
                          {"min", any},
                          {"max", any},
                          {"choices", {{"type", "array"}}},
                          {"map", {{"type", "object"}}}}}};
    return declaration;
}

Json parameter_schema(const Parameter& p) {
    Json schema;
    std::vector<std::string> names = p.choices;
    for (const auto& entry : p.map) names.push_back(entry.first);
    switch (p.type) {
        case Parameter::Type::kBool: schema = boolean(); break;
        case Parameter::Type::kNumber: schema = number(p.minimum, p.maximum); break;
        case Parameter::Type::kSize: schema = patterned(kSizePattern); break;
        case Parameter::Type::kDuration: schema = patterned(kDurationPattern); break;
        case Parameter::Type::kEnum: schema = choices(names); break;
        default: schema = text(); break;
    }
    const std::string doc = p.doc + (p.default_text ? " (default: " + *p.default_text + ")" : "");
    return described(any_of({std::move(schema), {{"type", "null"}}}), doc);
}

// Puts `schema` at the dotted path, with a group object for every part before the last.
void put(Json& properties, const std::string& path, Json schema) {
    const auto dot = path.find('.');
    if (dot == std::string::npos) {
        Json& place = properties[path];
        // An alias may have the name of a group: either may stand there.
        place = place.is_null() ? std::move(schema) : any_of({place, schema});
        return;
    }
    Json& group = properties[path.substr(0, dot)];
    if (group.is_null())
        group = {{"type", {"object", "null"}}, {"properties", Json::object()}, {"additionalProperties", false}};
    put(group["properties"], path.substr(dot + 1), std::move(schema));
}

Json board_properties(const MachineFile& machine) {
    ParameterSet set(machine.root.find("parameters"), machine.root.find("aliases"));
    Json properties = Json::object();
    const std::vector<Parameter> parameters = set.take_parameters();
    for (const Parameter& p : parameters) put(properties, p.path, parameter_schema(p));
    for (const Alias& alias : set.take_aliases())
        for (const Parameter& p : parameters)
            if (p.path == alias.parameter && alias.name != p.path) put(properties, alias.name, parameter_schema(p));
    return properties;
}

}  // namespace

std::string machine_schema(PluginRegistry& registry) {
    Json root = {{"$schema", kDraft}, {"title", "Backplane machine file"}, {"type", "object"}};
    Json properties = {
        {"name", {{"type", "string"}, {"description", "The machine's name"}}},
        {"description", {{"type", "string"}}},
        {"extends", {{"type", "string"}, {"description", "The machine that this one changes"}}},
        {"firmware_folders", {{"type", {"array", "string"}}, {"description", "Where firmware images are looked for"}}},
        {"parameters", {{"$ref", "#/definitions/parameters"}}},
        {"aliases",
         {{"type", "object"},
          {"description", "Short names of parameters, also options of the command line"},
          {"additionalProperties", {{"type", {"string", "null"}}}}}}};
    const Json shared = sections(root, registry);
    for (const auto& [key, value] : shared.items()) properties[key] = value;
    const Json condition = {{"type", {"string", "object", "array"}}};
    Json fragment = {{"if", described(condition, "Parameters that must be given, or must have these values")},
                     {"unless", described(condition, "The opposite of if")},
                     {"refuse", described(text(), "Such a board does not load; why")}};
    for (const auto& [key, value] : shared.items()) fragment[key] = value;
    properties["when"] = {{"type", {"array", "null"}},
                          {"description", "Parts of the board that depend on parameters"},
                          {"items", {{"type", "object"}, {"properties", fragment}, {"additionalProperties", false}}}};
    root["definitions"]["declaration"] = declaration_schema();
    root["definitions"]["parameters"] = {
        {"type", "object"},
        {"description", "What VM files and the command line may set; nested names make groups"},
        {"additionalProperties",
         {{"if", {{"type", "object"}, {"properties", {{"type", {{"type", "string"}}}}}, {"required", {"type"}}}},
          {"then", {{"$ref", "#/definitions/declaration"}}},
          {"else", any_of({{{"$ref", "#/definitions/parameters"}}, {{"type", "null"}}})}}}};
    root["properties"] = properties;
    root["additionalProperties"] = false;
    return root.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string vm_schema(PluginRegistry& registry, const SearchPaths& search) {
    Json root = {{"$schema", kDraft}, {"title", "Backplane VM file"}, {"type", "object"}, {"required", {"machine"}}};
    Json properties = {
        {"machine", Json::object()}, {"name", {{"type", "string"}}}, {"description", {{"type", "string"}}}};
    const Json shared = sections(root, registry);
    for (const auto& [key, value] : shared.items()) properties[key] = value;
    std::vector<std::string> names;
    Json cases = Json::array();
    for (const FoundFile& found : list_machines(search)) {
        if (found.hidden) continue;
        Json board;
        try {
            board = board_properties(load_machine_file(found.path, search));
        } catch (const Error&) {
            continue;  // `machine check` says what is wrong with it
        }
        names.push_back(found.name);
        // Every board's parameters may stand at the top level; what they may hold follows from the machine.
        for (const auto& [key, value] : board.items())
            if (!properties.contains(key)) properties[key] = {{"description", value.value("description", "")}};
        cases.push_back({{"if", {{"properties", {{"machine", {{"const", found.name}}}}}, {"required", {"machine"}}}},
                         {"then", {{"properties", board}}}});
    }
    properties["machine"] =
        described(any_of({choices(names), {{"type", "string"}}}), "The board: a name, or the path of a machine file");
    root["properties"] = properties;
    root["additionalProperties"] = false;
    if (!cases.empty()) root["allOf"] = cases;
    return root.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace backplane::kernel
