// Convolutions and transposed convolutions with their gradients, and those of these. A transposed convolution is the
// gradient of one, and its gradients are a convolution and one of its gradients.
#include "kernels/graphs/lines.h"
#include "kernels/ops/sliding.h"
#include "paddle/phi/kernels/conv_grad_kernel.h"
#include "paddle/phi/kernels/conv_kernel.h"
#include "paddle/phi/kernels/conv_transpose_grad_kernel.h"
#include "paddle/phi/kernels/conv_transpose_kernel.h"
#include "plugin/paddle/recorder.h"
#include "plugin/paddle/register.h"

namespace mps::paddle {
namespace {

using phi::CustomContext;
using phi::DenseTensor;
using phi::IntArray;
using Integers = std::vector<int>;
using OptionalTensor = ::paddle::optional<DenseTensor>;

// `image` is what the window slides over. Of a transposed convolution that is the result, but Paddle derives the
// padding of SAME from its input, `padded`.
Sliding sliding_of(const DenseTensor& padded, const DenseTensor& filter, const Integers& strides,
                   const Integers& paddings, const std::string& algorithm, const Integers& dilations, int groups,
                   const std::string& format) {
  Sliding sliding;
  sliding.channels_last = channels_come_last(format);
  sliding.groups = groups;
  const Dims weights = dims_of(filter);
  for (size_t i = 2; i < weights.size(); ++i) sliding.size.push_back(weights[i]);
  sliding.strides = numbers_of(strides);
  sliding.dilations = numbers_of(dilations);
  set_padding(&sliding, dims_of(padded), paddings, algorithm);
  return sliding;
}

// -- convolutions
// ---------------------------------------------------------------------------------------------------------

void convolve(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& filter, const Sliding& sliding,
              DenseTensor* out) {
  Recorder record(ctx);
  record.output(out, record.graph.convolution(record.input(x), record.input(filter), sliding));
  record.launch();
}

void convolve_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& filter, const DenseTensor& dout,
                   const Sliding& sliding, DenseTensor* dx, DenseTensor* dfilter) {
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value gradient = record.input(dout);
  if (dx != nullptr) {
    record.output(dx, g.convolution_data_gradient(gradient, record.input(filter), dims_of(x), sliding));
  }
  if (dfilter != nullptr) {
    record.output(dfilter, g.convolution_weights_gradient(gradient, record.input(x), dims_of(filter), sliding));
  }
  record.launch();
}

void conv2d(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& filter, const Integers& strides,
            const Integers& paddings, const std::string& algorithm, const Integers& dilations, int groups,
            const std::string& format, DenseTensor* out) {
  convolve(ctx, x, filter, sliding_of(x, filter, strides, paddings, algorithm, dilations, groups, format), out);
}

void conv2d_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& filter, const DenseTensor& dout,
                 const Integers& strides, const Integers& paddings, const std::string& algorithm,
                 const Integers& dilations, int groups, const std::string& format, DenseTensor* dx,
                 DenseTensor* dfilter) {
  convolve_grad(ctx, x, filter, dout, sliding_of(x, filter, strides, paddings, algorithm, dilations, groups, format),
                dx, dfilter);
}

// The result is linear in x and in the filter: so are the gradients, in what comes in for them and in the other one.
void conv2d_double_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& filter,
                        const DenseTensor& dout, const OptionalTensor& ddx, const OptionalTensor& ddfilter,
                        const Integers& strides, const Integers& paddings, const std::string& algorithm,
                        const Integers& dilations, int groups, const std::string& format, DenseTensor* dx,
                        DenseTensor* dfilter, DenseTensor* ddout) {
  const Sliding sliding = sliding_of(x, filter, strides, paddings, algorithm, dilations, groups, format);
  Recorder record(ctx);
  Graph& g = record.graph;
  const auto none = [&](DenseTensor* like) { return graphs::zeros(g, dtype_of(*like), dims_of(*like)); };
  if (dx != nullptr) {
    record.output(
        dx, ddfilter ? g.convolution_data_gradient(record.input(dout), record.input(*ddfilter), dims_of(x), sliding)
                     : none(dx));
  }
  if (dfilter != nullptr) {
    record.output(dfilter,
                  ddx ? g.convolution_weights_gradient(record.input(dout), record.input(*ddx), dims_of(filter), sliding)
                      : none(dfilter));
  }
  if (ddout != nullptr) {
    Value sum = none(ddout);
    if (ddx) sum = g.convolution(record.input(*ddx), record.input(filter), sliding);
    if (ddfilter) {
      const Value other = g.convolution(record.input(x), record.input(*ddfilter), sliding);
      sum = ddx ? g.addition(sum, other) : other;
    }
    record.output(ddout, sum);
  }
  record.launch();
}

// depthwise_conv2d and conv3d: the same with the parameters in another order.
void grouped_conv(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& filter, const Integers& strides,
                  const Integers& paddings, const std::string& algorithm, int groups, const Integers& dilations,
                  const std::string& format, DenseTensor* out) {
  conv2d(ctx, x, filter, strides, paddings, algorithm, dilations, groups, format, out);
}

void grouped_conv_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& filter,
                       const DenseTensor& dout, const Integers& strides, const Integers& paddings,
                       const std::string& algorithm, int groups, const Integers& dilations, const std::string& format,
                       DenseTensor* dx, DenseTensor* dfilter) {
  conv2d_grad(ctx, x, filter, dout, strides, paddings, algorithm, dilations, groups, format, dx, dfilter);
}

void grouped_conv_double_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& filter,
                              const DenseTensor& dout, const OptionalTensor& ddx, const OptionalTensor& ddfilter,
                              const Integers& strides, const Integers& paddings, const std::string& algorithm,
                              int groups, const Integers& dilations, const std::string& format, DenseTensor* dx,
                              DenseTensor* dfilter, DenseTensor* ddout) {
  conv2d_double_grad(ctx, x, filter, dout, ddx, ddfilter, strides, paddings, algorithm, dilations, groups, format, dx,
                     dfilter, ddout);
}

// -- transposed convolutions
// ---------------------------------------------------------------------------------------------------------

// Sizes of the result, output_padding among what they come from, are Paddle's affair: `out` has them.
template <typename Size>
void conv_transpose(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& filter, const Integers& strides,
                    const Integers& paddings, const Integers&, const Size&, const std::string& algorithm, int groups,
                    const Integers& dilations, const std::string& format, DenseTensor* out) {
  const Sliding sliding = sliding_of(x, filter, strides, paddings, algorithm, dilations, groups, format);
  Recorder record(ctx);
  record.output(out,
                record.graph.convolution_data_gradient(record.input(x), record.input(filter), dims_of(*out), sliding));
  record.launch();
}

template <typename Size>
void conv_transpose_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& filter,
                         const DenseTensor& dout, const Integers& strides, const Integers& paddings, const Integers&,
                         const Size&, const std::string& algorithm, int groups, const Integers& dilations,
                         const std::string& format, DenseTensor* dx, DenseTensor* dfilter) {
  const Sliding sliding = sliding_of(x, filter, strides, paddings, algorithm, dilations, groups, format);
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value gradient = record.input(dout);
  if (dx != nullptr) record.output(dx, g.convolution(gradient, record.input(filter), sliding));
  if (dfilter != nullptr) {
    record.output(dfilter, g.convolution_weights_gradient(record.input(x), gradient, dims_of(filter), sliding));
  }
  record.launch();
}

// What meets x and the filter meets the other one too, as both are factors of the result.
void conv2d_transpose_double_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& filter,
                                  const DenseTensor& dout, const DenseTensor& ddx, const DenseTensor& ddfilter,
                                  const Integers& strides, const Integers& paddings, const Integers&, const IntArray&,
                                  const std::string& algorithm, int groups, const Integers& dilations,
                                  const std::string& format, DenseTensor* dx, DenseTensor* dfilter,
                                  DenseTensor* ddout) {
  const Sliding sliding = sliding_of(x, filter, strides, paddings, algorithm, dilations, groups, format);
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value along_x = record.input(ddx), along_filter = record.input(ddfilter), gradient = record.input(dout);
  if (dx != nullptr) record.output(dx, g.convolution(gradient, along_filter, sliding));
  if (dfilter != nullptr) {
    record.output(dfilter, g.convolution_weights_gradient(along_x, gradient, dims_of(filter), sliding));
  }
  if (ddout != nullptr) {
    const Dims shape = dims_of(dout);
    record.output(ddout, g.addition(g.convolution_data_gradient(along_x, record.input(filter), shape, sliding),
                                    g.convolution_data_gradient(record.input(x), along_filter, shape, sliding)));
  }
  record.launch();
}

void conv2d_transpose(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& filter,
                      const Integers& strides, const Integers& paddings, const Integers& output_padding,
                      const IntArray& output_size, const std::string& algorithm, int groups, const Integers& dilations,
                      const std::string& format, DenseTensor* out) {
  conv_transpose(ctx, x, filter, strides, paddings, output_padding, output_size, algorithm, groups, dilations, format,
                 out);
}

void conv2d_transpose_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& filter,
                           const DenseTensor& dout, const Integers& strides, const Integers& paddings,
                           const Integers& output_padding, const IntArray& output_size, const std::string& algorithm,
                           int groups, const Integers& dilations, const std::string& format, DenseTensor* dx,
                           DenseTensor* dfilter) {
  conv_transpose_grad(ctx, x, filter, dout, strides, paddings, output_padding, output_size, algorithm, groups,
                      dilations, format, dx, dfilter);
}

void conv3d_transpose(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& filter,
                      const Integers& strides, const Integers& paddings, const Integers& output_padding,
                      const Integers& output_size, const std::string& algorithm, int groups, const Integers& dilations,
                      const std::string& format, DenseTensor* out) {
  conv_transpose(ctx, x, filter, strides, paddings, output_padding, output_size, algorithm, groups, dilations, format,
                 out);
}

void conv3d_transpose_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& filter,
                           const DenseTensor& dout, const Integers& strides, const Integers& paddings,
                           const Integers& output_padding, const Integers& output_size, const std::string& algorithm,
                           int groups, const Integers& dilations, const std::string& format, DenseTensor* dx,
                           DenseTensor* dfilter) {
  conv_transpose_grad(ctx, x, filter, dout, strides, paddings, output_padding, output_size, algorithm, groups,
                      dilations, format, dx, dfilter);
}

}  // namespace

MPS_KERNEL(conv2d, phi::ConvKernel, conv2d, kFloats)
MPS_KERNEL(conv2d_grad, phi::ConvGradKernel, conv2d_grad, kFloats)
MPS_KERNEL(conv2d_double_grad, phi::ConvGradGradKernel, conv2d_double_grad, kFloats)
MPS_KERNEL(depthwise_conv2d, phi::DepthwiseConvKernel, grouped_conv, kFloats)
MPS_KERNEL(depthwise_conv2d_grad, phi::DepthwiseConvGradKernel, grouped_conv_grad, kFloats)
// Paddle's headers do not declare it; the parameters are those of conv3d's.
MPS_KERNEL(depthwise_conv2d_double_grad, phi::Conv3DDoubleGradKernel, grouped_conv_double_grad, kFloats)
MPS_KERNEL(conv3d, phi::Conv3DKernel, grouped_conv, kFloats)
MPS_KERNEL(conv3d_grad, phi::Conv3DGradKernel, grouped_conv_grad, kFloats)
MPS_KERNEL(conv3d_double_grad, phi::Conv3DDoubleGradKernel, grouped_conv_double_grad, kFloats)
MPS_KERNEL(conv2d_transpose, phi::Conv2dTransposeKernel, conv2d_transpose, kFloats)
MPS_KERNEL(conv2d_transpose_grad, phi::Conv2dTransposeGradKernel, conv2d_transpose_grad, kFloats)
MPS_KERNEL(conv2d_transpose_double_grad, phi::Conv2dTransposeDoubleGradKernel, conv2d_transpose_double_grad, kFloats)
MPS_KERNEL(depthwise_conv2d_transpose, phi::DepthwiseConv2dTransposeKernel, conv2d_transpose, kFloats)
MPS_KERNEL(depthwise_conv2d_transpose_grad, phi::DepthwiseConv2dTransposeGradKernel, conv2d_transpose_grad, kFloats)
MPS_KERNEL(conv3d_transpose, phi::Conv3dTransposeKernel, conv3d_transpose, kFloats)
MPS_KERNEL(conv3d_transpose_grad, phi::Conv3dTransposeGradKernel, conv3d_transpose_grad, kFloats)

}  // namespace mps::paddle
