// A device on a bare board without a CPU: for unit tests. No kernel is linked; the bench drives the device through the
// ABI.
//
//   backplane::testkit::Bench<Mc146818> rtc({{"base_year", "1980"}});
//   rtc.out("ports", 0, 0x0c);
//   CHECK(rtc.in("ports", 1) == 0);
//   rtc.advance(1'000'000'000);
//   CHECK(rtc.line("irq"));
#pragma once

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "backplane/device.hpp"

namespace backplane::testkit {

using Properties = std::vector<std::pair<std::string, std::string>>;
// Links by name: what the device is joined to.
using Links = std::vector<std::pair<std::string, bp_interface>>;

struct PublishedFact {
    std::string what, key;
    std::map<std::string, u64> numbers;
    std::map<std::string, std::string> texts;
};

class Board {
  public:
    // Runs create(); start(), publish() and reset(POWER_ON) follow in power_on().
    Board(const bp_device_type* type, Properties properties, Links links) : type_(type), links_(std::move(links)) {
        describe();
        set_properties(properties);
        slot_ = {this, &Board::service};
        if (type_->create(&slot_, &instance_) != BP_OK) throw std::runtime_error("create failed: " + failure);
    }
    ~Board() {
        if (started_) type_->stop(instance_);
        type_->destroy(instance_);
    }
    Board(const Board&) = delete;
    Board& operator=(const Board&) = delete;

    bp_status start() {
        const bp_status s = type_->start(instance_);
        started_ = s == BP_OK;
        if (!started_) return s;
        type_->connect(instance_);
        return type_->publish(instance_);
    }
    void reset(Reset kind = Reset::kSystem) { type_->reset(instance_, static_cast<u32>(kind)); }

    // Register accesses by the region's declared name. An access width that is not declared reads all ones / is
    // dropped.
    u64 in(std::string_view region, u64 offset, u32 bytes = 1) {
        const bp_region& r = region_named(region);
        if (!(r.widths & bytes) || !r.read || offset + bytes > r.length)
            return bytes == 8 ? ~u64{0} : (u64{1} << (8 * bytes)) - 1;
        return r.read(instance_, offset, bytes);
    }
    void out(std::string_view region, u64 offset, u64 value, u32 bytes = 1) {
        const bp_region& r = region_named(region);
        if ((r.widths & bytes) && r.write && offset + bytes <= r.length) r.write(instance_, offset, bytes, value);
    }
    // Level of an output line ("irq", or "irq3" of a bundle), and how often it rose.
    bool line(std::string_view name) const { return outs_.at(out_index(name)).level; }
    unsigned rises(std::string_view name) const { return outs_.at(out_index(name)).rises; }
    // Drives an input line.
    void drive(std::string_view name, bool level) {
        for (In& l : ins_)
            if (l.name == name) {
                if (l.level == level) return;
                l.level = level;
                if (l.changed) l.changed(instance_, l.line, level);
                return;
            }
        throw std::out_of_range("no input line " + std::string(name));
    }
    // Moves the clock to now + ns, running due timers in order.
    void advance(i64 ns) {
        const i64 end = time + ns;
        for (;;) {
            Timer* next = nullptr;
            for (Timer& t : timers_)
                if (t.due >= 0 && t.due <= end && (!next || t.due < next->due)) next = &t;
            if (!next) break;
            time = std::max(time, next->due);
            const i64 due = std::exchange(next->due, -1);
            next->expired(instance_, due);
        }
        time = end;
    }
    // Outside input that reaches the device: what a back end hands to bp.input/1 comes back in run_posted().
    void input(std::string_view bytes) {
        type_->input(instance_, reinterpret_cast<const u8*>(bytes.data()), bytes.size());
    }
    // Runs what was posted to the machine's queue (completions of back ends).
    void run_posted() {
        for (;;) {
            std::function<void()> work;
            {
                std::lock_guard g(posted_mutex_);
                if (posted_.empty()) return;
                work = std::move(posted_.front());
                posted_.pop_front();
            }
            work();
        }
    }
    bp_interface offer(std::string_view id, std::string_view name = "") {
        return type_->offer(instance_, to_bp(id), to_bp(name));
    }
    // Plugs the device into a bus made by the test, or a child into a bus of this device.
    void plug_into(bp_interface host) { type_->plugged(instance_, host); }
    bp_status attach(std::string_view bus, std::string_view address, std::string_view child_name, bp_interface child,
                     bp_interface* host) {
        for (const bp_bus& b : buses_)
            if (to_view(b.name) == bus) return b.attach(instance_, to_bp(address), to_bp(child_name), child, host);
        throw std::out_of_range("no bus " + std::string(bus));
    }
    bp_status consume(std::string_view what, std::string_view key, std::initializer_list<FactField> fields) {
        std::vector<bp_fact_field> list;
        for (const FactField& f : fields) list.push_back({to_bp(f.name), f.number, to_bp(f.text)});
        const bp_fact fact{to_bp(what), to_bp(key), list.data(), list.size()};
        return type_->consume(instance_, &fact);
    }
    // Base at which the device mapped one of its regions, or ~0.
    u64 mapped(std::string_view region) const {
        for (std::size_t i = 0; i < regions_.size(); ++i)
            if (to_view(regions_[i].name) == region) return bases_[i];
        throw std::out_of_range("no region " + std::string(region));
    }
    u64 region_length(std::string_view region) { return region_named(region).length; }
    u8* ram_block(u32 block) { return blocks_.at(block)->data(); }
    struct Mapping {
        u32 block;
        u64 offset, base, size;
        u32 flags;
        i32 priority;
    };
    const std::map<u32, Mapping>& mappings() const { return mappings_; }

    // Saves all declared state as "name=bytes" in order: equal strings mean equal state.
    std::map<std::string, std::string> save() {
        std::map<std::string, std::string> fields;
        bp_state_visitor v{
            sizeof v, &fields, [](void* self, const bp_state_field* f) {
                (*static_cast<std::map<std::string, std::string>*>(self))[std::string(to_view(f->name))] =
                    std::string(static_cast<const char*>(f->data), f->element_size * f->count);
            }};
        type_->visit_state(instance_, &v);
        for (const Timer& t : timers_) fields["timer." + t.name] = std::to_string(t.due);
        for (const Out& l : outs_) fields["line." + l.name] = l.level ? "1" : "0";
        return fields;
    }
    bp_status load(const std::map<std::string, std::string>& fields) {
        bp_state_visitor v{sizeof v, const_cast<void*>(static_cast<const void*>(&fields)),
                           [](void* self, const bp_state_field* f) {
                               const auto& all = *static_cast<const std::map<std::string, std::string>*>(self);
                               const auto found = all.find(std::string(to_view(f->name)));
                               if (found != all.end() && found->second.size() == f->element_size * f->count)
                                   std::memcpy(f->data, found->second.data(), found->second.size());
                           }};
        type_->visit_state(instance_, &v);
        for (Timer& t : timers_) t.due = std::stoll(fields.at("timer." + t.name));
        for (Out& l : outs_) l.level = fields.at("line." + l.name) == "1";
        return type_->restored(instance_);
    }

    std::string device_name = "device";
    i64 time = 0;
    i64 start_time = 1262304000;                        // 2010-01-01 00:00:00 UTC
    std::vector<u8> memory = std::vector<u8>(1 << 20);  // what DMA reaches
    std::string failure;
    std::vector<std::string> log;
    std::vector<PublishedFact> facts;
    struct Request {
        u32 what, argument;
        std::string reason;
    };
    std::vector<Request> requests;
    std::string firmware_folder;

  private:
    struct In {
        std::string name;
        u32 line;
        void (*changed)(void*, u32, int);
        bool level = false;
    };
    struct Out {
        std::string name;
        bool level = false;
        unsigned rises = 0;
    };
    struct Timer {
        std::string name;
        void (*expired)(void*, i64);
        i64 due = -1;
    };
    struct PropertyValue {
        bp_property info;
        std::string text;
        u64 number = 0;
        bool given = false;
    };

    static Board& at(void* self) { return *static_cast<Board*>(self); }
    const bp_region& region_named(std::string_view name) const {
        for (const bp_region& r : regions_)
            if (to_view(r.name) == name) return r;
        throw std::out_of_range("no region " + std::string(name));
    }
    std::size_t out_index(std::string_view name) const {
        for (std::size_t i = 0; i < outs_.size(); ++i)
            if (outs_[i].name == name) return i;
        throw std::out_of_range("no output line " + std::string(name));
    }
    void describe() {
        bp_describer d{};
        d.size = sizeof d, d.self = this;
        d.doc = [](void*, bp_str) {};
        d.property = [](void* s, const bp_property* p) {
            at(s).properties_.push_back({*p, std::string(to_view(p->default_text))});
            return static_cast<u32>(at(s).properties_.size() - 1);
        };
        d.line = [](void* s, const bp_line* l) {
            const std::string base(to_view(l->name));
            for (u32 i = 0; i < l->count; ++i) {
                const std::string name = l->count == 1 ? base : base + std::to_string(i);
                if (l->direction == BP_LINE_IN)
                    at(s).ins_.push_back({name, i, l->changed});
                else
                    at(s).outs_.push_back({name});
            }
            return u32{0};
        };
        d.region = [](void* s, const bp_region* r) {
            at(s).regions_.push_back(*r), at(s).bases_.push_back(~u64{0});
            return u32{0};
        };
        d.timer = [](void* s, const bp_timer* t) {
            at(s).timers_.push_back({std::string(to_view(t->name)), t->expired});
            return u32{0};
        };
        d.link = [](void* s, const bp_link* l) {
            at(s).link_names_.push_back(std::string(to_view(l->name)));
            return u32{0};
        };
        d.bus = [](void* s, const bp_bus* b) {
            at(s).buses_.push_back(*b);
            return u32{0};
        };
        d.plug = [](void*, const bp_plug*) {};
        d.offer = [](void*, const bp_offer*) {};
        d.fact = [](void*, const bp_fact_use*) {};
        d.trace = [](void*, const bp_trace_point*) { return u32{0}; };
        type_->describe(&d);
    }
    void set_properties(const Properties& given) {
        for (const auto& [name, text] : given) {
            auto p = std::find_if(properties_.begin(), properties_.end(),
                                  [&](auto& v) { return to_view(v.info.name) == name; });
            if (p == properties_.end()) throw std::out_of_range("no property " + name);
            p->text = text, p->given = true;
        }
        for (PropertyValue& p : properties_) p.number = number(p.info.kind, p.text);
    }
    // Plain numbers with the size and time suffixes; the kernel does the checking, tests give correct values.
    static u64 number(u32 kind, const std::string& text) {
        if (kind == BP_PROPERTY_BOOL) return text == "true" || text == "on" || text == "yes" || text == "1";
        if (kind == BP_PROPERTY_STRING || kind == BP_PROPERTY_ENUM || kind == BP_PROPERTY_PATH || text.empty())
            return 0;
        char* end = nullptr;
        u64 v = std::strtoull(text.c_str(), &end, 0);
        const std::string unit(end);
        if (kind == BP_PROPERTY_DURATION)
            return unit == "us" ? v * 1000 : unit == "ms" ? v * 1000000 : unit == "s" ? v * 1000000000 : v;
        if (!unit.empty()) v <<= unit[0] == 'K' ? 10 : unit[0] == 'M' ? 20 : unit[0] == 'G' ? 30 : 40;
        return v;
    }

    static const void* service(void* self, bp_str id);
    void post(std::function<void()> work) {
        std::lock_guard g(posted_mutex_);
        posted_.push_back(std::move(work));
    }

    const bp_device_type* type_;
    Links links_;
    bp_slot slot_{};
    void* instance_ = nullptr;
    bool started_ = false;
    std::vector<PropertyValue> properties_;
    std::vector<In> ins_;
    std::vector<Out> outs_;
    std::vector<bp_region> regions_;
    std::vector<u64> bases_;
    std::vector<Timer> timers_;
    std::vector<std::string> link_names_;
    std::vector<bp_bus> buses_;
    std::mutex posted_mutex_;
    std::deque<std::function<void()>> posted_;
    std::vector<std::unique_ptr<std::vector<u8>>> blocks_;
    std::map<u32, Mapping> mappings_;
    u32 next_mapping_ = 1;

    friend struct Services;
};

// The service tables over a Board.
struct Services {
    static Board& at(void* self) { return *static_cast<Board*>(self); }
    static inline const u32 kSilent = 0;

    static constexpr bp_slot_api core{sizeof(bp_slot_api),
                                      [](void* s) { return to_bp(at(s).device_name); },
                                      [](void* s, bp_status status, bp_str text) {
                                          at(s).failure = std::string(to_view(text));
                                          return status;
                                      },
                                      [](void* s, u32 i) { return at(s).properties_.at(i).number; },
                                      [](void* s, u32 i) { return to_bp(at(s).properties_.at(i).text); },
                                      [](void* s, u32 i) { return at(s).properties_.at(i).given ? 1 : 0; },
                                      [](void* s, u32 i) {
                                          for (const auto& [name, interface] : at(s).links_)
                                              if (i < at(s).link_names_.size() && name == at(s).link_names_[i])
                                                  return interface;
                                          return bp_interface{nullptr, nullptr};
                                      }};
    static constexpr bp_log_api log{sizeof(bp_log_api),
                                    [](void* s, u32 kind, bp_str text) {
                                        at(s).log.push_back(std::to_string(kind) + ": " + std::string(to_view(text)));
                                    },
                                    [](void*, u32) { return 1; }};
    static constexpr bp_trace_api trace{sizeof(bp_trace_api), [](void*, u32) { return &kSilent; },
                                        [](void*, u32, bp_str) {}};
    static constexpr bp_clock_api clock{
        sizeof(bp_clock_api),
        [](void* s) { return at(s).time; },
        [](void* s, u32 i, i64 when) { at(s).timers_.at(i).due = std::max(when, at(s).time); },
        [](void* s, u32 i) { at(s).timers_.at(i).due = -1; },
        [](void* s, u32 i) { return at(s).timers_.at(i).due; },
        [](void* s) { return at(s).start_time; }};
    static constexpr bp_line_api line{sizeof(bp_line_api),
                                      [](void* s, u32 i, int level) {
                                          auto& out = at(s).outs_.at(i);
                                          if (level && !out.level) ++out.rises;
                                          out.level = level != 0;
                                      },
                                      [](void* s, u32 i) { return at(s).ins_.at(i).level ? 1 : 0; },
                                      [](void* s, u32 i) { return at(s).outs_.at(i).level ? 1 : 0; }};
    static constexpr bp_space_api space{sizeof(bp_space_api),
                                        [](void* s, u32 i, u64 base, i32) {
                                            at(s).bases_.at(i) = base;
                                            return bp_status{BP_OK};
                                        },
                                        [](void* s, u32 i) { at(s).bases_.at(i) = ~u64{0}; },
                                        [](void* s, u32 i, u64 size) {
                                            at(s).regions_.at(i).length = size;
                                            return bp_status{BP_OK};
                                        }};
    static bp_status copy(void* s, u64 address, void* out, const void* in, u64 size) {
        auto& m = at(s).memory;
        if (address > m.size() || size > m.size() - address) return BP_ERR_INVALID;
        if (out)
            std::memcpy(out, m.data() + address, size);
        else if (in)
            std::memcpy(m.data() + address, in, size);
        return BP_OK;
    }
    static constexpr bp_dma_api dma{sizeof(bp_dma_api),
                                    [](void* s, u64 a, void* d, u64 n) { return copy(s, a, d, nullptr, n); },
                                    [](void* s, u64 a, const void* d, u64 n) { return copy(s, a, nullptr, d, n); }};
    static constexpr bp_ram_api ram{
        sizeof(bp_ram_api),
        [](void* s, bp_str, u64 size, u32* block) {
            at(s).blocks_.push_back(std::make_unique<std::vector<u8>>((size + 4095) & ~u64{4095}));
            *block = static_cast<u32>(at(s).blocks_.size() - 1);
            return bp_status{BP_OK};
        },
        [](void* s, u32 b) { return static_cast<void*>(at(s).blocks_.at(b)->data()); },
        [](void*, u32, u64, u64) {},
        [](void* s, u32 b, u64 offset, u64 base, u64 size, u32 flags, i32 priority, u32* mapping) {
            *mapping = at(s).next_mapping_++;
            at(s).mappings_[*mapping] = {b, offset, base, size, flags, priority};
            return bp_status{BP_OK};
        },
        [](void* s, u32 m, u32 flags) {
            at(s).mappings_.at(m).flags = flags;
            return bp_status{BP_OK};
        },
        [](void* s, u32 m) { at(s).mappings_.erase(m); },
        [](void*) {},
        [](void*) {},
        [](void*, u32, u64) { return 1; }};
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
            at(s).requests.push_back({what, argument, std::string(to_view(reason))});
        },
        [](void* s, void (*fn)(void*), void* argument) { at(s).post([fn, argument] { fn(argument); }); },
        [](void*) { return 1; }, [](void*, void* data, std::size_t size) { std::memset(data, 0x5a, size); }};
    static constexpr bp_input_api input{
        sizeof(bp_input_api), [](void* s, const u8* data, std::size_t size) {
            at(s).post([s, bytes = std::string(reinterpret_cast<const char*>(data), size)] { at(s).input(bytes); });
        }};
    static constexpr bp_files_api files{
        sizeof(bp_files_api), [](void* s, bp_str name, char* path, std::size_t capacity, std::size_t* length) {
            const std::string text = at(s).firmware_folder.empty()
                                         ? std::string(to_view(name))
                                         : at(s).firmware_folder + "/" + std::string(to_view(name));
            if (text.size() > capacity) return bp_status{BP_ERR_INVALID};
            std::memcpy(path, text.data(), text.size());
            *length = text.size();
            return bp_status{BP_OK};
        }};
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
    if (v == BP_INPUT_API) return &Services::input;
    if (v == BP_FILES_API) return &Services::files;
    return nullptr;
}

// A Board for one device class, powered on. Throws if start() fails; use Board directly to look at failures.
template <class T>
class Bench : public Board {
  public:
    explicit Bench(Properties properties = {}, Links links = {})
        : Board(&DeviceType<T>::value, std::move(properties), std::move(links)) {
        if (start() != BP_OK) throw std::runtime_error("start failed: " + failure);
        reset(Reset::kPowerOn);
    }
};

}  // namespace backplane::testkit
