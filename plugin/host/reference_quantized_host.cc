#include "plugin/host/reference_quantized_host.h"

#include <algorithm>
#include <vector>

#include "plugin/core/check.h"
#include "plugin/core/infer_quantized.h"

namespace mps {
namespace {

struct Call {
  const Graph& graph;
  Value value;
  Span<const void* const> operands;
  void* out;

  int64_t attribute(size_t i) const { return graph.attributes(graph.node(value))[i]; }
  Dims shape(size_t operand) const { return graph.shape(graph.operand(graph.node(value), operand)); }
  DType dtype(size_t operand) const { return graph.dtype(graph.operand(graph.node(value), operand)); }
  const float* floats(size_t operand) const { return static_cast<const float*>(operands[operand]); }
  const uint8_t* bytes(size_t operand) const { return static_cast<const uint8_t*>(operands[operand]); }
  const int8_t* integers(size_t operand) const { return static_cast<const int8_t*>(operands[operand]); }
};

std::vector<float> widened(const Call& call, size_t operand) {
  std::vector<float> all(static_cast<size_t>(element_count(call.shape(operand))));
  visit(call.dtype(operand), [&](auto zero) {
    using T = decltype(zero);
    for (size_t i = 0; i < all.size(); ++i)
      all[i] = static_cast<float>(static_cast<const T*>(call.operands[operand])[i]);
  });
  return all;
}

void quantize(const Call& call) {
  const std::vector<float> x = widened(call, 0);
  const int64_t entries = call.shape(3)[0], blocksize = call.attribute(0), count = static_cast<int64_t>(x.size());
  const float* const points = call.floats(2);
  const auto code_of = [&](int64_t i) -> uint8_t {
    float scaled = 0;  // what fills up the last byte
    if (i < count) {
      const float absmax = call.floats(1)[i / blocksize];
      scaled = x[static_cast<size_t>(i)] * (1.0f / (absmax < 1e-38f ? 1e-38f : absmax));
    }
    int64_t below = 0;
    while (below < entries - 1 && !(scaled <= points[below])) ++below;
    return call.bytes(3)[below];
  };
  uint8_t* const to = static_cast<uint8_t*>(call.out);
  for (int64_t i = 0; i < call.graph.elements(call.value); ++i) {
    to[i] = entries == 256 ? code_of(i) : static_cast<uint8_t>(code_of(2 * i) << 4 | code_of(2 * i + 1));
  }
}

// Elements of a quantised tensor: codes, absmax and code book are operands from `first` on.
std::vector<float> dequantized(const Call& call, size_t first, int64_t count, int64_t blocksize) {
  const bool halves = call.shape(first + 2)[0] == 16;
  std::vector<float> all;
  for (int64_t i = 0; i < count; ++i) {
    const int byte = call.bytes(first)[halves ? i / 2 : i];
    const int code = !halves ? byte : i % 2 == 0 ? byte >> 4 : byte & 15;
    all.push_back(call.floats(first + 2)[code] * call.floats(first + 1)[i / blocksize]);
  }
  return all;
}

template <typename Numbers>
void store(const Call& call, const Numbers& numbers) {
  visit(call.graph.dtype(call.value), [&](auto zero) {
    using T = decltype(zero);
    for (size_t i = 0; i < numbers.size(); ++i) static_cast<T*>(call.out)[i] = T(static_cast<float>(numbers[i]));
  });
}

void dequantize(const Call& call) {
  const Dims shape = call.shape(0);
  int64_t after = 1;
  for (size_t i = static_cast<size_t>(call.attribute(0)) + 1; i < shape.size(); ++i) after *= shape[i];
  std::vector<float> all;
  for (int64_t i = 0; i < element_count(shape); ++i) {
    const int64_t channel = i / after % shape[static_cast<size_t>(call.attribute(0))];
    all.push_back(static_cast<float>(call.integers(0)[i]) * call.floats(1)[channel]);
  }
  store(call, all);
}

void quantized_matmul(const Call& call) {
  const int64_t rows = call.attribute(1), columns = call.attribute(2);
  const bool transposed = call.attribute(3) != 0;
  const std::vector<float> x = widened(call, 0), w = dequantized(call, 1, rows * columns, call.attribute(0));
  const int64_t inner = transposed ? columns : rows, width = transposed ? rows : columns;
  std::vector<double> sums;
  for (int64_t m = 0; m < call.shape(0)[0]; ++m) {
    for (int64_t n = 0; n < width; ++n) {
      double sum = 0;
      for (int64_t k = 0; k < inner; ++k) {
        const int64_t at = transposed ? n * columns + k : k * columns + n;
        sum += static_cast<double>(x[static_cast<size_t>(m * inner + k)]) *
               static_cast<double>(w[static_cast<size_t>(at)]);
      }
      sums.push_back(sum);
    }
  }
  store(call, sums);
}

template <typename Weight>
void integer_matmul(const Call& call, Weight weight) {
  const int64_t inner = call.shape(0)[1], width = call.graph.shape(call.value)[1];
  int32_t* to = static_cast<int32_t*>(call.out);
  for (int64_t m = 0; m < call.shape(0)[0]; ++m) {
    for (int64_t n = 0; n < width; ++n) {
      int32_t sum = 0;
      for (int64_t k = 0; k < inner; ++k) sum += call.integers(0)[m * inner + k] * weight(n, k);
      *to++ = sum;
    }
  }
}

}  // namespace

void reference_quantized(const Graph& graph, Value value, Span<const void* const> operands, void* out) {
  const Call call{graph, value, operands, out};
  const NodeKind kind = graph.node(value).kind;
  if (kind == NodeKind::quantize_blockwise) return quantize(call);
  if (kind == NodeKind::dequantize_blockwise) {
    return store(call, dequantized(call, 0, graph.elements(value), call.attribute(0)));
  }
  if (kind == NodeKind::dequantize) return dequantize(call);
  if (kind == NodeKind::quantized_matrix_multiplication) return quantized_matmul(call);
  const int64_t inner = call.shape(0)[1];
  if (kind == NodeKind::int8_matrix_multiplication) {
    return integer_matmul(call, [&](int64_t n, int64_t k) { return call.integers(1)[n * inner + k]; });
  }
  const int64_t packed_rows = call.shape(1)[0];
  integer_matmul(call, [&](int64_t n, int64_t k) {
    return (call.bytes(1)[n % packed_rows * inner + k] >> 2 * (n / packed_rows) & 3) - 1;
  });
}

}  // namespace mps
