// Sampling an image at given places, and the grids of such places.
//
// Coordinates run from -1 to 1 over each spatial axis, the last axis of the image first.
#pragma once

#include <vector>

#include "kernels/graphs/owners.h"
#include "kernels/graphs/resize.h"

namespace mps::graphs {

enum class Outside { kZeros, kBorder, kReflection };

// How coordinates become places.
struct Sampling {
  bool nearest = false;
  bool align_corners = true;
  Outside outside = Outside::kZeros;
};

// Places along one axis, float32 [M], and what their derivative is by the coordinates.
struct Places {
  Value at{}, slope{};
  int64_t length = 1;
};

inline Places places_of(Graph& g, Value coordinate, int64_t length, const Sampling& sampling) {
  const double last = static_cast<double>(length - 1);
  const double scale = (sampling.align_corners ? last : static_cast<double>(length)) / 2;
  Value at = times_number(g, add_number(g, coordinate, 1), scale);
  if (!sampling.align_corners) at = add_number(g, at, -0.5);
  Value slope = g.constant(scale, DType::float32, Shape(g.shape(at)));
  if (sampling.outside == Outside::kReflection) {
    // There and back again between the outermost places, or between the outer edges of the outermost pixels.
    const double edge = sampling.align_corners ? 0 : 0.5, range = last + 2 * edge;
    const Value from_edge = add_number(g, at, edge), distance = g.absolute(from_edge);
    const Value turns = g.floor(times_number(g, distance, range > 0 ? 1 / (2 * range) : 0));
    const Value extra = range > 0 ? g.subtraction(distance, times_number(g, turns, 2 * range)) : number(g, at, 0);
    const Value back = g.subtraction(number(g, extra, 2 * range), extra);
    const Value goes_back = g.greater_than(extra, back);
    slope = g.multiplication(g.multiplication(slope, g.sign(from_edge)),
                             g.select(goes_back, number(g, at, -1), number(g, at, 1)));
    at = add_number(g, g.broadcast(g.minimum(extra, back), Shape(g.shape(at))), -edge);
  }
  if (sampling.outside != Outside::kZeros) {
    const Value inside = clamped(g, at, 0, last);
    slope = g.select(g.equal(inside, at), slope, number(g, slope, 0));
    at = inside;
  }
  return {at, slope, length};
}

// One of the elements around each place, along one axis: its index, its weight, and what the weight's derivative is by
// the place. Outside of the image the weights are 0.
struct Side {
  Value index{}, weight{}, derivative{};
};

inline Side inside_only(Graph& g, const Places& places, Value at, Value weight, Value derivative) {
  const Value bounded = clamped(g, at, 0, static_cast<double>(places.length - 1));
  const Value is_inside = g.equal(bounded, at), zero = number(g, at, 0);
  return {g.cast(bounded, DType::int32), g.select(is_inside, weight, zero), g.select(is_inside, derivative, zero)};
}

inline SmallVector<Side, 2> sides_of(Graph& g, const Places& places, bool nearest) {
  const Value one = g.constant(1.0, DType::float32, Shape(g.shape(places.at)));
  const Value zero = number(g, one, 0);
  if (nearest) return {inside_only(g, places, g.rint(places.at), one, zero)};  // halves to even
  const Value lower = g.floor(places.at), part = g.subtraction(places.at, lower);
  return {inside_only(g, places, lower, g.subtraction(one, part), g.negative(one)),
          inside_only(g, places, add_number(g, lower, 1), part, one)};
}

// One of the corners around each place of a whole image, in `rows` of all images taken flat.
struct Corner {
  Value row{}, weight{};
  SmallVector<Value, 3> slopes;  // of the weight by each coordinate, the last axis first
};

// The number of the image that each of `places` places of each of `images` images belongs to: int32, [images * places].
inline Value image_of_places(Graph& g, int64_t images, int64_t places) {
  return g.reshape(g.broadcast(g.coordinate({images, 1}, 0), {images, places}), {images * places});
}

// The number of the image that each of `regions` regions is a part of: int32, [regions]. `counts` is how many each
// image has, int32 [images]; those that none has are taken for the last one's.
inline Value image_of_regions(Graph& g, Value counts, int64_t regions) {
  const Value image = image_of_rows(g, counts, regions);
  return g.minimum(image, number(g, image, g.elements(counts) - 1));
}

// The corners around places [M] along each spatial axis, the first axis first, in the images with the numbers `image`.
inline std::vector<Corner> corners_at(Graph& g, Value image, Span<const Places> along, bool nearest) {
  const size_t axes = along.size();
  SmallVector<Side, 2> sides[3];
  for (size_t i = 0; i < axes; ++i) sides[i] = sides_of(g, along[i], nearest);
  const size_t each = sides[0].size();
  size_t count = 1;
  for (size_t i = 0; i < axes; ++i) count *= each;
  std::vector<Corner> corners;
  for (size_t i = 0; i < count; ++i) {
    Corner corner;
    corner.row = image;
    Side chosen[3];
    for (size_t axis = 0, rest = i; axis < axes; ++axis, rest /= each) {
      const Side& side = chosen[axis] = sides[axis][rest % each];
      const Value before = g.multiplication(corner.row, number(g, corner.row, along[axis].length));
      corner.row = g.addition(before, side.index);
      corner.weight = axis == 0 ? side.weight : g.multiplication(corner.weight, side.weight);
    }
    for (size_t axis = axes; axis-- > 0;) {
      Value slope = g.multiplication(chosen[axis].derivative, along[axis].slope);
      for (size_t other = 0; other < axes; ++other) {
        if (other != axis) slope = g.multiplication(slope, chosen[other].weight);
      }
      corner.slopes.push_back(slope);
    }
    corners.push_back(corner);
  }
  return corners;
}

inline Value weight_column(Graph& g, const Corner& corner) {
  return g.reshape(corner.weight, {1, g.elements(corner.weight), 1});
}

// What lies at the places: a weighed sum of the `rows` of all images, [1, M, channels].
inline Value read_corners(Graph& g, const std::vector<Corner>& corners, Value rows) {
  Value sum{};
  for (const Corner& corner : corners) {
    const Value part = g.multiplication(g.gather(corner.row, rows), weight_column(g, corner));
    sum = &corner == corners.data() ? part : g.addition(sum, part);
  }
  return sum;
}

// The gradient of `count` rows by that of what was read.
inline Value rows_gradient(Graph& g, const std::vector<Corner>& corners, Value gradient, int64_t count) {
  Value sum = zeros(g, DType::float32, {1, count, g.shape(gradient)[2]});
  for (const Corner& corner : corners) {
    sum = g.scatter(ScatterMode::kAdd, sum, corner.row, g.multiplication(gradient, weight_column(g, corner)));
  }
  return sum;
}

// The gradient by the places along each axis, the last axis first, [M] each.
inline SmallVector<Value, 3> places_gradient(Graph& g, const std::vector<Corner>& corners, Value rows, Value gradient) {
  SmallVector<Value, 3> slopes;
  for (const Corner& corner : corners) {
    const Value products = g.multiplication(g.gather(corner.row, rows), gradient);
    const Value along = flat(g, g.reduction_sum(products, {2}));
    for (size_t axis = 0; axis < corner.slopes.size(); ++axis) {
      const Value part = g.multiplication(along, corner.slopes[axis]);
      if (slopes.size() <= axis) {
        slopes.push_back(part);
      } else {
        slopes[axis] = g.addition(slopes[axis], part);
      }
    }
  }
  return slopes;
}

// `grid` [N, places, spatial axes], coordinates; `lengths` of the spatial axes, the first one first.
inline std::vector<Corner> corners_of(Graph& g, Value grid, Dims lengths, const Sampling& sampling) {
  const Shape shape(g.shape(grid));
  SmallVector<Places, 3> along;
  for (size_t i = 0; i < lengths.size(); ++i) {
    const auto at = static_cast<int64_t>(lengths.size() - 1 - i);  // coordinates begin with the last axis
    const Value coordinate = g.reshape(slice_axis(g, grid, 2, at, 1), {shape[0] * shape[1]});
    along.push_back(places_of(g, coordinate, lengths[i], sampling));
  }
  return corners_at(g, image_of_places(g, shape[0], shape[1]), along, sampling.nearest);
}

// [N, C, spatial ..] as rows of channels, [1, N * places, C], and back.
inline Value as_rows(Graph& g, Value x) {
  const Shape shape(g.shape(x));
  const int64_t places = product_of(shape, 2, shape.size());
  const Value flat = g.transpose(g.reshape(x, {shape[0], shape[1], places}), {0, 2, 1});
  return g.reshape(flat, {1, shape[0] * places, shape[1]});
}
inline Value as_images(Graph& g, Value rows, Dims shape) {
  const int64_t places = product_of(shape, 2, shape.size());
  return g.reshape(g.transpose(g.reshape(rows, {shape[0], places, shape[1]}), {0, 2, 1}), shape);
}

// float32 [places, axes + 1]: the coordinates of each place of an image, the last axis first, and 1.
inline Value base_grid(Graph& g, Dims lengths, bool align_corners) {
  const Shape shape(lengths);
  const int64_t places = element_count(shape);
  SmallVector<Value, 4> columns;
  for (size_t i = shape.size(); i-- > 0;) {
    const double length = static_cast<double>(shape[i]);
    const Value p = g.cast(g.coordinate(shape, static_cast<int>(i)), DType::float32);
    const Value at = align_corners ? add_number(g, times_number(g, p, 2 / (length - 1)), -1)
                                   : add_number(g, times_number(g, p, 2 / length), 1 / length - 1);
    columns.push_back(g.reshape(at, {places, 1}));
  }
  columns.push_back(g.constant(1.0, DType::float32, {places, 1}));
  return g.concatenation(columns, 1);
}

}  // namespace mps::graphs
