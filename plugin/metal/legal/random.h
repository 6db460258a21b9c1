// Random words from nodes that MPSGraph has on integers.
#pragma once

#include "plugin/metal/legal/builder.h"

namespace mps::legal {

// Graph::random_bits(): the same bits as on every device.
Value random_bits(Builder& b, const Graph::Counter& counter, Dims shape);

}  // namespace mps::legal
