#include "plugin/metal/legal/strided.h"

#include <algorithm>

#include "plugin/metal/legal/numbers.h"
#include "plugin/metal/legal/shapes.h"

namespace mps::legal {
namespace {

struct Axis {
  int64_t size, stride;  // stride is positive
  int64_t place;         // of the axes of the view
};
using Axes = SmallVector<Axis, kMaxRank>;

// A view as the core that is left without repetition and reversal, by falling stride, and how to get back.
struct Core {
  Axes axes;
  Shape sizes;         // of the axes
  int64_t offset = 0;  // of the lowest element
  Shape shape;         // of the whole view with repeated axes as 1
  SmallVector<bool, kMaxRank> reversed;
};

Core core_of(Dims shape, Dims strides, int64_t offset) {
  Core core;
  core.offset = offset;
  core.shape = Shape(shape);
  core.reversed.resize(shape.size(), false);
  for (size_t i = 0; i < shape.size(); ++i) {
    if (strides[i] == 0) core.shape[i] = 1;
    if (core.shape[i] == 1) continue;
    core.reversed[i] = strides[i] < 0;
    if (strides[i] < 0) core.offset += (shape[i] - 1) * strides[i];
    core.axes.push_back({shape[i], std::abs(strides[i]), static_cast<int64_t>(i)});
  }
  std::stable_sort(core.axes.begin(), core.axes.end(),
                   [](const Axis& x, const Axis& y) { return x.stride > y.stride; });
  for (const Axis& axis : core.axes) core.sizes.push_back(axis.size);
  return core;
}

// How many elements lie from the first to the last that these axes reach, both included.
int64_t extent(Span<const Axis> axes) {
  int64_t reach = 1;
  for (const Axis& axis : axes) reach += (axis.size - 1) * axis.stride;
  return reach;
}

Span<const Axis> behind(Span<const Axis> axes) { return {axes.data() + 1, axes.size() - 1}; }

bool is_nested(Span<const Axis> axes) {
  for (; axes.size() > 1; axes = behind(axes)) {
    if (axes[0].stride < extent(behind(axes))) return false;
  }
  return true;
}

// The columns of `rows` [count, length] that the outermost axis walks through, as size * stride of them from `begin`;
// the first element lies `inside` of a row of its stride. Behind the last row there may be too little: then `rows` is
// made longer.
struct Window {
  Value rows;
  int64_t begin, inside;
};
Window window(Builder& b, Value rows, const Axis& axis, int64_t offset, int64_t inner) {
  const int64_t count = b.shape(rows)[0], length = b.shape(rows)[1], width = axis.size * axis.stride;
  const int64_t begin = std::min(offset, length - width);
  if (begin >= 0 && offset - begin <= axis.stride - inner) return {rows, begin, offset - begin};
  const Value filler = b.constant(0, b.dtype(rows), {count, offset + width - length});
  return {b.concatenation({rows, filler}, 1), offset, 0};
}

// From each row of [count, length], what the axes see of it from `offset` on: [count, ...] with their sizes merged.
Value take(Builder& b, Value rows, Span<const Axis> axes, int64_t offset) {
  const int64_t count = b.shape(rows)[0];
  if (axes.empty()) return b.slice(rows, 1, offset, 1);
  const Axis& axis = axes[0];
  if (axes.size() == 1) return b.slice(rows, 1, offset, axis.size, axis.stride);
  const Window cut = window(b, rows, axis, offset, extent(behind(axes)));
  const Value part = b.slice(cut.rows, 1, cut.begin, axis.size * axis.stride);
  const Value inner = take(b, b.reshape(part, {count * axis.size, axis.stride}), behind(axes), cut.inside);
  return b.reshape(inner, {count, b.graph().elements(inner) / count});
}

// `rows` with the columns from `begin` on replaced.
Value replace(Builder& b, Value rows, Value columns, int64_t begin) {
  const int64_t length = b.shape(rows)[1], end = begin + b.shape(columns)[1];
  SmallVector<Value, 3> parts;
  if (begin > 0) parts.push_back(b.slice(rows, 1, 0, begin));
  parts.push_back(columns);
  if (end < length) parts.push_back(b.slice(rows, 1, end, length - end));
  return b.concatenation(parts, 1);
}

// The same walk as take(): each row with what the axes see replaced by the row of `update` [count, ...].
Value put(Builder& b, Value rows, Value update, Span<const Axis> axes, int64_t offset) {
  const int64_t count = b.shape(rows)[0], length = b.shape(rows)[1];
  if (axes.empty() || (axes.size() == 1 && axes[0].stride == 1)) {
    return replace(b, rows, b.reshape(update, {count, b.graph().elements(update) / count}), offset);
  }
  const Axis& axis = axes[0];
  const Window cut = window(b, rows, axis, offset, extent(behind(axes)));
  const int64_t width = axis.size * axis.stride;
  const Value part = b.reshape(b.slice(cut.rows, 1, cut.begin, width), {count * axis.size, axis.stride});
  const Value parts = b.reshape(update, {count * axis.size, b.graph().elements(update) / (count * axis.size)});
  const Value changed = b.reshape(put(b, part, parts, behind(axes), cut.inside), {count, width});
  return b.slice(replace(b, cut.rows, changed, cut.begin), 1, 0, length);
}

// The order of the core's axes among those of the view, without axes of size 1, and the way back.
Ints places(const Core& core, bool back) {
  Ints order;
  for (const Axis& axis : core.axes) {
    int64_t rank = 0;
    for (const Axis& other : core.axes) rank += other.place < axis.place ? 1 : 0;
    order.push_back(rank);
  }
  if (!back) return order;
  Ints inverse = order;
  for (size_t i = 0; i < order.size(); ++i) inverse[static_cast<size_t>(order[i])] = static_cast<int64_t>(i);
  return inverse;
}

// `update` lies as the core's axes do.
Value update_core(Builder& b, Value storage, Value update, Axes axes, int64_t offset, int64_t updates) {
  const int64_t count = b.graph().elements(storage);
  if (is_nested(axes)) {
    const Value rows =
        put(b, b.reshape(storage, {1, count}), b.reshape(update, {1, b.graph().elements(update)}), axes, offset);
    return b.reshape(rows, {count});
  }
  size_t shortest = 0;
  for (size_t i = 0; i < axes.size(); ++i) shortest = axes[i].size < axes[shortest].size ? i : shortest;
  const Axis axis = axes[shortest];
  updates *= axis.size;
  if (updates > kMostUpdates) {
    throw Refusal("an update of " + std::to_string(updates) +
                  " parts that lie between each other is too long for MPSGraph: expected at most " +
                  std::to_string(kMostUpdates) + ".");
  }
  Axes rest;
  for (size_t i = 0; i < axes.size(); ++i) {
    if (i != shortest) rest.push_back(axes[i]);
  }
  Shape sizes;
  for (const Axis& each : axes) sizes.push_back(each.size);
  for (int64_t i = 0; i < axis.size; ++i) {
    Ints starts, steps;
    Shape one = sizes;
    starts.resize(sizes.size(), 0);
    steps.resize(sizes.size(), 1);
    starts[shortest] = i;
    one[shortest] = 1;
    const Value part = slice(b, b.reshape(update, sizes), starts, steps, one);
    storage = update_core(b, storage, part, rest, offset + i * axis.stride, updates);
  }
  return storage;
}

// What is not nested. Of uint8 as int8 (see workarounds.def).
Value gather(Builder& b, Value storage, Dims shape, Dims strides, int64_t offset) {
  Shape sizes;
  Ints steps;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (!sizes.empty() && steps.back() == strides[i] * shape[i]) {
      sizes.back() *= shape[i];
      steps.back() = strides[i];
    } else {
      sizes.push_back(shape[i]);
      steps.push_back(strides[i]);
    }
  }
  const DType dtype = b.dtype(storage);
  const Value bytes = dtype == DType::uint8 ? convert(b, storage, DType::int8) : storage;
  return b.reshape(convert(b, b.graph().strided_view(bytes, sizes, steps, offset), dtype), shape);
}

}  // namespace

Value strided_view(Builder& b, Value storage, Dims shape_, Dims strides_, int64_t offset) {
  const Shape shape(shape_);
  const Ints strides(strides_);
  const Core core = core_of(shape, strides, offset);
  const int64_t count = b.graph().elements(storage);
  return moved(b, storage, [&](Value value) {
    if (!is_nested(core.axes)) return gather(b, value, shape, strides, offset);
    value = b.reshape(take(b, b.reshape(value, {1, count}), core.axes, core.offset), core.sizes);
    value = b.reshape(transpose(b, value, places(core, true)), core.shape);
    return broadcast(b, reverse(b, value, core.reversed), shape);
  });
}

Value strided_update(Builder& b, Value storage, Value update, Dims strides_, int64_t offset) {
  const Ints strides(strides_);
  const Core core = core_of(b.shape(update), strides, offset);
  // Where indices repeat an element, the first one's value is as good as any.
  Ints starts, steps;
  starts.resize(core.shape.size(), 0);
  steps.resize(core.shape.size(), 1);
  update = reverse(b, slice(b, update, starts, steps, core.shape), core.reversed);
  Shape dense;
  for (int64_t size : core.shape) {
    if (size != 1) dense.push_back(size);
  }
  const auto as_int8 = [&](Value x) { return b.dtype(x) == DType::bool_ ? b.cast(x, DType::int8) : x; };
  update = transpose(b, b.reshape(as_int8(update), dense), places(core, false));
  return b.cast(update_core(b, as_int8(storage), update, core.axes, core.offset, 1), b.dtype(storage));
}

}  // namespace mps::legal
