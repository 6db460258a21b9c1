#include "plugin/host/lower_host.h"

#include <cstring>
#include <vector>

#include "plugin/host/matmul_host.h"

namespace mps {
namespace {

std::vector<bool> find_live(const Graph& graph) {
  std::vector<bool> live(graph.node_count(), false);
  for (uint32_t result : graph.results()) live[result] = true;
  for (uint32_t i = static_cast<uint32_t>(graph.node_count()); i-- > 0;) {
    if (!live[i]) continue;
    for (int64_t operand : graph.operands(graph.node(i))) live[static_cast<size_t>(operand)] = true;
  }
  return live;
}

class Lowering {
 public:
  explicit Lowering(const Graph& graph) : from_(graph), values_(graph.node_count()) {
    const std::vector<bool> live = find_live(graph);
    for (uint32_t i = 0; i < graph.node_count(); ++i) {
      const Node& node = graph.node(i);
      // Feeds are recorded even if nobody reads them: their order is their number.
      if (live[i] || node.kind == NodeKind::placeholder || node.kind == NodeKind::scalar) values_[i] = lower(node);
    }
    for (uint32_t result : graph.results()) to_.result(values_[result]);
  }

  Graph take() { return to_; }

 private:
  Value operand(const Node& node, size_t i) const { return values_[from_.operand(node, i).node]; }
  Dims tail(const Node& node, size_t start) const {
    const Dims attributes = from_.attributes(node);
    return {attributes.data() + start, attributes.size() - start};
  }
  bool is_constant(Value value) const { return to_.node(value).kind == NodeKind::constant; }

  // A constant of these bits. Graph::constant() takes numbers; every number of every dtype survives the way through
  // one.
  Value constant(uint64_t bits, DType dtype, Dims shape) {
    return visit(dtype, [&](auto zero) {
      using T = decltype(zero);
      T value;
      std::memcpy(static_cast<void*>(&value), &bits, sizeof value);
      if constexpr (std::is_integral_v<T>) {
        return to_.constant(static_cast<int64_t>(value), dtype, shape);
      } else {
        return to_.constant(static_cast<float>(value), dtype, shape);
      }
    });
  }

  uint64_t bits(Value constant) const { return static_cast<uint64_t>(to_.attributes(to_.node(constant))[0]); }

  Value lower(const Node& node) {
    const NodeFamily family = info(node.kind).family;
    const bool moves = family == NodeFamily::kReshape || family == NodeFamily::kTranspose ||
                       family == NodeFamily::kBroadcast || family == NodeFamily::kSlice ||
                       family == NodeFamily::kStridedView;
    if (moves && is_constant(operand(node, 0))) return constant(bits(operand(node, 0)), node.dtype, from_.shape(node));
    switch (node.kind) {
#define MPS_UNARY_NODE(kind) \
  case NodeKind::kind:       \
    return NodeKind::kind == NodeKind::identity ? operand(node, 0) : to_.kind(operand(node, 0));
#define MPS_BINARY_NODE(kind) \
  case NodeKind::kind:        \
    return to_.kind(operand(node, 0), operand(node, 1));
#include "plugin/core/nodes_by_family.h"
      case NodeKind::placeholder:
        return to_.placeholder(node.dtype, from_.shape(node));
      case NodeKind::scalar:
        return to_.scalar(node.dtype);
      case NodeKind::constant:
        return constant(static_cast<uint64_t>(from_.attributes(node)[0]), node.dtype, from_.shape(node));
      case NodeKind::select:
        return to_.select(operand(node, 0), operand(node, 1), operand(node, 2));
      case NodeKind::cast:
        return to_.cast(operand(node, 0), node.dtype);
      case NodeKind::reshape:
        return to_.reshape(operand(node, 0), from_.shape(node));
      case NodeKind::transpose:
        return to_.transpose(operand(node, 0), from_.attributes(node));
      case NodeKind::broadcast:
        return to_.broadcast(operand(node, 0), from_.shape(node));
      case NodeKind::slice:
        return slice(node);
      case NodeKind::concatenation: {
        std::vector<Value> values;
        for (size_t i = 0; i < node.operand_count; ++i) values.push_back(operand(node, i));
        return to_.concatenation(values, static_cast<int>(from_.attributes(node)[0]));
      }
      case NodeKind::strided_view:
        return to_.strided_view(operand(node, 0), from_.shape(node), tail(node, 1), from_.attributes(node)[0]);
      case NodeKind::strided_update:
        return to_.strided_update(operand(node, 0), operand(node, 1), tail(node, 1), from_.attributes(node)[0]);
      case NodeKind::reduction_sum:
      case NodeKind::reduction_product:
      case NodeKind::reduction_maximum:
      case NodeKind::reduction_minimum:
        return to_.reduction(node.kind, operand(node, 0), from_.attributes(node));
#define MPS_WHOLE_NODE(name) case NodeKind::name:
#define MPS_POOLING_NODE(name) case NodeKind::name:
#define MPS_QUANTIZED_NODE(name) case NodeKind::name:
#define MPS_FOURIER_NODE(name) case NodeKind::name:
#include "plugin/core/nodes_by_family.h"
        return copy(node, [](Value x) { return x; });
#define MPS_ATTENTION_NODE(name) case NodeKind::name:
#define MPS_ALIGNMENT_NODE(name) case NodeKind::name:
#include "plugin/core/nodes_by_family.h"
        return copy(node, [&](Value x) { return is_float(to_.dtype(x)) ? to_.cast(x, DType::float32) : x; });
#define MPS_CONVOLUTION_NODE(name) case NodeKind::name:
#include "plugin/core/nodes_by_family.h"
        return to_.cast(copy(node, [&](Value x) { return to_.cast(x, DType::float32); }), node.dtype);
      case NodeKind::matrix_multiplication:
        return matrix_multiplication(node);
    }
    __builtin_unreachable();
  }

  // The node with what `change` makes of its operands.
  template <typename F>
  Value copy(const Node& node, F change) {
    SmallVector<Value, 4> operands;
    for (size_t i = 0; i < node.operand_count; ++i) operands.push_back(change(operand(node, i)));
    return to_.record(node.kind, operands, from_.attributes(node), from_.shape(node));
  }

  Value slice(const Node& node) {
    const Dims shape = from_.shape(node), attributes = from_.attributes(node);
    const size_t rank = shape.size();
    Ints ends;
    for (size_t i = 0; i < rank; ++i) {
      const int64_t start = attributes[i], step = attributes[rank + i];
      ends.push_back(shape[i] == 0 ? start : start + (shape[i] - 1) * step + 1);
    }
    return to_.slice(operand(node, 0), {attributes.data(), rank}, ends, {attributes.data() + rank, rank});
  }

  Value matrix_multiplication(const Node& node) {
    const Value x = operand(node, 0), y = operand(node, 1);
    if (MatmulProgram::computes(node.dtype, to_.shape(x), to_.shape(y))) return to_.matrix_multiplication(x, y);
    return to_.cast(to_.matrix_multiplication(to_.cast(x, DType::float32), to_.cast(y, DType::float32)), node.dtype);
  }

  const Graph& from_;
  Graph to_;
  std::vector<Value> values_;  // by node of from_
};

}  // namespace

Graph lower(const Graph& graph) { return Lowering(graph).take(); }

}  // namespace mps
