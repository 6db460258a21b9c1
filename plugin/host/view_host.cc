#include "plugin/host/view_host.h"

namespace mps {

View dense_view(uint32_t slot, Dims shape) { return {slot, 0, contiguous_strides(shape)}; }

View transposed(const View& view, Dims permutation) {
  View result{view.slot, view.offset, {}};
  for (int64_t axis : permutation) result.strides.push_back(view.strides[static_cast<size_t>(axis)]);
  return result;
}

View broadcasted(const View& view, Dims from, Dims to) {
  View result{view.slot, view.offset, {}};
  const size_t missing = to.size() - from.size();
  for (size_t i = 0; i < to.size(); ++i) {
    const bool repeats = i < missing || from[i - missing] != to[i];
    result.strides.push_back(repeats ? 0 : view.strides[i - missing]);
  }
  return result;
}

View sliced(const View& view, Dims starts, Dims steps) {
  View result{view.slot, view.offset, {}};
  for (size_t i = 0; i < starts.size(); ++i) {
    result.offset += starts[i] * view.strides[i];
    result.strides.push_back(steps[i] * view.strides[i]);
  }
  return result;
}

View strided(const View& flat, int64_t offset, Dims strides) {
  View result{flat.slot, flat.offset + offset * flat.strides[0], {}};
  for (int64_t stride : strides) result.strides.push_back(stride * flat.strides[0]);
  return result;
}

std::optional<View> reshaped(const View& view, Dims from, Dims to) {
  // Axes of size 1 say nothing. The others of `from` are taken in groups, each as long as a group of `to`; a group can
  // be cut anew if it could be merged into one axis.
  View result{view.slot, view.offset, {}};
  result.strides.resize(to.size(), 0);
  size_t i = 0, j = 0;
  while (i < from.size() || j < to.size()) {
    size_t i_end = i, j_end = j;
    int64_t from_size = 1, to_size = 1;
    do {
      const bool take_from = i_end < from.size() && (from_size <= to_size || j_end == to.size());
      if (take_from) {
        from_size *= from[i_end++];
      } else {
        to_size *= to[j_end++];
      }
    } while (from_size != to_size);
    int64_t stride = 0;
    bool is_first = true;
    for (size_t axis = i_end; axis-- > i;) {
      if (from[axis] == 1) continue;
      if (is_first) {
        stride = view.strides[axis];
        is_first = false;
      }
    }
    int64_t expected = stride;
    for (size_t axis = i_end; axis-- > i;) {
      if (from[axis] == 1) continue;
      if (view.strides[axis] != expected) return std::nullopt;
      expected *= from[axis];
    }
    for (size_t axis = j_end; axis-- > j;) {
      result.strides[axis] = stride;
      stride *= to[axis];
    }
    i = i_end;
    j = j_end;
  }
  return result;
}

}  // namespace mps
