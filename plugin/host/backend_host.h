// The host backend: one device per PADDLE_MPS_HOST_DEVICES, all on the same CPU, each with its own memory and streams.
#pragma once

#include "plugin/core/device.h"

namespace mps {

extern const Backend kHostBackend;

}  // namespace mps
