#include "plugin/metal/legal/shapes.h"

#include <algorithm>

#include "plugin/metal/legal/numbers.h"

namespace mps::legal {
namespace {

int64_t product(Dims shape, size_t from, size_t to) {
  int64_t count = 1;
  for (size_t i = from; i < to; ++i) count *= shape[i];
  return count;
}

Shape with(Dims shape, size_t axis, int64_t size) {
  Shape changed(shape);
  changed[axis] = size;
  return changed;
}

// The size that `shape` has along axis `axis` of a shape of `rank` axes that it broadcasts to.
int64_t aligned(Dims shape, size_t axis, size_t rank) {
  const size_t missing = rank - shape.size();
  return axis < missing ? 1 : shape[axis - missing];
}

// Two neighbouring groups of axes change places.
Value swap_groups(Builder& b, Value x, size_t first, size_t second, size_t end) {
  const Shape shape = b.shape(x);
  const Shape groups = {product(shape, 0, first), product(shape, first, second), product(shape, second, end),
                        product(shape, end, shape.size())};
  Shape result;
  for (size_t i = 0; i < first; ++i) result.push_back(shape[i]);
  for (size_t i = second; i < end; ++i) result.push_back(shape[i]);
  for (size_t i = first; i < second; ++i) result.push_back(shape[i]);
  for (size_t i = end; i < shape.size(); ++i) result.push_back(shape[i]);
  return b.reshape(b.graph().transpose(b.reshape(x, groups), {0, 2, 1, 3}), result);
}

bool swaps_two(Dims permutation) {
  size_t moved_axes = 0;
  for (size_t i = 0; i < permutation.size(); ++i) moved_axes += permutation[i] != static_cast<int64_t>(i) ? 1 : 0;
  return moved_axes == 2;
}

// `permutation` of a tensor whose axes do not merge any further. Before macOS 13 two axes can be swapped, no more.
Value permute(Builder& b, Value x, Ints permutation) {
  const bool at_once = b.target().macos >= kPermutation || swaps_two(permutation);
  if (permutation.size() <= kMostAxes && at_once) return b.graph().transpose(x, permutation);
  // Axis by axis, from the front: the one that belongs here is brought here, past those between.
  for (size_t i = 0; i < permutation.size(); ++i) {
    const size_t from = static_cast<size_t>(permutation[i]);
    if (from == i) continue;
    x = swap_groups(b, x, i, from, from + 1);
    for (size_t k = i + 1; k < permutation.size(); ++k) permutation[k] += permutation[k] < permutation[i] ? 1 : 0;
    permutation[i] = static_cast<int64_t>(i);
  }
  return x;
}

}  // namespace

Shape around(Dims shape, size_t axis) {
  return {product(shape, 0, axis), shape[axis], product(shape, axis + 1, shape.size())};
}

Folded fold_broadcast(const std::vector<Shape>& from, Dims to) {
  Folded folded;
  folded.from.resize(from.size());
  const size_t rank = to.size();
  size_t last = rank;  // the last axis of `to` that was taken
  for (size_t axis = 0; axis < rank; ++axis) {
    if (to[axis] == 1) continue;
    bool merges = last != rank;
    for (const Shape& shape : from) {
      merges = merges && (aligned(shape, axis, rank) == 1) == (aligned(shape, last, rank) == 1);
    }
    for (size_t i = 0; i < from.size(); ++i) {
      const int64_t size = aligned(from[i], axis, rank);
      if (merges) {
        folded.from[i].back() *= size;
      } else {
        folded.from[i].push_back(size);
      }
    }
    if (merges) {
      folded.to.back() *= to[axis];
    } else {
      folded.to.push_back(to[axis]);
    }
    last = axis;
  }
  if (folded.to.empty()) {
    folded.to = {1};
    for (Shape& shape : folded.from) shape = {1};
  }
  return folded;
}

Value broadcast(Builder& b, Value x, Dims to) {
  const Shape target(to);
  const Folded folded = fold_broadcast({b.shape(x)}, target);
  return moved(b, x, [&](Value value) {
    value = b.reshape(value, folded.from[0]);
    if (folded.to.size() <= kMostAxes) return b.reshape(b.broadcast(value, folded.to), target);
    for (size_t i = 0; i < folded.to.size(); ++i) {
      const Shape now = b.shape(value), wide = with(now, i, folded.to[i]);
      if (!same_shape(now, wide))
        value = b.reshape(b.broadcast(b.reshape(value, around(now, i)), around(wide, i)), wide);
    }
    return b.reshape(value, target);
  });
}

Value transpose(Builder& b, Value x, Dims permutation) {
  const Shape shape = b.shape(x);
  Shape result;
  for (int64_t axis : permutation) result.push_back(shape[static_cast<size_t>(axis)]);
  // Groups of axes that stay together, in the order of the result: their first axis, and their size.
  Ints first, sizes;
  int64_t next = -1;
  for (int64_t axis : permutation) {
    if (shape[static_cast<size_t>(axis)] == 1) continue;
    int64_t between = next;  // axes of size 1 do not keep others apart
    while (between >= 0 && between < axis && shape[static_cast<size_t>(between)] == 1) ++between;
    if (next >= 0 && between == axis) {
      sizes.back() *= shape[static_cast<size_t>(axis)];
    } else {
      first.push_back(axis);
      sizes.push_back(shape[static_cast<size_t>(axis)]);
    }
    next = axis + 1;
  }
  if (sizes.size() < 2) return b.reshape(x, result);
  // Group i of the result is the rank[i]-th of the operand.
  Ints ranks;
  Shape groups;
  groups.resize(first.size());
  for (size_t i = 0; i < first.size(); ++i) {
    int64_t rank = 0;
    for (int64_t other : first) rank += other < first[i] ? 1 : 0;
    ranks.push_back(rank);
    groups[static_cast<size_t>(rank)] = sizes[i];
  }
  return moved(b, x, [&](Value value) { return b.reshape(permute(b, b.reshape(value, groups), ranks), result); });
}

Value slice(Builder& b, Value x, Dims starts, Dims steps, Dims sizes) {
  const Shape shape = b.shape(x);
  const Shape result(sizes);
  // An axis that is taken whole merges with the one before it, unless that one is taken in steps.
  Shape from, to;
  Ints start, step;
  for (size_t i = 0; i < shape.size(); ++i) {
    const bool whole = starts[i] == 0 && sizes[i] == shape[i];
    if (whole && !from.empty() && step.back() == 1) {
      from.back() *= shape[i], to.back() *= shape[i], start.back() *= shape[i];
    } else {
      from.push_back(shape[i]), to.push_back(sizes[i]), start.push_back(starts[i]);
      step.push_back(sizes[i] == 1 ? 1 : steps[i]);
    }
  }
  return moved(b, x, [&](Value value) {
    value = b.reshape(value, from);
    if (from.size() <= kMostAxes) return b.reshape(b.slice(value, start, to, step), result);
    for (size_t i = 0; i < from.size(); ++i) {
      const Shape now = b.shape(value);
      value = b.slice(b.reshape(value, around(now, i)), 1, start[i], to[i], step[i]);
      value = b.reshape(value, with(now, i, to[i]));
    }
    return b.reshape(value, result);
  });
}

Value concatenation(Builder& b, Span<const Value> values, size_t axis) {
  const DType dtype = b.dtype(values[0]);
  const DType moved_as = dtype == DType::bool_ ? DType::int8 : dtype;
  SmallVector<Value, 16> parts;
  int64_t length = 0;
  Shape result = b.shape(values[0]);
  for (Value value : values) {
    const Shape shape = b.shape(value);
    length += shape[axis];
    parts.push_back(b.reshape(b.cast(value, moved_as), around(shape, axis)));
  }
  result[axis] = length;
  return b.cast(b.reshape(b.concatenation(parts, 1), result), dtype);
}

// The elements of `x`, of at most four axes, backwards along `axis`; as the strided view that is_reverse() knows.
static Value reverse_axis(Builder& b, Value x, size_t axis) {
  const Shape shape = b.shape(x);
  Ints strides = contiguous_strides(shape);
  const int64_t offset = (shape[axis] - 1) * strides[axis];
  strides[axis] = -strides[axis];
  return b.graph().strided_view(b.reshape(x, {element_count(shape)}), shape, strides, offset);
}

Value reverse(Builder& b, Value x, Span<const bool> axes) {
  const Shape shape = b.shape(x);
  return moved(b, x, [&](Value value) {
    for (size_t i = 0; i < shape.size(); ++i) {
      if (!axes[i] || shape[i] == 1) continue;
      // Neighbours that are reversed, too, go along.
      size_t end = i + 1;
      while (end < shape.size() && (axes[end] || shape[end] == 1)) ++end;
      value = reverse_axis(
          b, b.reshape(value, {product(shape, 0, i), product(shape, i, end), product(shape, end, shape.size())}), 1);
      i = end - 1;
    }
    return b.reshape(value, shape);
  });
}

bool is_reverse(Dims shape, Dims strides, int64_t offset, Ints* axes) {
  const Ints dense = contiguous_strides(shape);
  for (size_t i = 0; i < shape.size(); ++i) {
    if (strides[i] != dense[i] && strides[i] != -dense[i]) return false;
    if (strides[i] == dense[i]) continue;
    axes->push_back(static_cast<int64_t>(i));
    offset -= (shape[i] - 1) * dense[i];
  }
  return offset == 0;
}

}  // namespace mps::legal
