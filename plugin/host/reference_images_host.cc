#include "plugin/host/reference_images_host.h"

#include <cmath>
#include <limits>
#include <vector>

#include "plugin/core/check.h"

namespace mps {
namespace {

template <typename F>
void visit_float(DType dtype, F f) {
  if (dtype == DType::float32) return f(float{});
  if (dtype == DType::float16) return f(Half{});
  if (dtype == DType::bfloat16) return f(BFloat16{});
  MPS_THROW(kInternal, "not a float: got ", name(dtype), ".");
}

template <typename T>
double load(const void* data, int64_t at) {
  return static_cast<double>(static_cast<float>(static_cast<const T*>(data)[at]));
}

template <typename T>
void store(void* data, const std::vector<double>& values) {
  T* to = static_cast<T*>(data);
  for (double value : values) *to++ = static_cast<T>(static_cast<float>(value));
}

// Calls f(index) for every index of `shape`, in row-major order.
template <typename F>
void each_index(Dims shape, F f) {
  Ints index;
  index.resize(shape.size(), 0);
  for (int64_t left = element_count(shape); left > 0; --left) {
    f(index);
    for (size_t axis = shape.size(); axis-- > 0;) {
      if (++index[axis] < shape[axis]) break;
      index[axis] = 0;
    }
  }
}

int64_t at(Dims index, Dims strides) {
  int64_t sum = 0;
  for (size_t i = 0; i < index.size(); ++i) sum += index[i] * strides[i];
  return sum;
}

// One element of a window: how far from the window's beginning on every axis, and in memory.
struct Tap {
  Sliding::Numbers moved;
  int64_t in_x = 0, in_weights = 0;
};

// Those of a window over both inputs and space; the padding before the image is taken off.
std::vector<Tap> taps_of(const Sliding& sliding, Dims window, Dims x_strides, Dims w_strides) {
  std::vector<Tap> taps;
  each_index(window, [&](const Ints& index) {
    Tap tap;
    tap.in_weights = at(index, {w_strides.data() + 1, w_strides.size() - 1});
    tap.in_x = index[0] * x_strides[sliding.channel_axis()];
    for (size_t i = 0; i < sliding.axes(); ++i) {
      tap.moved.push_back(index[1 + i] * sliding.dilations[i] - sliding.before[i]);
      tap.in_x += tap.moved[i] * x_strides[sliding.spatial_axis(i)];
    }
    taps.push_back(tap);
  });
  return taps;
}

// out[y] += x[..] * weights[..] for every product of a convolution, or the same for one of the other two.
void convolution(const Graph& graph, Value value, Span<const void* const> operands, void* out) {
  const Node& node = graph.node(value);
  const Sliding sliding = Sliding::of(graph.attributes(node));
  const Dims shapes[] = {graph.shape(graph.operand(node, 0)), graph.shape(graph.operand(node, 1)), graph.shape(node)};
  // Which of the three is x, the weights, and y.
  size_t x = 0, weights = 1, y = 2;
  if (node.kind == NodeKind::convolution_2d_data_gradient || node.kind == NodeKind::convolution_3d_data_gradient) {
    y = 0, weights = 1, x = 2;
  } else if (info(node.kind).family == NodeFamily::kConvolutionGradient) {
    y = 0, x = 1, weights = 2;
  }
  const Ints x_strides = contiguous_strides(shapes[x]), w_strides = contiguous_strides(shapes[weights]);
  const size_t channel = sliding.channel_axis(), axes = sliding.axes();
  const int64_t inputs = shapes[weights][1], outputs = shapes[weights][0] / sliding.groups;
  const Dims window(shapes[weights].data() + 1, shapes[weights].size() - 1);  // input, then the spatial axes
  const std::vector<Tap> taps = taps_of(sliding, window, x_strides, w_strides);
  visit_float(node.dtype, [&](auto zero) {
    using T = decltype(zero);
    std::vector<double> sums(static_cast<size_t>(element_count(shapes[2])), 0.0);
    int64_t places[3] = {};
    each_index(shapes[y], [&](const Ints& position) {
      const int64_t group = position[channel] / outputs;
      Ints corner(position);
      corner[channel] = group * inputs;
      for (size_t i = 0; i < axes; ++i) corner[sliding.spatial_axis(i)] *= sliding.strides[i];
      const int64_t in_x = at(corner, x_strides), in_weights = position[channel] * w_strides[0];
      for (const Tap& tap : taps) {
        bool inside = true;
        for (size_t i = 0; i < axes; ++i) {
          const size_t axis = sliding.spatial_axis(i);
          const int64_t place = corner[axis] + tap.moved[i];
          inside = inside && place >= 0 && place < shapes[x][axis];
        }
        if (!inside) continue;
        places[x] = in_x + tap.in_x;
        places[weights] = in_weights + tap.in_weights;
        sums[static_cast<size_t>(places[2])] += load<T>(operands[0], places[0]) * load<T>(operands[1], places[1]);
      }
      ++places[y];
    });
    store<T>(out, sums);
  });
}

// The elements of one window: where they are in x, and their places among the spatial axes taken flat.
struct Window {
  std::vector<int64_t> elements, places;
  double count = 1;
};

Window window_at(const Sliding& sliding, const Ints& position, Dims pooled, Dims image) {
  Window window;
  const Ints strides = contiguous_strides(image);
  Ints start, shape;
  for (size_t i = 0; i < sliding.axes(); ++i) {
    const size_t axis = sliding.spatial_axis(i);
    const Sliding::Range range = sliding.range(i, position[axis], pooled[axis], image[axis]);
    start.push_back(range.start);
    shape.push_back(range.end > range.start ? range.end - range.start : 0);
    window.count *= static_cast<double>(range.count);
  }
  each_index(shape, [&](const Ints& offset) {
    Ints from(position);
    int64_t place = 0;
    for (size_t i = 0; i < sliding.axes(); ++i) {
      const size_t axis = sliding.spatial_axis(i);
      from[axis] = start[i] + offset[i];
      place = place * image[axis] + from[axis];
    }
    window.elements.push_back(at(from, strides));
    window.places.push_back(place);
  });
  return window;
}

// The number in the window that is first among the greatest, NaN counting as -inf; the size if there is none.
template <typename T>
size_t first_greatest(const Window& window, const void* x) {
  const auto value = [&](size_t i) {
    const double element = load<T>(x, window.elements[i]);
    return std::isnan(element) ? -HUGE_VAL : element;
  };
  size_t best = 0;
  for (size_t i = 1; i < window.elements.size(); ++i) best = value(i) > value(best) ? i : best;
  return best;
}

void pooling(const Graph& graph, Value value, Span<const void* const> operands, void* out) {
  const Node& node = graph.node(value);
  const Sliding sliding = Sliding::of(graph.attributes(node));
  const Shape image(graph.shape(graph.operand(node, 0))), pooled(graph.shape(node));
  int32_t* index = static_cast<int32_t*>(out);
  visit_float(graph.dtype(graph.operand(node, 0)), [&](auto zero) {
    using T = decltype(zero);
    std::vector<double> results;
    each_index(pooled, [&](const Ints& position) {
      const Window window = window_at(sliding, position, pooled, image);
      double sum = 0, most = -HUGE_VAL;
      for (int64_t element : window.elements) {
        const double x = load<T>(operands[0], element);
        sum += x;
        most = most >= x || std::isnan(most) ? most : x;
      }
      if (node.kind == NodeKind::max_pooling_indices) {
        *index++ =
            window.places.empty() ? -1 : static_cast<int32_t>(window.places[first_greatest<T>(window, operands[0])]);
      } else {
        results.push_back(node.kind == NodeKind::max_pooling ? most : sum / window.count);
      }
    });
    if (!results.empty()) store<T>(out, results);
  });
}

void pooling_gradient(const Graph& graph, Value value, Span<const void* const> operands, void* out) {
  const Node& node = graph.node(value);
  const Sliding sliding = Sliding::of(graph.attributes(node));
  const Shape image(graph.shape(node)), pooled(graph.shape(graph.operand(node, 0)));
  visit_float(node.dtype, [&](auto zero) {
    using T = decltype(zero);
    std::vector<double> sums(static_cast<size_t>(element_count(image)), 0.0);
    int64_t from = 0;
    each_index(pooled, [&](const Ints& position) {
      const Window window = window_at(sliding, position, pooled, image);
      const double gradient = load<T>(operands[0], from++);
      if (window.elements.empty()) return;
      if (node.kind == NodeKind::max_pooling_gradient) {
        const size_t best = first_greatest<T>(window, operands[1]);
        sums[static_cast<size_t>(window.elements[best])] += gradient;
      } else {
        for (int64_t element : window.elements) sums[static_cast<size_t>(element)] += gradient / window.count;
      }
    });
    store<T>(out, sums);
  });
}

}  // namespace

void reference_images(const Graph& graph, Value value, Span<const void* const> operands, void* out) {
  switch (info(graph.node(value).kind).family) {
    case NodeFamily::kConvolution:
    case NodeFamily::kConvolutionGradient:
      return convolution(graph, value, operands, out);
    case NodeFamily::kPooling:
      return pooling(graph, value, operands, out);
    case NodeFamily::kPoolingGradient:
      return pooling_gradient(graph, value, operands, out);
    default:
      MPS_THROW(kInternal, "not a node of images: got ", info(graph.node(value).kind).name, ".");
  }
}

}  // namespace mps
