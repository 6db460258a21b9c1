#include "plugin/host/fourier_core_host.h"

#include <algorithm>
#include <cmath>

#include "plugin/core/check.h"
#include "plugin/host/threads.h"
#include "plugin/host/whole_host.h"

namespace mps {
namespace {

constexpr int64_t kLanes = static_cast<int64_t>(kFourierLanes), kElement = 2 * kLanes;

// The next factor, or 0 where there is none that a stage can do.
size_t factor_of(int64_t n) {
  for (size_t factor : {8, 4, 5, 3, 2}) {
    if (n % static_cast<int64_t>(factor) == 0) return factor;
  }
  for (size_t factor = 7; factor <= kLargestFourierRadix; factor += 2) {
    if (n % static_cast<int64_t>(factor) == 0) return factor;
  }
  return 0;
}

// The lesser one of two factors as near to each other as can be.
int64_t lesser_factor(int64_t length) {
  int64_t first = static_cast<int64_t>(std::sqrt(static_cast<double>(length)));
  while (length % first != 0) --first;
  return first;
}

void push(std::vector<float>* to, std::complex<double> x) {
  to->push_back(static_cast<float>(x.real()));
  to->push_back(static_cast<float>(x.imag()));
}

// All lines of a length that one tile can hold.
class ShortCore : public FourierCore {
 public:
  explicit ShortCore(int64_t length) : stages_(length) {}

  void run(const float* in, float* out, int64_t count, float*, const FourierFinish& finish) const override {
    const int64_t n = stages_.length();
    const FourierSide side{2 * n, 0, 2, 1};
    const auto work = [this](int64_t, float* x, float* other) { return stages_.run(x, other); };
    run_tiles(FourierTiles(count, 1), n, in, {side, n, finish.exchange_in}, work, out, {side, n, finish.exchange_out},
              finish.scale, *scratch_);
  }
  size_t spare_floats(int64_t) const override { return 0; }
  size_t bytes() const override { return stages_.bytes(); }

 private:
  const FourierStages stages_;
  const std::shared_ptr<Scratch> scratch_ = std::make_shared<Scratch>();
};

// A length first * second in two steps, each of short lines (Bailey, "FFTs in external or hierarchical memory", 1990).
class LongCore : public FourierCore {
 public:
  LongCore(int64_t first, int64_t second) : first_(first), second_(second) {
    const int64_t n = first * second;
    roots_.reserve(static_cast<size_t>((second + kLanes - 1) / kLanes * first * kElement));
    for (int64_t column = 0; column < second; column += kLanes) {
      for (int64_t k = 0; k < first; ++k) {
        std::vector<float> ims;
        for (int64_t lane = column; lane < column + kLanes; ++lane) {
          const auto root = root_of_unity(static_cast<uint64_t>(k * lane), static_cast<uint64_t>(n));
          roots_.push_back(static_cast<float>(root.real()));
          ims.push_back(static_cast<float>(root.imag()));
        }
        roots_.insert(roots_.end(), ims.begin(), ims.end());
      }
    }
  }

  void run(const float* in, float* out, int64_t count, float* spare, const FourierFinish& finish) const override {
    const int64_t a = first_.length(), b = second_.length(), n = 2 * a * b;
    // Columns of [a, b] in their places, then rows, whose results are columns of [b, a].
    const FourierSide columns{n, 2, 2 * b, 1};
    const int64_t roots_each = (b + kLanes - 1) / kLanes;
    const auto first = [&](int64_t tile, float* x, float* other) {
      float* const found = first_.run(x, other);
      vector_kernels().fourier.multiply(roots_.data() + tile % roots_each * a * kElement, found,
                                        static_cast<size_t>(a));
      return found;
    };
    run_tiles(FourierTiles(count, b), a, in, {columns, a, finish.exchange_in}, first, spare, {columns, a, false}, 1,
              *scratch_);
    const auto second = [&](int64_t, float* x, float* other) { return second_.run(x, other); };
    run_tiles(FourierTiles(count, a), b, spare, {{n, 2 * b, 2, 1}, b, false}, second, out,
              {{n, 2, 2 * a, 1}, b, finish.exchange_out}, finish.scale, *scratch_);
  }
  size_t spare_floats(int64_t count) const override {
    return static_cast<size_t>(2 * count * first_.length() * second_.length());
  }
  size_t bytes() const override { return first_.bytes() + second_.bytes() + roots_.size() * sizeof(float); }

 private:
  const FourierStages first_, second_;
  std::vector<float> roots_;
  const std::shared_ptr<Scratch> scratch_ = std::make_shared<Scratch>();
};

// Any length, as a convolution with a chirp, since jk = (j^2 + k^2 - (k - j)^2) / 2 (Bluestein, "A linear filtering
// approach to the computation of the discrete Fourier transform", 1970).
class ChirpCore : public FourierCore {
 public:
  ChirpCore(int64_t length, int64_t lines)
      : n_(length), m_(length_for(2 * length - 1)), inner_(make_fourier_core(m_, lines)) {
    filter_.assign(static_cast<size_t>(2 * m_), 0);
    for (int64_t j = 0; j < n_; ++j) {
      const uint64_t u = static_cast<uint64_t>(j), twice = 2 * static_cast<uint64_t>(n_);
      const auto root = root_of_unity(u * u % twice, twice);
      push(&chirp_, root);
      for (const int64_t at : {j, (m_ - j) % m_}) {
        filter_[static_cast<size_t>(2 * at)] = static_cast<float>(root.real() / static_cast<double>(m_));
        filter_[static_cast<size_t>(2 * at + 1)] = static_cast<float>(-root.imag() / static_cast<double>(m_));
      }
    }
    std::vector<float> spare(inner_->spare_floats(1));
    inner_->run(filter_.data(), filter_.data(), 1, spare.data(), {});
  }

  void run(const float* in, float* out, int64_t count, float* spare, const FourierFinish& finish) const override {
    float* const wide = spare;
    float* const rest = spare + 2 * count * m_;
    const auto for_lines = [&](auto f) {
      parallel_for(count, grain_of(m_), [&](int64_t begin, int64_t end) {
        for (int64_t line = begin; line < end; ++line) f(line, wide + 2 * line * m_);
      });
    };
    for_lines([&](int64_t line, float* x) {
      multiply(in + 2 * line * n_, chirp_.data(), n_, finish.exchange_in, 1, x, false);
      std::fill(x + 2 * n_, x + 2 * m_, 0.0f);
    });
    inner_->run(wide, wide, count, rest, {});
    for_lines([&](int64_t, float* x) { multiply(x, filter_.data(), m_, false, 1, x, false); });
    inner_->run(wide, wide, count, rest, {true, true, 1});  // the other direction
    for_lines([&](int64_t line, const float* x) {
      multiply(x, chirp_.data(), n_, false, finish.scale, out + 2 * line * n_, finish.exchange_out);
    });
  }
  size_t spare_floats(int64_t count) const override {
    return static_cast<size_t>(2 * count * m_) + inner_->spare_floats(count);
  }
  size_t bytes() const override { return (chirp_.size() + filter_.size()) * sizeof(float) + inner_->bytes(); }

 private:
  static int64_t length_for(int64_t least) {
    int64_t found = 1;
    while (found < least) found *= 2;
    for (int64_t odd : {3, 5, 9, 15}) {
      int64_t other = odd;
      while (other < least) other *= 2;
      found = std::min(found, other);
    }
    return found;
  }

  // exchange: the parts of x, and those of the result.
  static void multiply(const float* x, const float* y, int64_t n, bool exchange, float scale, float* out,
                       bool exchange_out) {
    const int64_t re_at = exchange ? 1 : 0, re_to = exchange_out ? 1 : 0;
    for (int64_t i = 0; i < 2 * n; i += 2) {
      const float re = scale * x[i + re_at], im = scale * x[i + 1 - re_at];
      const float real = re * y[i] - im * y[i + 1], imaginary = re * y[i + 1] + im * y[i];
      out[i + re_to] = real;
      out[i + 1 - re_to] = imaginary;
    }
  }

  const int64_t n_, m_;
  const std::unique_ptr<FourierCore> inner_;
  std::vector<float> chirp_, filter_;
};

}  // namespace

std::complex<double> root_of_unity(uint64_t turn, uint64_t n) {
  constexpr double kHalfPi = 1.57079632679489661923;
  const uint64_t four = 4 * (turn % n), quarter = four / n;
  const double angle = kHalfPi * static_cast<double>(four - quarter * n) / static_cast<double>(n);
  const double c = std::cos(angle), s = std::sin(angle);
  switch (quarter) {
    case 0:
      return {c, -s};
    case 1:
      return {-s, -c};
    case 2:
      return {-c, s};
    default:
      return {s, c};
  }
}

FourierTiles::FourierTiles(int64_t outer, int64_t inner)
    : inner_(inner), lines_(outer * inner), per_outer_(inner < kLanes ? 0 : (inner + kLanes - 1) / kLanes) {
  count_ = per_outer_ == 0 ? (lines_ + kLanes - 1) / kLanes : outer * per_outer_;
}

FourierLines FourierTiles::lines(const FourierSide& side, int64_t tile) const {
  const int64_t first = per_outer_ == 0 ? tile * kLanes : tile / per_outer_ * inner_ + tile % per_outer_ * kLanes;
  const int64_t end = per_outer_ == 0 ? lines_ : (tile / per_outer_ + 1) * inner_;
  FourierLines lines = {static_cast<size_t>(std::min(kLanes, end - first)), {}, side.element, side.imaginary};
  for (int64_t l = 0; l < static_cast<int64_t>(lines.lanes); ++l) {
    const int64_t line = first + l;
    lines.offset[l] = line / inner_ * side.outer + line % inner_ * side.inner;
  }
  return lines;
}

// Where the lines of a tile are neighbours, an element of all of them is some 100 bytes of a page. Several tiles are
// read and written together, some pages at a time: finding a page takes longer than reading a line of the cache.
void run_tiles(const FourierTiles& tiles, int64_t length, const float* in, const FourierEnd& from,
               const FourierWork& work, float* out, const FourierEnd& to, float scale, Scratch& scratch) {
  constexpr int64_t kMost = 4, kStripBytes = 1 << 20, kRows = 8;
  const bool are_rows = from.side.element == 2 && to.side.element == 2;
  const size_t floats = static_cast<size_t>(length * kElement);
  const int64_t fit = kStripBytes / static_cast<int64_t>(floats * sizeof(float));
  const int64_t together = are_rows ? 1 : std::max<int64_t>(1, std::min(kMost, fit));
  const FourierFns& fns = vector_kernels().fourier;
  const auto by_rows = [&](int64_t count, auto f) {
    const int64_t rows = together == 1 ? count : kRows;
    for (int64_t row = 0; row < count; row += rows) f(row, static_cast<size_t>(std::min(rows, count - row)));
  };
  const int64_t strips = (tiles.count() + together - 1) / together;
  parallel_for(strips, grain_of(together * length * kLanes), [&](int64_t begin, int64_t end) {
    const Scratch::Lease lease = scratch.take(static_cast<size_t>(together + 1) * floats * sizeof(float));
    float* x[kMost + 1];
    for (int64_t i = 0; i <= together; ++i) x[i] = reinterpret_cast<float*>(lease.data()) + i * length * kElement;
    float* other = x[together];
    for (int64_t strip = begin; strip < end; ++strip) {
      const int64_t first = strip * together, count = std::min(together, tiles.count() - first);
      FourierLines lines[kMost];
      for (int64_t i = 0; i < count; ++i) lines[i] = tiles.lines(from.side, first + i);
      by_rows(from.count, [&](int64_t row, size_t rows) {
        for (int64_t i = 0; i < count; ++i) {
          fns.load(in + row * from.side.element, lines[i], rows, from.exchange, x[i] + row * kElement);
        }
      });
      for (int64_t i = 0; i < count; ++i) {
        if (work(first + i, x[i], other) == other) std::swap(x[i], other);
        lines[i] = tiles.lines(to.side, first + i);
      }
      by_rows(to.count, [&](int64_t row, size_t rows) {
        for (int64_t i = 0; i < count; ++i) {
          fns.store(x[i] + row * kElement, lines[i], rows, to.exchange, scale, out + row * to.side.element);
        }
      });
    }
  });
}

bool FourierStages::can_do(int64_t length) {
  while (length > 1) {
    const size_t factor = factor_of(length);
    if (factor == 0) return false;
    length /= static_cast<int64_t>(factor);
  }
  return true;
}

FourierStages::FourierStages(int64_t length) : length_(length) {
  std::vector<size_t> starts;
  int64_t rest = length, columns = 1;
  while (rest > 1) {
    const size_t radix = factor_of(rest);
    const int64_t rows = rest / static_cast<int64_t>(radix);
    stages_.push_back({radix, static_cast<size_t>(rows), static_cast<size_t>(columns), nullptr});
    starts.push_back(roots_.size());
    for (int64_t row = 0; row < rows; ++row) {
      for (size_t k = 1; k < radix; ++k) {
        push(&roots_, root_of_unity(k * static_cast<uint64_t>(row), static_cast<uint64_t>(rest)));
      }
    }
    for (size_t k = 0; radix > 5 && radix != 8 && k < radix; ++k) push(&roots_, root_of_unity(k, radix));
    columns *= static_cast<int64_t>(radix);
    rest = rows;
  }
  for (size_t i = 0; i < stages_.size(); ++i) stages_[i].roots = roots_.data() + starts[i];
}

float* FourierStages::run(float* x, float* other) const {
  const FourierFns& fns = vector_kernels().fourier;
  for (const FourierStage& stage : stages_) {
    fns.stage(stage, x, other);
    std::swap(x, other);
  }
  return x;
}

bool are_better_cut(int64_t length, int64_t lines) { return lines <= 4 && lesser_factor(length) >= kLanes; }

std::unique_ptr<FourierCore> make_fourier_core(int64_t length, int64_t lines) {
  if (!FourierStages::can_do(length)) return std::make_unique<ChirpCore>(length, lines);
  if (length <= kLongestTile && !are_better_cut(length, lines)) return std::make_unique<ShortCore>(length);
  const int64_t first = lesser_factor(length);
  return std::make_unique<LongCore>(first, length / first);
}

}  // namespace mps
