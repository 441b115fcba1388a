// The service tables that a device reaches through its slot (abi/host.h).
#include <sys/random.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <utility>

#include "kernel/config/convert.hpp"
#include "kernel/control/control.hpp"
#include "kernel/control/machine_events.hpp"
#include "kernel/machine/builder.hpp"
#include "kernel/machine/cross_check.hpp"
#include "kernel/machine/services.hpp"

namespace backplane::kernel {

namespace {
std::string_view view(bp_str s) { return s.data ? std::string_view{s.data, s.size} : std::string_view{}; }
bp_str str(const std::string& s) { return {s.data(), s.size()}; }
Instance& at(void* self) { return *static_cast<Instance*>(self); }
}  // namespace

// A plugin may hand over any index: every table function checks it.
struct SlotServices {
    static const bp_slot_api core;
    static const bp_log_api log;
    static const bp_trace_api trace;
    static const bp_clock_api clock;
    static const bp_line_api line;
    static const bp_space_api space;
    static const bp_dma_api dma;
    static const bp_ram_api ram;
    static const bp_publish_api publish;
    static const bp_machine_api machine;
    static const bp_run_state_api run_state;
    static const bp_input_api input;
    static const bp_control_api control;
    static const bp_events_api events;
    static const bp_files_api files;
    static const bp_vcpu_api vcpu;

    static bp_status map_region(void* self, u32 region, u64 base, i32 priority) {
        Instance& d = at(self);
        if (region >= d.regions.size()) return BP_ERR_INVALID;
        unmap_region(self, region);
        Region& r = d.regions[region];
        if (r.length == 0 || base + (r.length - 1) < base) return BP_ERR_INVALID;
        Claim claim;
        claim.base = base, claim.size = r.length, claim.region = &r;
        // Among equal priorities the device that stands earlier on the board wins, whenever it maps: finer steps
        // below 1.
        claim.priority = priority * 1024 - static_cast<i32>(d.index & 1023);
        if (r.kind == BP_REGION_PORTS) {
            if (base + r.length > kPorts || !d.assembly->ports) return BP_ERR_INVALID;
            d.claims[region] = d.assembly->ports->add(std::move(claim));
        } else {
            if (!d.assembly->memory || base + (r.length - 1) > d.assembly->memory->limit()) return BP_ERR_INVALID;
            d.claims[region] = d.assembly->memory->add(std::move(claim));
        }
        return BP_OK;
    }
    static void unmap_region(void* self, u32 region) {
        Instance& d = at(self);
        if (region >= d.regions.size() || !d.claims[region]) return;
        if (d.regions[region].kind == BP_REGION_PORTS)
            d.assembly->ports->remove(d.claims[region]);
        else
            d.assembly->memory->remove(d.claims[region]);
        d.claims[region] = 0;
    }
    static void unmap_own(Instance& d, u32 region) {
        if (region >= d.regions.size()) return;
        for (Vcpu& v : d.assembly->vcpus)
            if (std::erase_if(v.own, [&](const Vcpu::Own& o) { return o.region == &d.regions[region]; }) > 0)
                own_moved(v);
    }
    static bp_status map_own(Instance& d, u32 vcpu, u32 region, u64 base) {
        if (region >= d.regions.size() || !d.assembly->memory) return BP_ERR_INVALID;
        if (vcpu >= d.assembly->vcpus.size()) return BP_ERR_NOT_FOUND;
        Region& r = d.regions[region];
        if (r.kind != BP_REGION_MEMORY || r.length == 0 || base + (r.length - 1) < base ||
            base + (r.length - 1) > d.assembly->memory->limit())
            return BP_ERR_INVALID;
        unmap_own(d, region);
        Vcpu& v = d.assembly->vcpus[vcpu];
        v.own.push_back({base, &r});
        own_moved(v);
        return BP_OK;
    }
    static void own_moved(Vcpu& v) {
        v.tell(BP_ATTENTION_VIEW);
        if (v.machine->cross_check_) v.machine->cross_check_->own_moved(v);
    }
    // A guest may point a bus master at its own registers; that must not re-enter the device.
    static bool refuses_dma(Instance& d, u64 address, u64 size, bool write) {
        const Region* region = d.assembly->memory->own_register(d.object, address, size, write);
        if (!region) return false;
        if (d.refused_dma++ == 0) {
            char text[128];
            std::snprintf(text, sizeof text, "DMA %s %llx refused: these are its own registers (%.40s)",
                          write ? "to" : "from", static_cast<unsigned long long>(address), region->name.c_str());
            d.machine->logger_.log(d.log, BP_LOG_GUEST, text);
        }
        return true;
    }
    static bp_status create_ram(void* self, bp_str name, u64 size, u32* block) {
        Instance& d = at(self);
        const int index = d.machine->ram_.create(d.name(), std::string(view(name)), size);
        if (index < 0) {
            d.failure = errno == EEXIST ? "its memory `" + std::string(view(name)) + "` has another size than before"
                                        : std::string("cannot get ") + std::to_string(size >> 20) +
                                              " MiB of guest memory: " + std::strerror(errno);
            return BP_ERR_NO_MEMORY;
        }
        d.blocks.push_back(static_cast<u32>(index));
        *block = static_cast<u32>(d.blocks.size() - 1);
        return BP_OK;
    }
    static bp_status map_ram(void* self, u32 block, u64 offset, u64 base, u64 size, u32 flags, i32 priority,
                             u32* mapping) {
        Instance& d = at(self);
        if (block >= d.blocks.size() || !d.assembly->memory) return BP_ERR_INVALID;
        const Ram::Block& b = d.machine->ram_.block(d.blocks[block]);
        if (size == 0 || offset > b.size || size > b.size - offset || base + (size - 1) < base) return BP_ERR_INVALID;
        Claim claim;
        claim.base = base, claim.size = size, claim.ram = b.offset + offset, claim.flags = flags;
        claim.priority = priority * 1024 - static_cast<i32>(d.index & 1023);
        const u32 handle = d.next_mapping++;
        d.mappings[handle] = d.assembly->memory->add(std::move(claim));
        *mapping = handle;
        return BP_OK;
    }
};

const bp_slot_api SlotServices::core{
    sizeof(bp_slot_api),
    [](void* s) { return str(at(s).name()); },
    [](void* s, bp_status status, bp_str text) {
        at(s).failure = std::string(view(text)) + std::exchange(at(s).detail, {});
        return status;
    },
    [](void* s, u32 i) { return i < at(s).properties.size() ? at(s).properties[i].number : u64{0}; },
    [](void* s, u32 i) {
        return i < at(s).properties.size() ? str(at(s).properties[i].text) : bp_str{"", 0};
    },
    [](void* s, u32 i) { return i < at(s).properties.size() && at(s).properties[i].given ? 1 : 0; },
    [](void* s, u32 i) {
        return i < at(s).links.size() ? at(s).links[i] : bp_interface{nullptr, nullptr};
    }};

const bp_log_api SlotServices::log{
    sizeof(bp_log_api), [](void* s, u32 kind, bp_str text) { at(s).machine->logger_.log(at(s).log, kind, view(text)); },
    [](void* s, u32 kind) { return at(s).machine->logger_.enabled(at(s).log, kind) ? 1 : 0; }};

const bp_trace_api SlotServices::trace{
    sizeof(bp_trace_api),
    [](void* s, u32 i) -> const u32* {
        static constexpr u32 kNever = 0;
        return i < at(s).traces.size() ? &at(s).traces[i] : &kNever;
    },
    [](void* s, u32 i, bp_str text) {
        Instance& d = at(s);
        if (i < d.type->traces.size())
            d.machine->tracer_.emit(d.machine->now(), d.name() + "." + d.type->traces[i].name, view(text));
    }};

const bp_clock_api SlotServices::clock{
    sizeof(bp_clock_api),
    [](void* s) { return at(s).machine->now(); },
    [](void* s, u32 i, i64 when) {
        Instance& d = at(s);
        if (i >= d.timers.size()) return;
        d.assembly->timers.arm(d.index, i, d.timers[i], when);
        if (d.assembly->timers.next() == d.timers[i].due) d.machine->timer_moved(*d.assembly, d.timers[i].due);
    },
    [](void* s, u32 i) {
        Instance& d = at(s);
        if (i < d.timers.size()) d.assembly->timers.cancel(d.index, i, d.timers[i]);
    },
    [](void* s, u32 i) { return i < at(s).timers.size() ? at(s).timers[i].due : i64{-1}; },
    [](void* s) { return at(s).machine->start_time_; }};

const bp_line_api SlotServices::line{sizeof(bp_line_api),
                                     [](void* s, u32 i, int level) {
                                         Instance& d = at(s);
                                         if (i >= d.outputs.size()) return;
                                         if (d.levels[i] != (level != 0)) d.machine->output_changed(d, i, level != 0);
                                         d.levels[i] = level != 0;
                                         for (const auto& [wire, driver] : d.outputs[i])
                                             d.assembly->wires.drive(wire, driver, level != 0);
                                     },
                                     [](void* s, u32 i) { return at(s).assembly->wires.input(at(s).index, i) ? 1 : 0; },
                                     [](void* s, u32 i) { return i < at(s).levels.size() && at(s).levels[i] ? 1 : 0; }};

const bp_space_api SlotServices::space{sizeof(bp_space_api), map_region, unmap_region,
                                       [](void* s, u32 i, u64 size) -> bp_status {
                                           Instance& d = at(s);
                                           if (i >= d.regions.size() || size == 0) return BP_ERR_INVALID;
                                           if (d.claims[i]) return BP_ERR_STATE;
                                           d.regions[i].length = size;
                                           return BP_OK;
                                       }};

const bp_dma_api SlotServices::dma{sizeof(bp_dma_api),
                                   [](void* s, u64 address, void* data, u64 size) -> bp_status {
                                       MemorySpace* m = at(s).assembly->memory.get();
                                       if (!m || refuses_dma(at(s), address, size, false)) {
                                           std::memset(data, 0xff, size);
                                           return m ? BP_ERR_REENTRANT : BP_ERR_INVALID;
                                       }
                                       return m->dma_read(address, data, size) ? BP_OK : BP_ERR_INVALID;
                                   },
                                   [](void* s, u64 address, const void* data, u64 size) -> bp_status {
                                       MemorySpace* m = at(s).assembly->memory.get();
                                       if (!m) return BP_ERR_INVALID;
                                       if (refuses_dma(at(s), address, size, true)) return BP_ERR_REENTRANT;
                                       return m->dma_write(address, data, size) ? BP_OK : BP_ERR_INVALID;
                                   }};

const bp_ram_api SlotServices::ram{
    sizeof(bp_ram_api),
    create_ram,
    [](void* s, u32 block) -> void* {
        Instance& d = at(s);
        if (block >= d.blocks.size()) return nullptr;
        const u32 index = d.blocks[block];
        if (!d.type->regions.empty() || !d.type->timers.empty()) d.machine->ram_.set_device(index);
        return d.machine->ram_.at(d.machine->ram_.block(index).offset);
    },
    [](void* s, u32 block, u64 offset, u64 size) {
        Instance& d = at(s);
        if (block >= d.blocks.size() || !d.assembly->memory) return;
        const Ram::Block& b = d.machine->ram_.block(d.blocks[block]);
        if (offset <= b.size && size <= b.size - offset) d.assembly->memory->touched(b.offset + offset, size);
    },
    map_ram,
    [](void* s, u32 mapping, u32 flags) -> bp_status {
        const auto found = at(s).mappings.find(mapping);
        if (found == at(s).mappings.end()) return BP_ERR_INVALID;
        at(s).assembly->memory->set_flags(found->second, flags);
        return BP_OK;
    },
    [](void* s, u32 mapping) {
        const auto found = at(s).mappings.find(mapping);
        if (found == at(s).mappings.end()) return;
        at(s).assembly->memory->remove(found->second);
        at(s).mappings.erase(found);
    },
    [](void* s) {
        if (at(s).assembly->memory) at(s).assembly->memory->begin();
    },
    [](void* s) {
        if (at(s).assembly->memory) at(s).assembly->memory->end();
    },
    [](void* s, u32 block, u64 offset) -> int {
        Instance& d = at(s);
        if (block >= d.blocks.size()) return 0;
        Ram& ram = d.machine->ram_;
        const Ram::Block& b = ram.block(d.blocks[block]);
        if (offset >= b.size) return 0;
        // Engines would flush what they know of the memory, and a guest may notice that: not at a moment of the host's
        // choice.
        if (!b.watched && d.machine->deterministic()) return 1;
        if (!b.watched) {
            ram.watch(d.blocks[block]);
            d.assembly->set_attention(BP_ATTENTION_VIEW);  // engines have to learn that the pages are watched
            return 1;
        }
        for (const Vcpu& v : d.assembly->vcpus)
            if (v.hardware) v.hardware->collect_dirty(v.engine);
        u8* flag = ram.dirty_flag(b.offset + offset);
        const int was = *flag;
        *flag = 0;
        return was;
    }};

const bp_publish_api SlotServices::publish{sizeof(bp_publish_api), [](void* s, const bp_fact* fact) -> bp_status {
                                               return Builder::publish(*at(s).machine, at(s), *fact) ? BP_OK
                                                                                                     : BP_ERR_STATE;
                                           }};

const bp_machine_api SlotServices::machine{
    sizeof(bp_machine_api),
    [](void* s, u32 what, u32 argument, bp_str reason) {
        at(s).machine->request(&at(s), what, argument, std::string(view(reason)));
    },
    [](void* s, void (*fn)(void*), void* argument) { at(s).machine->post([fn, argument] { fn(argument); }); },
    [](void* s) { return at(s).machine->clock_->deterministic() ? 1 : 0; },
    [](void* s, void* data, std::size_t size) {
        Machine& m = *at(s).machine;
        auto* out = static_cast<u8*>(data);
        if (!m.clock_->deterministic()) {
            while (size > 0) {
                const ssize_t n = ::getrandom(out, size, 0);
                if (n <= 0) break;
                out += n, size -= static_cast<std::size_t>(n);
            }
        }
        for (; size > 0; --size) {  // xorshift64*: the same for the same seed on every host
            m.random_state_ ^= m.random_state_ >> 12, m.random_state_ ^= m.random_state_ << 25,
                m.random_state_ ^= m.random_state_ >> 27;
            *out++ = static_cast<u8>((m.random_state_ * 0x2545F4914F6CDD1Dull) >> 56);
        }
    }};

const bp_run_state_api SlotServices::run_state{sizeof(bp_run_state_api),
                                               [](void* s) { return at(s).machine->paused() ? 0 : 1; },
                                               [](void* s, void (*changed)(void*, int), void* context) {
                                                   at(s).run_changed = changed;
                                                   at(s).run_context = context;
                                               }};

const bp_input_api SlotServices::input{sizeof(bp_input_api), [](void* s, const uint8_t* data, std::size_t size) {
                                           at(s).machine->input(at(s).name(),
                                                                std::string(reinterpret_cast<const char*>(data), size));
                                       }};

const bp_control_api SlotServices::control{
    sizeof(bp_control_api),
    [](void* s, bp_str command, bp_str arguments, void (*done)(void*, bp_status, bp_str), void* context) {
        at(s).machine->control().execute(std::string(view(command)), std::string(view(arguments)),
                                         [done, context](bool good, const std::string& json) {
                                             done(context, good ? BP_OK : BP_ERR_INVALID, str(json));
                                         });
    },
    [](void* s, void (*event)(void*, bp_str), void* context) {
        Control::Listener listener;
        if (event) listener = [event, context](const std::string& json) { event(context, str(json)); };
        at(s).machine->control().listen(s, std::move(listener));
    }};

const bp_events_api SlotServices::events{sizeof(bp_events_api), [](void* s, bp_str event, bp_str data) {
                                             tell_of_device(at(s).machine->control(), at(s).name(), view(event),
                                                            view(data));
                                         }};

const bp_files_api SlotServices::files{
    sizeof(bp_files_api), [](void* s, bp_str name, char* path, std::size_t capacity, std::size_t* length) -> bp_status {
        Instance& d = at(s);
        const std::string wanted(view(name));
        const auto found = find_firmware(d.machine->options_.search, wanted, d.machine->board_.firmware_folders);
        if (!found) {
            std::error_code error;
            if (const std::filesystem::path place(wanted); place.is_absolute())
                d.failure = wanted + (std::filesystem::exists(place, error) ? ": is not a regular file"
                                                                            : ": there is no such file");
            else
                d.failure = "no firmware file " + wanted + " in " +
                            list_of(firmware_folders(d.machine->options_.search, d.machine->board_.firmware_folders));
            // Where to get it is the device's to say; it then follows where was searched.
            d.detail = "; " + d.failure;
            return BP_ERR_NOT_FOUND;
        }
        if (found->size() > capacity) return BP_ERR_INVALID;
        std::memcpy(path, found->data(), found->size());
        *length = found->size();
        return BP_OK;
    }};

const bp_vcpu_api SlotServices::vcpu{
    sizeof(bp_vcpu_api), [](void* s) { return at(s).machine->accessing_; },
    [](void* s, u32 vcpu, u32 region, u64 base) { return map_own(at(s), vcpu, region, base); },
    [](void* s, u32 region) { unmap_own(at(s), region); }};

const void* slot_service(void* self, bp_str id) {
    const std::string_view v = view(id);
    if (v == BP_SLOT_API) return &SlotServices::core;
    if (v == BP_LOG_API) return &SlotServices::log;
    if (v == BP_TRACE_API) return &SlotServices::trace;
    if (v == BP_CLOCK_API) return &SlotServices::clock;
    if (v == BP_LINE_API) return &SlotServices::line;
    if (v == BP_SPACE_API) return &SlotServices::space;
    if (v == BP_DMA_API) return &SlotServices::dma;
    if (v == BP_RAM_API) return &SlotServices::ram;
    if (v == BP_PUBLISH_API) return &SlotServices::publish;
    if (v == BP_MACHINE_API) return &SlotServices::machine;
    if (v == BP_RUN_STATE_API) return &SlotServices::run_state;
    if (v == BP_INPUT_API) return &SlotServices::input;
    if (v == BP_EVENTS_API) return &SlotServices::events;
    if (v == BP_VCPU_API) return &SlotServices::vcpu;
    if (v == BP_CONTROL_API) return at(self).type->frontend ? &SlotServices::control : nullptr;
    if (v == BP_FILES_API) return at(self).files ? &SlotServices::files : nullptr;
    return nullptr;
}

}  // namespace backplane::kernel
