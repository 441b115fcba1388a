// Stand-in for a drive: the image of BlockStandin, which somebody takes out and puts back now and then.
#pragma once

#include <cstddef>

#include "backplane/abi/drive.h"
#include "backplane/testkit/standins_storage.hpp"

namespace backplane::testkit {

class DriveStandin : public BlockStandin {
  public:
    using BlockStandin::BlockStandin;
    bp_interface interface() override { return {&kDriveTable, static_cast<BlockStandin*>(this)}; }
    void act(Random& random) override {
        if (!random.one_in(8)) return BlockStandin::act(random);
        if (!listener_) return;
        settle();
        if (locked_ && bytes_ && random.one_in(2)) return listener_->eject_request(listener_instance_);
        bytes_ = bytes_ ? 0 : kBytes;
        open_ = false;
        note("drive: medium %s", bytes_ ? "in" : "out");
        listener_->medium_changed(listener_instance_);
    }
    void copy(const Standin& other) override {
        BlockStandin::copy(other);
        const auto& o = static_cast<const DriveStandin&>(other);
        open_ = o.open_, locked_ = o.locked_;
    }

  private:
    static DriveStandin& at(void* i) { return static_cast<DriveStandin&>(*static_cast<BlockStandin*>(i)); }
    static void info(void*, bp_drive_info* out) {
        const u32 size = out->size;
        *out = {};
        out->size = size;
        out->removable = out->write_cache = 1;
        out->boot_index = -1;
        out->serial = to_bp("check");
    }
    static void connect(void* i, const bp_drive_listener* listener, void* instance) {
        at(i).check_table(listener, "a bp_drive_listener");
        at(i).listener_ = listener, at(i).listener_instance_ = instance;
    }
    static void tray(void* i, int open) {
        DriveStandin& self = at(i);
        self.note("drive: tray %s", open ? "open" : "closed");
        if (open) self.settle();
        if (self.open_ == (open != 0)) return;
        self.open_ = open != 0;
        self.bytes_ = open ? 0 : kBytes;
    }
    static void lock(void* i, int locked) {
        at(i).note("drive: %s", locked ? "locked" : "unlocked");
        at(i).locked_ = locked != 0;
    }
    static const bp_drive kDriveTable;

    const bp_drive_listener* listener_ = nullptr;
    void* listener_instance_ = nullptr;
    bool open_ = false, locked_ = false;
};

inline const bp_drive DriveStandin::kDriveTable{sizeof(bp_drive), &kTable, info, connect, tray, lock};

}  // namespace backplane::testkit
