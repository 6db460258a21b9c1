// The kinds of device that were linked into this plugin, best first.
#pragma once

#include "plugin/core/device.h"
#include "plugin/core/small_vector.h"

namespace mps::paddle {

Span<const Backend* const> linked_backends();

}  // namespace mps::paddle
