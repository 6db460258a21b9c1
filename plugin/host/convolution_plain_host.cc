// Convolutions in plain loops, where oneDNN is absent or has nothing fast: one row of the image at a time.
#include <algorithm>
#include <cstring>

#include "plugin/host/convolution_kernel_host.h"

namespace mps {
namespace {

// Where window element k lies inside the image: positions [begin, end) of the result.
struct Inside {
  int64_t begin, end;
};

Inside inside(int64_t k, int64_t positions, int64_t length, int64_t step, int64_t dilation, int64_t before) {
  const int64_t shift = k * dilation - before;  // of the element from position * step
  const int64_t begin = shift >= 0 ? 0 : (-shift + step - 1) / step;
  const int64_t end = length <= shift ? 0 : (length - shift + step - 1) / step;
  return {begin, std::max(begin, std::min(end, positions))};
}

template <Convolved kWhat>
class PlainConvolution final : public ConvolutionKernel {
 public:
  explicit PlainConvolution(const ConvolutionGeometry& geometry) : g_(geometry) {}
  size_t bytes() const override { return sizeof *this; }

  void run(float* x, float* weights, float* y) const override {
    if constexpr (kWhat == Convolved::kY) clear(y, g_.y);
    if constexpr (kWhat == Convolved::kX) clear(x, g_.x);
    const int64_t outputs = g_.group_outputs(), inputs = g_.group_inputs();
    for (int64_t o = 0; o < g_.y.channels; ++o) {
      for (int64_t c = 0; c < inputs; ++c) {
        float* const from = x + (o / outputs * inputs + c) * g_.x.channel_stride;
        float* const window = weights + o * g_.output_stride + c * g_.input_stride;
        for (int64_t k = 0; k < g_.taps(); ++k) tap(from, window + k, y + o * g_.y.channel_stride, k);
      }
    }
  }

 private:
  static void clear(float* to, const Image& image) {
    for (int64_t n = 0; n < image.batch; ++n) {
      for (int64_t c = 0; c < image.channels; ++c) {
        each_row(image, [&](int64_t at) {
          float* const row = to + n * image.batch_stride + c * image.channel_stride + at;
          for (int64_t i = 0; i < image.size[2]; ++i) row[i * image.stride[2]] = 0;
        });
      }
    }
  }

  template <typename F>
  static void each_row(const Image& image, F f) {
    for (int64_t d = 0; d < image.size[0]; ++d) {
      for (int64_t h = 0; h < image.size[1]; ++h) f(d * image.stride[0] + h * image.stride[1]);
    }
  }

  // Everything that one weight has to do with, of one channel.
  void tap(float* x, float* weight, float* y, int64_t k) const {
    const int64_t at[3] = {k / (g_.size[1] * g_.size[2]), k / g_.size[2] % g_.size[1], k % g_.size[2]};
    Inside range[3]{};
    for (size_t i = 0; i < 3; ++i) {
      range[i] = inside(at[i], g_.y.size[i], g_.x.size[i], g_.step[i], g_.dilation[i], g_.before[i]);
    }
    const auto place = [&](size_t i, int64_t position) {
      return (position * g_.step[i] + at[i] * g_.dilation[i] - g_.before[i]) * g_.x.stride[i];
    };
    float sum = 0;
    for (int64_t n = 0; n < g_.y.batch; ++n) {
      for (int64_t d = range[0].begin; d < range[0].end; ++d) {
        for (int64_t h = range[1].begin; h < range[1].end; ++h) {
          float* const to = y + n * g_.y.batch_stride + d * g_.y.stride[0] + h * g_.y.stride[1];
          float* const from = x + n * g_.x.batch_stride + place(0, d) + place(1, h);
          row(from + place(2, range[2].begin), g_.step[2] * g_.x.stride[2], *weight,
              to + range[2].begin * g_.y.stride[2], g_.y.stride[2], range[2].end - range[2].begin, &sum);
        }
      }
    }
    if constexpr (kWhat == Convolved::kWeights) *weight = sum;
  }

  static void row(float* x, int64_t x_step, float weight, float* y, int64_t y_step, int64_t count, float* sum) {
    for (int64_t i = 0; i < count; ++i) {
      if constexpr (kWhat == Convolved::kY) y[i * y_step] += weight * x[i * x_step];
      if constexpr (kWhat == Convolved::kX) x[i * x_step] += weight * y[i * y_step];
      if constexpr (kWhat == Convolved::kWeights) *sum += x[i * x_step] * y[i * y_step];
    }
  }

  const ConvolutionGeometry g_;
};

}  // namespace

std::unique_ptr<ConvolutionKernel> make_plain_convolution(Convolved what, const ConvolutionGeometry& geometry) {
  switch (what) {
    case Convolved::kY:
      return std::make_unique<PlainConvolution<Convolved::kY>>(geometry);
    case Convolved::kX:
      return std::make_unique<PlainConvolution<Convolved::kX>>(geometry);
    case Convolved::kWeights:
      return std::make_unique<PlainConvolution<Convolved::kWeights>>(geometry);
  }
  __builtin_unreachable();
}

}  // namespace mps
