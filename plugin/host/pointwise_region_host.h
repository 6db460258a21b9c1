// What a pointwise region computes, in terms of registers: the first half of compiling it. Where things live while they
// are computed is the second half's matter (pointwise_compile_host.cc).
//
// Nodes that change no register (identity, float16 to float32) become no step: their value shares the operand's
// register.
#pragma once

#include <cstdint>
#include <vector>

#include "plugin/host/pointwise_plan_host.h"

namespace mps {

inline constexpr size_t kNone = SIZE_MAX;

inline bool is_short_float(DType dtype) { return is_float(dtype) && dtype != DType::float32; }
inline size_t index_of(DType dtype) { return static_cast<size_t>(dtype); }
inline size_t index_of(NodeKind kind) { return static_cast<size_t>(kind); }

// A value as block functions see it. It comes from an input, from a constant, or from the step that has it as result.
struct Register {
  DType dtype;                       // a register dtype
  bool uniform = false;              // the same for all elements
  size_t input = kNone;              // number of the input
  DType stored = DType::bool_;       // dtype of the input in memory
  size_t constant = kNone;           // number of the constant
  uint32_t readers = 0;              // operands of steps that are this register
  SmallVector<uint32_t, 4> outputs;  // numbers of the outputs that want it
};

struct Step {
  BlockFn fn = nullptr;
  BlockFn stream_fn = nullptr;  // the same past the caches, if there is one
  BlockFn round = nullptr;      // applied to the result, in place, unless null
  uint32_t operands[3] = {};
  uint32_t operand_count = 0;
  uint32_t result = 0;
  bool selects = false;
  bool is_polynomial = false;  // the second operand is the first of a row of constants
  uint32_t guard = 0;          // number of the guard that must let it pass, from 1 on
};

// Steps whose results only one arm of a selection reads can be left out in a block that chooses the other arm
// everywhere.
struct Guard {
  uint32_t predicate;  // register
  bool wanted;         // the value that the arm is chosen by
};

struct Region {
  Shape shape;  // the iteration space; merged as in PointwiseProgram::Plan
  int64_t elements = 0;
  std::vector<Register> registers;
  std::vector<Step> steps;    // in order of computation
  std::vector<Guard> guards;  // number 1 is the first
  std::vector<Value> input_values;
  std::vector<PlannedInput> inputs;
  std::vector<uint64_t> constants;  // bits in the register dtype
  std::vector<DType> output_dtypes;
  double ns_per_element = 0;  // of arithmetic
};

// Makes one step of several where there is a block function for it.
void join_steps(const VectorKernels& kernels, Region* region);

Region analyse_region(const Graph& graph, Span<const Value> nodes, Span<const Value> outputs,
                      Span<const PointwiseView> views);

}  // namespace mps
