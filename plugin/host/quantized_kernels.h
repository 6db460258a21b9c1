// What is done to numbers of few bits that lie one after the other, with the widest vectors that the processor has.
//
// quantized_kernels.inc.cc is the one body of all of them, compiled once per instruction set, as vector_kernels.h
// tells. All tables give the same codes and the same dequantised numbers; sums of products may differ in their order.
#pragma once

#include <cstddef>
#include <cstdint>

#include "plugin/core/small_vector.h"
#include "plugin/host/code_starts_host.h"

namespace mps {

// Decision points and what to write between them: 15 of them, with two codes to a byte, or 255. `starts`: null, or of
// the same points and usable.
struct CodeTable {
  const float* points;
  const uint8_t* codes;
  bool halves;
  const CodeStarts* starts = nullptr;
};

// A code book, of 16 entries, with two codes to a byte, or 256. `pairs`: with 16, the two numbers of every byte.
struct CodeBook {
  const float* numbers;
  const float* pairs;
  bool halves;
};

// As many rows of activations as are multiplied with a weight while it is in a register.
constexpr int64_t kRowsAtOnce = 8;
constexpr int64_t kInt8RowsAtOnce = 4;
// Elements that quantised dot products take at a time, and partial sums that they are kept in.
constexpr int64_t kDotUnit = 32, kDotLanes = 16;
// Elements that products with one row of activations take at a time.
constexpr int64_t kRowUnit = 128;
// Where the activation with which element `i` is multiplied lies there: eight elements are the halves of four bytes,
// which a lane holds; each vector of activations belongs to one half of all lanes.
constexpr int64_t place_in_row(int64_t i) {
  return i / kRowUnit * kRowUnit + (i % 8 ^ 1) * (kRowUnit / 8) + i % kRowUnit / 8;
}

struct QuantizedKernels {
  const char* name;
  bool wants_starts;  // of a CodeTable
  int64_t most_rows;  // with so many rows of activations dot_halves is faster than to dequantise and then multiply
  // n elements from the first of a block on, each scaled by the reciprocal of its block's absmax, to codes.
  void (*quantize)(const float* x, const float* absmax, int64_t blocksize, const CodeTable& table, uint8_t* out,
                   int64_t n);
  // n elements from the first of a block and of a byte on.
  void (*dequantize)(const uint8_t* codes, const float* absmax, int64_t blocksize, const CodeBook& book, float* out,
                     int64_t n);
  // Adds the products x[m, i] * w[i] of n elements of 4 bits to the sums [m, kDotLanes], in any of the lanes; n and
  // blocksize are multiples of kDotUnit. x[m] has its even elements first, then its odd ones, n of them in all. `rows`:
  // 1 to kRowsAtOnce.
  void (*dot_halves)(const float* x, const uint8_t* codes, const float* absmax, int64_t blocksize, const float* book,
                     int64_t n, int64_t rows, float* sums);
  // sums[j] = the products x[i] * w[j, i] of n elements of 4 bits, j = 0..rows-1. The rows of w lie one after the
  // other and are whole blocks; n is a multiple of kRowUnit, and blocksize of it too, or 32 or 64. x: in the order of
  // place_in_row().
  void (*dot_row)(const float* x, const uint8_t* codes, const float* absmax, int64_t blocksize, const float* book,
                  int64_t n, int64_t rows, float* sums);
  // sums[m] = the sum of x[m * n + i] * y[i], m = 0 ... rows - 1; `rows`: 1 to kInt8RowsAtOnce. x: int8, made wider.
  void (*dot_int8)(const int16_t* x, const int8_t* y, int64_t n, int64_t rows, int32_t* sums);
  // out[j] = sum of x[i] * (the two bits from 2j on of packed[i]), j = 0..3.
  void (*dot_quarters)(const int8_t* x, const uint8_t* packed, int64_t n, int32_t* out);
};

const QuantizedKernels& quantized_kernels();
// Every table that this processor can run, the plainest first; for tests.
Span<const QuantizedKernels* const> all_quantized_kernels();

extern const QuantizedKernels kQuantizedKernelsBaseline, kQuantizedKernelsAvx2, kQuantizedKernelsAvx512;

}  // namespace mps
