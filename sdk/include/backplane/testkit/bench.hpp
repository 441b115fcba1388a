// A device on a bare board without a CPU: for unit tests. No kernel is linked; the bench drives the device through the
// ABI.
//
//   backplane::testkit::Bench<Mc146818> rtc({{"base_year", "1980"}});
//   rtc.out("ports", 0, 0x0c);
//   CHECK(rtc.in("ports", 1) == 0);
//   rtc.advance(1'000'000'000);
//   CHECK(rtc.line("irq"));
#pragma once

#include <cstdlib>

#include "backplane/testkit/board.hpp"
#include "backplane/testkit/services.hpp"

namespace backplane::testkit {

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
