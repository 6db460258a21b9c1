// One piece of a convolution in float32 on one thread: what compile_convolution() cuts its work into. There are
// oneDNN's kernels (onednn_convolution_host.cc) and plain loops (convolution_plain_host.cc). A kernel is immutable and
// may run on many threads at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "plugin/core/graph.h"

namespace mps {

// Three spatial axes; those that an image lacks are the first ones, of size 1. Strides are in elements.
struct Image {
  int64_t batch = 1, channels = 1;
  int64_t size[3] = {1, 1, 1};
  int64_t batch_stride = 0, channel_stride = 0;
  int64_t stride[3] = {0, 0, 0};

  static Image of(Dims shape, const Sliding& sliding);
};

// y[n, o, p] = sum over c, k of x[n, c, p * step + k * dilation - before] * weights[o, c, k], in `groups` parts of the
// channels; and the gradients of x and of the weights for one of y.
struct ConvolutionGeometry {
  Image x, y;
  int64_t groups = 1;
  int64_t spatial = 2;  // how many axes there are
  int64_t size[3] = {1, 1, 1}, step[3] = {1, 1, 1}, dilation[3] = {1, 1, 1}, before[3] = {0, 0, 0},
          behind[3] = {0, 0, 0};
  int64_t output_stride = 0, input_stride = 0;  // of the weights; their window is dense

  int64_t group_outputs() const { return y.channels / groups; }
  int64_t group_inputs() const { return x.channels / groups; }
  int64_t taps() const { return size[0] * size[1] * size[2]; }
  int64_t products() const {
    return y.batch * y.channels * y.size[0] * y.size[1] * y.size[2] * group_inputs() * taps();
  }
};

// Which of the three the others make.
enum class Convolved { kY, kX, kWeights };

class ConvolutionKernel {
 public:
  virtual ~ConvolutionKernel() = default;
  // Reads two of them and writes the third.
  virtual void run(float* x, float* weights, float* y) const = 0;
  virtual size_t bytes() const = 0;
};

// Null if oneDNN was not built in, or has no fast kernel for this on this processor. Throws kDevice if it fails.
std::unique_ptr<ConvolutionKernel> make_onednn_convolution(Convolved what, const ConvolutionGeometry& geometry);
std::unique_ptr<ConvolutionKernel> make_plain_convolution(Convolved what, const ConvolutionGeometry& geometry);

// The operands of a convolution node: x, weights and y are its operands and its result, in some order.
struct ConvolutionNode {
  Convolved what;
  ConvolutionGeometry geometry;

  static ConvolutionNode of(const Graph& graph, Value value);
};

}  // namespace mps
