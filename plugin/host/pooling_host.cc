// Poolings and their gradients: windows over one channel after the other, or over some channels that lie side by side.
//
// Not oneDNN's: its gradient of the maximum wants what its own forward pass has kept, which Paddle does not hand on,
// and what it makes of NaN and of equal elements depends on the processor.
#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>
#include <vector>

#include "plugin/core/check.h"
#include "plugin/host/convolution_kernel_host.h"
#include "plugin/host/threads.h"
#include "plugin/host/whole_host.h"

namespace mps {
namespace {

struct Pooling {
  static constexpr int64_t kMostLanes = 16;
  using OneLane = std::integral_constant<int64_t, 1>;
  using AllLanes = std::integral_constant<int64_t, kMostLanes>;

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
    // Channels of images of one element lie side by side in any layout.
    if (x.channel_stride == 1 && y.channel_stride == 1) lanes = std::min(x.channels, kMostLanes);
    if (lanes == 1 && x.stride[2] == 1 && !sliding.adaptive) find_taps(sliding);
    blocks = x.batch * ((x.channels + lanes - 1) / lanes);
  }

  // Element k of the windows along the last axis: it is inside for positions [begin, end), from `first` on.
  struct Tap {
    int64_t begin, end, first;
  };
  std::vector<Tap> taps;  // none: rows are not gone through that way
  int64_t step = 1;

  void find_taps(const Sliding& sliding) {
    const size_t last = sliding.axes() - 1;
    step = sliding.strides[last];
    for (int64_t k = 0; k < sliding.size[last]; ++k) {
      const int64_t shift = k * sliding.dilations[last] - sliding.before[last];
      const int64_t begin = shift >= 0 ? 0 : (-shift + step - 1) / step;
      const int64_t end = std::min(y.size[2], shift >= x.size[2] ? 0 : (x.size[2] - shift + step - 1) / step);
      if (begin < end) taps.push_back({begin, end, begin * step + shift});
    }
  }

  int64_t cost_of_block() const {
    int64_t elements = lanes;
    for (size_t i = 0; i < 3; ++i) {
      int64_t along = 0;
      for (const Sliding::Range& window : windows[i]) along += std::max<int64_t>(window.end - window.start, 1);
      elements *= along;
    }
    return elements;
  }

  // Calls f(x offset, y offset, lanes) for each block. Their usual numbers are constants, which makes loops over them
  // vanish or vector code.
  template <typename F>
  void each_block(F f) const {
    const int64_t in_image = blocks / x.batch;
    parallel_for(blocks, grain_of(cost_of_block()), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t n = i / in_image, c = i % in_image * lanes;
        const int64_t x_at = n * x.batch_stride + c * x.channel_stride;
        const int64_t y_at = n * y.batch_stride + c * y.channel_stride;
        const int64_t count = std::min(lanes, x.channels - c);
        if (count == 1) {
          f(x_at, y_at, OneLane());
        } else if (count == kMostLanes) {
          f(x_at, y_at, AllLanes());
        } else {
          f(x_at, y_at, count);
        }
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

// -- forward, a row of the result at a time: for even windows over channels of their own ----------

// A step that the compiler knows makes the loop over a row vector code.
template <typename F>
void with_step(int64_t step, F f) {
  if (step == 1) return f(std::integral_constant<int64_t, 1>());
  if (step == 2) return f(std::integral_constant<int64_t, 2>());
  f(step);
}

// Calls combine(sum, element) for every element of every window, and finish(sum, count) for every window.
template <typename T, typename Combine, typename Finish>
void in_rows(const Pooling& pooling, const T* x, T* y, float start, Combine combine, Finish finish) {
  const int64_t width = pooling.y.size[2];
  pooling.each_block([&](int64_t x_at, int64_t y_at, auto) {
    std::vector<float> row(static_cast<size_t>(width));
    for (int64_t d = 0; d < pooling.y.size[0]; ++d) {
      const Sliding::Range& planes = pooling.windows[0][static_cast<size_t>(d)];
      for (int64_t h = 0; h < pooling.y.size[1]; ++h) {
        const Sliding::Range& rows = pooling.windows[1][static_cast<size_t>(h)];
        std::fill(row.begin(), row.end(), start);
        for (int64_t plane = planes.start; plane < planes.end; ++plane) {
          for (int64_t i = rows.start; i < rows.end; ++i) {
            const T* const from = x + x_at + plane * pooling.x.stride[0] + i * pooling.x.stride[1];
            for (const Pooling::Tap& tap : pooling.taps) {
              with_step(pooling.step, [&](auto step) {
                float* const to = row.data() + tap.begin;
                for (int64_t p = 0; p < tap.end - tap.begin; ++p) {
                  to[p] = combine(to[p], static_cast<float>(from[tap.first + p * step]));
                }
              });
            }
          }
        }
        const float count = static_cast<float>(planes.count) * static_cast<float>(rows.count);
        T* const to = y + y_at + d * pooling.y.stride[0] + h * pooling.y.stride[1];
        for (int64_t p = 0; p < width; ++p) {
          const float along = static_cast<float>(pooling.windows[2][static_cast<size_t>(p)].count);
          to[p] = static_cast<T>(finish(row[static_cast<size_t>(p)], count * along));
        }
      }
    }
  });
}

// -- any windows, some channels at a time ---------------------------------------------------------

template <typename T, typename Combine, typename Finish>
void in_windows(const Pooling& pooling, const T* x, T* y, float start, Combine combine, Finish finish) {
  pooling.each_block([&](int64_t x_at, int64_t y_at, auto lanes) {
    pooling.each_window([&](int64_t to, const Sliding::Range* const* window) {
      float sum[Pooling::kMostLanes];
      std::fill(sum, sum + lanes, start);
      pooling.each_element(window, [&](int64_t from, int64_t) {
        for (int64_t i = 0; i < lanes; ++i) sum[i] = combine(sum[i], static_cast<float>(x[x_at + from + i]));
      });
      const float count = Pooling::count(window);
      for (int64_t i = 0; i < lanes; ++i) y[y_at + to + i] = static_cast<T>(finish(sum[i], count));
    });
  });
}

template <typename T, typename Combine, typename Finish>
void pool(const Pooling& pooling, const T* x, T* y, float start, Combine combine, Finish finish) {
  if (!pooling.taps.empty()) return in_rows(pooling, x, y, start, combine, finish);
  in_windows(pooling, x, y, start, combine, finish);
}

template <typename T>
void maximum(const Pooling& pooling, const T* x, T* y) {
  const auto greater = [](float best, float value) { return best >= value || best != best ? best : value; };
  pool(pooling, x, y, kLowest, greater, [](float best, float) { return best; });
}

template <typename T>
void average(const Pooling& pooling, const T* x, T* y) {
  const auto plus = [](float sum, float value) { return sum + value; };
  pool(pooling, x, y, 0.0f, plus, [](float sum, float count) { return sum / count; });
}

// The first place of each maximum; NaN counts as -inf.
template <typename T, typename Lanes>
void find_places(const Pooling& pooling, const T* x, const Sliding::Range* const* window, Lanes lanes,
                 int32_t* places) {
  float best[Pooling::kMostLanes] = {};
  std::fill(places, places + lanes, -1);
  pooling.each_element(window, [&](int64_t from, int64_t place) {
    for (int64_t i = 0; i < lanes; ++i) {
      const float element = static_cast<float>(x[from + i]);
      const float value = element != element ? kLowest : element;
      const bool is_better = (value > best[i]) | (places[i] < 0);
      best[i] = is_better ? value : best[i];
      places[i] = is_better ? static_cast<int32_t>(place) : places[i];
    }
  });
}

// The same for a whole row of the result of one channel: position (d, h), all of the last axis. First the maxima, then,
// from the last element of the windows to the first, the places of what equals them: loops of one choice are vector
// code, loops of two are not.
template <typename T>
void find_row_of_places(const Pooling& pooling, const T* x, int64_t d, int64_t h, float* best, int32_t* places) {
  const Sliding::Range& planes = pooling.windows[0][static_cast<size_t>(d)];
  const Sliding::Range& rows = pooling.windows[1][static_cast<size_t>(h)];
  const int64_t width = pooling.y.size[2];
  std::fill(best, best + width, kLowest);
  std::fill(places, places + width, -1);
  const auto place_of = [&](int64_t plane, int64_t i) { return (plane * pooling.x.size[1] + i) * pooling.x.size[2]; };
  const auto row_at = [&](int64_t plane, int64_t i) {
    return x + plane * pooling.x.stride[0] + i * pooling.x.stride[1];
  };
  for (int64_t plane = planes.start; plane < planes.end; ++plane) {
    for (int64_t i = rows.start; i < rows.end; ++i) {
      for (const Pooling::Tap& tap : pooling.taps) {
        const T* const from = row_at(plane, i) + tap.first;
        float* const to = best + tap.begin;
        with_step(pooling.step, [&](auto step) {
          for (int64_t p = 0; p < tap.end - tap.begin; ++p) {
            const float value = static_cast<float>(from[p * step]);
            to[p] = value > to[p] ? value : to[p];  // NaN never is
          }
        });
      }
    }
  }
  for (int64_t plane = planes.end; plane-- > planes.start;) {
    for (int64_t i = rows.end; i-- > rows.start;) {
      for (size_t k = pooling.taps.size(); k-- > 0;) {
        const Pooling::Tap& tap = pooling.taps[k];
        const T* const from = row_at(plane, i) + tap.first;
        const float* const wanted = best + tap.begin;
        int32_t* const to = places + tap.begin;
        const int32_t first = static_cast<int32_t>(place_of(plane, i) + tap.first);
        with_step(pooling.step, [&](auto step) {
          const int32_t count = static_cast<int32_t>(tap.end - tap.begin), apart = static_cast<int32_t>(step);
          for (int32_t p = 0; p < count; ++p) {
            to[p] = static_cast<float>(from[p * apart]) == wanted[p] ? first + p * apart : to[p];
          }
        });
      }
    }
  }
  // Where all is -inf or NaN, the first element of the window.
  if (planes.start >= planes.end || rows.start >= rows.end) return;
  for (int64_t p = 0; p < width; ++p) {
    const Sliding::Range& window = pooling.windows[2][static_cast<size_t>(p)];
    if (best[p] != kLowest || window.start >= window.end) continue;
    places[p] = static_cast<int32_t>(place_of(planes.start, rows.start) + window.start);
  }
}

// Calls f(y offset, lane, place) for every window of a block.
template <typename T, typename Lanes, typename F>
void each_place(const Pooling& pooling, const T* x, Lanes lanes, F f) {
  if (pooling.taps.empty()) {
    return pooling.each_window([&](int64_t at, const Sliding::Range* const* window) {
      int32_t places[Pooling::kMostLanes];
      find_places(pooling, x, window, lanes, places);
      for (int64_t i = 0; i < lanes; ++i) f(at, i, places[i]);
    });
  }
  const int64_t width = pooling.y.size[2];
  std::vector<float> best(static_cast<size_t>(width));
  std::vector<int32_t> places(static_cast<size_t>(width));
  for (int64_t d = 0; d < pooling.y.size[0]; ++d) {
    for (int64_t h = 0; h < pooling.y.size[1]; ++h) {
      find_row_of_places(pooling, x, d, h, best.data(), places.data());
      const int64_t at = d * pooling.y.stride[0] + h * pooling.y.stride[1];
      for (int64_t p = 0; p < width; ++p) f(at + p, int64_t{0}, places[static_cast<size_t>(p)]);
    }
  }
}

template <typename T>
void indices(const Pooling& pooling, const T* x, int32_t* y) {
  pooling.each_block([&](int64_t x_at, int64_t y_at, auto lanes) {
    each_place(pooling, x + x_at, lanes, [&](int64_t at, int64_t lane, int32_t place) { y[y_at + at + lane] = place; });
  });
}

// Gradients are added up in float, then rounded: `add` gets the sums of a block, dout there and the lanes.
template <typename T, typename Add>
void gradient(const Pooling& pooling, const T* dout, T* dx, Add add) {
  const Image& x = pooling.x;
  const int64_t elements = x.size[0] * x.size[1] * x.size[2];
  pooling.each_block([&](int64_t x_at, int64_t y_at, auto lanes) {
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
  gradient(pooling, dout, dx, [&](float* sums, int64_t x_at, const T* from, auto lanes) {
    each_place(pooling, x + x_at, lanes, [&](int64_t at, int64_t lane, int32_t place) {
      if (place >= 0) sums[place * lanes + lane] += static_cast<float>(from[at + lane]);
    });
  });
}

template <typename T>
void average_gradient(const Pooling& pooling, const T* dout, T* dx) {
  gradient(pooling, dout, dx, [&](float* sums, int64_t, const T* from, auto lanes) {
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
