// Products with matrices of few bits. The matrix is never dequantised as a whole: a few rows of activations are
// multiplied with what is dequantised in registers, many with one panel of it after the other, or in tiles
// (quantized_tiles_host.cc).
#include <algorithm>
#include <memory>
#include <new>
#include <vector>

#include "plugin/host/matmul_kernel_host.h"
#include "plugin/host/quantized_host.h"
#include "plugin/host/quantized_product_host.h"
#include "plugin/host/threads.h"
#include "plugin/host/tile_kernels.h"
#include "plugin/host/vector_kernels.h"

namespace mps {
namespace {

using Kernel = std::shared_ptr<const MatmulKernel>;
using Product = QuantizedProduct;

// Elements of the activations that are multiplied at a time: they stay in the first-level cache. The longer the pieces
// of the rows of the matrix, the better the processor foresees what is read next.
constexpr int64_t kDotElements = 4096;
// From so many on, reading them again for every panel costs more than a panel that leaves the second-level cache.
constexpr int64_t kManyRows = 64;
constexpr int64_t kPanelElements = int64_t{1} << 18, kLargePanelElements = int64_t{1} << 20;
constexpr int64_t kPanelUnit = 32;
// Up to so many rows of int8 are multiplied with what is unpacked in registers.
constexpr int64_t kMostTernaryRows = 24;

int64_t panel_of(int64_t size, int64_t each, int64_t rows) {
  const int64_t elements = rows >= kManyRows ? kLargePanelElements : kPanelElements;
  const int64_t fits = std::max<int64_t>(1, elements / std::max<int64_t>(1, each) / kPanelUnit) * kPanelUnit;
  // No fewer panels than there are threads.
  const int64_t share = (size + thread_count() - 1) / thread_count();
  return std::max<int64_t>(1, std::min(fits, (share + kPanelUnit - 1) / kPanelUnit * kPanelUnit));
}

Kernel float_kernel(const MatmulGeometry& g) {
  if (g.rows == 1) {
    if (auto kernel = make_vector_matmul(DType::float32, g)) return kernel;
  }
  if (auto kernel = make_onednn_matmul(DType::float32, g)) return kernel;
  return make_plain_matmul(DType::float32, g);
}

// A kernel for whole panels and one for the last.
struct Panels {
  int64_t size = 0, each = 1;
  Kernel kernel, last;

  int64_t count() const { return (size + each - 1) / each; }
  int64_t begin(int64_t i) const { return i * each; }
  int64_t length(int64_t i) const { return std::min(each, size - i * each); }
  const MatmulKernel& kernel_of(int64_t i) const { return length(i) == each ? *kernel : *last; }
  size_t bytes() const { return (kernel ? kernel->bytes() : 0) + (last ? last->bytes() : 0); }
};

// `geometry_of`: of a panel of so many columns of the result.
template <typename Geometry, typename Make>
Panels make_panels(int64_t size, int64_t each, Geometry geometry_of, Make make) {
  Panels panels;
  panels.size = size;
  panels.each = std::min(size, each);
  if (size >= panels.each) panels.kernel = make(geometry_of(panels.each));
  if (size % panels.each != 0) panels.last = make(geometry_of(size % panels.each));
  return panels;
}

// Rows that begin with a block, or that lie within one.
bool fits_dot(const Product& p) {
  const bool aligned = p.columns % p.blocksize == 0 || p.blocksize % p.columns == 0;
  const int64_t most = tile_kernels() != nullptr ? kFewestTileRows - 1 : quantized_kernels().most_rows;
  return p.entries == 16 && p.transposed && p.m <= most && aligned && p.columns % kDotUnit == 0 &&
         p.blocksize % kDotUnit == 0;
}

constexpr std::align_val_t kCacheLine{64};
struct FreeAligned {
  void operator()(float* data) const { ::operator delete(data, kCacheLine); }
};

using AlignedFloats = std::unique_ptr<float[], FreeAligned>;

// Vectors of it do not cross the lines of a cache.
AlignedFloats aligned_floats(int64_t count) {
  return AlignedFloats(static_cast<float*>(::operator new(static_cast<size_t>(count) * sizeof(float), kCacheLine)));
}

// A few rows of activations, in pieces of `piece` columns: of each piece, kRowsAtOnce rows at a time, the even elements
// of a row and then its odd ones.
void split(const Product& p, const float* x, int64_t piece, float* to) {
  for (int64_t begin = 0; begin < p.inner; begin += piece) {
    const int64_t half = std::min(piece, p.inner - begin) / 2;
    for (int64_t m = 0; m < p.m; ++m, to += 2 * half) {
      const float* const from = x + m * p.inner + begin;
      for (int64_t i = 0; i < half; ++i) {
        to[i] = from[2 * i];
        to[half + i] = from[2 * i + 1];
      }
    }
  }
}

void run_dots(const Product& p, Span<const void* const> inputs, void* output) {
  int64_t columns_at_once = kDotElements;
  while (columns_at_once * std::min(p.m, kRowsAtOnce) > kDotElements) columns_at_once /= 2;
  const bool in_pieces = columns_at_once % p.blocksize == 0 || p.blocksize % columns_at_once == 0;
  const int64_t piece = in_pieces ? std::min(columns_at_once, p.inner) : p.inner;
  std::vector<float> room;
  const AlignedFloats x = aligned_floats(p.m * p.inner);
  split(p, p.floats(inputs[0], &room), piece, x.get());
  const QuantizedTensor w = p.matrix(inputs);
  constexpr int64_t kColumns = 64;  // of the result, at a time
  // Sums of some rows and columns: to lanes [column, row, kDotLanes], then of the lanes.
  const auto multiply = [&](int64_t column, int64_t count, int64_t row, int64_t many, float* lanes) {
    std::fill_n(lanes, count * many * kDotLanes, 0.0f);
    for (int64_t begin = 0; begin < p.inner; begin += piece) {
      const int64_t length = std::min(piece, p.inner - begin);
      const float* const part = x.get() + begin * p.m + row * length;
      for (int64_t n = 0; n < count; ++n) {
        const int64_t at = (column + n) * p.inner + begin;
        quantized_kernels().dot_halves(part, w.codes + at / 2, w.absmax + at / p.blocksize, p.blocksize, w.numbers,
                                       length, many, lanes + n * many * kDotLanes);
      }
    }
  };
  parallel_for((p.width + kColumns - 1) / kColumns, grain_of(kColumns * p.inner / 4), [&](int64_t first, int64_t last) {
    alignas(64) float lanes[kColumns * kRowsAtOnce * kDotLanes], sums[kColumns];
    for (int64_t i = first; i < last; ++i) {
      const int64_t column = i * kColumns, count = std::min(kColumns, p.width - column);
      for (int64_t row = 0; row < p.m; row += kRowsAtOnce) {
        const int64_t many = std::min(kRowsAtOnce, p.m - row);
        multiply(column, count, row, many, lanes);
        for (int64_t m = 0; m < many; ++m) {
          for (int64_t n = 0; n < count; ++n) {
            const float* const of = lanes + (n * many + m) * kDotLanes;
            float sum = 0;
            for (int64_t lane = 0; lane < kDotLanes; ++lane) sum += of[lane];
            sums[n] = sum;
          }
          p.store(sums, output, row + m, column, count);
        }
      }
    }
  });
}

// One row of activations, and rows of the matrix that are whole blocks.
bool fits_row(const Product& p) {
  const int64_t unit = std::max(p.blocksize, kRowUnit);
  return p.m == 1 && fits_dot(p) && p.columns % unit == 0 && unit % p.blocksize == 0 && unit % kRowUnit == 0;
}

void run_row(const Product& p, Span<const void* const> inputs, void* output) {
  std::vector<float> room;
  const float* const from = p.floats(inputs[0], &room);
  const AlignedFloats x = aligned_floats(p.inner);
  for (int64_t i = 0; i < p.inner; ++i) x[static_cast<size_t>(place_in_row(i))] = from[i];
  const QuantizedTensor w = p.matrix(inputs);
  constexpr int64_t kColumns = 64;  // of the result, at a time
  parallel_for((p.width + kColumns - 1) / kColumns, grain_of(kColumns * p.inner / 4), [&](int64_t first, int64_t last) {
    float sums[kColumns];
    for (int64_t i = first; i < last; ++i) {
      const int64_t column = i * kColumns, count = std::min(kColumns, p.width - column), at = column * p.inner;
      quantized_kernels().dot_row(x.get(), w.codes + at / 2, w.absmax + at / p.blocksize, p.blocksize, w.numbers,
                                  p.inner, count, sums);
      p.store(sums, output, 0, column, count);
    }
  });
}

// Many rows of activations: rows of the matrix, or columns, that make up a panel.
void run_panels(const Product& p, const Panels& panels, Span<const void* const> inputs, void* output) {
  std::vector<float> room;
  const float* const x = p.floats(inputs[0], &room);
  const QuantizedTensor w = p.matrix(inputs);
  parallel_for(panels.count(), 1, [&](int64_t first, int64_t last) {
    float* const panel = thread_room<float>(panels.each * p.inner);
    std::vector<float> sums(p.dtype == DType::float32 ? 0 : static_cast<size_t>(panels.each * p.m));
    for (int64_t i = first; i < last; ++i) {
      const int64_t begin = panels.begin(i), length = panels.length(i);
      if (p.transposed) {
        w.dequantize(begin * p.inner, length * p.inner, panel);
      } else {
        for (int64_t row = 0; row < p.rows; ++row) {
          w.dequantize(row * p.columns + begin, length, panel + row * length);
        }
      }
      if (p.dtype == DType::float32) {
        panels.kernel_of(i).run(x, panel, static_cast<float*>(output) + begin);
        continue;
      }
      panels.kernel_of(i).run(x, panel, sums.data());
      for (int64_t m = 0; m < p.m; ++m) p.store(sums.data() + m * length, output, m, begin, length);
    }
  });
}

uint64_t cost_of(int64_t m, int64_t matrix_elements) {
  return 500 + static_cast<uint64_t>(matrix_elements) / 8 + static_cast<uint64_t>(m * matrix_elements) / 50;
}

// -- integers
// ---------------------------------------------------------------------------------------------------------

struct IntegerProduct {
  int64_t m, inner, width;
};

void run_int8_dots(const IntegerProduct& p, const int8_t* x, const int8_t* y, int32_t* to) {
  parallel_for(p.width, grain_of(p.m * p.inner / 8), [&](int64_t first, int64_t last) {
    int16_t* const wide = thread_room<int16_t>(kInt8RowsAtOnce * p.inner);
    for (int64_t row = 0; row < p.m; row += kInt8RowsAtOnce) {
      const int64_t rows = std::min(kInt8RowsAtOnce, p.m - row);
      std::copy_n(x + row * p.inner, rows * p.inner, wide);
      for (int64_t n = first; n < last; ++n) {
        int32_t sums[kInt8RowsAtOnce];
        quantized_kernels().dot_int8(wide, y + n * p.inner, p.inner, rows, sums);
        for (int64_t m = 0; m < rows; ++m) to[(row + m) * p.width + n] = sums[m];
      }
    }
  });
}

Panels int8_panels(const IntegerProduct& p, int64_t columns, int64_t each) {
  const auto geometry_of = [&](int64_t count) {
    MatmulGeometry g;
    g.rows = p.m;
    g.inner = g.x_row = g.y_column = p.inner;
    g.columns = count;
    g.x_inner = g.y_inner = 1;
    g.to_row = p.width;
    return g;
  };
  return make_panels(columns, each, geometry_of,
                     [](const MatmulGeometry& g) { return Kernel(make_onednn_int8_matmul(g)); });
}

WholeProgram compile_int8(const IntegerProduct& p) {
  WholeProgram program;
  const int64_t share = (p.width + 2 * thread_count() - 1) / (2 * thread_count());
  const Panels panels = int8_panels(p, p.width, std::max<int64_t>(64, (share + 63) / 64 * 64));
  const bool has_kernels = panels.kernel != nullptr && (panels.last != nullptr || p.width % panels.each == 0);
  program.run = [=](Span<const void* const> inputs, void* output) {
    const int8_t* const x = static_cast<const int8_t*>(inputs[0]);
    const int8_t* const y = static_cast<const int8_t*>(inputs[1]);
    int32_t* const to = static_cast<int32_t*>(output);
    if (!has_kernels) return run_int8_dots(p, x, y, to);
    parallel_for(panels.count(), 1, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) {
        panels.kernel_of(i).run(x, y + panels.begin(i) * p.inner, to + panels.begin(i));
      }
    });
  };
  program.bytes = panels.bytes();
  return program;
}

// Each row of bytes gives four columns of the result: n, n + R, n + 2R and n + 3R.
void run_ternary_dots(const IntegerProduct& p, const int8_t* x, const uint8_t* packed, int32_t* to) {
  const int64_t packed_rows = (p.width + 3) / 4;
  std::vector<int32_t> offsets(static_cast<size_t>(p.m), 0);  // codes are the numbers and 1
  for (int64_t m = 0; m < p.m; ++m) {
    for (int64_t k = 0; k < p.inner; ++k) offsets[static_cast<size_t>(m)] += x[m * p.inner + k];
  }
  parallel_for(packed_rows, grain_of(p.m * p.inner / 8), [&](int64_t first, int64_t last) {
    for (int64_t n = first; n < last; ++n) {
      for (int64_t m = 0; m < p.m; ++m) {
        int32_t sums[4];
        quantized_kernels().dot_quarters(x + m * p.inner, packed + n * p.inner, p.inner, sums);
        for (int64_t j = 0; j < 4 && n + j * packed_rows < p.width; ++j) {
          to[m * p.width + n + j * packed_rows] = sums[j] - offsets[static_cast<size_t>(m)];
        }
      }
    }
  });
}

void unpack_quarter(const uint8_t* packed, int shift, int64_t count, int8_t* to) {
  for (int64_t i = 0; i < count; ++i) to[i] = static_cast<int8_t>((packed[i] >> shift & 3) - 1);
}

WholeProgram compile_ternary(const IntegerProduct& p) {
  WholeProgram program;
  const int64_t packed_rows = (p.width + 3) / 4, last_rows = p.width - 3 * packed_rows;
  // Many rows: quarter by quarter as int8. The last quarter may be shorter, so all use panels that fit it, too.
  const bool many = p.m > kMostTernaryRows && last_rows > 0;
  const int64_t each = many ? panel_of(packed_rows, p.inner, p.m) : 1;
  const Panels panels = many ? int8_panels(p, packed_rows, each) : Panels{};
  const Panels short_panels = many ? int8_panels(p, last_rows, each) : Panels{};
  const auto complete = [](const Panels& of) {
    return of.kernel != nullptr && (of.last != nullptr || of.size % of.each == 0);
  };
  const bool has_kernels = many && complete(panels) && complete(short_panels);
  program.run = [=](Span<const void* const> inputs, void* output) {
    const int8_t* const x = static_cast<const int8_t*>(inputs[0]);
    const uint8_t* const packed = static_cast<const uint8_t*>(inputs[1]);
    int32_t* const to = static_cast<int32_t*>(output);
    if (!has_kernels) return run_ternary_dots(p, x, packed, to);
    parallel_for(4 * panels.count(), 1, [&](int64_t first, int64_t last) {
      int8_t* const room = thread_room<int8_t>(panels.each * p.inner);
      for (int64_t i = first; i < last; ++i) {
        const int64_t quarter = i / panels.count(), panel = i % panels.count();
        const Panels& of = quarter == 3 ? short_panels : panels;
        if (panel >= of.count()) continue;
        unpack_quarter(packed + of.begin(panel) * p.inner, static_cast<int>(2 * quarter), of.length(panel) * p.inner,
                       room);
        of.kernel_of(panel).run(x, room, to + quarter * packed_rows + of.begin(panel));
      }
    });
  };
  program.bytes = panels.bytes() + short_panels.bytes();
  return program;
}

}  // namespace

WholeProgram compile_quantized_matmul(const Graph& graph, Value value) {
  const Product p(graph, value);
  WholeProgram program;
  program.cost_ns = cost_of(p.m, p.rows * p.columns);
  if (fits_row(p)) {
    program.run = [p](Span<const void* const> inputs, void* output) { run_row(p, inputs, output); };
    return program;
  }
  if (fits_dot(p)) {
    program.run = [p](Span<const void* const> inputs, void* output) { run_dots(p, inputs, output); };
    return program;
  }
  const auto geometry_of = [&](int64_t count) {
    MatmulGeometry g;
    g.rows = p.m;
    g.inner = g.x_row = p.inner;
    g.columns = count;
    g.x_inner = 1;
    g.y_inner = p.transposed ? 1 : count;
    g.y_column = p.transposed ? p.inner : 1;
    g.to_row = p.dtype == DType::float32 ? p.width : count;
    return g;
  };
  const Panels panels = make_panels(p.width, panel_of(p.width, p.inner, p.m), geometry_of, float_kernel);
  program.run = [p, panels](Span<const void* const> inputs, void* output) {
    if (!run_in_tiles(p, inputs, output)) run_panels(p, panels, inputs, output);
  };
  program.bytes = panels.bytes();
  return program;
}

WholeProgram compile_integer_matmul(const Graph& graph, Value value) {
  const Node& node = graph.node(value);
  const IntegerProduct p{graph.shape(value)[0], graph.shape(graph.operand(node, 0))[1], graph.shape(value)[1]};
  WholeProgram program = node.kind == NodeKind::int8_matrix_multiplication ? compile_int8(p) : compile_ternary(p);
  program.cost_ns = cost_of(p.m, p.inner * p.width) / 4;
  return program;
}

}  // namespace mps
