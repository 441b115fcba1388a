#include "runner/graph.hpp"

#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <sstream>
#include <vector>

namespace backplane::runner {

namespace {

constexpr int kBoxWidth = 210, kBoxHeight = 56, kGapX = 40, kGapY = 26, kMargin = 30, kRows = 9;

std::string escape(const std::string& text) {
    std::string out;
    for (const char c : text) {
        if (c == '<')
            out += "&lt;";
        else if (c == '>')
            out += "&gt;";
        else if (c == '&')
            out += "&amp;";
        else if (c == '"')
            out += "&quot;";
        else
            out += c;
    }
    return out;
}

struct Box {
    std::string name, type, place;
    int x = 0, y = 0, depth = 0;
    int parent = -1;
};

struct Edge {
    int from, to;
    const char* colour;
    std::string label;
};

// Where a device sits in the address spaces, as the file writes it.
std::string place_text(const kernel::DeviceSpec& d) {
    std::string text;
    if (const kernel::Value* at = d.find("at")) {
        const auto add = [&](const kernel::Value& v) {
            for (const kernel::Value* one : v.as_list())
                if (one->is_scalar()) text += (text.empty() ? "" : " ") + one->text();
        };
        if (at->is_map())
            for (const auto& e : at->entries()) add(e.value);
        else
            add(*at);
    }
    if (const kernel::Value* on = d.find("on"); on && on->is_scalar())
        text = "on " + on->text() + (text.empty() ? "" : ", " + text);
    if (text.size() > 34) text = text.substr(0, 33) + "…";
    return text;
}

}  // namespace

std::string board_svg(const kernel::BoardSpec& board, kernel::PluginRegistry& registry) {
    std::vector<Box> boxes;
    std::map<std::string, int> index;
    for (const auto& d : board.devices) {
        index[d.name] = static_cast<int>(boxes.size());
        boxes.push_back({d.name, d.type, place_text(d), 0, 0, 0, -1});
    }
    std::vector<Edge> edges;
    std::map<std::string, std::vector<int>> wire_ends;
    for (const auto& w : board.lines)
        for (const auto& s : w.sinks)
            if (s.is_scalar())
                if (const auto d = index.find(s.text().substr(0, s.text().find('.'))); d != index.end())
                    wire_ends[w.name].push_back(d->second);
    for (const auto& d : board.devices) {
        const int self = index[d.name];
        const kernel::TypeInfo& type = registry.type(d.type, d.type_position);
        for (const auto& e : d.entries) {
            if (e.key == "on" && e.value.is_scalar()) {
                const std::string host = e.value.text().substr(0, e.value.text().find_first_of("./"));
                if (const auto h = index.find(host); h != index.end()) {
                    boxes[static_cast<std::size_t>(self)].parent = h->second;
                    edges.push_back({h->second, self, "#555", ""});
                }
            } else if (type.link(e.key) && e.value.is_scalar()) {
                if (const auto h = index.find(e.value.text().substr(0, e.value.text().find('.'))); h != index.end())
                    edges.push_back({self, h->second, "#2a7", e.key});
            } else if (e.key != "at" && !type.property(e.key)) {
                for (const kernel::Value* v : e.value.as_list()) {
                    if (!v->is_scalar()) continue;
                    if (const auto w = wire_ends.find(v->text()); w != wire_ends.end()) {
                        for (const int to : w->second)
                            if (to != self) edges.push_back({self, to, "#c33", v->text()});
                    } else if (const auto h = index.find(v->text().substr(0, v->text().find('.')));
                               h != index.end() && h->second != self) {
                        edges.push_back({self, h->second, "#c33", e.key});
                    }
                }
            }
        }
    }
    for (const auto& p : board.publish)
        if (index.count(p.from.text()) && index.count(p.into.text()))
            edges.push_back({index[p.from.text()], index[p.into.text()], "#36c", p.what.text()});

    // Children stand under their bus, one step to the right; columns of kRows boxes.
    std::vector<int> order;
    const std::function<void(int, int)> visit = [&](int self, int depth) {
        if (depth > 32) return;
        boxes[static_cast<std::size_t>(self)].depth = depth;
        order.push_back(self);
        for (std::size_t i = 0; i < boxes.size(); ++i)
            if (boxes[i].parent == self) visit(static_cast<int>(i), depth + 1);
    };
    for (std::size_t i = 0; i < boxes.size(); ++i)
        if (boxes[i].parent < 0) visit(static_cast<int>(i), 0);
    int n = 0;
    for (const int i : order) {
        Box& b = boxes[static_cast<std::size_t>(i)];
        b.x = kMargin + (n / kRows) * (kBoxWidth + kGapX + 90) + std::min(b.depth, 3) * 22;
        b.y = kMargin + 40 + (n % kRows) * (kBoxHeight + kGapY);
        ++n;
    }
    const int columns = (n + kRows - 1) / kRows;
    const int width = 2 * kMargin + std::max(1, columns) * (kBoxWidth + kGapX + 90),
              height = 2 * kMargin + 40 + kRows * (kBoxHeight + kGapY) + 30;

    std::ostringstream svg;
    svg << "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" << width << "\" height=\"" << height
        << "\" viewBox=\"0 0 " << width << ' ' << height
        << "\" font-family=\"sans-serif\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fbfbf8\"/>\n<text x=\""
        << kMargin << "\" y=\"" << kMargin + 8 << "\" font-size=\"20\" font-weight=\"bold\">" << escape(board.name)
        << "</text>\n";
    std::set<std::string> drawn;
    for (const Edge& e : edges) {
        const Box &a = boxes[static_cast<std::size_t>(e.from)], &b = boxes[static_cast<std::size_t>(e.to)];
        const int x1 = a.x + kBoxWidth / 2, y1 = a.y + kBoxHeight / 2, x2 = b.x + kBoxWidth / 2,
                  y2 = b.y + kBoxHeight / 2;
        std::ostringstream path;
        path << "<path d=\"M" << x1 << ' ' << y1 << " C" << (x1 + x2) / 2 << ' ' << y1 << ' ' << (x1 + x2) / 2 << ' '
             << y2 << ' ' << x2 << ' ' << y2 << "\" fill=\"none\" stroke=\"" << e.colour
             << "\" stroke-width=\"1.2\" opacity=\"0.55\"><title>" << escape(a.name + " → " + b.name + " " + e.label)
             << "</title></path>\n";
        if (drawn.insert(path.str()).second) svg << path.str();
    }
    for (const Box& b : boxes) {
        svg << "<g><title>" << escape(b.name + ": " + b.type) << "</title><rect x=\"" << b.x << "\" y=\"" << b.y
            << "\" width=\"" << kBoxWidth << "\" height=\"" << kBoxHeight
            << "\" rx=\"6\" fill=\"#fff\" stroke=\"#333\"/><text x=\"" << b.x + 10 << "\" y=\"" << b.y + 19
            << "\" font-size=\"14\" font-weight=\"bold\">" << escape(b.name) << "</text><text x=\"" << b.x + 10
            << "\" y=\"" << b.y + 35 << "\" font-size=\"12\" fill=\"#555\">" << escape(b.type) << "</text><text x=\""
            << b.x + 10 << "\" y=\"" << b.y + 50 << "\" font-size=\"10\" fill=\"#888\">" << escape(b.place)
            << "</text></g>\n";
    }
    svg << "<g font-size=\"12\">";
    int x = kMargin;
    for (const auto& [colour, text] :
         {std::pair{"#555", "sits on"}, {"#c33", "line"}, {"#2a7", "link"}, {"#36c", "published fact"}}) {
        svg << "<line x1=\"" << x << "\" y1=\"" << height - 24 << "\" x2=\"" << x + 30 << "\" y2=\"" << height - 24
            << "\" stroke=\"" << colour << "\" stroke-width=\"2\"/><text x=\"" << x + 36 << "\" y=\"" << height - 20
            << "\">" << text << "</text>";
        x += 150;
    }
    svg << "</g>\n</svg>\n";
    return svg.str();
}

}  // namespace backplane::runner
