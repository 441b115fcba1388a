#include <catch2/catch.hpp>

#include "cpumodel/cpumodel.hpp"

using namespace backplane::cpumodel;
using Catch::Matchers::Contains;

TEST_CASE("the models of the board have the specification's words") {
    struct Row {
        const char* name;
        u32 level, xlevel;
        const char* vendor;
        u32 version, edx, ecx, extended_edx, extended_ecx;
        const char* brand;
    };
    constexpr u32 kSvm = 4;  // not emulated, so not announced
    const Row r = GENERATE(values<Row>({
        {"qemu64", 4, 0x8000000a, "AuthenticAMD", 0x623, 0x078bfbfd, 0x00802001, 0x2191abfd, 0x65 & ~kSvm,
         "QEMU Virtual CPU version 0.12.5"},
        {"kvm64", 5, 0x80000008, "GenuineIntel", 0xf61, 0x078bfbfd, 0x00002001, 0x2191abfd, 0, "Common KVM processor"},
        {"qemu32", 4, 0, "GenuineIntel", 0x633, 0x0781abfd, 0x00800001, 0, 0, "QEMU Virtual CPU version 0.12.5"},
    }));
    const CpuModel* m = find_model(r.name);
    REQUIRE(m != nullptr);
    CHECK(m->level == r.level);
    CHECK(m->extended_level == r.xlevel);
    CHECK(std::string(m->vendor) == r.vendor);
    CHECK(m->version == r.version);
    CHECK(m->features_edx == r.edx);
    CHECK(m->features_ecx == r.ecx);
    CHECK(m->extended_edx == r.extended_edx);
    CHECK(m->extended_ecx == r.extended_ecx);
    CHECK(m->brand == r.brand);
}

TEST_CASE("every model announces only what is emulated, and with all that it needs") {
    REQUIRE(models().size() == 14);
    for (const CpuModel& m : models()) {
        INFO(m.name);
        CHECK(unmet(m) == "");
        for (const FeatureInfo& f : features())
            if (has(m, f)) CHECK(f.absent == "");
        if (m.extended_edx != 0) CHECK(m.extended_level >= 0x80000001u);
    }
    const CpuModel* max = find_model("max");
    REQUIRE(max != nullptr);
    for (const FeatureInfo& f : features()) {
        INFO(f.name);
        CHECK(has(*max, f) == f.absent.empty());
    }
}

TEST_CASE("features are found by the names of Linux and QEMU") {
    for (const auto& [name, canonical] : {std::pair{"sse4.1", "sse4_1"},
                                          {"sse4-2", "sse4_2"},
                                          {"SSE3", "pni"},
                                          {"lahf-lm", "lahf_lm"},
                                          {"lzcnt", "abm"},
                                          {"ffxsr", "fxsr_opt"},
                                          {"tsc-deadline", "tsc_deadline_timer"}}) {
        INFO(name);
        REQUIRE(find_feature(name) != nullptr);
        CHECK(find_feature(name)->name == canonical);
    }
    for (const FeatureInfo& f : features()) CHECK(find_feature(f.name) == &f);
}

TEST_CASE("features are switched on and off behind the model's name") {
    const Selection more = select("qemu64,+ssse3,+sse4.1,-sse4a");
    REQUIRE(more.error == "");
    CHECK(more.model.features_ecx == (0x00802001u | 1u << 9 | 1u << 19));
    CHECK(more.model.extended_ecx == 0x21);
    CHECK(select("kvm64,nx=off").model.extended_edx == 0x2181abfd);
    CHECK(select("core2duo,-svm,-x2apic").error == "");
    // The alias of AMD's goes with its feature.
    CHECK(select("athlon,-pat").model.extended_edx == (0xc1c3f3fd & ~(1u << 16)));
    CHECK(select("athlon,-pat,+pat").model.extended_edx == 0xc1c3f3fd);
    // Leaves that a feature stands in are there with it.
    const Selection wide = select("pentium2,+sse,+sse2,+syscall,+lm");
    REQUIRE(wide.error == "");
    CHECK(wide.model.extended_level == 0x80000008);
    CHECK(wide.model.physical_bits == 40);
    CHECK(select("qemu64,+invtsc").model.power_edx == 0x100);
    const Selection vectors = select("qemu64,+avx2,+avx,+xsave,+bmi1,+fma");
    REQUIRE(vectors.error == "");
    CHECK(vectors.model.level == 0xd);
    CHECK(vectors.model.structured_ebx == (1u << 3 | 1u << 5));
    CHECK(vectors.model.features_ecx == (0x00802001u | 1u << 12 | 1u << 26 | 1u << 28));
    CHECK(select("qemu64,+bmi2").model.level == 7);
    CHECK(select("max,-avx2").model.structured_ebx == (find_model("max")->structured_ebx & ~(1u << 5)));
}

TEST_CASE("what cannot be is refused with a reason and the nearest name") {
    CHECK_THAT(select("quemu64").error,
               Contains("quemu64") && Contains("did you mean `qemu64`?") && Contains("core2duo"));
    CHECK_THAT(select("zilog").error, Contains("zilog") && Contains("known: ") && !Contains("did you mean"));
    CHECK_THAT(select("qemu64,+sse3x").error, Contains("sse3x") && Contains("did you mean `sse3`?"));
    CHECK_THAT(select("qemu64,+vmx").error, Contains("`vmx` is not emulated: virtualization"));
    CHECK_THAT(select("qemu64,+avx512f").error, Contains("`avx512f` is not emulated"));
    CHECK_THAT(select("qemu64,+avx2").error, Contains("`avx2` needs `avx` and `xsave`"));
    CHECK_THAT(select("qemu64,+fma,+xsave").error, Contains("`fma` needs `avx`"));
    CHECK(missing(select("qemu64,+avx2").model) == std::vector<std::string_view>{"avx", "xsave"});
    CHECK(missing(*find_model("max")).empty());
    CHECK_THAT(select("max,-xsave").error, Contains("needs `xsave`"));
    CHECK_THAT(select("max,+osxsave").error, Contains("by itself"));
    CHECK_THAT(select("qemu64,ssse3").error, Contains("`ssse3` is no change") && Contains("+feature"));
    CHECK_THAT(select("qemu64,").error, Contains("no change"));
    CHECK_THAT(select("qemu64,-sse2").error, Contains("needs `sse2`"));
    CHECK_THAT(select("qemu64,-pae").error, Contains("needs `pae`"));
    CHECK_THAT(select("pentium2,+lm").error, Contains("`lm` needs"));
    CHECK_THAT(select("pentium3,+sse4.2").error, Contains("needs"));
}
