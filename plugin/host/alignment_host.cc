// Alignments of texts and frames: the lattice of one text after the other, forwards and backwards, on several threads.
//
// A row of states is one vector: with f the row before, moved by one and by two, log(e^a + e^b + e^c) is computed for
// all states at once.
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "plugin/host/threads.h"
#include "plugin/host/vector_kernels.h"
#include "plugin/host/whole_host.h"

namespace mps {
namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();
constexpr size_t kMargin = 2;  // states that are never reached, in front of a row or behind it

float log_add(float x, float y) {
  if (x != x || y != y) return x + y;
  const float high = std::max(x, y);
  return std::isinf(high) ? high : high + std::log(std::exp(x - high) + std::exp(y - high));
}

class Lattice {
 public:
  Lattice(int64_t length, int64_t width)
      : exponent_(pointwise(NodeKind::exponent)),
        logarithm_(pointwise(NodeKind::logarithm)),
        width_(width),
        before_(static_cast<size_t>(length * width)),
        skips_(static_cast<size_t>(width) + kMargin, kNever),
        row_(static_cast<size_t>(width) + 2 * kMargin),
        high_(static_cast<size_t>(width)),
        sum_(high_),
        part_(high_) {}

  // The logarithm of the likelihood; `shares` gets those of the ways that are in each state. Frames of `scores` and of
  // `shares` are `stride` apart.
  float align(const float* scores, const float* skips, int64_t frames, int64_t states, int64_t stride, float* shares) {
    std::copy(skips, skips + states, skips_.begin());
    std::fill(skips_.begin() + states, skips_.end(), kNever);
    forwards(scores, frames, states, stride);
    const float* const last = before_.data() + (frames - 1) * width_;
    const float total = states > 1 ? log_add(last[states - 1], last[states - 2]) : last[0];
    if (total != kNever) backwards(scores, frames, states, stride, total, shares);
    return total;
  }

 private:
  static BlockFn pointwise(NodeKind kind) {
    return vector_kernels().pointwise[static_cast<int>(kind)][static_cast<int>(DType::float32)];
  }

  // high_ = log(e^a + e^b + e^(c + skip)) for states a[s], b[s], c[s].
  void combine(const float* a, const float* b, const float* c, const float* skip, size_t states) {
    for (size_t s = 0; s < states; ++s) {
      const float far = c[s] + skip[s];
      float high = a[s] > b[s] ? a[s] : b[s];
      high = high > far ? high : far;
      high_[s] = high == kNever ? 0 : high;
    }
    const auto take_in = [&](const float* x, bool skips) {
      for (size_t s = 0; s < states; ++s) part_[s] = x[s] + (skips ? skip[s] : 0) - high_[s];
      exponent_(part_.data(), nullptr, nullptr, part_.data(), states);
      for (size_t s = 0; s < states; ++s) sum_[s] += part_[s];
    };
    std::fill(sum_.begin(), sum_.end(), 0.0f);
    take_in(a, false);
    take_in(b, false);
    take_in(c, true);
    logarithm_(sum_.data(), nullptr, nullptr, sum_.data(), states);
    for (size_t s = 0; s < states; ++s) high_[s] += sum_[s];
  }

  void forwards(const float* scores, int64_t frames, int64_t states, int64_t stride) {
    const size_t count = static_cast<size_t>(states);
    std::fill(row_.begin(), row_.end(), kNever);
    float* const now = row_.data() + kMargin;
    for (int64_t t = 0; t < frames; ++t) {
      if (t == 0) {
        std::fill(high_.begin(), high_.end(), kNever);
        std::fill(high_.begin(), high_.begin() + std::min<int64_t>(states, 2), 0.0f);
      } else {
        combine(now, now - 1, now - 2, skips_.data(), count);
      }
      for (size_t s = 0; s < count; ++s) now[s] = high_[s] + scores[static_cast<size_t>(t * stride) + s];
      std::copy(now, now + count, before_.data() + t * width_);
    }
  }

  void backwards(const float* scores, int64_t frames, int64_t states, int64_t stride, float total, float* shares) {
    const size_t count = static_cast<size_t>(states);
    std::fill(row_.begin(), row_.end(), kNever);
    float* const next = row_.data();  // with the scores of their own frame
    for (int64_t t = frames; t-- > 0;) {
      if (t + 1 == frames) {
        std::fill(high_.begin(), high_.end(), kNever);
        std::fill(high_.begin() + std::max<int64_t>(states - 2, 0), high_.begin() + states, 0.0f);
      } else {
        combine(next, next + 1, next + 2, skips_.data() + 2, count);
      }
      const float* const score = scores + t * stride;
      const float* const before = before_.data() + t * width_;
      for (size_t s = 0; s < count; ++s) {
        part_[s] = before[s] + high_[s] - total;
        next[s] = high_[s] + score[s];
      }
      exponent_(part_.data(), nullptr, nullptr, shares + t * stride, count);
    }
  }

  const BlockFn exponent_, logarithm_;
  const int64_t width_;
  std::vector<float> before_, skips_, row_, high_, sum_, part_;
};

}  // namespace

WholeProgram compile_alignment(const Graph& graph, Value value) {
  const Dims shape = graph.shape(graph.operand(graph.node(value), 3));
  const int64_t length = shape[0], batch = shape[1], width = shape[2];
  WholeProgram program;
  program.run = [=](Span<const void* const> inputs, void* output) {
    const float* const skips = static_cast<const float*>(inputs[0]);
    const int32_t* const frames = static_cast<const int32_t*>(inputs[1]);
    const int32_t* const states = static_cast<const int32_t*>(inputs[2]);
    const float* const scores = static_cast<const float*>(inputs[3]);
    float* const totals = static_cast<float*>(output);
    float* const shares = totals + batch;
    std::fill(shares, shares + length * batch * width, 0.0f);
    parallel_for(batch, grain_of(20 * length * width), [&](int64_t begin, int64_t end) {
      Lattice lattice(length, width);
      for (int64_t b = begin; b < end; ++b) {
        const bool fits = frames[b] >= 1 && frames[b] <= length && states[b] >= 1 && states[b] <= width;
        totals[b] = fits ? lattice.align(scores + b * width, skips + b * width, frames[b], states[b], batch * width,
                                         shares + b * width)
                         : kNever;
      }
    });
  };
  program.cost_ns = 500 + static_cast<uint64_t>(20 * length * batch * width);
  return program;
}

}  // namespace mps
