// The whole examination of a disk: what is on it, what each way of attaching it makes of it, what is wrong, what helps.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "attachments.hpp"
#include "boot_chain.hpp"
#include "layout.hpp"
#include "repair.hpp"

namespace backplane::doctor {

struct Subject {
    std::string image;  // as the user wrote it, for command lines
    std::string format = "raw";
    geometry::Reader reader;
    std::uint64_t sectors = 0;
    geometry::Settings settings = {};
    geometry::Policy policy = geometry::Policy::kQemu012;
    std::optional<geometry::Chs> header = {};
    geometry::Input input(std::span<const std::uint8_t> first) const;
};

struct Way {
    Attachment attachment;
    Chain chain;
};

enum class Severity : std::uint8_t { kNote, kWarning, kError };

struct Finding {
    Severity severity = Severity::kNote;
    std::string_view id;  // stable, for programs: "hidden-sectors"
    std::string text;
};

struct Cure {
    std::string_view id;                // "pin", "fix", "code", "activate"
    std::string text;                   // one sentence
    std::vector<std::string> commands;  // one line each
    std::vector<std::string> yaml;      // of a VM file
    // What it consists of, for programs.
    std::optional<geometry::Settings> settings = {};
    std::set<Fix> fixes = {};
};

struct Diagnosis {
    Layout layout;
    std::vector<Way> ways;  // the first one is what the verdict is about
    std::string verdict;
    std::vector<Finding> findings;
    std::vector<Cure> cures;  // best first
    Result result() const { return ways.empty() ? Result::kNothing : ways.front().chain.result; }
};

Diagnosis diagnose(const Subject& subject);

// Steps of it.
std::vector<Finding> findings(const Subject& subject, const Layout& layout, const Way& way);
// Without texts: the geometry as settings that pin it.
geometry::Settings settings_of(const geometry::Geometry& geometry);

std::string report(const Subject& subject, const Diagnosis& diagnosis);       // text for people
std::string json_report(const Subject& subject, const Diagnosis& diagnosis);  // docs/disk-doctor.md has the schema

}  // namespace backplane::doctor
