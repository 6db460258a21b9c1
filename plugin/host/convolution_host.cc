// Convolutions and their gradients, cut into pieces that several threads take: images, groups or channels.
#include <algorithm>

#include "plugin/core/check.h"
#include "plugin/host/convolution_kernel_host.h"
#include "plugin/host/threads.h"
#include "plugin/host/whole_host.h"

namespace mps {

Image Image::of(Dims shape, const Sliding& sliding) {
  const Ints strides = contiguous_strides(shape);
  const size_t channel = sliding.channel_axis(), missing = 3 - sliding.axes();
  Image image;
  image.batch = shape[0];
  image.batch_stride = strides[0];
  image.channels = shape[channel];
  image.channel_stride = strides[channel];
  for (size_t i = 0; i < sliding.axes(); ++i) {
    image.size[missing + i] = shape[sliding.spatial_axis(i)];
    image.stride[missing + i] = strides[sliding.spatial_axis(i)];
  }
  return image;
}

ConvolutionNode ConvolutionNode::of(const Graph& graph, Value value) {
  const Node& node = graph.node(value);
  const Sliding sliding = Sliding::of(graph.attributes(node));
  const Dims first = graph.shape(graph.operand(node, 0)), second = graph.shape(graph.operand(node, 1)),
             result = graph.shape(node);
  Convolved what = Convolved::kY;
  Dims x = first, weights = second, y = result;
  if (node.kind == NodeKind::convolution_2d_data_gradient || node.kind == NodeKind::convolution_3d_data_gradient) {
    what = Convolved::kX;
    x = result, weights = second, y = first;
  } else if (info(node.kind).family == NodeFamily::kConvolutionGradient) {
    what = Convolved::kWeights;
    x = second, weights = result, y = first;
  }
  ConvolutionGeometry g;
  g.x = Image::of(x, sliding);
  g.y = Image::of(y, sliding);
  g.groups = sliding.groups;
  g.spatial = static_cast<int64_t>(sliding.axes());
  for (size_t i = 0, at = 3 - sliding.axes(); i < sliding.axes(); ++i, ++at) {
    g.size[at] = sliding.size[i];
    g.step[at] = sliding.strides[i];
    g.dilation[at] = sliding.dilations[i];
    g.before[at] = sliding.before[i];
    g.behind[at] = sliding.padding[i];
  }
  g.input_stride = g.taps();
  g.output_stride = g.group_inputs() * g.taps();
  return {what, g};
}

namespace {

// A piece should take long enough for another thread to be worth waking.
constexpr int64_t kPieceProducts = int64_t{2} << 20;

// How the work is cut, and how far apart the pieces lie in each array.
struct Cut {
  int64_t pieces = 1, each = 1, total = 1;  // along what is cut
  int64_t x = 0, weights = 0, y = 0;        // strides of one
  enum { kNothing, kBatch, kGroups, kOutputs, kInputs } along = kNothing;

  ConvolutionGeometry piece(const ConvolutionGeometry& whole, int64_t count) const {
    ConvolutionGeometry part = whole;
    switch (along) {
      case kNothing:
        break;
      case kBatch:
        part.x.batch = part.y.batch = count;
        break;
      case kGroups:
        part.groups = count;
        part.x.channels = count * whole.group_inputs();
        part.y.channels = count * whole.group_outputs();
        break;
      case kOutputs:
        part.y.channels = count;
        break;
      case kInputs:
        part.x.channels = count;
        break;
    }
    return part;
  }
};

Cut cut_of(Convolved what, const ConvolutionGeometry& g) {
  Cut cut;
  const int64_t wanted = std::min<int64_t>(thread_count(), g.products() / kPieceProducts);
  if (wanted <= 1) return cut;
  const auto along = [&](decltype(Cut::along) axis, int64_t total, int64_t x, int64_t weights, int64_t y) {
    const int64_t each = (total + wanted - 1) / wanted;
    cut = {(total + each - 1) / each, each, total, x, weights, y, axis};
  };
  if (what != Convolved::kWeights && g.y.batch >= wanted) {
    along(Cut::kBatch, g.y.batch, g.x.batch_stride, 0, g.y.batch_stride);
  } else if (g.groups > 1) {
    along(Cut::kGroups, g.groups, g.group_inputs() * g.x.channel_stride, g.group_outputs() * g.output_stride,
          g.group_outputs() * g.y.channel_stride);
  } else if (what == Convolved::kX) {
    along(Cut::kInputs, g.x.channels, g.x.channel_stride, g.input_stride, 0);
  } else {
    along(Cut::kOutputs, g.y.channels, 0, g.output_stride, g.y.channel_stride);
  }
  return cut;
}

std::shared_ptr<const ConvolutionKernel> make_kernel(Convolved what, const ConvolutionGeometry& geometry) {
  if (auto kernel = make_onednn_convolution(what, geometry)) return kernel;
  return make_plain_convolution(what, geometry);
}

}  // namespace

WholeProgram compile_convolution(const Graph& graph, Value value) {
  MPS_CHECK(graph.dtype(value) == DType::float32, kInternal, "convolutions run in float32, got ",
            name(graph.dtype(value)), ".");
  const ConvolutionNode node = ConvolutionNode::of(graph, value);
  const Convolved what = node.what;
  const ConvolutionGeometry& geometry = node.geometry;
  const Cut cut = cut_of(what, geometry);
  const int64_t last = cut.total - (cut.pieces - 1) * cut.each;
  const auto kernel = make_kernel(what, cut.piece(geometry, cut.each));
  const auto last_kernel = last == cut.each ? kernel : make_kernel(what, cut.piece(geometry, last));

  WholeProgram program;
  program.run = [=](Span<const void* const> inputs, void* output) {
    float* const first = const_cast<float*>(static_cast<const float*>(inputs[0]));
    float* const second = const_cast<float*>(static_cast<const float*>(inputs[1]));
    float* const result = static_cast<float*>(output);
    float* const x = what == Convolved::kY ? first : what == Convolved::kX ? result : second;
    float* const weights = what == Convolved::kWeights ? result : second;
    float* const y = what == Convolved::kY ? result : first;
    parallel_for(cut.pieces, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t at = i * cut.each;
        const ConvolutionKernel& one = i + 1 == cut.pieces ? *last_kernel : *kernel;
        one.run(x + at * cut.x, weights + at * cut.weights, y + at * cut.y);
      }
    });
  };
  program.cost_ns = 2000 + static_cast<uint64_t>(geometry.products()) / 20;
  program.bytes = kernel->bytes() + (last_kernel != kernel ? last_kernel->bytes() : 0);
  return program;
}

}  // namespace mps
