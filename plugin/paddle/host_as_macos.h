// PADDLE_MPS_HOST_MACOS: the host device takes only what a Mac with that release of macOS could compute, so that a
// program (and docs/ops.md) can be asked about every release on Linux.
#pragma once

#include "plugin/core/device.h"

namespace mps::paddle {

// The backend itself if the variable is not set.
const Backend& as_macos(const Backend& backend);

}  // namespace mps::paddle
