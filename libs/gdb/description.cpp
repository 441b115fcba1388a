// target.xml ("Debugging with GDB", appendix G): which registers there are, in which order and of what type.
#include "gdb/registers.hpp"

namespace backplane::gdb {
namespace {

struct Bit {
    const char* name;
    unsigned first, last;
};
constexpr Bit kFlags[] = {{"", 22, 31},   {"ID", 21, 21}, {"VIP", 20, 20}, {"VIF", 19, 19},  {"AC", 18, 18},
                          {"VM", 17, 17}, {"RF", 16, 16}, {"NT", 14, 14},  {"IOPL", 12, 13}, {"OF", 11, 11},
                          {"DF", 10, 10}, {"IF", 9, 9},   {"TF", 8, 8},    {"SF", 7, 7},     {"ZF", 6, 6},
                          {"AF", 4, 4},   {"PF", 2, 2},   {"", 1, 1},      {"CF", 0, 0}};
constexpr Bit kMxcsr[] = {{"IE", 0, 0},   {"DE", 1, 1},   {"ZE", 2, 2},   {"OE", 3, 3},   {"UE", 4, 4},
                          {"PE", 5, 5},   {"DAZ", 6, 6},  {"IM", 7, 7},   {"DM", 8, 8},   {"ZM", 9, 9},
                          {"OM", 10, 10}, {"UM", 11, 11}, {"PM", 12, 12}, {"RC", 13, 14}, {"FZ", 15, 15}};

template <std::size_t kCount>
std::string flags_type(const char* id, const Bit (&bits)[kCount]) {
    std::string text = "  <flags id=\"" + std::string(id) + "\" size=\"4\">\n";
    for (const Bit& b : bits)
        text += "    <field name=\"" + std::string(b.name) + "\" start=\"" + std::to_string(b.first) + "\" end=\"" +
                std::to_string(b.last) + "\"/>\n";
    return text + "  </flags>\n";
}

std::string vector_types() {
    struct View {
        const char *id, *type;
        unsigned count;
        const char* field;
    };
    static constexpr View kViews[] = {{"v4f", "ieee_single", 4, "v4_float"}, {"v2d", "ieee_double", 2, "v2_double"},
                                      {"v16i8", "int8", 16, "v16_int8"},     {"v8i16", "int16", 8, "v8_int16"},
                                      {"v4i32", "int32", 4, "v4_int32"},     {"v2i64", "int64", 2, "v2_int64"}};
    std::string vectors, fields;
    for (const View& v : kViews) {
        vectors += "  <vector id=\"" + std::string(v.id) + "\" type=\"" + v.type + "\" count=\"" +
                   std::to_string(v.count) + "\"/>\n";
        fields += "    <field name=\"" + std::string(v.field) + "\" type=\"" + v.id + "\"/>\n";
    }
    return vectors + "  <union id=\"vec128\">\n" + fields +
           "    <field name=\"uint128\" type=\"uint128\"/>\n  </union>\n";
}

std::string types_of(const std::string& feature) {
    if (feature == "org.gnu.gdb.i386.core") return flags_type("i386_eflags", kFlags);
    if (feature == "org.gnu.gdb.i386.sse") return vector_types() + flags_type("i386_mxcsr", kMxcsr);
    return "";
}

}  // namespace

std::string description_of(u32 features, const std::vector<Register>& registers) {
    const bool wide = (features & BP_CPU_HAS_LONG_MODE) != 0;
    std::string text =
        "<?xml version=\"1.0\"?>\n<!DOCTYPE target SYSTEM \"gdb-target.dtd\">\n<target version=\"1.0\">\n";
    text += std::string("<architecture>") + (wide ? "i386:x86-64" : "i386") + "</architecture>\n";
    std::string feature;
    unsigned n = 0;
    for (const Register& r : registers) {
        if (r.feature != feature) {
            if (!feature.empty()) text += "</feature>\n";
            feature = r.feature;
            text += "<feature name=\"" + feature + "\">\n" + types_of(feature);
        }
        text += "  <reg name=\"" + r.name + "\" bitsize=\"" + std::to_string(r.bits) + "\" type=\"" + r.type +
                "\" regnum=\"" + std::to_string(n++) + "\"";
        if (!r.group.empty()) text += " group=\"" + r.group + "\"";
        text += "/>\n";
    }
    return text + "</feature>\n</target>\n";
}

}  // namespace backplane::gdb
