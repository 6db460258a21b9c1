// Fourier transforms of complex and of real lines. Of an even number of real numbers, pairs are taken for complex ones,
// which halves the work.
//
// Lines of small factors go through the caches once: sixteen of them are read into one tile, all stages are done there,
// and the result is written. Others are done by a core, which takes lines that lie one behind the other.
#include <algorithm>

#include "plugin/host/fourier_core_host.h"
#include "plugin/host/scratch_host.h"
#include "plugin/host/threads.h"
#include "plugin/host/whole_host.h"

namespace mps {
namespace {

struct FourierSizes {
  enum Kind { kComplex, kFromReal, kToReal } kind;
  Fourier what;
  int64_t outer, columns;

  FourierSizes(const Graph& graph, Value value) {
    const Node& node = graph.node(value);
    kind = node.kind == NodeKind::real_to_hermitean_fft   ? kFromReal
           : node.kind == NodeKind::hermitean_to_real_fft ? kToReal
                                                          : kComplex;
    what = Fourier::of(graph.attributes(node));
    outer = graph.shape(value)[0];
    columns = graph.shape(value)[2];
  }

  int64_t n() const { return what.length; }
  int64_t half() const { return n() / 2 + 1; }
  bool in_pairs() const { return kind != kComplex && n() % 2 == 0; }
  int64_t core() const { return in_pairs() ? n() / 2 : n(); }
  int64_t lines() const { return outer * columns; }

  // How many complex numbers are read and written, and where they lie.
  int64_t count_in() const { return kind == kToReal ? half() : core(); }
  int64_t count_out() const { return kind == kFromReal ? half() : core(); }
  FourierSide side_in() const { return kind == kFromReal ? real_side() : complex_side(kind == kToReal ? half() : n()); }
  FourierSide side_out() const {
    return kind == kToReal ? real_side() : complex_side(kind == kFromReal ? half() : n());
  }

  // Parts are exchanged before and after where that turns the direction.
  bool exchanges() const { return in_pairs() ? kind == kToReal : what.inverse; }
  // Of imaginary parts, where numbers are in pairs: these are parted for negative exponents and joined for positive
  // ones.
  float sign() const { return what.inverse == (kind == kToReal) ? 1.0f : -1.0f; }
  float scale() const { return static_cast<float>(what.scale); }

 private:
  FourierSide complex_side(int64_t count) const { return {2 * count * columns, 2, 2 * columns, 1}; }
  FourierSide real_side() const {
    if (in_pairs()) return {n() * columns, 1, 2 * columns, columns};
    return {n() * columns, 1, columns, 0};
  }
};

std::vector<float> roots_of_half(const FourierSizes& sizes) {
  std::vector<float> roots;
  for (int64_t k = 0; sizes.in_pairs() && k < sizes.half(); ++k) {
    const auto root = root_of_unity(static_cast<uint64_t>(k), static_cast<uint64_t>(sizes.n()));
    roots.push_back(static_cast<float>(root.real()));
    roots.push_back(static_cast<float>(root.imag()));
  }
  return roots;
}

class TiledFourier {
 public:
  explicit TiledFourier(const FourierSizes& sizes)
      : sizes_(sizes), stages_(sizes.core()), tiles_(sizes.outer, sizes.columns), roots_(roots_of_half(sizes)) {}

  void run(const float* in, float* out) const {
    const int64_t length = std::max(sizes_.core() + 1, sizes_.in_pairs() ? 0 : sizes_.n());
    const bool joins = sizes_.in_pairs() && sizes_.kind == FourierSizes::kToReal;
    const FourierEnd from{sizes_.side_in(), sizes_.count_in(), sizes_.exchanges() && !joins};
    const FourierEnd to{sizes_.side_out(), sizes_.count_out(), sizes_.exchanges()};
    const auto work = [&](int64_t, float* x, float* other) { return transformed(x, other); };
    run_tiles(tiles_, length, in, from, work, out, to, sizes_.scale(), *scratch_);
  }
  size_t bytes() const { return stages_.bytes() + roots_.size() * sizeof(float); }

 private:
  float* transformed(float* x, float* other) const {
    const FourierFns& fns = vector_kernels().fourier;
    const size_t core = static_cast<size_t>(sizes_.core());
    if (sizes_.kind == FourierSizes::kToReal) {
      if (sizes_.in_pairs()) {
        fns.join(roots_.data(), core, sizes_.sign(), x, other);
        std::swap(x, other);
      } else {
        fill_with_conjugates(x);
      }
    }
    float* const found = stages_.run(x, other);
    if (sizes_.kind != FourierSizes::kFromReal || !sizes_.in_pairs()) return found;
    float* const rest = found == x ? other : x;
    fns.part(roots_.data(), core, sizes_.sign(), found, rest);
    return rest;
  }

  void fill_with_conjugates(float* x) const {
    constexpr size_t kElement = 2 * kFourierLanes;
    const size_t n = static_cast<size_t>(sizes_.n()), im = sizes_.exchanges() ? 0 : kFourierLanes;
    for (size_t k = 1; 2 * k < n; ++k) {
      float* const to = x + (n - k) * kElement;
      std::copy(x + k * kElement, x + (k + 1) * kElement, to);
      for (size_t l = im; l < im + kFourierLanes; ++l) to[l] = -to[l];
    }
  }

  const FourierSizes sizes_;
  const FourierStages stages_;
  const FourierTiles tiles_;
  const std::vector<float> roots_;
  const std::shared_ptr<Scratch> scratch_ = std::make_shared<Scratch>();
};

// By way of lines one behind the other, some of them at a time. Operands and results that lie so already are read and
// written by the core itself.
class LaidOutFourier {
 public:
  explicit LaidOutFourier(const FourierSizes& sizes)
      : sizes_(sizes),
        core_(make_fourier_core(sizes.core(), sizes.lines())),
        group_(std::max<int64_t>(1, kGroupElements / sizes.core())),
        roots_(roots_of_half(sizes)) {}

  void run(const float* in, float* out) const {
    const bool reads = sizes_.columns != 1 || joins() || (sizes_.kind != FourierSizes::kComplex && !sizes_.in_pairs());
    const bool writes = sizes_.columns != 1 || parts() || (sizes_.kind != FourierSizes::kComplex && !sizes_.in_pairs());
    const int64_t most = std::min(group_, sizes_.lines()), core = sizes_.core();
    const size_t floats = static_cast<size_t>(2 * most * core);
    const Scratch::Lease lease = scratch_->take((floats + core_->spare_floats(most)) * sizeof(float));
    float* const lines = reinterpret_cast<float*>(lease.data());
    const FourierFinish finish{sizes_.exchanges() && !joins(), sizes_.exchanges(), parts() ? 1 : sizes_.scale()};
    for (int64_t first = 0; first < sizes_.lines(); first += most) {
      const int64_t count = std::min(most, sizes_.lines() - first);
      if (reads) {
        const int64_t pieces = joins() ? core / 2 + 1 : core;
        for_elements(count, pieces, [&](int64_t line, int64_t begin, int64_t end) {
          read(line_at(in, sizes_.side_in(), first + line), lines + 2 * line * core, begin, end);
        });
      }
      core_->run(reads ? lines : in + 2 * first * core, writes ? lines : out + 2 * first * core, count, lines + floats,
                 finish);
      if (writes) {
        const int64_t pieces = parts() ? core / 2 + 1 : sizes_.count_out();
        for_elements(count, pieces, [&](int64_t line, int64_t begin, int64_t end) {
          write(lines + 2 * line * core, line_at(out, sizes_.side_out(), first + line), begin, end);
        });
      }
    }
  }
  size_t bytes() const { return core_->bytes() + roots_.size() * sizeof(float); }

 private:
  static constexpr int64_t kGroupElements = int64_t{1} << 20;

  bool joins() const { return sizes_.in_pairs() && sizes_.kind == FourierSizes::kToReal; }
  bool parts() const { return sizes_.in_pairs() && sizes_.kind == FourierSizes::kFromReal; }

  template <typename F>
  static void for_elements(int64_t lines, int64_t count, F f) {
    constexpr int64_t kPiece = 8192;
    const int64_t pieces = (count + kPiece - 1) / kPiece;
    parallel_for(lines * pieces, grain_of(std::min(count, kPiece)), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t from = i % pieces * kPiece;
        f(i / pieces, from, std::min(count, from + kPiece));
      }
    });
  }

  template <typename T>
  T* line_at(T* data, const FourierSide& side, int64_t line) const {
    return data + line / sizes_.columns * side.outer + line % sizes_.columns * side.inner;
  }

  void read(const float* line, float* to, int64_t begin, int64_t end) const {
    const FourierSide side = sizes_.side_in();
    if (joins()) return join(line, side.element, side.imaginary, to, begin, end);
    for (int64_t i = begin; i < end; ++i) {
      const bool is_given = i < sizes_.count_in();
      const float* const x = line + (is_given ? i : sizes_.n() - i) * side.element;
      to[2 * i] = *x;
      to[2 * i + 1] = side.imaginary == 0 ? 0 : is_given ? x[side.imaginary] : -x[side.imaginary];
    }
  }

  void write(const float* line, float* to, int64_t begin, int64_t end) const {
    const FourierSide side = sizes_.side_out();
    if (parts()) return part(line, to, side.element, side.imaginary, begin, end);
    for (int64_t i = begin; i < end; ++i) {
      to[i * side.element] = line[2 * i];
      if (side.imaginary != 0) to[i * side.element + side.imaginary] = line[2 * i + 1];
    }
  }

  // What fourier_join and fourier_part of vector_fourier.h do, at k and m - k.
  void join(const float* line, int64_t step, int64_t imaginary, float* to, int64_t begin, int64_t end) const {
    const int64_t m = sizes_.core();
    const float sign = sizes_.sign();
    if (begin == 0) {
      const float first = line[0], last = line[m * step];
      to[0] = first - last, to[1] = first + last;
    }
    for (int64_t k = std::max<int64_t>(begin, 1); k < end; ++k) {
      const float* const near = line + k * step;
      const float* const far = line + (m - k) * step;
      const float re = near[0] - far[0], im = sign * (near[imaginary] + far[imaginary]);
      const float even_re = near[0] + far[0], even_im = sign * (near[imaginary] - far[imaginary]);
      const float root_re = roots_[static_cast<size_t>(2 * k)], root_im = -roots_[static_cast<size_t>(2 * k + 1)];
      const float odd_re = re * root_re - im * root_im, odd_im = re * root_im + im * root_re;
      to[2 * (m - k)] = odd_re - even_im, to[2 * (m - k) + 1] = even_re + odd_im;
      to[2 * k] = even_im + odd_re, to[2 * k + 1] = even_re - odd_im;
    }
  }

  void part(const float* line, float* to, int64_t step, int64_t imaginary, int64_t begin, int64_t end) const {
    const int64_t m = sizes_.core();
    const float scale = sizes_.scale(), sign = sizes_.sign() * scale;
    if (begin == 0) {
      to[0] = scale * (line[0] + line[1]), to[imaginary] = 0;
      to[m * step] = scale * (line[0] - line[1]), to[m * step + imaginary] = 0;
    }
    for (int64_t k = std::max<int64_t>(begin, 1); k < end; ++k) {
      const float* const near = line + 2 * k;
      const float* const far = line + 2 * (m - k);
      const float even_re = 0.5f * (near[0] + far[0]), even_im = 0.5f * (near[1] - far[1]);
      const float odd_re = 0.5f * (near[1] + far[1]), odd_im = -0.5f * (near[0] - far[0]);
      const float root_re = roots_[static_cast<size_t>(2 * k)], root_im = roots_[static_cast<size_t>(2 * k + 1)];
      const float re = odd_re * root_re - odd_im * root_im, im = odd_re * root_im + odd_im * root_re;
      to[(m - k) * step] = scale * (even_re - re), to[(m - k) * step + imaginary] = -sign * (even_im - im);
      to[k * step] = scale * (even_re + re), to[k * step + imaginary] = sign * (even_im + im);
    }
  }

  const FourierSizes sizes_;
  const std::unique_ptr<FourierCore> core_;
  const int64_t group_;
  const std::vector<float> roots_;
  const std::shared_ptr<Scratch> scratch_ = std::make_shared<Scratch>();
};

template <typename Program>
WholeProgram program_of(const FourierSizes& sizes, int64_t ns_each) {
  const auto program = std::make_shared<const Program>(sizes);
  const auto run = [program](Span<const void* const> inputs, void* output) {
    program->run(static_cast<const float*>(inputs[0]), static_cast<float*>(output));
  };
  return {run, static_cast<uint64_t>(500 + ns_each * sizes.lines() * sizes.core()), program->bytes()};
}

}  // namespace

WholeProgram compile_fourier(const Graph& graph, Value value) {
  const FourierSizes sizes(graph, value);
  const bool fits = sizes.core() <= kLongestTile && FourierStages::can_do(sizes.core()) &&
                    !are_better_cut(sizes.core(), sizes.lines());
  return fits ? program_of<TiledFourier>(sizes, 2) : program_of<LaidOutFourier>(sizes, 20);
}

}  // namespace mps
