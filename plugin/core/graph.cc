#include "plugin/core/graph.h"

#include <cmath>

#include "plugin/core/check.h"
#include "plugin/core/infer.h"

namespace mps {
namespace {

bool is_identity_permutation(Dims permutation) {
  for (size_t i = 0; i < permutation.size(); ++i) {
    if (permutation[i] != static_cast<int64_t>(i)) return false;
  }
  return true;
}

// A fast, well-mixing hash over 8-byte words (constants are odd 64-bit primes of xxHash, BSD-2, Y.
// Collet). Only speed and spread matter: equality is always checked in full.
uint64_t mix(uint64_t hash, uint64_t word) {
  hash ^= word * 0x9e3779b185ebca87u;
  hash = (hash << 27) | (hash >> 37);
  return hash * 0xc2b2ae3d27d4eb4fu + 0x165667b19e3779f9u;
}

// The number that changes nothing.
Scalar reduction_of_nothing(NodeKind kind, DType dtype) {
  if (kind == NodeKind::reduction_sum) return int64_t{0};
  if (kind == NodeKind::reduction_product) return int64_t{1};
  const bool highest = kind == NodeKind::reduction_minimum;
  if (is_float(dtype)) return highest ? HUGE_VAL : -HUGE_VAL;
  if (info(dtype).kind != DTypeKind::kSigned) return int64_t{highest ? (dtype == DType::bool_ ? 1 : 255) : 0};
  const int64_t limit = INT64_MAX >> (64 - 8 * size_of(dtype));
  return highest ? limit : -limit - 1;
}

}  // namespace

Value Graph::push(NodeKind kind, DType dtype, Dims shape, Span<const Value> operands, Dims attributes) {
  check_shape(shape);
  const size_t pool_size = pool_.size() + shape.size() + operands.size() + attributes.size();
  if (pool_size > pool_.capacity()) {
    // Shapes and attributes are often spans into this very pool, which is about to move.
    const Ints shape_copy(shape), attributes_copy(attributes);
    pool_.reserve(pool_size);
    return push(kind, dtype, shape_copy, operands, attributes_copy);
  }
  Node node;
  node.kind = kind;
  node.dtype = dtype;
  node.rank = static_cast<uint8_t>(shape.size());
  node.operand_count = static_cast<uint16_t>(operands.size());
  node.attribute_count = static_cast<uint16_t>(attributes.size());
  node.at = static_cast<uint32_t>(pool_.size());
  pool_.append(shape.data(), shape.size());
  for (Value operand : operands) pool_.push_back(operand.node);
  pool_.append(attributes.data(), attributes.size());
  nodes_.push_back(node);
  return {static_cast<uint32_t>(nodes_.size() - 1)};
}

Value Graph::add(NodeKind kind, Span<const Value> operands, Dims attributes, Dims target) {
  const Inferred result = infer(*this, kind, operands, attributes, target);
  return push(kind, result.dtype, result.shape, operands, attributes);
}

Value Graph::placeholder(DType dtype, Dims shape) {
  return push(NodeKind::placeholder, dtype, shape, {}, {int64_t{feed_count_++}});
}

Value Graph::scalar(DType dtype) { return push(NodeKind::scalar, dtype, {}, {}, {int64_t{feed_count_++}}); }

Value Graph::constant(Scalar value, DType dtype, Dims shape) {
  return push(NodeKind::constant, dtype, shape, {}, {static_cast<int64_t>(value.bits(dtype))});
}

Value Graph::select(Value predicate, Value if_true, Value if_false) {
  return add(NodeKind::select, {predicate, if_true, if_false});
}

Value Graph::cast(Value x, DType to) {
  return dtype(x) == to ? x : add(NodeKind::cast, {x}, {static_cast<int64_t>(to)});
}

Value Graph::reshape(Value x, Dims target) {
  return same_shape(shape(x), target) ? x : add(NodeKind::reshape, {x}, {}, target);
}

Value Graph::transpose(Value x, Dims permutation) {
  if (permutation.size() == shape(x).size() && is_identity_permutation(permutation)) return x;
  return add(NodeKind::transpose, {x}, permutation);
}

Value Graph::broadcast(Value x, Dims target) {
  return same_shape(shape(x), target) ? x : add(NodeKind::broadcast, {x}, {}, target);
}

Value Graph::slice(Value x, Dims starts, Dims ends, Dims steps) {
  const Shape from(shape(x));
  MPS_CHECK(starts.size() == from.size() && ends.size() == from.size() && steps.size() == from.size(), kInternal,
            "bad slice: expected ", from.size(), " starts, ends and steps, got ", starts.size(), ", ", ends.size(),
            " and ", steps.size(), ".");
  Ints attributes(starts);
  attributes.append(steps.data(), steps.size());
  Shape target;
  for (size_t i = 0; i < from.size(); ++i) {
    const int64_t length = ends[i] - starts[i];
    target.push_back(length <= 0 || steps[i] <= 0 ? 0 : (length + steps[i] - 1) / steps[i]);
  }
  return same_shape(from, target) ? x : add(NodeKind::slice, {x}, attributes, target);
}

Value Graph::concatenation(Span<const Value> values, int axis) {
  // Metal has no empty tensors: a value that is not empty must not depend on one.
  SmallVector<Value, 16> filled;
  for (Value value : values) {
    if (elements(value) != 0) filled.push_back(value);
  }
  if (filled.empty() && !values.empty()) filled.append(values.data(), values.size());
  MPS_CHECK(!filled.empty(), kArgument, "nothing to concatenate: expected at least one tensor, got none.");
  return filled.size() == 1 ? filled[0] : add(NodeKind::concatenation, filled, {int64_t{axis}});
}

Value Graph::strided_view(Value storage, Dims target, Dims strides, int64_t offset) {
  Ints attributes{offset};
  attributes.append(strides.data(), strides.size());
  return add(NodeKind::strided_view, {storage}, attributes, target);
}

Value Graph::strided_update(Value storage, Value update, Dims strides, int64_t offset) {
  if (elements(update) == 0) return storage;
  Ints attributes{offset};
  attributes.append(strides.data(), strides.size());
  return add(NodeKind::strided_update, {storage, update}, attributes);
}

Value Graph::reduction(NodeKind kind, Value x, Dims axes) {
  const Inferred result = infer(*this, kind, {x}, axes, {});
  if (same_shape(shape(x), result.shape)) return x;  // every reduced dimension has size 1 already
  if (elements(x) == 0) return constant(reduction_of_nothing(kind, result.dtype), result.dtype, result.shape);
  return push(kind, result.dtype, result.shape, {x}, axes);
}

Value Graph::arg_reduction(NodeKind kind, Value x, int axis) { return add(kind, {x}, {int64_t{axis}}); }

Value Graph::scan(NodeKind kind, Value x, int axis, bool exclusive, bool reverse) {
  return add(kind, {x}, {int64_t{axis}, int64_t{exclusive}, int64_t{reverse}});
}

Value Graph::coordinate(Dims shape, int axis) { return add(NodeKind::coordinate, {}, {int64_t{axis}}, shape); }

Value Graph::gather(Value indices, Value data) {
  const Inferred result = infer(*this, NodeKind::gather, {indices, data}, {}, {});
  if (elements(data) == 0) return constant(int64_t{0}, result.dtype, result.shape);
  return push(NodeKind::gather, result.dtype, result.shape, {indices, data}, {});
}

Value Graph::scatter(ScatterMode mode, Value data, Value indices, Value updates) {
  if (elements(updates) == 0) return data;
  return add(NodeKind::scatter, {data, indices, updates}, {static_cast<int64_t>(mode)});
}

Value Graph::arg_sort(Value x, int axis, bool descending, int64_t count) {
  Shape target(shape(x));
  target[static_cast<size_t>(axis)] = count;
  return add(NodeKind::arg_sort, {x}, {int64_t{axis}, int64_t{descending}}, target);
}

Value Graph::search_sorted(Value sequence, Value values, bool right) {
  if (elements(sequence) == 0) return constant(int64_t{0}, DType::int32, shape(values));
  return add(NodeKind::search_sorted, {sequence, values}, {int64_t{right}});
}

Value Graph::random_bits(Dims shape, const Counter& counter) {
  const auto& [key, block] = counter;
  return add(NodeKind::random_bits, {key[0], key[1], block[0], block[1], block[2], block[3]}, {}, shape);
}

Value Graph::quantize_blockwise(Value x, Value absmax, Value points, Value codes, int64_t blocksize) {
  return add(NodeKind::quantize_blockwise, {x, absmax, points, codes}, {blocksize});
}

Value Graph::dequantize_blockwise(Value codes, Value absmax, Value book, int64_t blocksize, DType to, Dims target) {
  return add(NodeKind::dequantize_blockwise, {codes, absmax, book}, {blocksize, static_cast<int64_t>(to)}, target);
}

Value Graph::dequantize(Value x, Value scale, size_t axis) {
  return add(NodeKind::dequantize, {x, scale}, {static_cast<int64_t>(axis)});
}

Value Graph::quantized_matrix_multiplication(Value x, const QuantizedMatrix& matrix, bool transposed) {
  const Ints attributes{matrix.blocksize, matrix.rows, matrix.columns, int64_t{transposed}};
  const SmallVector<Value, 4> operands{x, matrix.codes, matrix.absmax, matrix.book};
  const Inferred result = infer(*this, NodeKind::quantized_matrix_multiplication, operands, attributes, {});
  if (elements(x) == 0) return constant(int64_t{0}, result.dtype, result.shape);
  return push(NodeKind::quantized_matrix_multiplication, result.dtype, result.shape, operands, attributes);
}

Value Graph::int8_matrix_multiplication(Value x, Value y) {
  const Inferred result = infer(*this, NodeKind::int8_matrix_multiplication, {x, y}, {}, {});
  if (elements(x) == 0) return constant(int64_t{0}, result.dtype, result.shape);
  return push(NodeKind::int8_matrix_multiplication, result.dtype, result.shape, {x, y}, {});
}

Value Graph::ternary_matrix_multiplication(Value x, Value packed, int64_t rows) {
  const Inferred result = infer(*this, NodeKind::ternary_matrix_multiplication, {x, packed}, {rows}, {});
  if (elements(x) == 0) return constant(int64_t{0}, result.dtype, result.shape);
  return push(NodeKind::ternary_matrix_multiplication, result.dtype, result.shape, {x, packed}, {rows});
}

Value Graph::matrix_multiplication(Value x, Value y) {
  const Inferred result = infer(*this, NodeKind::matrix_multiplication, {x, y}, {}, {});
  if (elements(x) == 0 || elements(y) == 0) return constant(int64_t{0}, result.dtype, result.shape);
  return push(NodeKind::matrix_multiplication, result.dtype, result.shape, {x, y}, {});
}

Value Graph::convolution(Value x, Value weights, const Sliding& sliding) {
  const NodeKind kind = sliding.axes() == 3 ? NodeKind::convolution_3d : NodeKind::convolution_2d;
  const Ints attributes = sliding.attributes();
  const Inferred result = infer(*this, kind, {x, weights}, attributes, {});
  if (elements(x) == 0 || elements(weights) == 0) return constant(int64_t{0}, result.dtype, result.shape);
  return push(kind, result.dtype, result.shape, {x, weights}, attributes);
}

Value Graph::convolution_data_gradient(Value dout, Value weights, Dims x_shape, const Sliding& sliding) {
  const NodeKind kind =
      sliding.axes() == 3 ? NodeKind::convolution_3d_data_gradient : NodeKind::convolution_2d_data_gradient;
  if (elements(dout) == 0 || elements(weights) == 0) return constant(int64_t{0}, dtype(dout), x_shape);
  return add(kind, {dout, weights}, sliding.attributes(), x_shape);
}

Value Graph::convolution_weights_gradient(Value dout, Value x, Dims weights_shape, const Sliding& sliding) {
  const NodeKind kind =
      sliding.axes() == 3 ? NodeKind::convolution_3d_weights_gradient : NodeKind::convolution_2d_weights_gradient;
  if (elements(dout) == 0 || elements(x) == 0) return constant(int64_t{0}, dtype(dout), weights_shape);
  return add(kind, {dout, x}, sliding.attributes(), weights_shape);
}

Value Graph::pooling(NodeKind kind, Value x, Dims target, const Sliding& sliding) {
  return add(kind, {x}, sliding.attributes(), target);
}

Value Graph::max_pooling_gradient(Value dout, Value x, const Sliding& sliding) {
  if (elements(dout) == 0) return constant(int64_t{0}, dtype(x), Shape(shape(x)));
  return add(NodeKind::max_pooling_gradient, {dout, x}, sliding.attributes(), Shape(shape(x)));
}

Value Graph::average_pooling_gradient(Value dout, Dims x_shape, const Sliding& sliding) {
  if (elements(dout) == 0) return constant(int64_t{0}, dtype(dout), x_shape);
  return add(NodeKind::average_pooling_gradient, {dout}, sliding.attributes(), x_shape);
}

Value Graph::attention(Span<const Value> operands, const Attention& what) {
  return add(NodeKind::attention, operands, what.attributes());
}

Value Graph::attention_gradient(Span<const Value> operands, const Attention& what) {
  return add(NodeKind::attention_gradient, operands, what.attributes());
}

Value Graph::ctc_alignment(Value scores, Value skips, Value frames, Value states) {
  return add(NodeKind::ctc_alignment, {skips, frames, states, scores});
}

Value Graph::fast_fourier_transform(Value x, bool inverse, double scale) {
  const Fourier what{inverse, scale, shape(x)[1]};
  return add(NodeKind::fast_fourier_transform, {x}, what.attributes());
}

Value Graph::real_to_hermitean_fft(Value x, bool inverse, double scale) {
  const Fourier what{inverse, scale, shape(x)[1]};
  return add(NodeKind::real_to_hermitean_fft, {x}, what.attributes());
}

Value Graph::hermitean_to_real_fft(Value x, int64_t length, bool inverse, double scale) {
  const Fourier what{inverse, scale, length};
  return add(NodeKind::hermitean_to_real_fft, {x}, what.attributes());
}

void Graph::clear() {
  nodes_.clear();
  pool_.clear();
  results_.clear();
  feed_count_ = 0;
}

uint64_t Graph::hash() const {
  uint64_t hash = nodes_.size();
  for (const Node& node : nodes_) {
    static_assert(sizeof node == 12, "a node has no padding, since its bytes are compared");
    uint64_t head;  // everything but `at`, which follows from the nodes before
    std::memcpy(&head, &node, sizeof head);
    hash = mix(hash, head);
  }
  for (int64_t word : pool_) hash = mix(hash, static_cast<uint64_t>(word));
  for (uint32_t result : results_) hash = mix(hash, result);
  return hash;
}

}  // namespace mps
