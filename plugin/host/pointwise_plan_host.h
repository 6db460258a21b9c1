// What a compiled region looks like: a list of block functions over numbered locations. pointwise_compile_host.cc makes
// it, pointwise_host.cc runs it, nobody else looks inside.
//
// A location is a place that a block function reads or writes. They are numbered: first the inputs, then the outputs
// (both in memory, moving on from block to block), then the constants (in the plan), then the slots (in a thread's
// scratch memory, one block long).
#pragma once

#include <cstdint>
#include <vector>

#include "plugin/host/pointwise_host.h"
#include "plugin/host/vector_kernels.h"

namespace mps {

using Location = uint16_t;

enum class InputAccess : uint8_t {
  kDense,    // element i of the iteration space is element i of the input
  kSplat,    // one element for all
  kStrided,  // anything else
};

struct PlannedInput {
  InputAccess access;
  uint8_t element_bytes;
  Ints strides;           // kStrided: in elements, along Plan::shape
  uint32_t last_use = 0;  // number of the last instruction that reads it in place
};

struct PlannedOutput {
  uint8_t element_bytes;
  uint32_t written_at = 0;  // number of the instruction that writes it
  bool is_read = false;     // by another instruction
  uint32_t stage_at = 0;    // scratch offset of a block for it, if it must not be written right away
  PointwiseRows rows = {};
};

// `fn` null: a copy. From a splat (in the prelude) it repeats one element, from a strided input it collects a block.
struct Instruction {
  BlockFn fn = nullptr;
  BlockFn stream_fn = nullptr;  // the same, past the caches
  Location x = 0, y = 0, z = 0, out = 0;
  uint8_t element_bytes = 0;  // of a copy
  uint16_t guard = 0;         // left out where that guard lets nothing pass
  uint16_t tests = 0;         // no computation: the guard that lets pass if `wanted` is found in the bools at x
  bool wanted = false;
};

struct PointwiseProgram::Plan {
  std::vector<Value> input_values;
  std::vector<PlannedInput> inputs;
  std::vector<PlannedOutput> outputs;
  std::vector<uint64_t> constants;
  std::vector<uint32_t> slot_offsets;
  uint32_t scratch_bytes = 0;         // of the slots
  uint32_t staged_scratch_bytes = 0;  // with the outputs' stages

  // What is the same for all elements, computed once per run: first on one element, then repeated over blocks.
  std::vector<Instruction> prelude;
  std::vector<Instruction> fills;
  std::vector<Instruction> body;  // once per block
  size_t guards = 0;

  Ints shape;  // the iteration space, with adjacent dimensions merged where every input allows it
  int64_t elements = 0;
  int64_t block = 0;          // elements
  int64_t staged_block = 0;   // when outputs are staged
  int64_t grain = 0;          // fewest elements worth a thread of their own
  int64_t awake_grain = 0;    // ... if it is awake
  bool may_conflict = false;  // an output may be written before an input in the same place was read
  bool has_rows = false;      // an output lies in rows
  double ns_per_element = 0;
  const VectorKernels* kernels = nullptr;

  size_t location_count() const { return inputs.size() + outputs.size() + constants.size() + slot_offsets.size(); }
  Location output_location(size_t output) const { return static_cast<Location>(inputs.size() + output); }
};

}  // namespace mps
