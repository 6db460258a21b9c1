#include "plugin/core/infer_images.h"

#include "plugin/core/check.h"

namespace mps {
namespace {

void check_sliding(NodeKind kind, Dims image, const Sliding& sliding) {
  bool fits = image.size() == sliding.axes() + 2 && sliding.axes() >= 1 && sliding.axes() <= 3 && sliding.groups >= 1;
  for (size_t i = 0; fits && i < sliding.axes(); ++i) {
    fits = sliding.size[i] >= 1 && sliding.strides[i] >= 1 && sliding.dilations[i] >= 1 && sliding.before[i] >= 0 &&
           sliding.padding[i] >= 0;
  }
  MPS_CHECK(fits, kArgument, "bad window of ", info(kind).name,
            ": expected a size, stride and dilation from 1 on, and a padding from 0 on, for each spatial axis of ",
            to_string(image), ", got size ", to_string(sliding.size), ", strides ", to_string(sliding.strides),
            ", dilations ", to_string(sliding.dilations), ", padding ", to_string(sliding.before), " and ",
            to_string(sliding.padding), ". Correct them.");
}

Shape convolved(NodeKind kind, Dims x, Dims weights, const Sliding& sliding) {
  check_sliding(kind, x, sliding);
  const bool is_3d = kind == NodeKind::convolution_3d || kind == NodeKind::convolution_3d_data_gradient ||
                     kind == NodeKind::convolution_3d_weights_gradient;
  MPS_CHECK(sliding.axes() == (is_3d ? 3 : 2), kInternal, "bad image of ", info(kind).name, ": expected ",
            is_3d ? 3 : 2, " spatial axes, got ", sliding.axes(), ".");
  const int64_t channels = x[sliding.channel_axis()];
  bool fits = weights.size() == x.size() && weights[1] * sliding.groups == channels && weights[0] % sliding.groups == 0;
  for (size_t i = 0; fits && i < sliding.axes(); ++i) fits = weights[2 + i] == sliding.size[i];
  MPS_CHECK(fits, kArgument, "weights do not fit for ", info(kind).name, ": expected [O, ", channels, " / ",
            sliding.groups, ", ..] with O a multiple of ", sliding.groups, ", got ", to_string(weights),
            ". Check the number of channels and groups.");
  Shape shape(x);
  shape[sliding.channel_axis()] = weights[0];
  for (size_t i = 0; i < sliding.axes(); ++i) {
    int64_t& length = shape[sliding.spatial_axis(i)];
    const int64_t positions = sliding.positions(i, length);
    MPS_CHECK(positions >= 1, kArgument, "the window of ", info(kind).name,
              " is larger than the image: expected at most ", length + sliding.before[i] + sliding.padding[i],
              " elements along axis ", sliding.spatial_axis(i), ", got ", sliding.reach(i), ". Pad the image.");
    length = positions;
  }
  return shape;
}

// `pooled` has the batch and the channels of `image`.
void check_pooled(NodeKind kind, Dims image, Dims pooled, const Sliding& sliding) {
  check_sliding(kind, image, sliding);
  bool fits = image.size() == pooled.size() && image[0] == pooled[0] &&
              image[sliding.channel_axis()] == pooled[sliding.channel_axis()];
  for (size_t i = 0; fits && i < sliding.axes(); ++i) {
    fits = image[sliding.spatial_axis(i)] >= 1 && pooled[sliding.spatial_axis(i)] >= 1 && sliding.dilations[i] == 1;
  }
  MPS_CHECK(fits, kArgument, "shapes of ", info(kind).name, " do not fit: expected the batch and the channels of ",
            to_string(image), ", something along each spatial axis, and windows without gaps, got ", to_string(pooled),
            ". Correct window and padding.");
}

}  // namespace

Inferred infer_convolution(const Graph& graph, NodeKind kind, Value x, Value weights, Dims attributes) {
  check_dtype(kind, graph.dtype(x));
  check_same_dtype(kind, graph.dtype(x), graph.dtype(weights));
  return {graph.dtype(x), convolved(kind, graph.shape(x), graph.shape(weights), Sliding::of(attributes))};
}

Inferred infer_convolution_gradient(const Graph& graph, NodeKind kind, Value dout, Value other, Dims attributes,
                                    Dims target) {
  check_dtype(kind, graph.dtype(dout));
  check_same_dtype(kind, graph.dtype(dout), graph.dtype(other));
  const bool of_data = kind == NodeKind::convolution_2d_data_gradient || kind == NodeKind::convolution_3d_data_gradient;
  const Dims x = of_data ? target : graph.shape(other), weights = of_data ? graph.shape(other) : target;
  const Shape expected = convolved(kind, x, weights, Sliding::of(attributes));
  MPS_CHECK(same_shape(expected, graph.shape(dout)), kArgument, "the incoming gradient of ", info(kind).name,
            " does not fit: expected ", to_string(expected), ", got ", to_string(graph.shape(dout)),
            ". Give it the shape of the forward result.");
  return {graph.dtype(dout), Shape(target)};
}

Inferred infer_pooling(const Graph& graph, NodeKind kind, Value x, Dims attributes, Dims target) {
  check_dtype(kind, graph.dtype(x));
  check_pooled(kind, graph.shape(x), target, Sliding::of(attributes));
  return {kind == NodeKind::max_pooling_indices ? DType::int32 : graph.dtype(x), Shape(target)};
}

Inferred infer_pooling_gradient(const Graph& graph, NodeKind kind, Span<const Value> operands, Dims attributes,
                                Dims target) {
  check_dtype(kind, graph.dtype(operands[0]));
  check_pooled(kind, target, graph.shape(operands[0]), Sliding::of(attributes));
  if (operands.size() == 2) {
    check_same_dtype(kind, graph.dtype(operands[0]), graph.dtype(operands[1]));
    MPS_CHECK(same_shape(graph.shape(operands[1]), target), kInternal, "bad operands of ", info(kind).name,
              ": expected an image ", to_string(target), ", got ", to_string(graph.shape(operands[1])), ".");
  }
  return {graph.dtype(operands[0]), Shape(target)};
}

}  // namespace mps
