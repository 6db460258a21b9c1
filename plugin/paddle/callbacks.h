// The runtime interface that Paddle calls: a table of C functions.
#pragma once

#include "paddle/phi/backends/device_ext.h"

namespace mps::paddle {

// Fills every entry that this plugin offers; the others stay null, which is how "not offered" is
// said.
void fill_device_interface(C_DeviceInterface* interface);

}  // namespace mps::paddle
