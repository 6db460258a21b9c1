// Numbers of few bits (graph.h), from gathers of their code books and arithmetic in int32 and float32.
#pragma once

#include "plugin/metal/legal/builder.h"

namespace mps::legal {

Value quantize_blockwise(Builder& b, Value x, Value absmax, Value points, Value codes, int64_t blocksize);
Value dequantize_blockwise(Builder& b, Value codes, Value absmax, Value book, int64_t blocksize, DType to, Dims shape);
Value dequantize(Builder& b, Value x, Value scale, size_t axis);
Value quantized_matrix_multiplication(Builder& b, Value x, const Graph::QuantizedMatrix& matrix, bool transposed);
Value int8_matrix_multiplication(Builder& b, Value x, Value y);
Value ternary_matrix_multiplication(Builder& b, Value x, Value packed, int64_t rows);

}  // namespace mps::legal
