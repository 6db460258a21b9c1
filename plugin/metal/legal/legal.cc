#include "plugin/metal/legal/legal.h"

#include <climits>

#include "plugin/core/check.h"
#include "plugin/metal/legal/alignment.h"
#include "plugin/metal/legal/attention.h"
#include "plugin/metal/legal/convolution.h"
#include "plugin/metal/legal/fourier.h"
#include "plugin/metal/legal/lines.h"
#include "plugin/metal/legal/matmul.h"
#include "plugin/metal/legal/numbers.h"
#include "plugin/metal/legal/order.h"
#include "plugin/metal/legal/pooling.h"
#include "plugin/metal/legal/positions.h"
#include "plugin/metal/legal/quantized.h"
#include "plugin/metal/legal/random.h"
#include "plugin/metal/legal/shapes.h"
#include "plugin/metal/legal/strided.h"
#include "plugin/metal/legal/workarounds.h"

namespace mps::legal {
namespace {

// A release that a table names and kReleases lacks would never be told from the one before it.
constexpr bool is_listed(int macos) {
  for (int release : kReleases) {
    if (macos == release || macos <= kReleases[0]) return true;
  }
  return false;
}
constexpr bool tables_are_listed() {
  for (const NodeInfo& row : kNodeInfos) {
    if (!is_listed(row.macos)) return false;
  }
  for (int until : kWorkaroundEnds) {
    if (!is_listed(until)) return false;
  }
  return true;
}
static_assert(tables_are_listed(), "add the release to kReleases of target.h");

class Legalizer {
 public:
  Legalizer(const Graph& from, Target target) : from_(from), b_(target), values_(from.node_count()) {
    const std::vector<bool> live = find_live(from);
    for (uint32_t i = 0; i < from.node_count(); ++i) {
      if (!live[i] || from.elements(Value{i}) == 0) continue;
      check(Value{i});
      values_[i] = rewrite(from.node(i));
    }
    for (uint32_t result : from.results()) results_.push_back(source(Value{result}));
    for (Value value : targets_) b_.graph().result(value);
    const std::vector<bool> needed = find_live(b_.graph());
    for (uint32_t i = 0; i < needed.size(); ++i) {
      if (needed[i]) check_size(b_.graph(), Value{i});
    }
  }

  Legal take() {
    Legal legal;
    legal.results = std::move(results_);
    legal.graph = std::move(b_.graph());
    legal.feeds = std::move(feeds_);
    return legal;
  }

 private:
  void check(Value value) {
    if (from_.dtype(value) == DType::bfloat16) b_.need(kBFloat16, "bfloat16");
    check_size(from_, value);
  }

  static void check_size(const Graph& graph, Value value) {
    if (graph.elements(value) <= INT_MAX) return;
    throw Refusal("MPSGraph has no tensors of " + std::to_string(graph.elements(value)) +
                  " elements: expected at most " + std::to_string(INT_MAX) + ".");
  }

  Value operand(const Node& node, size_t i) const { return values_[from_.operand(node, i).node]; }
  Dims tail(const Node& node, size_t start) const {
    const Dims attributes = from_.attributes(node);
    return {attributes.data() + start, attributes.size() - start};
  }

  size_t attribute(const Node& node, size_t i) const { return static_cast<size_t>(from_.attributes(node)[i]); }

  // A feed is declared with as few axes as MPSGraph has been tried with.
  Value feed(const Node& node) {
    const Dims shape = from_.shape(node);
    feeds_.push_back(static_cast<uint32_t>(from_.attributes(node)[0]));
    if (node.kind == NodeKind::scalar) return b_.graph().scalar(node.dtype);
    if (shape.size() <= kMostAxes) return b_.graph().placeholder(node.dtype, shape);
    return b_.reshape(b_.graph().placeholder(node.dtype, {element_count(shape)}), shape);
  }

  Value rewrite_pointwise(const Node& node) {
    std::vector<Shape> shapes;
    for (size_t i = 0; i < node.operand_count; ++i) shapes.push_back(b_.shape(operand(node, i)));
    const Folded folded = fold_broadcast(shapes, from_.shape(node));
    const bool writes_out = folded.to.size() > kMostAxes;  // then what repeats is written out: one axis
    SmallVector<Value, 3> operands;
    for (size_t i = 0; i < node.operand_count; ++i) {
      const Value x = writes_out ? broadcast(b_, operand(node, i), from_.shape(node)) : operand(node, i);
      operands.push_back(b_.reshape(x, writes_out ? Shape{element_count(from_.shape(node))} : folded.from[i]));
    }
    return b_.reshape(pointwise(b_, node.kind, operands), from_.shape(node));
  }

  Value rewrite(const Node& node) {
    switch (info(node.kind).family) {
      case NodeFamily::kSource:
        if (node.kind != NodeKind::constant) return feed(node);
        return b_.constant(Bits{from_.attributes(node)[0]}, node.dtype, from_.shape(node));
      case NodeFamily::kUnary:
      case NodeFamily::kBinary:
      case NodeFamily::kCompare:
      case NodeFamily::kSelect:
        return rewrite_pointwise(node);
      case NodeFamily::kCast: {
        const Folded folded = fold_broadcast({b_.shape(operand(node, 0))}, from_.shape(node));
        return b_.reshape(convert(b_, b_.reshape(operand(node, 0), folded.to), node.dtype), from_.shape(node));
      }
      case NodeFamily::kReshape:
        return b_.reshape(operand(node, 0), from_.shape(node));
      case NodeFamily::kTranspose:
        return transpose(b_, operand(node, 0), from_.attributes(node));
      case NodeFamily::kBroadcast:
        return broadcast(b_, operand(node, 0), from_.shape(node));
      case NodeFamily::kSlice: {
        const size_t rank = node.rank;
        return slice(b_, operand(node, 0), {from_.attributes(node).data(), rank}, tail(node, rank), from_.shape(node));
      }
      case NodeFamily::kConcatenation: {
        std::vector<Value> values;
        for (size_t i = 0; i < node.operand_count; ++i) values.push_back(operand(node, i));
        return concatenation(b_, values, static_cast<size_t>(from_.attributes(node)[0]));
      }
      case NodeFamily::kStridedView:
        return strided_view(b_, operand(node, 0), from_.shape(node), tail(node, 1), from_.attributes(node)[0]);
      case NodeFamily::kStridedUpdate:
        return strided_update(b_, operand(node, 0), operand(node, 1), tail(node, 1), from_.attributes(node)[0]);
      case NodeFamily::kReduce:
        return reduction(b_, node.kind, operand(node, 0), from_.attributes(node));
      case NodeFamily::kArgReduce:
        return arg_reduction(b_, node.kind, operand(node, 0), attribute(node, 0));
      case NodeFamily::kScan:
        return scan(b_, node.kind, operand(node, 0), attribute(node, 0), attribute(node, 1) != 0,
                    attribute(node, 2) != 0);
      case NodeFamily::kCoordinate:
        return coordinate(b_, from_.shape(node), attribute(node, 0));
      case NodeFamily::kGather:
        return gather(b_, operand(node, 0), operand(node, 1));
      case NodeFamily::kScatter:
        return scatter(b_, static_cast<ScatterMode>(attribute(node, 0)), operand(node, 0), operand(node, 1),
                       operand(node, 2));
      case NodeFamily::kArgSort: {
        const size_t axis = attribute(node, 0);
        return arg_sort(b_, operand(node, 0), axis, attribute(node, 1) != 0, from_.shape(node)[axis]);
      }
      case NodeFamily::kSearchSorted:
        return search_sorted(b_, operand(node, 0), operand(node, 1), attribute(node, 0) != 0);
      case NodeFamily::kRandom: {
        const auto word = [&](size_t i) { return operand(node, i); };
        return random_bits(b_, {{word(0), word(1)}, {word(2), word(3), word(4), word(5)}}, from_.shape(node));
      }
      case NodeFamily::kMatmul:
        return matrix_multiplication(b_, operand(node, 0), operand(node, 1));
      case NodeFamily::kConvolution:
      case NodeFamily::kConvolutionGradient:
        return convolution(b_, node.kind, operand(node, 0), operand(node, 1), from_.shape(node),
                           Sliding::of(from_.attributes(node)));
      case NodeFamily::kPooling:
        return pooling(b_, node.kind, operand(node, 0), from_.shape(node), Sliding::of(from_.attributes(node)));
      case NodeFamily::kPoolingGradient: {
        const Sliding sliding = Sliding::of(from_.attributes(node));
        if (node.operand_count == 1) {
          return average_pooling_gradient(b_, operand(node, 0), from_.shape(node), sliding);
        }
        return max_pooling_gradient(b_, operand(node, 0), operand(node, 1), sliding);
      }
      case NodeFamily::kAttention: {
        std::vector<Value> operands;
        for (size_t i = 0; i < node.operand_count; ++i) operands.push_back(operand(node, i));
        return attention(b_, node.kind, operands, Attention::of(from_.attributes(node)));
      }
      case NodeFamily::kAlignment:
        return ctc_alignment(b_, operand(node, 3), operand(node, 0), operand(node, 1), operand(node, 2));
      case NodeFamily::kFourier:  // made legal before
        return b_.graph().record(node.kind, {operand(node, 0)}, from_.attributes(node), from_.shape(node));
      case NodeFamily::kQuantized:
        return rewrite_quantized(node);
    }
    __builtin_unreachable();
  }

  Value rewrite_quantized(const Node& node) {
    const auto x = [&](size_t i) { return operand(node, i); };
    const Dims attributes = from_.attributes(node);
    if (node.kind == NodeKind::quantize_blockwise) {
      return quantize_blockwise(b_, x(0), x(1), x(2), x(3), attributes[0]);
    }
    if (node.kind == NodeKind::dequantize_blockwise) {
      return dequantize_blockwise(b_, x(0), x(1), x(2), attributes[0], node.dtype, from_.shape(node));
    }
    if (node.kind == NodeKind::dequantize) return dequantize(b_, x(0), x(1), attribute(node, 0));
    if (node.kind == NodeKind::quantized_matrix_multiplication) {
      const Graph::QuantizedMatrix matrix{x(1), x(2), x(3), attributes[0], attributes[1], attributes[2]};
      return quantized_matrix_multiplication(b_, x(0), matrix, attributes[3] != 0);
    }
    if (node.kind == NodeKind::int8_matrix_multiplication) return int8_matrix_multiplication(b_, x(0), x(1));
    return ternary_matrix_multiplication(b_, x(0), x(1), attributes[0]);
  }

  Source source(Value result) {
    if (from_.elements(result) == 0) return {};
    Value value = values_[result.node];
    // A result is bytes: its shape does not matter, unless it has too many axes.
    while (b_.is(value, NodeKind::reshape)) value = b_.graph().operand(b_.graph().node(value), 0);
    if (b_.shape(value).size() > kMostAxes) value = b_.reshape(value, {b_.graph().elements(value)});
    if (b_.is(value, NodeKind::placeholder) || b_.is(value, NodeKind::scalar)) {
      const int64_t feed = b_.graph().attributes(b_.graph().node(value))[0];
      return {Source::kFeed, feeds_[static_cast<size_t>(feed)]};
    }
    uint32_t index = 0;
    while (index < targets_.size() && targets_[index].node != value.node) ++index;
    if (index == targets_.size()) targets_.push_back(value);
    return {Source::kResult, index};
  }

  const Graph& from_;
  Builder b_;
  std::vector<Value> values_;
  std::vector<uint32_t> feeds_;
  std::vector<Value> targets_;
  std::vector<Source> results_;
};

}  // namespace

std::vector<bool> find_live(const Graph& graph) {
  std::vector<bool> live(graph.node_count(), false);
  for (uint32_t result : graph.results()) live[result] = true;
  for (uint32_t i = static_cast<uint32_t>(graph.node_count()); i-- > 0;) {
    if (!live[i]) continue;
    for (int64_t operand : graph.operands(graph.node(i))) live[static_cast<size_t>(operand)] = true;
  }
  return live;
}

Legal legalize(const Graph& graph, Target target) {
  try {
    return has_fourier(graph) ? Legalizer(lower_fourier(graph, target), target).take()
                              : Legalizer(graph, target).take();
  } catch (const Refusal& refusal) {
    MPS_THROW(kUnsupported, refusal.what());
  }
}

std::string refusal(const Graph& graph, Target target) {
  try {
    if (has_fourier(graph)) {
      Legalizer(lower_fourier(graph, target), target);
    } else {
      Legalizer(graph, target);
    }
    return {};
  } catch (const Refusal& refusal) {
    return refusal.what();
  }
}

}  // namespace mps::legal
