// The report for programs; docs/disk-doctor.md describes every member.
#include <nlohmann/json.hpp>

#include "diagnosis.hpp"

namespace backplane::doctor {
namespace {

using Json = nlohmann::ordered_json;

Json of(const geometry::Chs& c) { return {{"cylinders", c.cylinders}, {"heads", c.heads}, {"sectors", c.sectors}}; }
Json of(const Tracks& t) { return {{"heads", t.heads}, {"sectors", t.sectors}}; }
Json of(const BootCode& c) { return {{"id", c.id}, {"name", c.name}, {"reads", name(c.loader)}}; }

Json of(const Volume& v) {
    Json j{{"file_system", geometry::name(v.boot.file_system)},
           {"sector_bytes", v.boot.sector_bytes},
           {"heads", v.boot.heads},
           {"sectors_per_track", v.boot.sectors},
           {"hidden_sectors", v.boot.hidden},
           {"total_sectors", v.boot.total},
           {"boot_code", of(v.code)}};
    if (v.backup)
        j["backup"] = {{"sector", v.backup->lba},
                       {"readable", v.backup->readable},
                       {"present", v.backup->present},
                       {"equal", v.backup->equal}};
    return j;
}

Json of(const Partition& p, const Layout& layout) {
    Json j{{"number", p.number},       {"active", p.entry.active}, {"type", p.entry.type},
           {"start", p.start},         {"sectors", p.count},       {"first", of(p.entry.first)},
           {"last", of(p.entry.last)}, {"extended", p.extended},   {"table_sector", p.table},
           {"content", p.content}};
    j["agrees_under"] = Json::array();
    for (const Tracks& t : p.agreeing)
        if (p.agreeing.size() <= 8 || (layout.table && t == *layout.table)) j["agrees_under"].push_back(of(t));
    j["agrees_under_count"] = p.agreeing.size();
    if (p.volume) j["volume"] = of(*p.volume);
    return j;
}

Json of(const GptHeader& h) {
    return {{"sector", h.lba}, {"found", h.found}, {"checksum_ok", h.checksum_ok}, {"entries_ok", h.entries_ok}};
}

std::string_view text_of(Result r) {
    return r == Result::kStarts ? "boots" : r == Result::kFails ? "fails" : "nothing";
}

Json of(const Chain& c) {
    Json j{{"result", text_of(c.result)},
           {"partition", c.partition},
           {"placeholder", c.placeholder},
           {"assumed", c.assumed},
           {"why", c.why},
           {"samples", c.samples},
           {"samples_wrong", c.samples_wrong}};
    j["reads"] = Json::array();
    for (const Read& r : c.reads) {
        Json read{{"what", r.what}, {"wanted", r.wanted}, {"count", r.count}, {"by_chs", r.by_chs}};
        if (r.by_chs) read["chs"] = of(r.chs);
        read["got"] = r.got ? Json(*r.got) : Json(nullptr);
        j["reads"].push_back(std::move(read));
    }
    return j;
}

Json of(const Way& w) {
    const auto& g = w.attachment.geometry;
    return {{"id", w.attachment.id},      {"name", w.attachment.name},
            {"physical", of(g.physical)}, {"translation", geometry::name(g.translation)},
            {"logical", of(g.logical)},   {"logical_given", g.logical_given},
            {"reason", g.reason},         {"boot", of(w.chain)}};
}

Json of(const Cure& c) {
    Json j{{"id", c.id}, {"text", c.text}, {"commands", c.commands}, {"yaml", c.yaml}};
    if (c.settings) {
        Json s = Json::object();
        if (c.settings->chs) s["physical"] = of(*c.settings->chs);
        if (c.settings->translation) s["translation"] = geometry::name(*c.settings->translation);
        if (c.settings->logical) s["logical"] = of(*c.settings->logical);
        j["geometry"] = std::move(s);
    }
    j["fixes"] = Json::array();
    for (const Fix f : c.fixes) j["fixes"].push_back(name(f));
    return j;
}

}  // namespace

std::string json_report(const Subject& subject, const Diagnosis& d) {
    const Layout& l = d.layout;
    Json j;
    j["version"] = 1;
    j["image"] = subject.image;
    j["format"] = subject.format;
    j["sectors"] = l.sectors;
    j["header_geometry"] = subject.header ? of(*subject.header) : Json(nullptr);
    j["result"] = text_of(d.result());
    j["verdict"] = d.verdict;
    j["master_boot_record"] = {{"readable", l.readable}, {"signature", l.signature}, {"code", of(l.code)}};
    j["whole_disk_volume"] = l.whole ? of(*l.whole) : Json(nullptr);
    j["table_geometry"] = l.table ? of(*l.table) : Json(nullptr);
    j["partitions"] = Json::array();
    for (const Partition& p : l.partitions) j["partitions"].push_back(of(p, l));
    if (l.gpt) {
        j["gpt"] = {{"primary", of(l.gpt->primary)}, {"backup", of(l.gpt->backup)}};
        j["gpt"]["partitions"] = Json::array();
        for (const GptPartition& p : l.gpt->partitions)
            j["gpt"]["partitions"].push_back(
                {{"number", p.number}, {"type", p.type}, {"name", p.name}, {"first", p.first}, {"last", p.last}});
    } else {
        j["gpt"] = nullptr;
    }
    j["attachments"] = Json::array();
    for (const Way& w : d.ways) j["attachments"].push_back(of(w));
    j["findings"] = Json::array();
    for (const Finding& f : d.findings)
        j["findings"].push_back({{"severity", f.severity == Severity::kError     ? "error"
                                              : f.severity == Severity::kWarning ? "warning"
                                                                                 : "note"},
                                 {"id", f.id},
                                 {"text", f.text}});
    j["cures"] = Json::array();
    for (const Cure& c : d.cures) j["cures"].push_back(of(c));
    return j.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace backplane::doctor
