// A reduction over any axes, compiled once and run on arrays, optionally fused with the pointwise region that produces
// its operand, so that the operand never exists in memory as a whole.
//
// float32, float16 and bfloat16 are summed in double precision and rounded once; integers wrap in their own dtype. How
// the work is cut depends on the shape alone, so results do not depend on the number of threads.
//
// A program is immutable: any number of threads may run it at once.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include "plugin/core/graph.h"
#include "plugin/host/pointwise_host.h"

namespace mps {

class ReduceProgram {
 public:
  // `reduction` is a node of the reduce family; its operand is read from memory, dense.
  static ReduceProgram compile(const Graph& graph, Value reduction);
  // As above, but the operand is the one output of `prologue`.
  static ReduceProgram compile(const Graph& graph, Value reduction, const PointwiseProgram& prologue);

  // The values that run() wants addresses of: the operand, or the inputs of the prologue.
  Span<const Value> inputs() const;

  // The output is dense and overlaps no input.
  void run(Span<const void* const> inputs, void* output) const;

  uint64_t cost_ns() const;  // rough time of run() on one thread
  size_t bytes() const;      // memory held by the program

  struct Plan;  // reduce_host.cc

 private:
  explicit ReduceProgram(std::shared_ptr<const Plan> plan) : plan_(std::move(plan)) {}
  std::shared_ptr<const Plan> plan_;
};

}  // namespace mps
