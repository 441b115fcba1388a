// The tables that the build makes of cpus/*.yaml.
#include "cpumodel/cpumodel.hpp"

namespace backplane::cpumodel {

namespace {
#include "cpu_tables.inc"
}  // namespace

std::span<const CpuModel> models() { return kModels; }
std::span<const FeatureInfo> features() { return kFeatures; }

}  // namespace backplane::cpumodel
