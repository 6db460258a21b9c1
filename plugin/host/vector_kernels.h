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

// As in graph.h.
struct RandomCounter {
  uint32_t key[2], block[4];
};

// Null entries are combinations that infer.cc refuses, or that have nothing to do.
struct VectorKernels {
  const char* name;
  BlockFn pointwise[kNodeCount][kDTypeCount];  // unary, binary, compare; by the operands' register dtype
  BlockFn select[kDTypeCount];                 // by the dtype of the two values
  BlockFn cast[kDTypeCount][kDTypeCount];      // from, to; register dtypes
  // float32, each operation rounded: x * y + z; x < y ? y : x; x > y ? y : x; |x - y|; 1 / sqrt(x).
  BlockFn add_product, at_least, at_most, distance, reciprocal_root;
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
  // What has the same name above, with stores that go past the caches, for results too large to be found there again:
  // float32 nodes, binary ones of int64, and a copy of anything. Other threads may read them once this one has called
  // end_stream and told them so.
  BlockFn stream_pointwise[kNodeCount], stream_int64[kNodeCount];
  BlockFn stream_select;  // of four bytes; null where it would be no faster
  BlockFn stream_add_product, stream_at_least, stream_at_most, stream_reciprocal_root;
  void (*stream)(void* to, const void* from, size_t bytes);
  void (*end_stream)();
};

// The table for this processor.
const VectorKernels& vector_kernels();

// Every table that this processor can run, the plainest first; for tests.
Span<const VectorKernels* const> all_vector_kernels();

}  // namespace mps
