// A graph as stable text, one line per node: for errors, logs, tests and documents.
#pragma once

#include <string>

#include "plugin/core/graph.h"

namespace mps {

// %0 = placeholder : float32[2, 3] {0}
// %1 = exponent %0 : float32[2, 3]
// return %1
std::string to_string(const Graph& graph);

}  // namespace mps
