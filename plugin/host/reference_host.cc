#include "plugin/host/reference_host.h"

#include <array>
#include <cstring>
#include <vector>

#include "plugin/core/check.h"
#include "plugin/host/reference_functions_host.h"
#include "plugin/host/reference_images_host.h"
#include "plugin/host/reference_nodes_host.h"
#include "plugin/host/reference_quantized_host.h"
#include "plugin/host/reference_sequences_host.h"
#include "plugin/host/reference_spectra_host.h"
#include "plugin/host/reference_whole_host.h"

namespace mps {
namespace {

using Bytes = std::vector<unsigned char>;

// Visits every index of `shape` in row-major order; f gets one offset per array, moved by its strides.
template <size_t N, typename F>
void walk(Dims shape, const std::array<Ints, N>& strides, std::array<int64_t, N> offsets, const F& f) {
  Ints index;
  index.resize(shape.size(), 0);
  for (int64_t left = element_count(shape); left > 0; --left) {
    f(offsets);
    for (size_t axis = shape.size(); axis-- > 0;) {
      const bool wraps = ++index[axis] == shape[axis];
      const int64_t steps = wraps ? 1 - shape[axis] : 1;
      for (size_t i = 0; i < N; ++i) offsets[i] += steps * strides[i][axis];
      if (!wraps) break;
      index[axis] = 0;
    }
  }
}

// The strides by which a dense array of shape `from` is read as one of shape `to`: 0 where it repeats.
Ints broadcast_strides(Dims from, Dims to) {
  const Ints dense = contiguous_strides(from);
  Ints strides;
  strides.resize(to.size(), 0);
  const size_t missing = to.size() - from.size();
  for (size_t i = 0; i < from.size(); ++i) strides[missing + i] = from[i] == 1 ? 0 : dense[i];
  return strides;
}

// float16 and bfloat16 are computed with as float.
template <typename T>
using Computed = std::conditional_t<std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>, float, T>;

// The type in which products and sums are accumulated; integers modulo 2^64.
template <typename T>
using Accumulated = std::conditional_t<std::is_integral_v<T>, uint64_t, double>;

// Elements of any dtype, through their computed type.
template <typename T>
Computed<T> load(const void* data, int64_t index) {
  return static_cast<Computed<T>>(static_cast<const T*>(data)[index]);
}
template <typename T, typename V>
void store(void* data, int64_t index, V value) {
  static_cast<T*>(data)[index] = static_cast<T>(static_cast<Computed<T>>(value));
}

class Interpreter {
 public:
  Interpreter(const Graph& graph, Span<const HostBinding> feeds) : graph_(graph), values_(graph.node_count()) {
    for (uint32_t i = 0; i < graph.node_count(); ++i) {
      const Value value{i};
      values_[i].resize(graph.bytes(value));
      if (!values_[i].empty()) evaluate(value, feeds);
    }
  }

  const Bytes& bytes(Value value) const { return values_[value.node]; }

 private:
  void* out(Value value) { return values_[value.node].data(); }
  const void* in(const Node& node, size_t i) const { return values_[graph_.operand(node, i).node].data(); }
  Dims operand_shape(const Node& node, size_t i) const { return graph_.shape(graph_.operand(node, i)); }

  std::vector<const void*> operands_of(const Node& node) const {
    std::vector<const void*> operands;
    for (size_t i = 0; i < node.operand_count; ++i) operands.push_back(in(node, i));
    return operands;
  }

  void evaluate(Value value, Span<const HostBinding> feeds) {
    const Node& node = graph_.node(value);
    switch (node.kind) {
#define MPS_UNARY_NODE(kind) \
  case NodeKind::kind:       \
    return unary<NodeKind::kind>(value, node, meaning::kind());
#define MPS_BINARY_NODE(kind) \
  case NodeKind::kind:        \
    return binary<NodeKind::kind>(value, node, meaning::kind());
#include "plugin/core/nodes_by_family.h"
      case NodeKind::placeholder: {
        const char* const from = feeds[static_cast<size_t>(graph_.attributes(node)[0])].address;
        if (from != nullptr) std::memcpy(out(value), from, graph_.bytes(value));
        return;
      }
      case NodeKind::scalar:
        return constant(value, feeds[static_cast<size_t>(graph_.attributes(node)[0])].scalar_bits);
      case NodeKind::constant:
        return constant(value, static_cast<uint64_t>(graph_.attributes(node)[0]));
      case NodeKind::select:
        return select(value, node);
      case NodeKind::cast:
        return cast(value, node);
      case NodeKind::reshape:
        std::memcpy(out(value), in(node, 0), graph_.bytes(value));
        return;
      case NodeKind::transpose:
        return transpose(value, node);
      case NodeKind::broadcast:
        return gather(value, in(node, 0), 0, broadcast_strides(operand_shape(node, 0), graph_.shape(value)));
      case NodeKind::slice:
        return slice(value, node);
      case NodeKind::concatenation:
        return concatenation(value, node);
      case NodeKind::strided_view:
        return gather(value, in(node, 0), graph_.attributes(node)[0], view_strides(node));
      case NodeKind::strided_update:
        std::memcpy(out(value), in(node, 0), graph_.bytes(value));
        return scatter(value, graph_.operand(node, 1), graph_.attributes(node)[0], view_strides(node));
      case NodeKind::reduction_sum:
      case NodeKind::reduction_product:
      case NodeKind::reduction_maximum:
      case NodeKind::reduction_minimum:
#define MPS_WHOLE_NODE(name) case NodeKind::name:
#include "plugin/core/nodes_by_family.h"
        return reference_whole(graph_, value, operands_of(node), out(value));
      case NodeKind::matrix_multiplication:
        return matrix_multiplication(value, node);
#define MPS_CONVOLUTION_NODE(name) case NodeKind::name:
#define MPS_POOLING_NODE(name) case NodeKind::name:
#include "plugin/core/nodes_by_family.h"
        return reference_images(graph_, value, operands_of(node), out(value));
#define MPS_ATTENTION_NODE(name) case NodeKind::name:
#define MPS_ALIGNMENT_NODE(name) case NodeKind::name:
#include "plugin/core/nodes_by_family.h"
        return reference_sequences(graph_, value, operands_of(node), out(value));
#define MPS_FOURIER_NODE(name) case NodeKind::name:
#include "plugin/core/nodes_by_family.h"
        return reference_spectra(graph_, value, operands_of(node), out(value));
#define MPS_QUANTIZED_NODE(name) case NodeKind::name:
#include "plugin/core/nodes_by_family.h"
        return reference_quantized(graph_, value, operands_of(node), out(value));
    }
  }

  template <NodeKind kind, typename F>
  void unary(Value value, const Node& node, F f) {
    visit(node.dtype, [&](auto zero) {
      using T = decltype(zero);
      if constexpr (accepts(info(kind).dtypes, kDTypeOf<T>)) {
        for (int64_t i = 0; i < graph_.elements(value); ++i) store<T>(out(value), i, f(load<T>(in(node, 0), i)));
      }
    });
  }

  template <NodeKind kind, typename F>
  void binary(Value value, const Node& node, F f) {
    const Dims shape = graph_.shape(value);
    const std::array<Ints, 3> strides = {contiguous_strides(shape), broadcast_strides(operand_shape(node, 0), shape),
                                         broadcast_strides(operand_shape(node, 1), shape)};
    visit(graph_.dtype(graph_.operand(node, 0)), [&](auto zero) {
      using T = decltype(zero);
      if constexpr (accepts(info(kind).dtypes, kDTypeOf<T>)) {
        using Result = std::conditional_t<info(kind).family == NodeFamily::kCompare, bool, T>;
        walk<3>(shape, strides, {0, 0, 0}, [&](const auto& at) {
          store<Result>(out(value), at[0], f(load<T>(in(node, 0), at[1]), load<T>(in(node, 1), at[2])));
        });
      }
    });
  }

  void constant(Value value, uint64_t bits) {
    const size_t size = size_of(graph_.dtype(value));
    char* const to = static_cast<char*>(out(value));
    for (int64_t i = 0; i < graph_.elements(value); ++i) std::memcpy(to + i * static_cast<int64_t>(size), &bits, size);
  }

  void select(Value value, const Node& node) {
    const Dims shape = graph_.shape(value);
    const size_t size = size_of(node.dtype);
    const std::array<Ints, 4> strides = {contiguous_strides(shape), broadcast_strides(operand_shape(node, 0), shape),
                                         broadcast_strides(operand_shape(node, 1), shape),
                                         broadcast_strides(operand_shape(node, 2), shape)};
    walk<4>(shape, strides, {0, 0, 0, 0}, [&](const auto& at) {
      const size_t chosen = static_cast<const bool*>(in(node, 0))[at[1]] ? 1 : 2;
      copy_element(size, out(value), at[0], in(node, chosen), at[1 + chosen]);
    });
  }

  void cast(Value value, const Node& node) {
    visit(node.dtype, [&](auto to) {
      visit(graph_.dtype(graph_.operand(node, 0)), [&](auto from) {
        using To = decltype(to);
        using From = decltype(from);
        for (int64_t i = 0; i < graph_.elements(value); ++i) {
          store<To>(out(value), i, meaning::cast<Computed<To>>()(load<From>(in(node, 0), i)));
        }
      });
    });
  }

  static void copy_element(size_t size, void* to, int64_t to_index, const void* from, int64_t from_index) {
    std::memcpy(static_cast<char*>(to) + to_index * static_cast<int64_t>(size),
                static_cast<const char*>(from) + from_index * static_cast<int64_t>(size), size);
  }

  // The dense `value` from the elements of `source` at offset + sum(index * stride).
  void gather(Value value, const void* source, int64_t offset, const Ints& strides) {
    const Dims shape = graph_.shape(value);
    walk<2>(shape, {contiguous_strides(shape), strides}, {0, offset},
            [&](const auto& at) { copy_element(size_of(graph_.dtype(value)), out(value), at[0], source, at[1]); });
  }

  // The elements of `value` at offset + sum(index * stride) from the dense `source`.
  void scatter(Value value, Value source, int64_t offset, const Ints& strides) {
    const Dims shape = graph_.shape(source);
    walk<2>(shape, {strides, contiguous_strides(shape)}, {offset, 0}, [&](const auto& at) {
      copy_element(size_of(graph_.dtype(value)), out(value), at[0], bytes(source).data(), at[1]);
    });
  }

  Ints view_strides(const Node& node) const {
    const Dims attributes = graph_.attributes(node);
    return Ints(Dims(attributes.data() + 1, attributes.size() - 1));
  }

  void transpose(Value value, const Node& node) {
    const Ints dense = contiguous_strides(operand_shape(node, 0));
    Ints strides;
    for (int64_t axis : graph_.attributes(node)) strides.push_back(dense[static_cast<size_t>(axis)]);
    gather(value, in(node, 0), 0, strides);
  }

  void slice(Value value, const Node& node) {
    const Dims attributes = graph_.attributes(node);
    const Ints dense = contiguous_strides(operand_shape(node, 0));
    int64_t offset = 0;
    Ints strides;
    for (size_t i = 0; i < dense.size(); ++i) {
      offset += attributes[i] * dense[i];
      strides.push_back(attributes[dense.size() + i] * dense[i]);
    }
    gather(value, in(node, 0), offset, strides);
  }

  void concatenation(Value value, const Node& node) {
    const size_t axis = static_cast<size_t>(graph_.attributes(node)[0]);
    const Ints strides = contiguous_strides(graph_.shape(value));
    int64_t start = 0;
    for (size_t i = 0; i < node.operand_count; ++i) {
      scatter(value, graph_.operand(node, i), start * strides[axis], strides);
      start += operand_shape(node, i)[axis];
    }
  }

  void matrix_multiplication(Value value, const Node& node) {
    const Dims x = operand_shape(node, 0), y = operand_shape(node, 1), shape = graph_.shape(value);
    const size_t batch_rank = shape.size() - 2;
    const int64_t rows = shape[batch_rank], columns = shape[batch_rank + 1], inner = x[x.size() - 1];
    const Dims batch(shape.data(), batch_rank);
    // Strides that count matrices.
    const std::array<Ints, 3> strides = {contiguous_strides(batch), broadcast_strides({x.data(), x.size() - 2}, batch),
                                         broadcast_strides({y.data(), y.size() - 2}, batch)};
    visit(node.dtype, [&](auto zero) {
      using T = decltype(zero);
      using Sum = Accumulated<T>;
      walk<3>(batch, strides, {0, 0, 0}, [&](const auto& matrix) {
        for (int64_t row = 0; row < rows; ++row) {
          for (int64_t column = 0; column < columns; ++column) {
            Sum sum{0};
            for (int64_t k = 0; k < inner; ++k) {
              sum += static_cast<Sum>(load<T>(in(node, 0), (matrix[1] * rows + row) * inner + k)) *
                     static_cast<Sum>(load<T>(in(node, 1), (matrix[2] * inner + k) * columns + column));
            }
            store<T>(out(value), (matrix[0] * rows + row) * columns + column, sum);
          }
        }
      });
    });
  }

  const Graph& graph_;
  std::vector<Bytes> values_;
};

class ReferenceExecutable final : public HostExecutable {
 public:
  explicit ReferenceExecutable(const Graph& graph) : graph_(graph) {}

  size_t bytes() const override { return sizeof *this; }

  // Slow in any case; saying so sends everything that is not tiny to the worker, as a device would.
  uint64_t cost_ns() const override {
    uint64_t elements = 0;
    for (uint32_t i = 0; i < graph_.node_count(); ++i) elements += static_cast<uint64_t>(graph_.elements(Value{i}));
    return elements * 20;
  }

  void run(Span<const HostBinding> feeds, Span<const HostBinding> results) const override {
    const Interpreter interpreter(graph_, feeds);
    for (size_t i = 0; i < results.size(); ++i) {
      const Bytes& bytes = interpreter.bytes(Value{graph_.results()[i]});
      if (!bytes.empty()) std::memcpy(results[i].address, bytes.data(), bytes.size());
    }
  }

 private:
  const Graph graph_;
};

}  // namespace

std::shared_ptr<const HostExecutable> compile_reference(const Graph& graph) {
  return std::make_shared<ReferenceExecutable>(graph);
}

}  // namespace mps
