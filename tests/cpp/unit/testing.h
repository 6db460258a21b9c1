// What several unit tests need: an error as a value, and a device that computes nothing.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "plugin/core/check.h"
#include "plugin/core/fault.h"
#include "plugin/core/runtime.h"
#include "plugin/null/device_null.h"

namespace mps {

// The message of the Error that `f` throws; fails if it throws none, or one of another kind.
template <typename F>
std::string error_of(ErrorKind kind, F&& f) {
  try {
    f();
  } catch (const Error& error) {
    EXPECT_EQ(static_cast<int>(error.kind()), static_cast<int>(kind)) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}

// A null device that fails on demand, with memory, cache and one stream.
class NullTest : public ::testing::Test {
 protected:
  NullTest()
      : device_(new FaultDevice(std::make_unique<NullDevice>())),
        state_(0, std::unique_ptr<Device>(device_)),
        stream_(state_.create_stream()) {}

  Faults& faults() { return device_->faults(); }
  DeviceState& state() { return state_; }
  Memory& memory() { return state_.memory(); }
  Stream& stream() { return *stream_; }

 private:
  FaultDevice* const device_;
  DeviceState state_;
  Stream* const stream_;
};

}  // namespace mps
