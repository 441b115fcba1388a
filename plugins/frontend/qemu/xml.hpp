// XML files with line numbers.
#pragma once

#include <pugixml.hpp>
#include <string>
#include <string_view>

namespace backplane::qemu {

class XmlFile {
  public:
    // Throws drives::OptionError with file and line.
    XmlFile(const std::string& path, std::string_view contents);
    pugi::xml_node root() const { return document_.document_element(); }
    // "domain.xml:12: <disk>".
    std::string place(pugi::xml_node node) const;

  private:
    std::size_t line_at(std::ptrdiff_t offset) const;
    std::string path_;
    std::string_view contents_;
    pugi::xml_document document_;
};

}  // namespace backplane::qemu
