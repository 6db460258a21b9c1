// Transforms of complex lines in the host's memory, with negative exponents; what nodes make of them is in
// fourier_host.cc.
#pragma once

#include <complex>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "plugin/host/scratch_host.h"
#include "plugin/host/vector_kernels.h"

namespace mps {

// exp(-2 pi i turn / n); exact at quarters.
std::complex<double> root_of_unity(uint64_t turn, uint64_t n);

// Lines (o, i) of a tensor begin at o * outer + i * inner; element and imaginary are those of FourierLines.
struct FourierSide {
  int64_t outer, inner, element, imaginary;
};

// So many lines, cut into tiles of some that are neighbours.
class FourierTiles {
 public:
  FourierTiles(int64_t outer, int64_t inner);
  int64_t count() const { return count_; }
  FourierLines lines(const FourierSide& side, int64_t tile) const;

 private:
  int64_t inner_, lines_, count_, per_outer_;  // 0: tiles do not mind where `outer` changes
};

// One end of what is done to tiles: so many elements of each line.
struct FourierEnd {
  FourierSide side;
  int64_t count;
  bool exchange;
};

// What is done to a tile; both are written, and the one with the result is returned.
using FourierWork = std::function<float*(int64_t tile, float* x, float* other)>;

// Reads tiles of up to `length` elements, works on them and writes them.
void run_tiles(const FourierTiles& tiles, int64_t length, const float* in, const FourierEnd& from,
               const FourierWork& work, float* out, const FourierEnd& to, float scale, Scratch& scratch);

// The stages for a length that is a product of small factors.
class FourierStages {
 public:
  static bool can_do(int64_t length);
  explicit FourierStages(int64_t length);
  int64_t length() const { return length_; }
  // Elements of a tile from `x`; each of the two is written. Returns the one with the result.
  float* run(float* x, float* other) const;
  size_t bytes() const { return roots_.size() * sizeof(float); }

 private:
  int64_t length_;
  std::vector<FourierStage> stages_;
  std::vector<float> roots_;
};

// What a core does on the way: parts are exchanged where it reads and where it writes, and the result is multiplied.
struct FourierFinish {
  bool exchange_in = false, exchange_out = false;
  float scale = 1;
};

// Lines one behind the other, pairs of parts.
class FourierCore {
 public:
  virtual ~FourierCore() = default;
  // `out` may be `in`; so many floats of spare memory are written.
  virtual void run(const float* in, float* out, int64_t count, float* spare, const FourierFinish& finish) const = 0;
  virtual size_t spare_floats(int64_t count) const = 0;
  virtual size_t bytes() const = 0;
};

// Lengths up to this are done in one tile, all stages one after the other.
inline constexpr int64_t kLongestTile = 4096;

// For about so many lines at once: the parts of a few long ones fill lanes that the lines themselves would not.
std::unique_ptr<FourierCore> make_fourier_core(int64_t length, int64_t lines);

// Whether lines are better cut in two than done as they are, though a tile could hold them.
bool are_better_cut(int64_t length, int64_t lines);

}  // namespace mps
