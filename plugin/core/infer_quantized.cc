#include "plugin/core/infer_quantized.h"

#include <climits>

#include "plugin/core/check.h"

namespace mps {
namespace {

// Sums of int8 products stay below 2^31: each is at most 2^14.
constexpr int64_t kLongestInt8 = INT_MAX >> 14;

void check_operand(const Graph& graph, NodeKind kind, const char* what, Value operand, DType dtype, Dims shape) {
  MPS_CHECK(graph.dtype(operand) == dtype && same_shape(graph.shape(operand), shape), kArgument, "bad ", what, " of ",
            info(kind).name, ": expected ", name(dtype), to_string(shape), ", got ", name(graph.dtype(operand)),
            to_string(graph.shape(operand)), ". Pass the tensors that belong together.");
}

void check_blocksize(NodeKind kind, int64_t blocksize) {
  MPS_CHECK(blocksize >= 1 && blocksize <= INT_MAX, kArgument, "bad blocksize of ", info(kind).name,
            ": expected 1 or more, got ", blocksize, ". Take 64, say.");
}

// 16 or 256, of a code book or of what belongs to one.
void check_book(NodeKind kind, int64_t entries) {
  MPS_CHECK(entries == 16 || entries == 256, kArgument, "bad code book of ", info(kind).name,
            ": expected 16 or 256 entries, got ", entries, ". Take one of functional's maps.");
}

int64_t only_dimension(const Graph& graph, Value x) { return graph.shape(x).size() == 1 ? graph.shape(x)[0] : -1; }

Inferred infer_quantize(const Graph& graph, Span<const Value> operands, int64_t blocksize) {
  constexpr NodeKind kKind = NodeKind::quantize_blockwise;
  const int64_t count = only_dimension(graph, operands[0]), entries = only_dimension(graph, operands[3]);
  check_dtype(kKind, graph.dtype(operands[0]));
  check_blocksize(kKind, blocksize);
  check_book(kKind, entries);
  MPS_CHECK(count >= 0, kInternal, "bad operand of quantize_blockwise: expected a flat one, got ",
            to_string(graph.shape(operands[0])), ".");
  check_operand(graph, kKind, "absmax", operands[1], DType::float32, {block_count(count, blocksize)});
  check_operand(graph, kKind, "decision points", operands[2], DType::float32, {entries - 1});
  check_operand(graph, kKind, "codes", operands[3], DType::uint8, {entries});
  return {DType::uint8, {code_bytes(count, entries)}};
}

// codes, absmax and book of so many elements
void check_quantized(const Graph& graph, NodeKind kind, Span<const Value> operands, int64_t count, int64_t blocksize) {
  check_blocksize(kind, blocksize);
  const int64_t entries = only_dimension(graph, operands[2]);
  check_book(kind, entries);
  check_operand(graph, kind, "code book", operands[2], DType::float32, {entries});
  check_operand(graph, kind, "codes", operands[0], DType::uint8, {code_bytes(count, entries)});
  check_operand(graph, kind, "absmax", operands[1], DType::float32, {block_count(count, blocksize)});
}

Inferred infer_quantized_matmul(const Graph& graph, Span<const Value> operands, Dims attributes) {
  constexpr NodeKind kKind = NodeKind::quantized_matrix_multiplication;
  const int64_t rows = attributes[1], columns = attributes[2];
  const bool transposed = attributes[3] != 0;
  check_dtype(kKind, graph.dtype(operands[0]));
  check_quantized(graph, kKind, {operands.data() + 1, 3}, rows * columns, attributes[0]);
  const Dims x = graph.shape(operands[0]);
  const int64_t inner = transposed ? columns : rows;
  MPS_CHECK(x.size() == 2 && x[1] == inner, kArgument, "inner dimensions differ: expected x of [M, ", inner,
            "] for a quantised matrix ", to_string(Shape{rows, columns}), ", got ", to_string(x),
            ". Pass the weight that belongs to x.");
  return {graph.dtype(operands[0]), {x[0], transposed ? rows : columns}};
}

Inferred infer_dequantize(const Graph& graph, Span<const Value> operands, int64_t axis) {
  constexpr NodeKind kKind = NodeKind::dequantize;
  const Dims shape = graph.shape(operands[0]);
  check_dtype(kKind, graph.dtype(operands[0]));
  MPS_CHECK(axis >= 0 && axis < static_cast<int64_t>(shape.size()), kInternal, "bad axis of dequantize: got ", axis,
            " for ", to_string(shape), ".");
  check_operand(graph, kKind, "scale", operands[1], DType::float32, {shape[static_cast<size_t>(axis)]});
  return {DType::float32, Shape(shape)};
}

Inferred infer_integer_matmul(const Graph& graph, NodeKind kind, Span<const Value> operands, Dims attributes) {
  const bool packed = kind == NodeKind::ternary_matrix_multiplication;
  const Dims x = graph.shape(operands[0]), y = graph.shape(operands[1]);
  const DType dtype = packed ? DType::uint8 : DType::int8;
  MPS_CHECK(graph.dtype(operands[0]) == DType::int8 && graph.dtype(operands[1]) == dtype, kArgument,
            "wrong dtypes for ", info(kind).name, ": expected int8 and ", name(dtype), ", got ",
            name(graph.dtype(operands[0])), " and ", name(graph.dtype(operands[1])), ". Quantise them first.");
  MPS_CHECK(x.size() == 2 && y.size() == 2 && x[1] == y[1], kArgument,
            "inner dimensions differ: expected [M, K] and [N, K], got ", to_string(x), " and ", to_string(y),
            ". Transpose one of them.");
  MPS_CHECK(x[1] <= kLongestInt8, kArgument, "too long an inner axis: expected at most ", kLongestInt8,
            ", so that int32 holds every sum, got ", x[1], ". Split it.");
  const int64_t rows = packed ? attributes[0] : y[0];
  MPS_CHECK(!packed || (rows + 3) / 4 == y[0], kArgument, "packed weight does not fit: expected ", (rows + 3) / 4,
            " rows of bytes for ", rows, " outputs, got ", y[0], ". Pass the number of outputs that was packed.");
  return {DType::int32, {x[0], rows}};
}

}  // namespace

Inferred infer_quantized(const Graph& graph, NodeKind kind, Span<const Value> operands, Dims attributes, Dims target) {
  if (kind == NodeKind::quantize_blockwise) return infer_quantize(graph, operands, attributes[0]);
  if (kind == NodeKind::quantized_matrix_multiplication) return infer_quantized_matmul(graph, operands, attributes);
  if (kind == NodeKind::dequantize) return infer_dequantize(graph, operands, attributes[0]);
  if (kind != NodeKind::dequantize_blockwise) return infer_integer_matmul(graph, kind, operands, attributes);
  const DType dtype = static_cast<DType>(attributes[1]);
  check_dtype(kind, dtype);
  check_quantized(graph, kind, operands, element_count(target), attributes[0]);
  return {dtype, Shape(target)};
}

}  // namespace mps
