#include "plugin/metal/legal/convolution.h"

#include <algorithm>
#include <vector>

#include "plugin/metal/legal/numbers.h"
#include "plugin/metal/legal/shapes.h"
#include "plugin/metal/legal/workarounds.h"

namespace mps::legal {
namespace {

enum class What { kResult, kData, kWeights };

What what_is(NodeKind kind) {
  if (info(kind).family == NodeFamily::kConvolution) return What::kResult;
  const bool data = kind == NodeKind::convolution_2d_data_gradient || kind == NodeKind::convolution_3d_data_gradient;
  return data ? What::kData : What::kWeights;
}

// A convolution of images [N, C, ..] in float32. Two of the three values are known, the third is made.
struct Convolution {
  What what;
  Value x{}, weights{}, y{};
  Shape x_shape, weights_shape, y_shape;
  Sliding sliding;
};

Value zeros(Builder& b, Dims shape) { return b.constant(0, DType::float32, shape); }

// `x` with zeros around it along `axis`, so that it begins at `start` of `length` elements.
Value placed(Builder& b, Value x, size_t axis, int64_t start, int64_t length) {
  const int64_t behind = length - start - b.shape(x)[axis];
  std::vector<Value> parts;
  Shape shape = b.shape(x);
  const auto add_zeros = [&](int64_t count) {
    shape[axis] = count;
    if (count > 0) parts.push_back(zeros(b, shape));
  };
  add_zeros(start);
  parts.push_back(x);
  add_zeros(behind);
  return concatenation(b, parts, axis);
}

Value sum_of(Builder& b, const std::vector<Value>& parts, Dims shape) {
  if (parts.empty()) return zeros(b, shape);
  Value sum = parts[0];
  for (size_t i = 1; i < parts.size(); ++i) sum = b.record(NodeKind::addition, {sum, parts[i]});
  return sum;
}

// -- two dimensions ---------------------------------------------------------------------------------------------------

void check_sizes(const Convolution& c) {
  const Shape& made = c.what == What::kData ? c.x_shape : c.y_shape;
  const int64_t most = std::max({made[1], made[2], made[3]});
  if (most <= kConvolutionLimit) return;
  throw Refusal("MPSGraph's convolutions are wrong from " + std::to_string(kConvolutionLimit + 1) +
                " channels or elements of an axis on: got " + std::to_string(most) + ".");
}

Value node(Builder& b, const Convolution& c) {
  check_sizes(c);
  switch (c.what) {
    case What::kResult:
      return b.graph().convolution(c.x, c.weights, c.sliding);
    case What::kData:
      return b.graph().convolution_data_gradient(c.y, c.weights, c.x_shape, c.sliding);
    case What::kWeights:
      return b.graph().convolution_weights_gradient(c.y, c.x, c.weights_shape, c.sliding);
  }
  __builtin_unreachable();
}

Value cut_along(Builder& b, const Convolution& c, size_t i);

Value in_two_dimensions(Builder& b, const Convolution& c) {
  for (size_t i = 0; i < 2; ++i) {
    if (c.sliding.size[i] > kConvolutionWindowLimit) return cut_along(b, c, i);
  }
  return node(b, c);
}

// The window in pieces along axis i, each over the part of the image that it reads.
Value cut_along(Builder& b, const Convolution& c, size_t i) {
  const size_t axis = 2 + i;
  const int64_t length = c.x_shape[axis], size = c.sliding.size[i], dilation = c.sliding.dilations[i];
  std::vector<Value> parts;
  for (int64_t first = 0; first < size; first += kConvolutionWindowLimit) {
    const int64_t count = std::min(kConvolutionWindowLimit, size - first);
    Convolution part = c;
    part.weights_shape[axis] = part.sliding.size[i] = count;
    const int64_t from = first * dilation - c.sliding.before[i];
    const int64_t to = from + (c.y_shape[axis] - 1) * c.sliding.strides[i] + part.sliding.reach(i);
    if (to <= 0 || from >= length) {  // it sees nothing but padding
      if (c.what == What::kWeights) parts.push_back(zeros(b, part.weights_shape));
      continue;
    }
    const int64_t start = std::max<int64_t>(from, 0), end = std::min(to, length);
    part.sliding.before[i] = start - from;
    part.sliding.padding[i] = to - end;
    part.x_shape[axis] = end - start;
    if (c.what != What::kData) part.x = b.slice(c.x, axis, start, end - start);
    if (c.what != What::kWeights) part.weights = b.slice(c.weights, axis, first, count);
    const Value made = in_two_dimensions(b, part);
    parts.push_back(c.what == What::kData ? placed(b, made, axis, start, length) : made);
  }
  if (c.what == What::kWeights) return concatenation(b, parts, axis);
  return sum_of(b, parts, c.what == What::kData ? c.x_shape : c.y_shape);
}

// -- three dimensions -------------------------------------------------------------------------------------------------

// The first spatial axis: element `tap` of the window is inside the image for positions [begin, end), from `start` on.
struct Plane {
  int64_t begin, end, start;
};

Plane plane(const Convolution& c, int64_t tap) {
  const int64_t step = c.sliding.strides[0], shift = tap * c.sliding.dilations[0] - c.sliding.before[0];
  const int64_t length = c.x_shape[2], positions = c.y_shape[2];
  const int64_t begin = shift >= 0 ? 0 : (-shift + step - 1) / step;
  const int64_t end = shift >= length ? 0 : (length - shift + step - 1) / step;
  return {begin, std::min(end, positions), begin * step + shift};
}

// [N, C, positions, rest] as [N * positions, C, rows, columns], and back.
Value merged(Builder& b, Value x, Dims shape, int64_t channels) {
  const Value apart = transpose(b, b.reshape(x, {shape[0], channels, shape[2], shape[3] * shape[4]}), {0, 2, 1, 3});
  return b.reshape(apart, {shape[0] * shape[2], channels, shape[3], shape[4]});
}
Value parted(Builder& b, Value x, Dims shape, int64_t channels) {
  const Value merged = b.reshape(x, {shape[0], shape[2], channels, shape[3] * shape[4]});
  return transpose(b, merged, {0, 2, 1, 3});
}

// x [N, C, D, H, W] as [N, C * taps, positions, H * W]: the planes that each element of the window sees.
Value unfolded(Builder& b, const Convolution& c) {
  const int64_t rest = c.x_shape[3] * c.x_shape[4], outer = c.x_shape[0] * c.x_shape[1], positions = c.y_shape[2];
  const Value x = b.reshape(c.x, {outer, c.x_shape[2], rest});
  std::vector<Value> planes;
  for (int64_t tap = 0; tap < c.sliding.size[0]; ++tap) {
    const Plane seen = plane(c, tap);
    const int64_t count = seen.end - seen.begin;
    const Value part =
        count <= 0 ? zeros(b, {outer, positions, rest})
                   : placed(b, b.slice(x, 1, seen.start, count, c.sliding.strides[0]), 1, seen.begin, positions);
    planes.push_back(b.reshape(part, {outer, 1, positions * rest}));
  }
  return concatenation(b, planes, 1);
}

// The other way round: what each element of the window has for the planes it sees, added up.
Value folded(Builder& b, const Convolution& c, Value unfolded) {
  const int64_t rest = c.x_shape[3] * c.x_shape[4], outer = c.x_shape[0] * c.x_shape[1], positions = c.y_shape[2];
  const int64_t step = c.sliding.strides[0];
  unfolded = b.reshape(unfolded, {outer, c.sliding.size[0], positions * rest});
  std::vector<Value> planes;
  for (int64_t tap = 0; tap < c.sliding.size[0]; ++tap) {
    const Plane seen = plane(c, tap);
    const int64_t count = seen.end - seen.begin;
    if (count <= 0) continue;
    Value part = b.reshape(b.slice(unfolded, 1, tap, 1), {outer, positions, rest});
    part = b.reshape(b.slice(part, 1, seen.begin, count), {outer, count, 1, rest});
    part = b.reshape(placed(b, part, 2, 0, step), {outer, count * step, rest});
    planes.push_back(placed(b, b.slice(part, 1, 0, (count - 1) * step + 1), 1, seen.start, c.x_shape[2]));
  }
  return b.reshape(sum_of(b, planes, {outer, c.x_shape[2], rest}), c.x_shape);
}

Sliding without_first_axis(const Sliding& from) {
  Sliding to = from;
  for (Sliding::Numbers Sliding::* list :
       {&Sliding::size, &Sliding::strides, &Sliding::dilations, &Sliding::before, &Sliding::padding}) {
    (to.*list).clear();
    (to.*list).append((from.*list).data() + 1, from.axes() - 1);
  }
  return to;
}

Value in_three_dimensions(Builder& b, const Convolution& c) {
  const int64_t taps = c.sliding.size[0], positions = c.y_shape[2], channels = c.x_shape[1] * taps;
  const Shape seen{c.x_shape[0], c.x_shape[1], positions, c.x_shape[3], c.x_shape[4]};
  Convolution flat{c.what, {}, {}, {}, {}, {}, {}, without_first_axis(c.sliding)};
  flat.x_shape = {seen[0] * positions, channels, seen[3], seen[4]};
  flat.weights_shape = {c.weights_shape[0], c.weights_shape[1] * taps, c.weights_shape[3], c.weights_shape[4]};
  flat.y_shape = {seen[0] * positions, c.y_shape[1], c.y_shape[3], c.y_shape[4]};
  if (c.what != What::kData) flat.x = merged(b, unfolded(b, c), seen, channels);
  if (c.what != What::kWeights) flat.weights = b.reshape(c.weights, flat.weights_shape);
  if (c.what != What::kResult) flat.y = merged(b, c.y, c.y_shape, c.y_shape[1]);
  const Value made = in_two_dimensions(b, flat);
  switch (c.what) {
    case What::kResult:
      return b.reshape(parted(b, made, c.y_shape, c.y_shape[1]), c.y_shape);
    case What::kData:
      return folded(b, c, parted(b, made, seen, channels));
    case What::kWeights:
      return b.reshape(made, c.weights_shape);
  }
  __builtin_unreachable();
}

// The axes of an image with the channels in front, or behind.
Ints channels_to(bool front, size_t rank) {
  Ints permutation{0};
  const int64_t last = static_cast<int64_t>(rank) - 1;
  if (front) permutation.push_back(last);
  for (int64_t i = front ? 1 : 2; i < last + (front ? 0 : 1); ++i) permutation.push_back(i);
  if (!front) permutation.push_back(1);
  return permutation;
}

Shape permuted(Dims shape, Dims permutation) {
  Shape result;
  for (int64_t axis : permutation) result.push_back(shape[static_cast<size_t>(axis)]);
  return result;
}

}  // namespace

Value convolution(Builder& b, NodeKind kind, Value first, Value second, Dims target_, const Sliding& sliding) {
  const Shape target(target_);
  const DType dtype = b.dtype(first);
  Convolution c;
  c.what = what_is(kind);
  c.sliding = sliding;
  c.sliding.channels_last = false;
  const Ints to_front = channels_to(true, target.size()), to_back = channels_to(false, target.size());
  const auto image = [&](Value value) {
    const Value wide = b.cast(value, DType::float32);
    return sliding.channels_last ? transpose(b, wide, to_front) : wide;
  };
  const auto image_shape = [&](Dims shape) { return sliding.channels_last ? permuted(shape, to_front) : Shape(shape); };
  switch (c.what) {
    case What::kResult:
      c.x = image(first);
      c.weights = b.cast(second, DType::float32);
      c.y_shape = image_shape(target);
      break;
    case What::kData:
      c.y = image(first);
      c.weights = b.cast(second, DType::float32);
      c.x_shape = image_shape(target);
      break;
    case What::kWeights:
      c.y = image(first);
      c.x = image(second);
      c.weights_shape = target;
      break;
  }
  if (c.what != What::kData) c.x_shape = b.shape(c.x);
  if (c.what != What::kWeights) c.weights_shape = b.shape(c.weights);
  if (c.what != What::kResult) c.y_shape = b.shape(c.y);
  Value made = sliding.axes() == 3 ? in_three_dimensions(b, c) : in_two_dimensions(b, c);
  if (sliding.channels_last && c.what != What::kWeights) made = transpose(b, made, to_back);
  return b.cast(made, dtype);
}

}  // namespace mps::legal
