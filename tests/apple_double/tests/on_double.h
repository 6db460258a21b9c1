// The Metal backend on the double: a device with memory and one stream, and nothing left of it at the end.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "plugin/core/check.h"
#include "plugin/core/runtime.h"
#include "tests/apple_double/double.h"

namespace mps {

extern const Backend kMetalBackend;

namespace on_double {

inline std::vector<std::unique_ptr<Device>> open(std::string* reason) {
  reason->clear();
  return kMetalBackend.open(reason);
}

inline std::unique_ptr<Device> open_one() {
  std::string reason;
  auto devices = open(&reason);
  if (devices.size() != 1) throw std::runtime_error("no device: " + reason);
  return std::move(devices[0]);
}

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

inline int64_t alive(const char* type) {
  const auto all = apple_double::live_objects();
  const auto found = all.find(type);
  return found == all.end() ? 0 : found->second;
}

class OnDouble : public ::testing::Test {
 protected:
  void SetUp() override {
    device_ = std::make_unique<DeviceState>(0, open_one());
    stream_ = device_->create_stream();
  }
  void TearDown() override {
    device_.reset();
    apple_double::set_delay_us(0);
    apple_double::settle();
    for (const char* type :
         {"MTLBuffer", "MTLHeap", "MTLCommandBuffer", "MTLCommandQueue", "MTLSharedEvent", "MTLBlitCommandEncoder",
          "MTLComputeCommandEncoder", "MTLResidencySet", "MPSCommandBuffer"}) {
      EXPECT_EQ(alive(type), 0) << type << " left";
    }
  }

  DeviceState& device() { return *device_; }
  Memory& memory() { return device_->memory(); }
  Stream& stream() { return *stream_; }
  Range block(size_t bytes) { return memory().resolve(memory().allocate(bytes).address, bytes); }

 private:
  std::unique_ptr<DeviceState> device_;
  Stream* stream_ = nullptr;
};

}  // namespace on_double
}  // namespace mps
