#include "plugin/core/shape.h"

#include <algorithm>

#include "plugin/core/check.h"

namespace mps {

int64_t element_count(Dims shape) {
  int64_t count = 1;
  for (int64_t dim : shape) count *= dim;
  return count;
}

Ints contiguous_strides(Dims shape) {
  Ints strides;
  strides.resize(shape.size());
  int64_t stride = 1;
  for (size_t i = shape.size(); i-- > 0;) {
    strides[i] = stride;
    stride *= shape[i];
  }
  return strides;
}

bool is_contiguous(Dims shape, Dims strides) {
  int64_t expected = 1;
  bool contiguous = true;
  for (size_t i = shape.size(); i-- > 0;) {
    if (shape[i] == 0) return true;
    if (shape[i] != 1 && strides[i] != expected) contiguous = false;
    expected *= shape[i];
  }
  return contiguous;
}

Shape broadcast_shapes(Dims a, Dims b) {
  if (same_shape(a, b)) return Shape(a);
  Shape result;
  const size_t rank = std::max(a.size(), b.size());
  result.resize(rank);
  for (size_t i = 0; i < rank; ++i) {  // i counts from the last dimension
    const int64_t x = i < a.size() ? a[a.size() - 1 - i] : 1;
    const int64_t y = i < b.size() ? b[b.size() - 1 - i] : 1;
    MPS_CHECK(x == y || x == 1 || y == 1, kArgument,
              "shapes do not broadcast: expected dimensions that are equal or 1, got ", to_string(a), " and ",
              to_string(b), " (", x, " against ", y, " in dimension ", rank - 1 - i,
              " of the result). Reshape or unsqueeze one of them.");
    result[rank - 1 - i] = x == 1 ? y : x;
  }
  return result;
}

bool broadcasts_to(Dims from, Dims to) {
  if (from.size() > to.size()) return false;
  for (size_t i = 0; i < from.size(); ++i) {
    const int64_t x = from[from.size() - 1 - i];
    if (x != 1 && x != to[to.size() - 1 - i]) return false;
  }
  return true;
}

int normalize_axis(int64_t axis, size_t rank) {
  const int64_t size = static_cast<int64_t>(rank);
  MPS_CHECK(axis >= -size && axis < size, kArgument, "axis out of range: expected ", -size, "..", size - 1,
            " for rank ", rank, ", got ", axis, ". Count axes from 0, or from the end with a minus sign.");
  return static_cast<int>(axis < 0 ? axis + size : axis);
}

std::string to_string(Dims shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) {
    if (i != 0) text += ", ";
    text += std::to_string(shape[i]);
  }
  return text + "]";
}

}  // namespace mps
