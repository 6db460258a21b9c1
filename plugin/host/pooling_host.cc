// Poolings and their gradients: windows over one channel after the other, or over some channels that lie side by side.
//
// Not oneDNN's: its gradient of the maximum wants what its own forward pass has kept, which Paddle does not hand on,
// and what it makes of NaN and of equal elements depends on the processor.
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "plugin/core/check.h"
#include "plugin/host/convolution_kernel_host.h"
#include "plugin/host/threads.h"
#include "plugin/host/whole_host.h"

namespace mps {
namespace {

struct Pooling {
  Image x, y;
  std::vector<Sliding::Range> windows[3];  // by position of the result
  int64_t lanes = 1;                       // channels at a time
  int64_t blocks = 1;                      // of lanes, in all images

  Pooling(Dims image, Dims pooled, const Sliding& sliding)
      : x(Image::of(image, sliding)), y(Image::of(pooled, sliding)) {
    const size_t missing = 3 - sliding.axes();
    for (size_t i = 0; i < 3; ++i) {
      if (i < missing) {
        windows[i] = {{0, 1, 1}};
        continue;
      }
      for (int64_t p = 0; p < y.size[i]; ++p) {
        windows[i].push_back(sliding.range(i - missing, p, y.size[i], x.size[i]));
      }
    }
    if (x.channel_stride == 1) lanes = std::min(x.channels, kMostLanes);
    blocks = x.batch * ((x.channels + lanes - 1) / lanes);
  }

  static constexpr int64_t kMostLanes = 16;

  int64_t cost_of_block() const {
    int64_t elements = lanes;
    for (size_t i = 0; i < 3; ++i) {
      int64_t along = 0;
      for (const Sliding::Range& window : windows[i]) along += std::max<int64_t>(window.end - window.start, 1);
      elements *= along;
    }
    return elements;
  }

  // Calls f(x offset, y offset, lanes) for each block.
  template <typename F>
  void each_block(F f) const {
    const int64_t in_image = blocks / x.batch;
    parallel_for(blocks, grain_of(cost_of_block()), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t n = i / in_image, c = i % in_image * lanes;
        f(n * x.batch_stride + c * x.channel_stride, n * y.batch_stride + c * y.channel_stride,
          std::min(lanes, x.channels - c));
      }
    });
  }

  // Calls f(y offset, windows) for each position of one channel.
  template <typename F>
  void each_window(F f) const {
    const Sliding::Range* at[3];
    for (int64_t d = 0; d < y.size[0]; ++d) {
      at[0] = &windows[0][static_cast<size_t>(d)];
      for (int64_t h = 0; h < y.size[1]; ++h) {
        at[1] = &windows[1][static_cast<size_t>(h)];
        for (int64_t w = 0; w < y.size[2]; ++w) {
          at[2] = &windows[2][static_cast<size_t>(w)];
          f(d * y.stride[0] + h * y.stride[1] + w * y.stride[2], at);
        }
      }
    }
  }

  // Calls f(x offset, place) for each element of a window.
  template <typename F>
  void each_element(const Sliding::Range* const* at, F f) const {
    for (int64_t d = at[0]->start; d < at[0]->end; ++d) {
      for (int64_t h = at[1]->start; h < at[1]->end; ++h) {
        const int64_t row = d * x.stride[0] + h * x.stride[1], place = (d * x.size[1] + h) * x.size[2];
        for (int64_t w = at[2]->start; w < at[2]->end; ++w) f(row + w * x.stride[2], place + w);
      }
    }
  }

  static float count(const Sliding::Range* const* at) {
    return static_cast<float>(at[0]->count) * static_cast<float>(at[1]->count) * static_cast<float>(at[2]->count);
  }
};

constexpr float kLowest = -std::numeric_limits<float>::infinity();

template <typename T>
void maximum(const Pooling& pooling, const T* x, T* y) {
  pooling.each_block([&](int64_t x_at, int64_t y_at, int64_t lanes) {
    pooling.each_window([&](int64_t to, const Sliding::Range* const* window) {
      float best[Pooling::kMostLanes];
      std::fill(best, best + lanes, kLowest);
      pooling.each_element(window, [&](int64_t from, int64_t) {
        for (int64_t i = 0; i < lanes; ++i) {
          const float value = static_cast<float>(x[x_at + from + i]);
          best[i] = best[i] >= value || best[i] != best[i] ? best[i] : value;
        }
      });
      for (int64_t i = 0; i < lanes; ++i) y[y_at + to + i] = static_cast<T>(best[i]);
    });
  });
}

// The first place of each maximum; NaN counts as -inf.
template <typename T>
void find_places(const Pooling& pooling, const T* x, const Sliding::Range* const* window, int64_t lanes,
                 int32_t* places) {
  float best[Pooling::kMostLanes];
  std::fill(places, places + lanes, -1);
  pooling.each_element(window, [&](int64_t from, int64_t place) {
    for (int64_t i = 0; i < lanes; ++i) {
      const float element = static_cast<float>(x[from + i]);
      const float value = element != element ? kLowest : element;
      if (places[i] >= 0 && !(value > best[i])) continue;
      best[i] = value;
      places[i] = static_cast<int32_t>(place);
    }
  });
}

template <typename T>
void indices(const Pooling& pooling, const T* x, int32_t* y) {
  pooling.each_block([&](int64_t x_at, int64_t y_at, int64_t lanes) {
    pooling.each_window([&](int64_t to, const Sliding::Range* const* window) {
      int32_t places[Pooling::kMostLanes];
      find_places(pooling, x + x_at, window, lanes, places);
      std::copy(places, places + lanes, y + y_at + to);
    });
  });
}

template <typename T>
void average(const Pooling& pooling, const T* x, T* y) {
  pooling.each_block([&](int64_t x_at, int64_t y_at, int64_t lanes) {
    pooling.each_window([&](int64_t to, const Sliding::Range* const* window) {
      float sum[Pooling::kMostLanes] = {};
      pooling.each_element(window, [&](int64_t from, int64_t) {
        for (int64_t i = 0; i < lanes; ++i) sum[i] += static_cast<float>(x[x_at + from + i]);
      });
      const float count = Pooling::count(window);
      for (int64_t i = 0; i < lanes; ++i) y[y_at + to + i] = static_cast<T>(sum[i] / count);
    });
  });
}

// Gradients are added up in float, then rounded: `add` gets the sums of a block, dout there and the lanes.
template <typename T, typename Add>
void gradient(const Pooling& pooling, const T* dout, T* dx, Add add) {
  const Image& x = pooling.x;
  const int64_t elements = x.size[0] * x.size[1] * x.size[2];
  pooling.each_block([&](int64_t x_at, int64_t y_at, int64_t lanes) {
    std::vector<float> sums(static_cast<size_t>(elements * lanes), 0.0f);
    add(sums.data(), x_at, dout + y_at, lanes);
    const float* from = sums.data();
    for (int64_t d = 0; d < x.size[0]; ++d) {
      for (int64_t h = 0; h < x.size[1]; ++h) {
        for (int64_t w = 0; w < x.size[2]; ++w, from += lanes) {
          T* const to = dx + x_at + d * x.stride[0] + h * x.stride[1] + w * x.stride[2];
          for (int64_t i = 0; i < lanes; ++i) to[i] = static_cast<T>(from[i]);
        }
      }
    }
  });
}

template <typename T>
void maximum_gradient(const Pooling& pooling, const T* dout, const T* x, T* dx) {
  gradient(pooling, dout, dx, [&](float* sums, int64_t x_at, const T* from, int64_t lanes) {
    pooling.each_window([&](int64_t at, const Sliding::Range* const* window) {
      int32_t places[Pooling::kMostLanes];
      find_places(pooling, x + x_at, window, lanes, places);
      for (int64_t i = 0; i < lanes; ++i) {
        if (places[i] >= 0) sums[places[i] * lanes + i] += static_cast<float>(from[at + i]);
      }
    });
  });
}

template <typename T>
void average_gradient(const Pooling& pooling, const T* dout, T* dx) {
  gradient(pooling, dout, dx, [&](float* sums, int64_t, const T* from, int64_t lanes) {
    pooling.each_window([&](int64_t at, const Sliding::Range* const* window) {
      const float count = Pooling::count(window);
      float share[Pooling::kMostLanes];
      for (int64_t i = 0; i < lanes; ++i) share[i] = static_cast<float>(from[at + i]) / count;
      pooling.each_element(window, [&](int64_t, int64_t place) {
        for (int64_t i = 0; i < lanes; ++i) sums[place * lanes + i] += share[i];
      });
    });
  });
}

template <typename F>
void visit_float(DType dtype, F f) {
  if (dtype == DType::float32) return f(float{});
  if (dtype == DType::float16) return f(Half{});
  if (dtype == DType::bfloat16) return f(BFloat16{});
  MPS_THROW(kInternal, "poolings are of floats, got ", name(dtype), ".");
}

}  // namespace

WholeProgram compile_pooling(const Graph& graph, Value value) {
  const Node& node = graph.node(value);
  const Value operand = graph.operand(node, 0);
  const bool is_gradient = info(node.kind).family == NodeFamily::kPoolingGradient;
  const Dims result = graph.shape(node), other = graph.shape(operand);
  const Sliding sliding = Sliding::of(graph.attributes(node));
  const auto pooling =
      std::make_shared<const Pooling>(is_gradient ? result : other, is_gradient ? other : result, sliding);
  const NodeKind kind = node.kind;
  const DType dtype = graph.dtype(operand);
  WholeProgram program;
  program.run = [=](Span<const void* const> inputs, void* output) {
    visit_float(dtype, [&](auto zero) {
      using T = decltype(zero);
      const T* const first = static_cast<const T*>(inputs[0]);
      T* const to = static_cast<T*>(output);
      if (kind == NodeKind::max_pooling) return maximum(*pooling, first, to);
      if (kind == NodeKind::max_pooling_indices) return indices(*pooling, first, static_cast<int32_t*>(output));
      if (kind == NodeKind::average_pooling) return average(*pooling, first, to);
      if (kind == NodeKind::average_pooling_gradient) return average_gradient(*pooling, first, to);
      maximum_gradient(*pooling, first, static_cast<const T*>(inputs[1]), to);
    });
  };
  program.cost_ns = 100 + static_cast<uint64_t>(pooling->blocks * pooling->cost_of_block());
  return program;
}

}  // namespace mps
