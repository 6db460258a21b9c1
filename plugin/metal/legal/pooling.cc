#include "plugin/metal/legal/pooling.h"

#include <algorithm>
#include <climits>
#include <limits>

#include "plugin/metal/legal/lines.h"
#include "plugin/metal/legal/numbers.h"
#include "plugin/metal/legal/positions.h"
#include "plugin/metal/legal/shapes.h"

namespace mps::legal {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

Value binary(Builder& b, NodeKind kind, Value x, int64_t y) { return pointwise(b, kind, {x, b.like(x, y)}); }
Value plus(Builder& b, Value x, int64_t y) { return y == 0 ? x : binary(b, NodeKind::addition, x, y); }
Value times(Builder& b, Value x, int64_t y) { return y == 1 ? x : binary(b, NodeKind::multiplication, x, y); }

// The windows along spatial axis i of an image.
class Windows {
 public:
  Windows(Builder& b, const Sliding& sliding, size_t i, Dims image, Dims pooled)
      : b_(b),
        sliding_(sliding),
        i_(i),
        length_(image[sliding.spatial_axis(i)]),
        positions_(pooled[sliding.spatial_axis(i)]) {
    const bool even = sliding.adaptive && length_ % positions_ == 0;
    if (even) {
      width_ = length_ / positions_;
    } else if (sliding.adaptive) {
      for (int64_t p = 0; p < positions_; ++p) {
        const Sliding::Range range = sliding.range(i, p, positions_, length_);
        width_ = std::max(width_, range.end - range.start);
      }
    } else {
      width_ = sliding.size[i];
    }
    const bool side_by_side = !sliding.adaptive && sliding.before[i] == 0 && sliding.strides[i] == width_ &&
                              sliding.dilations[i] == 1 && positions_ * width_ <= length_;
    tiles_ = even || side_by_side;
  }

  int64_t positions() const { return positions_; }

  // x [B, length, I] -> [B, positions, width, I]; `outside` where a window has no element.
  Value of(Value x, Scalar outside) {
    const Shape shape = b_.shape(x);
    const Shape apart{shape[0], positions_, width_, shape[2]};
    if (tiles_) return b_.reshape(b_.slice(x, 1, 0, positions_ * width_), apart);
    const Value one = b_.constant(outside, b_.dtype(x), {shape[0], 1, shape[2]});
    return b_.reshape(gather_inside(b_, index(), concatenation(b_, {x, one}, 1)), apart);
  }

  // The other way round: what each window has for each of its elements, the same for all, [B, positions, I], added up.
  Value spread(Value x) {
    const Shape shape = b_.shape(x);
    Value each = b_.reshape(x, {shape[0], positions_, 1, shape[2]});
    each = broadcast(b_, each, {shape[0], positions_, width_, shape[2]});
    each = b_.reshape(each, {shape[0], positions_ * width_, shape[2]});
    const auto zeros = [&](int64_t count) { return b_.constant(0, b_.dtype(x), {shape[0], count, shape[2]}); };
    if (!tiles_) return scatter(b_, ScatterMode::kAdd, zeros(length_), index(), each);
    const int64_t left = length_ - positions_ * width_;
    return left == 0 ? each : concatenation(b_, {each, zeros(left)}, 1);
  }

  // float32 [positions]: what an average divides by.
  Value counts() {
    const Value p = coordinate(b_, {positions_}, 0);
    if (sliding_.adaptive) return b_.cast(pointwise(b_, NodeKind::subtraction, {end(p), start(p)}), DType::float32);
    const bool counts_padding = sliding_.counts_padding;
    const Value first = start(p), behind = plus(b_, first, sliding_.reach(i_));
    const Value last = binary(b_, NodeKind::minimum, behind, length_ + (counts_padding ? sliding_.padding[i_] : 0));
    const Value from = counts_padding ? first : binary(b_, NodeKind::maximum, first, 0);
    const Value count = binary(b_, NodeKind::maximum, pointwise(b_, NodeKind::subtraction, {last, from}), 0);
    return b_.cast(count, DType::float32);
  }

 private:
  // The first element of window p, and for uneven ones what is behind the last.
  Value start(Value p) {
    if (!sliding_.adaptive) return plus(b_, times(b_, p, sliding_.strides[i_]), -sliding_.before[i_]);
    return binary(b_, NodeKind::division, times(b_, p, length_), positions_);
  }
  Value end(Value p) {
    return binary(b_, NodeKind::division, plus(b_, times(b_, p, length_), length_ + positions_ - 1), positions_);
  }

  // int32 [positions * width]: where the elements are; `length` for those that are not.
  Value index() {
    const Value p = coordinate(b_, {positions_, 1}, 0), j = coordinate(b_, {1, width_}, 1);
    const Value step = sliding_.adaptive ? j : times(b_, j, sliding_.dilations[i_]);
    const Value at = pointwise(b_, NodeKind::addition, {start(p), step});
    const Value last = sliding_.adaptive ? end(p) : b_.constant(length_, DType::int32, {1, 1});
    const Value is_inside = pointwise(
        b_, NodeKind::multiplication,
        {binary(b_, NodeKind::greater_than_or_equal_to, at, 0), pointwise(b_, NodeKind::less_than, {at, last})});
    const Value index = pointwise(b_, NodeKind::select, {is_inside, at, b_.like(at, length_)});
    return b_.reshape(index, {positions_ * width_});
  }

  Builder& b_;
  const Sliding& sliding_;
  const size_t i_;
  const int64_t length_, positions_;
  int64_t width_ = 1;
  bool tiles_ = false;  // the windows lie side by side, from the first element on
};

// Calls f(windows, [before, along, behind] of the image so far) for each spatial axis and gives its result, [B,
// positions, I], the shape of an image again.
template <typename F>
Value along_each_axis(Builder& b, Value x, Dims image, Dims pooled, const Sliding& sliding, F f) {
  Shape shape(image);
  for (size_t i = sliding.axes(); i-- > 0;) {
    const size_t axis = sliding.spatial_axis(i);
    Windows windows(b, sliding, i, image, pooled);
    const Shape lines = around(shape, axis);
    shape[axis] = windows.positions();
    x = b.reshape(f(windows, b.reshape(x, lines)), shape);
  }
  return x;
}

// `x` divided by what averages divide by.
Value divided(Builder& b, Value x, Dims image, const Sliding& sliding) {
  const Shape pooled = b.shape(x);
  for (size_t i = 0; i < sliding.axes(); ++i) {
    const size_t axis = sliding.spatial_axis(i);
    const Value counts = b.reshape(Windows(b, sliding, i, image, pooled).counts(), {1, pooled[axis], 1});
    x = b.reshape(pointwise(b, NodeKind::division, {b.reshape(x, around(pooled, axis)), counts}), pooled);
  }
  return x;
}

// int32, in the shape of the image: each element's place among the spatial axes.
Value places(Builder& b, Dims image_, const Sliding& sliding) {
  const Shape image(image_);
  Value place{};
  int64_t stride = 1;
  for (size_t i = sliding.axes(); i-- > 0;) {
    const size_t axis = sliding.spatial_axis(i);
    const Value here = times(b, b.reshape(coordinate(b, {image[axis]}, 0), {1, image[axis], 1}), stride);
    const Value everywhere = b.reshape(broadcast(b, here, around(image, axis)), image);
    if (i + 1 == sliding.axes()) {
      place = everywhere;
    } else {
      const Shape flat{element_count(image)};
      place = b.reshape(b.record(NodeKind::addition, {b.reshape(place, flat), b.reshape(everywhere, flat)}), image);
    }
    stride *= image[axis];
  }
  return place;
}

Value indices(Builder& b, Value x, Dims image, Dims pooled, const Sliding& sliding) {
  const Shape flat{element_count(image)};
  x = b.reshape(x, flat);
  x = b.reshape(b.select(b.record(NodeKind::equal, {x, x}), x, b.like(x, -kInfinity)), image);
  Value place = places(b, image, sliding);
  Shape shape(image);
  for (size_t i = sliding.axes(); i-- > 0;) {
    const size_t axis = sliding.spatial_axis(i);
    Windows windows(b, sliding, i, image, pooled);
    const Shape lines = around(shape, axis);
    shape[axis] = windows.positions();
    const Value values = windows.of(b.reshape(x, lines), -kInfinity);
    const Value where = windows.of(b.reshape(place, lines), int64_t{INT_MAX});
    const Value best = reduce(b, NodeKind::reduction_maximum, values, {2});
    const Value is_best = pointwise(b, NodeKind::equal, {values, best});
    const Value candidates = pointwise(b, NodeKind::select, {is_best, where, b.like(where, INT_MAX)});
    x = b.reshape(best, shape);
    place = b.reshape(reduce(b, NodeKind::reduction_minimum, candidates, {2}), shape);
  }
  // In a window without elements nothing was found.
  place = b.reshape(place, {element_count(shape)});
  const Value is_none = b.record(NodeKind::equal, {place, b.like(place, INT_MAX)});
  return b.reshape(b.select(is_none, b.like(place, -1), place), shape);
}

}  // namespace

Value pooling(Builder& b, NodeKind kind, Value x, Dims target, const Sliding& sliding) {
  const DType dtype = b.dtype(x);
  const Shape image = b.shape(x);
  x = b.cast(x, computed(b, dtype));
  if (kind == NodeKind::max_pooling_indices) return indices(b, x, image, target, sliding);
  const bool is_maximum = kind == NodeKind::max_pooling;
  x = along_each_axis(b, x, image, target, sliding, [&](Windows& windows, Value lines) {
    const Value apart = windows.of(lines, is_maximum ? -kInfinity : 0.0);
    return reduce(b, is_maximum ? NodeKind::reduction_maximum : NodeKind::reduction_sum, apart, {2});
  });
  return b.cast(is_maximum ? x : divided(b, x, image, sliding), dtype);
}

Value max_pooling_gradient(Builder& b, Value dout, Value x, const Sliding& sliding) {
  const DType dtype = b.dtype(dout);
  const Shape image = b.shape(x), pooled = b.shape(dout);
  const Value place = indices(b, b.cast(x, computed(b, dtype)), image, pooled, sliding);
  // Of the element in the whole image: (n * channels + c) * places + place, or (n * places + place) * channels + c.
  const int64_t channels = image[sliding.channel_axis()], elements = element_count(image);
  const int64_t spatial = elements / image[0] / channels, windows = element_count(pooled) / pooled[0] / channels;
  Value at{};
  const Shape lines =
      sliding.channels_last ? Shape{image[0], windows, channels} : Shape{image[0] * channels, windows, 1};
  const Value in_lines = b.reshape(place, lines);
  const Value outer = times(b, coordinate(b, {lines[0], 1, 1}, 0), spatial);
  at = pointwise(b, NodeKind::addition, {outer, in_lines});
  if (sliding.channels_last) {
    at = pointwise(b, NodeKind::addition, {times(b, at, channels), coordinate(b, {1, 1, channels}, 2)});
  }
  const Value is_none = binary(b, NodeKind::less_than, in_lines, 0);
  at = b.reshape(pointwise(b, NodeKind::select, {is_none, b.like(at, -1), at}), {element_count(pooled)});
  const Value updates = b.reshape(b.cast(dout, computed(b, dtype)), {1, element_count(pooled), 1});
  const Value nothing = b.constant(0, computed(b, dtype), {1, elements, 1});
  return b.cast(b.reshape(scatter(b, ScatterMode::kAdd, nothing, at, updates), image), dtype);
}

Value average_pooling_gradient(Builder& b, Value dout, Dims target, const Sliding& sliding) {
  const DType dtype = b.dtype(dout);
  const Shape image(target), pooled = b.shape(dout);
  Value x = divided(b, b.cast(dout, computed(b, dtype)), image, sliding);
  Shape shape = pooled;
  for (size_t i = 0; i < sliding.axes(); ++i) {
    const size_t axis = sliding.spatial_axis(i);
    const Value lines = b.reshape(x, around(shape, axis));
    shape[axis] = image[axis];
    x = b.reshape(Windows(b, sliding, i, image, pooled).spread(lines), shape);
  }
  return b.cast(x, dtype);
}

}  // namespace mps::legal
