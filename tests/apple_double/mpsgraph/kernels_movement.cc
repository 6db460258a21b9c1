// Moving elements: what mps::Graph has no node for.
#include <cstring>
#include <type_traits>

#include "tests/apple_double/base/violation.h"
#include "tests/apple_double/mpsgraph/kernels.h"

namespace apple_double {
namespace {

int64_t index_at(const Array& indices, int64_t i) {
  return mps::visit(indices.dtype, [&](auto zero) -> int64_t {
    using T = decltype(zero);
    if constexpr (std::is_integral_v<T>) return static_cast<int64_t>(reinterpret_cast<const T*>(indices.data)[i]);
    return 0;
  });
}

int64_t checked(const Node& node, int64_t index, int64_t size) {
  require(index >= 0 && index < size, node.method, " index ", index, " of an axis of ", size,
          ": what MPSGraph reads or writes there is anybody's memory.");
  return index;
}

void copy(const Array& to, int64_t to_at, const Array& from, int64_t from_at, int64_t count) {
  const size_t size = mps::size_of(to.dtype);
  std::memcpy(to.data + static_cast<size_t>(to_at) * size, from.data + static_cast<size_t>(from_at) * size,
              static_cast<size_t>(count) * size);
}

Ints position_of(int64_t index, const Shape& shape) {
  Ints position;
  position.resize(shape.size(), 0);
  for (size_t i = shape.size(); i-- > 0;) {
    position[i] = index % shape[i];
    index /= shape[i];
  }
  return position;
}

int64_t offset_of(const Ints& position, const Ints& strides) {
  int64_t at = 0;
  for (size_t i = 0; i < strides.size(); ++i) at += position[i] * strides[i];
  return at;
}

// numbers: the axes
void reverse(const Node& node, Span<const Array> operands, const Array& result) {
  const Ints strides = mps::contiguous_strides(result.shape);
  for (int64_t i = 0; i < result.elements(); ++i) {
    Ints position = position_of(i, result.shape);
    for (int64_t axis : node.numbers) {
      const auto at = static_cast<size_t>(axis);
      position[at] = result.shape[at] - 1 - position[at];
    }
    copy(result, i, operands[0], offset_of(position, strides), 1);
  }
}

// numbers: the axis. The result is as the indices are, but for what lies along the axis.
void gather_along_axis(const Node& node, Span<const Array> operands, const Array& result) {
  const auto axis = static_cast<size_t>(node.numbers[0]);
  const Ints strides = mps::contiguous_strides(operands[0].shape);
  for (int64_t i = 0; i < result.elements(); ++i) {
    Ints position = position_of(i, result.shape);
    position[axis] = checked(node, index_at(operands[1], i), operands[0].shape[axis]);
    copy(result, i, operands[0], offset_of(position, strides), 1);
  }
}

// numbers: axis, batch axes. Slices of updates: [batch..., before, axis, behind] by [batch..., indices...].
void gather(const Node& node, Span<const Array> operands, const Array& result) {
  const auto axis = static_cast<size_t>(node.numbers[0]), batch = static_cast<size_t>(node.numbers[1]);
  const Shape& from = operands[0].shape;
  int64_t batches = 1, before = 1, behind = 1, indices = 1;
  for (size_t i = 0; i < batch; ++i) batches *= from[i];
  for (size_t i = batch; i < axis; ++i) before *= from[i];
  for (size_t i = axis + 1; i < from.size(); ++i) behind *= from[i];
  for (size_t i = batch; i < operands[1].shape.size(); ++i) indices *= operands[1].shape[i];
  for (int64_t b = 0; b < batches; ++b) {
    for (int64_t outer = 0; outer < before; ++outer) {
      for (int64_t k = 0; k < indices; ++k) {
        const int64_t index = checked(node, index_at(operands[1], b * indices + k), from[axis]);
        copy(result, ((b * before + outer) * indices + k) * behind, operands[0],
             ((b * before + outer) * from[axis] + index) * behind, behind);
      }
    }
  }
}

// numbers: batch axes. The last axis of the indices holds positions in the axes behind the batch.
void gather_nd(const Node& node, Span<const Array> operands, const Array& result) {
  const auto batch = static_cast<size_t>(node.numbers[0]);
  const Shape &from = operands[0].shape, &indices = operands[1].shape;
  const auto depth = static_cast<size_t>(indices.back());
  const Ints strides = mps::contiguous_strides(from);
  int64_t batches = 1, behind = 1, positions = 1, per_batch = 1;
  for (size_t i = 0; i < batch; ++i) batches *= from[i];
  for (size_t i = batch; i < from.size(); ++i) per_batch *= from[i];
  for (size_t i = batch + depth; i < from.size(); ++i) behind *= from[i];
  for (size_t i = batch; i + 1 < indices.size(); ++i) positions *= indices[i];
  for (int64_t b = 0; b < batches; ++b) {
    for (int64_t k = 0; k < positions; ++k) {
      int64_t at = b * per_batch;
      for (size_t d = 0; d < depth; ++d) {
        const int64_t index =
            index_at(operands[1], (b * positions + k) * static_cast<int64_t>(depth) + static_cast<int64_t>(d));
        at += checked(node, index, from[batch + d]) * strides[batch + d];
      }
      copy(result, (b * positions + k) * behind, operands[0], at, behind);
    }
  }
}

// numbers: the axis
void coordinate(const Node& node, Span<const Array>, const Array& result) {
  const auto axis = static_cast<size_t>(node.numbers[0]);
  auto* const to = reinterpret_cast<int32_t*>(result.data);
  for (int64_t i = 0; i < result.elements(); ++i) to[i] = static_cast<int32_t>(position_of(i, result.shape)[axis]);
}

// numbers: the padding before each axis; bytes: the element
void pad(const Node& node, Span<const Array> operands, const Array& result) {
  const size_t size = mps::size_of(result.dtype);
  for (int64_t i = 0; i < result.elements(); ++i) {
    std::memcpy(result.data + static_cast<size_t>(i) * size, node.bytes.data(), size);
  }
  const Ints strides = mps::contiguous_strides(result.shape);
  for (int64_t i = 0; i < operands[0].elements(); ++i) {
    Ints position = position_of(i, operands[0].shape);
    for (size_t axis = 0; axis < position.size(); ++axis) position[axis] += node.numbers[axis];
    copy(result, offset_of(position, strides), operands[0], i, 1);
  }
}

void tile(const Node&, Span<const Array> operands, const Array& result) {
  const Ints strides = mps::contiguous_strides(operands[0].shape);
  for (int64_t i = 0; i < result.elements(); ++i) {
    Ints position = position_of(i, result.shape);
    for (size_t axis = 0; axis < position.size(); ++axis) position[axis] %= operands[0].shape[axis];
    copy(result, i, operands[0], offset_of(position, strides), 1);
  }
}

void reinterpret(const Node&, Span<const Array> operands, const Array& result) {
  std::memcpy(result.data, operands[0].data, result.bytes());
}

// numbers: axis. Replaces; which update is last where indices repeat is not said.
void scatter_along_axis(const Node& node, Span<const Array> operands, const Array& result) {
  const auto axis = static_cast<size_t>(node.numbers[0]);
  std::memcpy(result.data, operands[0].data, result.bytes());
  const Ints strides = mps::contiguous_strides(result.shape);
  for (int64_t i = operands[1].elements(); i-- > 0;) {
    Ints position = position_of(i, operands[1].shape);
    position[axis] = checked(node, index_at(operands[2], i), result.shape[axis]);
    copy(result, offset_of(position, strides), operands[1], i, 1);
  }
}

// One element of a scatter; modes are numbered as MPSGraphScatterMode is. Extremes are compared as atomics on bits
// would do it: what they make of NaN is not documented.
template <typename T>
T scattered(int64_t mode, T x, T y) {
  using Wide = std::conditional_t<std::is_integral_v<T>, uint64_t, T>;
  const Wide a = static_cast<Wide>(x), b = static_cast<Wide>(y);
  const auto ordered = [](T value) {
    if constexpr (std::is_integral_v<T>) return int64_t{value};
    int32_t bits = 0;
    std::memcpy(&bits, &value, sizeof bits);
    return int64_t{bits < 0 ? INT32_MIN - bits : bits};
  };
  switch (mode) {
    case 0:
      return static_cast<T>(a + b);
    case 1:
      return static_cast<T>(a - b);
    case 2:
      return static_cast<T>(a * b);
    case 4:
      return ordered(y) < ordered(x) ? y : x;
    case 5:
      return ordered(y) > ordered(x) ? y : x;
    case 6:
      return y;
    default:
      violation("the double scatters no quotients.");
  }
}

// numbers: axis, mode. In which order updates of one element come is not said.
void scatter(const Node& node, Span<const Array> operands, const Array& result) {
  const auto axis = static_cast<size_t>(node.numbers[0]);
  std::memcpy(result.data, operands[0].data, result.bytes());
  const Shape &to = result.shape, &from = operands[1].shape;
  int64_t outer = 1, inner = 1;
  for (size_t i = 0; i < axis; ++i) outer *= to[i];
  for (size_t i = axis + 1; i < to.size(); ++i) inner *= to[i];
  const auto run = [&](auto zero) {
    using T = decltype(zero);
    T* const data = reinterpret_cast<T*>(result.data);
    const T* const updates = reinterpret_cast<const T*>(operands[1].data);
    for (int64_t m = from[axis]; m-- > 0;) {
      const int64_t row = checked(node, index_at(operands[2], m), to[axis]);
      for (int64_t o = 0; o < outer; ++o) {
        for (int64_t i = 0; i < inner; ++i) {
          T& element = data[(o * to[axis] + row) * inner + i];
          element = scattered(node.numbers[1], element, updates[(o * from[axis] + m) * inner + i]);
        }
      }
    }
  };
  if (result.dtype == DType::float32) run(float{});
  if (result.dtype == DType::int32) run(int32_t{});
}

constexpr NamedKernel kKernels[] = {
    {"reverse", reverse},    {"gatherAlongAxis", gather_along_axis}, {"gather", gather},
    {"gatherND", gather_nd}, {"coordinateAlongAxis", coordinate},    {"pad", pad},
    {"tile", tile},          {"reinterpretCast", reinterpret},       {"scatterAlongAxis", scatter_along_axis},
    {"scatter", scatter},
};

}  // namespace

Span<const NamedKernel> movement_kernels() { return {kKernels, sizeof kKernels / sizeof *kKernels}; }

}  // namespace apple_double
