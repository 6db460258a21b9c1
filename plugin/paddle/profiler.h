// What paddle.profiler asks of a custom device (ProfilerTarget.CUSTOM_DEVICE).
#pragma once

#include "paddle/phi/backends/device_ext.h"

namespace mps::paddle {

void fill_profiler_interface(C_DeviceInterface* interface);

}  // namespace mps::paddle
