// Many rows of activations, times a matrix of few bits, in tiles. Both sides are cut into pieces of bfloat16, the
// matrix a part of some columns of the result and some inner elements at a time.
#include <algorithm>
#include <atomic>
#include <vector>

#include "plugin/host/quantized_product_host.h"
#include "plugin/host/scratch_host.h"
#include "plugin/host/threads.h"
#include "plugin/host/tile_kernels.h"

namespace mps {
namespace {

// Rows whose pieces are kept at a time.
constexpr int64_t kRowsAtATime = 1024;
// Of a part of the matrix: its pieces take less than half of a second-level cache.
constexpr int64_t kColumns = 256, kInner = 512;

template <typename T>
class Room {
 public:
  explicit Room(int64_t elements) : lease_(shared_scratch().take(static_cast<size_t>(elements) * sizeof(T))) {}
  T* data() const { return reinterpret_cast<T*>(lease_.data()); }

 private:
  Scratch::Lease lease_;
};

struct Part {
  int64_t column, columns, inner_begin, inner;
};

// The packed strips of a part of the matrix. `room`: of kColumns * kInner floats.
void pack(const QuantizedProduct& p, const QuantizedTensor& w, const Part& part, int pieces, float* room,
          uint16_t* to) {
  const TileKernels& kernels = *tile_kernels();
  if (!p.transposed) {
    for (int64_t i = 0; i < part.inner; ++i) {
      w.dequantize((part.inner_begin + i) * p.columns + part.column, part.columns, room + i * part.columns);
    }
  }
  for (int64_t strip = 0; strip < part.columns; strip += kTileStrip, to += strip_elements(part.inner, pieces)) {
    const int64_t count = std::min(kTileStrip, part.columns - strip);
    if (!p.transposed) {
      kernels.pack_columns(room + strip, TileLines::kAcross, part.columns, count, part.inner, pieces, nullptr, to);
      continue;
    }
    for (int64_t n = 0; n < count; ++n) {
      w.dequantize((part.column + strip + n) * p.columns + part.inner_begin, part.inner, room + n * part.inner);
    }
    kernels.pack_columns(room, TileLines::kAlong, part.inner, count, part.inner, pieces, nullptr, to);
  }
}

// The packed strips of all rows, for one part of the inner elements after the other.
void pack_rows(const QuantizedProduct& p, const float* x, int64_t rows, int pieces, uint16_t* to) {
  const int64_t strips = (rows + kTileStrip - 1) / kTileStrip;
  parallel_for(strips, 1, [&](int64_t first, int64_t last) {
    for (int64_t begin = 0; begin < p.inner; begin += kInner) {
      const int64_t inner = std::min(kInner, p.inner - begin);
      uint16_t* const part = to + strips * strip_elements(begin, pieces);
      for (int64_t strip = first; strip < last; ++strip) {
        const int64_t row = strip * kTileStrip;
        tile_kernels()->pack_rows(x + row * p.inner + begin, TileLines::kAlong, p.inner,
                                  std::min(kTileStrip, rows - row), inner, pieces, nullptr,
                                  part + strip * strip_elements(inner, pieces));
      }
    }
  });
}

void run_rows(const QuantizedProduct& p, const QuantizedTensor& w, const float* x, int64_t row, int64_t rows,
              void* output) {
  const TilePieces pieces = tile_pieces(p.dtype);
  const int64_t strips = (rows + kTileStrip - 1) / kTileStrip;
  const Room<uint16_t> packed(strips * strip_elements(p.inner, pieces.x));
  pack_rows(p, x + row * p.inner, rows, pieces.x, packed.data());
  const int64_t share = (p.width + thread_count() - 1) / thread_count();
  const int64_t each = std::min(kColumns, (share + kTileStrip - 1) / kTileStrip * kTileStrip);
  const bool direct = p.dtype == DType::float32;
  parallel_for((p.width + each - 1) / each, 1, [&](int64_t first, int64_t last) {
    const Room<uint16_t> strips_of_w((each + kTileStrip - 1) / kTileStrip * strip_elements(kInner, pieces.w));
    const Room<float> numbers(kColumns * kInner), sums(direct ? 0 : rows * each);
    for (int64_t i = first; i < last; ++i) {
      const int64_t column = i * each, columns = std::min(each, p.width - column);
      float* const to = direct ? static_cast<float*>(output) + row * p.width + column : sums.data();
      for (int64_t begin = 0; begin < p.inner; begin += kInner) {
        const int64_t inner = std::min(kInner, p.inner - begin);
        pack(p, w, {column, columns, begin, inner}, pieces.w, numbers.data(), strips_of_w.data());
        tile_kernels()->multiply(packed.data() + strips * strip_elements(begin, pieces.x), nullptr, rows,
                                 strips_of_w.data(), nullptr, columns, inner, pieces, begin > 0, to,
                                 direct ? p.width : each, {});
      }
      if (direct) continue;
      for (int64_t m = 0; m < rows; ++m) p.store(sums.data() + m * each, output, row + m, column, columns);
    }
  });
}

}  // namespace

bool run_in_tiles(const QuantizedProduct& p, Span<const void* const> inputs, void* output) {
  if (p.m < kFewestTileRows || p.inner == 0 || tile_kernels() == nullptr) return false;
  const QuantizedTensor w = p.matrix(inputs);
  const int64_t blocks = (p.rows * p.columns + p.blocksize - 1) / p.blocksize;
  if (!is_moderate(w.absmax, blocks) || !is_moderate(w.numbers, p.entries)) return false;
  std::vector<float> room;
  const float* const x = p.floats(inputs[0], &room);
  std::atomic<bool> moderate{true};
  parallel_for(p.m, grain_of(p.inner), [&](int64_t first, int64_t last) {
    if (!rows_are_moderate(x + first * p.inner, last - first, p.inner)) moderate = false;
  });
  if (!moderate) return false;
  for (int64_t row = 0; row < p.m; row += kRowsAtATime) {
    run_rows(p, w, x, row, std::min(kRowsAtATime, p.m - row), output);
  }
  return true;
}

}  // namespace mps
