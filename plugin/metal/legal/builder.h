// Records the legal graph. Movements and casts that change nothing leave no node, and constants stay constants, so that
// the rules (numbers, shapes, strided, matmul) may be written without care for that.
#pragma once

#include <stdexcept>
#include <string>

#include "plugin/core/graph.h"
#include "plugin/metal/legal/target.h"

namespace mps::legal {

// MPSGraph's kernels are written for at most four axes; some of them abort with more.
inline constexpr size_t kMostAxes = 4;

// What the target cannot do, in one sentence.
struct Refusal : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class Builder {
 public:
  explicit Builder(Target target) : target_(target) {}

  Target target() const { return target_; }
  Graph& graph() { return graph_; }
  DType dtype(Value x) const { return graph_.dtype(x); }
  Shape shape(Value x) const { return Shape(graph_.shape(x)); }  // a copy: recording moves what graph_ holds
  bool is(Value x, NodeKind kind) const { return graph_.node(x).kind == kind; }

  // Throws a Refusal unless the target is macOS `macos` or newer. `what`: "bfloat16", say.
  void need(int macos, const std::string& what) const;

  // A constant of any dtype. float16, bfloat16, bool and narrow integers become casts of float32 and int32:
  // constantWithScalar: has given wrong bools and uint8 (see workarounds.def).
  Value constant(Scalar value, DType dtype, Dims shape = {});
  Value like(Value x, Scalar value) { return constant(value, dtype(x), shape(x)); }

  // A node of the table as it is. Binary nodes broadcast.
  Value record(NodeKind kind, Span<const Value> operands);
  Value select(Value predicate, Value x, Value y);  // all of one shape
  // A cast that MPSGraph does right by itself; convert() of numbers.h is the one for any dtypes.
  Value cast(Value x, DType to);

  Value reshape(Value x, Dims shape);
  Value broadcast(Value x, Dims shape);
  Value slice(Value x, Dims starts, Dims sizes, Dims steps);
  Value slice(Value x, size_t axis, int64_t start, int64_t size, int64_t step = 1);
  Value concatenation(Span<const Value> values, size_t axis);

 private:
  bool is_constant(Value x, Scalar* value) const;
  Scalar value_of(Value constant) const;

  const Target target_;
  Graph graph_;
};

}  // namespace mps::legal
