// Block functions: what one node does to n elements that lie one after the other, for every node kind and dtype, with
// the widest vectors that the processor has.
//
// vector_kernels.inc.cc is the one body of all of them. It is compiled once per instruction set (vector_kernels_*.cc),
// each giving a table of this type; vector_dispatch.cc picks a table when it is first asked. All tables compute the
// same bits.
//
// Block functions know "register" dtypes: the dtypes themselves, but float32 for float16 and bfloat16. A value of those
// two is kept as float32 and passed through `round` after each node, which rounds once as the contract in
// plugin/core/device.h asks; `load` and `store` convert from and to memory.
#pragma once

#include <cstddef>
#include <cstdint>

#include "plugin/core/dtype.h"
#include "plugin/core/node.h"
#include "plugin/core/small_vector.h"

namespace mps {

constexpr DType register_dtype(DType dtype) { return is_float(dtype) ? DType::float32 : dtype; }

// Sums are kept in double for floats and in the dtype itself for integers.
constexpr size_t accumulator_bytes(DType dtype) { return is_float(dtype) ? sizeof(double) : size_of(dtype); }

// out[i] = f(x[i], y[i], z[i]); operands that the node does not have are ignored. `out` may be an operand of the same
// element size, else it overlaps none.
using BlockFn = void (*)(const void* x, const void* y, const void* z, void* out, size_t n);

// The parts of a reduction. Operands are of the register dtype, accumulators of accumulator_bytes().
struct ReduceFns {
  // acc[i] = the value that changes nothing.
  void (*start)(void* acc, size_t n);
  // acc[r] takes in x[r * length .. (r + 1) * length).
  void (*rows)(const void* x, size_t rows, size_t length, void* acc);
  // acc[i] takes in x[r * stride + i] for every row r; i < length.
  void (*columns)(const void* x, size_t rows, size_t stride, size_t length, void* acc);
  // acc[i] takes in other[i].
  void (*merge)(const void* other, void* acc, size_t n);
};

// A function, and the same with stores that go past the caches.
struct JoinedFn {
  BlockFn fn, stream_fn;
};

// As in graph.h.
struct RandomCounter {
  uint32_t key[2], block[4];
};

// Fourier transforms work on sixteen lines at a time: vector_fourier.h says how they lie.
constexpr size_t kFourierLanes = 16, kLargestFourierRadix = 61;

// Places 0 ... radix * rows * columns - 1 are digits (k, row, column) before the stage and (row, k, column) behind it.
// Roots, pairs of numbers for k = 1 ... radix - 1 of each row, are of unity, to the power -k row / (radix rows); behind
// them, for a radix other than 2, 3, 4, 5 and 8, which is odd, the powers 0 ... radix - 1 of its own root.
struct FourierStage {
  size_t radix, rows, columns;
  const float* roots;
};

// Lines in memory: element i of line l has its real part at offset[l] + i * element and its imaginary part so many
// floats behind it; 0: it has none. Lanes without a line are 0, and nothing of them is written.
struct FourierLines {
  size_t lanes;
  int64_t offset[kFourierLanes];
  int64_t element, imaginary;
};

struct FourierFns {
  void (*stage)(const FourierStage& stage, const float* in, float* out);
  // x[i] *= by[i]
  void (*multiply)(const float* by, float* x, size_t count);
  // From m complex numbers to the m + 1 of twice as many real ones, and back.
  void (*part)(const float* roots, size_t m, float sign, const float* in, float* out);
  void (*join)(const float* roots, size_t m, float sign, const float* in, float* out);
  // exchange: real parts are imaginary ones, and imaginary ones real.
  void (*load)(const float* from, const FourierLines& lines, size_t count, bool exchange, float* out);
  void (*store)(const float* in, const FourierLines& lines, size_t count, bool exchange, float scale, float* out);
};

// Null entries are combinations that infer.cc refuses, or that have nothing to do.
struct VectorKernels {
  const char* name;
  BlockFn pointwise[kNodeCount][kDTypeCount];  // unary, binary, compare; by the operands' register dtype
  BlockFn select[kDTypeCount];                 // by the dtype of the two values
  BlockFn cast[kDTypeCount][kDTypeCount];      // from, to; register dtypes
  // float32, each operation rounded: x * y + z; x * y * z; x < y ? y : x; x > y ? y : x; at_most(at_least(x, y), z);
  // |x - y|; 1 / sqrt(x); and as bools, x == y || |x - y| < z and the contrary.
  JoinedFn add_product, product, at_least, at_most, clamp, distance, reciprocal_root, same, differ;
  JoinedFn compare_size[kNodeCount];  // comparisons of |x| with y
  // float32: (c0 * x + c1) * x + c2 ..., each operation rounded. y: constants of a region one after the other, 8 bytes
  // each, the first how many coefficients follow.
  BlockFn polynomial;
  BlockFn round[kDTypeCount];                 // float16, bfloat16: float32 in place of the rounded value
  BlockFn load[kDTypeCount];                  // float16, bfloat16 to float32
  BlockFn store[kDTypeCount];                 // float32 to float16, bfloat16
  ReduceFns reduce[kNodeCount][kDTypeCount];  // by the operand's register dtype
  // Blocks index ... index + count - 1 of random_bits() of graph.h, of four words each.
  void (*random_bits)(const RandomCounter& counter, uint64_t index, uint32_t* out, size_t count);
  // float32: sums[i] += the sum over r of factors[r] * x[r * stride + i], for i < n. So many rows `following` will be
  // asked for next.
  void (*add_scaled_rows)(const float* factors, const float* x, size_t rows, size_t stride, float* sums, size_t n,
                          size_t following);
  // float32: sums[r] += the sum over i < n of x[i] * rows[r * stride + i].
  void (*add_dots)(const float* x, const float* rows, size_t count, size_t stride, float* sums, size_t n);
  FourierFns fourier;
  // What has the same name above, with stores that go past the caches, for results too large to be found there again:
  // float32 nodes, those of two operands of four and eight bytes, casts of such to four and to bool, and a copy of
  // anything. Other threads may read them once this one has called end_stream and told them so.
  BlockFn stream_pointwise[kNodeCount][kDTypeCount], stream_cast[kDTypeCount][kDTypeCount];
  BlockFn stream_select;  // of four bytes; null where it would be no faster
  void (*stream)(void* to, const void* from, size_t bytes);
  void (*end_stream)();
};

// The table for this processor.
const VectorKernels& vector_kernels();

// Every table that this processor can run, the plainest first; for tests.
Span<const VectorKernels* const> all_vector_kernels();

}  // namespace mps
