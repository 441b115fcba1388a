// The service tables of a Board: what a device reaches through its slot. A wrong index, which the kernel would only
// ignore, is a fault here.
#pragma once

#include <cstring>
#include <string>

#include "backplane/testkit/board.hpp"

namespace backplane::testkit {

struct Services {
    // For calls that may come from any thread.
    static Board& board(void* self) { return *static_cast<Board*>(self); }
    static Board& at(void* self) {
        Board& b = board(self);
        if (b.call_budget-- == 0) b.fault("it calls its slot's services again and again and comes to no end");
        return b;
    }
    template <class List>
    static typename List::value_type& item(void* self, List& list, u32 index, const char* what) {
        if (index >= list.size())
            board(self).fault(std::string("it names ") + what + " " + std::to_string(index) +
                              ", of which it declared " + std::to_string(list.size()));
        return list.at(index);
    }
    static std::string hex(u64 value) {
        char text[20];
        std::snprintf(text, sizeof text, "%llx", static_cast<unsigned long long>(value));
        return text;
    }

    static bp_interface link(void* s, u32 index) {
        const auto& declared = item(s, at(s).declaration_.links, index, "link");
        for (const auto& [name, interface] : board(s).links_)
            if (name == declared.name) return interface;
        return {nullptr, nullptr};
    }
    static constexpr bp_slot_api core{
        sizeof(bp_slot_api),
        [](void* s) { return to_bp(board(s).device_name); },
        [](void* s, bp_status status, bp_str text) {
            at(s).failure = std::string(to_view(text));
            return status;
        },
        [](void* s, u32 i) { return item(s, at(s).properties_, i, "property").number; },
        [](void* s, u32 i) { return to_bp(item(s, at(s).properties_, i, "property").text); },
        [](void* s, u32 i) { return item(s, at(s).properties_, i, "property").given ? 1 : 0; },
        link};

    static constexpr bp_log_api log{sizeof(bp_log_api),
                                    [](void* s, u32 kind, bp_str text) {
                                        Board& b = board(s);
                                        std::lock_guard g(b.mutex_);
                                        if (b.log.size() < Board::kMostRecords)
                                            b.log.push_back(std::to_string(kind) + ": " + std::string(to_view(text)));
                                    },
                                    [](void*, u32) { return 1; }};
    static constexpr bp_trace_api trace{sizeof(bp_trace_api),
                                        [](void* s, u32 i) -> const u32* {
                                            item(s, at(s).declaration_.traces, i, "trace point");
                                            return &board(s).tracing;
                                        },
                                        [](void* s, u32 i, bp_str text) {
                                            const auto& point = item(s, at(s).declaration_.traces, i, "trace point");
                                            board(s).note("trace " + point.name + ": " + std::string(to_view(text)));
                                        }};
    static constexpr bp_clock_api clock{
        sizeof(bp_clock_api),
        [](void* s) { return board(s).time += board(s).look_takes; },
        [](void* s, u32 i, i64 when) { item(s, at(s).timers_, i, "timer").due = std::max(when, board(s).time); },
        [](void* s, u32 i) { item(s, at(s).timers_, i, "timer").due = -1; },
        [](void* s, u32 i) { return item(s, at(s).timers_, i, "timer").due; },
        [](void* s) { return board(s).start_time; }};
    static constexpr bp_line_api line{
        sizeof(bp_line_api),
        [](void* s, u32 i, int level) {
            auto& out = item(s, at(s).outs_, i, "output line");
            if (level && !out.level) ++out.rises;
            if (out.level != (level != 0)) board(s).note("line " + out.name + (level ? " rises" : " falls"));
            out.level = level != 0;
        },
        [](void* s, u32 i) { return item(s, at(s).ins_, i, "input line").level ? 1 : 0; },
        [](void* s, u32 i) { return item(s, at(s).outs_, i, "output line").level ? 1 : 0; }};

    static bp_status map(void* s, u32 i, u64 base, i32) {
        Board& b = at(s);
        const auto& region = item(s, b.declaration_.regions, i, "region");
        b.bases_[i] = Board::kNowhere;
        if (!region.length || base + (region.length - 1) < base) return BP_ERR_INVALID;
        if (region.kind == BP_REGION_PORTS && base + region.length > 0x10000) return BP_ERR_INVALID;
        b.bases_[i] = base;
        b.note("region " + region.name + " at " + hex(base));
        return BP_OK;
    }
    static void unmap(void* s, u32 i) {
        const auto& region = item(s, at(s).declaration_.regions, i, "region");
        if (std::exchange(board(s).bases_[i], Board::kNowhere) != Board::kNowhere)
            board(s).note("region " + region.name + " nowhere");
    }
    static constexpr bp_space_api space{sizeof(bp_space_api), map, unmap, [](void* s, u32 i, u64 size) -> bp_status {
                                            auto& region = item(s, at(s).declaration_.regions, i, "region");
                                            if (!size) return BP_ERR_INVALID;
                                            if (board(s).bases_[i] != Board::kNowhere) return BP_ERR_STATE;
                                            region.length = size;
                                            return BP_OK;
                                        }};

    // What one vCPU sees is noted; the device's own registers are reached by name all the same.
    static constexpr bp_vcpu_api vcpu{
        sizeof(bp_vcpu_api), [](void*) { return i32{-1}; },
        [](void* s, u32 cpu, u32 i, u64 base) -> bp_status {
            const auto& region = item(s, at(s).declaration_.regions, i, "region");
            if (region.kind != BP_REGION_MEMORY || !region.length || base + (region.length - 1) < base)
                return BP_ERR_INVALID;
            board(s).note("region " + region.name + " at " + hex(base) + " for vCPU " + std::to_string(cpu));
            return BP_OK;
        },
        [](void* s, u32 i) {
            const auto& region = item(s, at(s).declaration_.regions, i, "region");
            board(s).note("region " + region.name + " for no vCPU");
        }};

    // Whether a transfer would reach a register of the device itself.
    static bool own_register(const Board& b, u64 address, u64 size) {
        for (u32 i = 0; i < b.bases_.size(); ++i) {
            const auto& region = b.declaration_.regions[i];
            if (region.kind != BP_REGION_MEMORY || b.bases_[i] == Board::kNowhere) continue;
            const u64 base = b.bases_[i];
            if (address >= base ? address - base < region.length : base - address < size) return true;
        }
        return false;
    }
    static bp_status dma_read(void* s, u64 address, void* data, u64 size) {
        Board& b = at(s);
        const u64 reachable = reach(b, address, size);
        if (reachable) std::memcpy(data, b.memory.data() + address, reachable);
        if (reachable < size) std::memset(static_cast<u8*>(data) + reachable, 0xff, size - reachable);
        return answer(b, address, size, reachable);
    }
    static bp_status dma_write(void* s, u64 address, const void* data, u64 size) {
        Board& b = at(s);
        const u64 reachable = reach(b, address, size);
        if (reachable) std::memcpy(b.memory.data() + address, data, reachable);
        if (b.observe) {
            u64 sum = 0xcbf29ce484222325ull;
            for (u64 i = 0; i < size; ++i) sum = (sum ^ static_cast<const u8*>(data)[i]) * 0x100000001b3ull;
            b.note("DMA writes " + std::to_string(size) + " bytes at " + hex(address) + ", checksum " + hex(sum));
        }
        return answer(b, address, size, reachable);
    }
    static u64 reach(const Board& b, u64 address, u64 size) {
        if (b.dma_answer != DmaAnswer::kMemory || own_register(b, address, size)) return 0;
        return address >= b.memory.size() ? 0 : std::min<u64>(size, b.memory.size() - address);
    }
    static bp_status answer(const Board& b, u64 address, u64 size, u64 reachable) {
        if (b.dma_answer == DmaAnswer::kReentrant || own_register(b, address, size)) return BP_ERR_REENTRANT;
        return reachable < size ? BP_ERR_INVALID : BP_OK;
    }
    static constexpr bp_dma_api dma{sizeof(bp_dma_api), dma_read, dma_write};

    static bp_status create_ram(void* s, bp_str name, u64 size, u32* block) {
        Board& b = at(s);
        try {
            b.blocks_.push_back(std::make_unique<GuestMemory>(std::string(to_view(name)), size));
        } catch (const std::bad_alloc&) {
            return BP_ERR_NO_MEMORY;
        }
        *block = static_cast<u32>(b.blocks_.size() - 1);
        return BP_OK;
    }
    static bp_status map_ram(void* s, u32 block, u64 offset, u64 base, u64 size, u32 flags, i32 priority,
                             u32* mapping) {
        Board& b = at(s);
        const GuestMemory& memory = *item(s, b.blocks_, block, "memory block");
        if (!size || offset > memory.size() || size > memory.size() - offset || base + (size - 1) < base)
            return BP_ERR_INVALID;
        *mapping = b.next_mapping_++;
        b.mappings_[*mapping] = {block, offset, base, size, flags, priority};
        return BP_OK;
    }
    static constexpr bp_ram_api ram{
        sizeof(bp_ram_api),
        create_ram,
        [](void* s, u32 b) { return static_cast<void*>(item(s, at(s).blocks_, b, "memory block")->data()); },
        [](void* s, u32 b, u64, u64) { item(s, at(s).blocks_, b, "memory block"); },
        map_ram,
        [](void* s, u32 m, u32 flags) -> bp_status {
            const auto found = at(s).mappings_.find(m);
            if (found == board(s).mappings_.end()) return BP_ERR_INVALID;
            found->second.flags = flags;
            return BP_OK;
        },
        [](void* s, u32 m) { at(s).mappings_.erase(m); },
        [](void* s) { ++at(s).batch_; },
        [](void* s) {
            if (!at(s).batch_--) board(s).fault("it ends a change of the memory map that it has not begun");
        },
        [](void* s, u32 b, u64) { return item(s, at(s).blocks_, b, "memory block") ? 1 : 0; }};

    static constexpr bp_publish_api publish{
        sizeof(bp_publish_api), [](void* s, const bp_fact* f) {
            PublishedFact p{std::string(to_view(f->what)), std::string(to_view(f->key)), {}, {}};
            for (std::size_t i = 0; i < f->field_count; ++i) {
                const std::string name(to_view(f->fields[i].name));
                if (f->fields[i].text.data)
                    p.texts[name] = std::string(to_view(f->fields[i].text));
                else
                    p.numbers[name] = f->fields[i].number;
            }
            at(s).facts.push_back(std::move(p));
            return bp_status{BP_OK};
        }};
    static constexpr bp_machine_api machine{
        sizeof(bp_machine_api),
        [](void* s, u32 what, u32 argument, bp_str reason) {
            Board& b = at(s);
            const std::string text(to_view(reason));
            if (b.requests.size() < Board::kMostRecords) b.requests.push_back({what, argument, text});
            b.note("request " + std::to_string(what) + " (" + std::to_string(argument) + "): " + text);
        },
        [](void* s, void (*fn)(void*), void* argument) { board(s).post([fn, argument] { fn(argument); }); },
        [](void* s) { return at(s).deterministic ? 1 : 0; },
        [](void*, void* data, std::size_t size) { std::memset(data, 0x5a, size); }};
    // The board keeps the listener; tests stop and continue with Board::run().
    static constexpr bp_run_state_api run_state{sizeof(bp_run_state_api),
                                                [](void* s) { return board(s).running ? 1 : 0; },
                                                [](void* s, void (*changed)(void*, int), void* context) {
                                                    board(s).run_changed = changed;
                                                    board(s).run_context = context;
                                                }};
    static constexpr bp_input_api input{sizeof(bp_input_api), [](void* s, const u8* data, std::size_t size) {
                                            board(s).post([s, bytes = std::string(reinterpret_cast<const char*>(data),
                                                                                  size)] { board(s).input(bytes); });
                                        }};
    static constexpr bp_events_api events{sizeof(bp_events_api), [](void* s, bp_str event, bp_str data) {
                                              Board& b = board(s);
                                              const std::string text =
                                                  std::string(to_view(event)) + " " + std::string(to_view(data));
                                              std::lock_guard g(b.mutex_);
                                              if (b.events.size() < Board::kMostRecords) b.events.push_back(text);
                                          }};
    static bp_status find_firmware(void* s, bp_str name, char* path, std::size_t capacity, std::size_t* length) {
        const Board& b = at(s);
        std::string text(to_view(name));
        if (b.find_firmware)
            text = b.find_firmware(text);
        else if (!b.firmware_folder.empty())
            text = b.firmware_folder + "/" + text;
        if (text.size() > capacity) return BP_ERR_INVALID;
        std::memcpy(path, text.data(), text.size());
        *length = text.size();
        return BP_OK;
    }
    static constexpr bp_files_api files{sizeof(bp_files_api), find_firmware};
    // A machine that knows no command.
    static constexpr bp_control_api control{
        sizeof(bp_control_api),
        [](void* s, bp_str, bp_str, void (*done)(void*, bp_status, bp_str), void* context) {
            board(s).post([done, context] {
                done(context, BP_ERR_UNSUPPORTED,
                     to_bp("{\"class\": \"CommandNotFound\", \"desc\": \"no such command\"}"));
            });
        },
        [](void*, void (*)(void*, bp_str), void*) {}};
};

inline const void* Board::service(void*, bp_str id) {
    const std::string_view v = to_view(id);
    if (v == BP_SLOT_API) return &Services::core;
    if (v == BP_LOG_API) return &Services::log;
    if (v == BP_TRACE_API) return &Services::trace;
    if (v == BP_CLOCK_API) return &Services::clock;
    if (v == BP_LINE_API) return &Services::line;
    if (v == BP_SPACE_API) return &Services::space;
    if (v == BP_DMA_API) return &Services::dma;
    if (v == BP_RAM_API) return &Services::ram;
    if (v == BP_PUBLISH_API) return &Services::publish;
    if (v == BP_MACHINE_API) return &Services::machine;
    if (v == BP_RUN_STATE_API) return &Services::run_state;
    if (v == BP_INPUT_API) return &Services::input;
    if (v == BP_EVENTS_API) return &Services::events;
    if (v == BP_FILES_API) return &Services::files;
    if (v == BP_CONTROL_API) return &Services::control;
    if (v == BP_VCPU_API) return &Services::vcpu;
    return nullptr;
}

}  // namespace backplane::testkit
