#include "model.hpp"

#include <charconv>
#include <vector>

#include "firmware_file.hpp"

namespace backplane {
namespace {

constexpr u64 kLargest = 16 << 20;
constexpr bp_fw_cfg_source kSource{sizeof(bp_fw_cfg_source)};

// "0x8000"
bool parse_selector(std::string_view text, u32* selector) {
    if (text.substr(0, 2) != "0x") return false;
    const auto r = std::from_chars(text.data() + 2, text.data() + text.size(), *selector, 16);
    return r.ec == std::errc{} && r.ptr == text.data() + text.size();
}

}  // namespace

void FwCfgFile::describe(Schema<FwCfgFile>& s) {
    s.doc("Host file for the firmware: an entry of fw_cfg's directory, or a numbered item");
    s.property("file", &FwCfgFile::file_,
               {.doc = "file name on the firmware search path, or a path", .required = true});
    s.plug(BP_FW_CFG_SOURCE_ID, &kSource, BP_FW_CFG_ID, &FwCfgFile::fw_cfg_);
}

bp_status FwCfgFile::start() {
    if (!fw_cfg_) return fail(BP_ERR_STATE, "plugged into no firmware configuration device: write `on: fw_cfg/NAME`");
    std::vector<u8> data;
    if (const bp_status s = firmware::read(slot(), file_, kLargest, &data)) return s;
    const std::string_view address = to_view(fw_cfg_->address(fw_cfg_.instance()));
    u32 selector = 0;
    const bp_status s = parse_selector(address, &selector)
                            ? fw_cfg_->put_item(fw_cfg_.instance(), selector, data.data(), data.size())
                            : fw_cfg_->put_file(fw_cfg_.instance(), to_bp(address), data.data(), data.size());
    if (s)
        return fail(s,
                    "the firmware configuration device does not take %s as \"%s\" (name too long or taken, or no "
                    "room)",
                    file_.c_str(), std::string(address).c_str());
    return BP_OK;
}

}  // namespace backplane
