// How a value lies in memory: in a slot, from some element on, with a stride per axis. Movement nodes are arithmetic on
// this and nothing more.
#pragma once

#include <cstdint>
#include <optional>

#include "plugin/core/graph.h"

namespace mps {

struct View {
  uint32_t slot = 0;
  int64_t offset = 0;  // in elements
  Ints strides;        // in elements
};

View dense_view(uint32_t slot, Dims shape);

// The views of a node's result, given that of its operand.
View transposed(const View& view, Dims permutation);
View broadcasted(const View& view, Dims from, Dims to);
View sliced(const View& view, Dims starts, Dims steps);
View strided(const View& flat, int64_t offset, Dims strides);
// Nothing if no strides read the elements in that order.
std::optional<View> reshaped(const View& view, Dims from, Dims to);

}  // namespace mps
