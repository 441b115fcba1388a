#include "xml.hpp"

#include <algorithm>

#include "drives/keys.hpp"

namespace backplane::qemu {

namespace {
// Elements within elements: the reader itself does not recurse, but destroying and walking a tree does.
bool nested_too_deeply(pugi::xml_node node) {
    constexpr int kDeepest = 64;
    struct Walker : pugi::xml_tree_walker {
        bool too_deep = false;
        bool for_each(pugi::xml_node&) override { return !(too_deep = too_deep || depth() > kDeepest); }
    } walker;
    node.traverse(walker);
    return walker.too_deep;
}
}  // namespace

XmlFile::XmlFile(const std::string& path, std::string_view contents) : path_(path), contents_(contents) {
    // Logs of old tools have text before the document.
    const pugi::xml_parse_result result = document_.load_buffer(contents.data(), contents.size());
    if (!result)
        throw drives::OptionError(path + ":" + std::to_string(line_at(result.offset)) +
                                  ": no well-formed XML: " + result.description());
    if (nested_too_deeply(document_)) throw drives::OptionError(path + ": nested too deeply");
}

std::size_t XmlFile::line_at(std::ptrdiff_t offset) const {
    const std::size_t end = std::min(contents_.size(), static_cast<std::size_t>(std::max<std::ptrdiff_t>(offset, 0)));
    return 1 + static_cast<std::size_t>(
                   std::count(contents_.begin(), contents_.begin() + static_cast<std::ptrdiff_t>(end), '\n'));
}

std::string XmlFile::place(pugi::xml_node node) const {
    return path_ + ":" + std::to_string(line_at(node.offset_debug())) + ": <" + node.name() + ">";
}

}  // namespace backplane::qemu
