// The steps of a plan, each a program of another file bound to the slots it reads and writes.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "plugin/core/graph.h"
#include "plugin/host/matmul_host.h"
#include "plugin/host/movement_host.h"
#include "plugin/host/pointwise_host.h"
#include "plugin/host/reduce_host.h"
#include "plugin/host/whole_host.h"

namespace mps {

// A place in a slot.
struct SlotAt {
  uint32_t slot = 0;
  int64_t offset_bytes = 0;
};

// What a step that is cut into rows reads or writes in a slot: row i the `bytes` from at + i * stride on, and what lies
// multiples of rows * stride further on. Without a stride, all rows read the same.
struct RowAccess {
  SlotAt at;
  bool writes = false;
  int64_t stride = 0, bytes = 0;
};
using RowAccesses = std::vector<RowAccess>;

class PlanStep {
 public:
  virtual ~PlanStep() = default;
  // `slots`: the address of every slot.
  virtual void run(char* const* slots) const = 0;

  // A product of few rows, one of a chain of them, has so many rows; another step none of its own.
  virtual int64_t rows() const { return 0; }
  // Nothing if the step cannot be cut into so many rows.
  virtual std::optional<RowAccesses> row_accesses(int64_t) const { return std::nullopt; }
  // Rows [begin, end) of so many, on the calling thread.
  virtual void run_rows(char* const*, int64_t, int64_t, int64_t) const { __builtin_unreachable(); }

  virtual uint64_t cost_ns() const = 0;
  virtual size_t bytes() const = 0;

  struct Read {
    uint32_t slot;
    bool elementwise;  // each element is read before, and only for, the result in its place
  };
  std::vector<Read> reads;
  std::vector<uint32_t> writes;
};

// `in_rows`: an output does.
std::unique_ptr<PlanStep> make_pointwise_step(PointwiseProgram program, std::vector<SlotAt> inputs,
                                              std::vector<SlotAt> outputs, bool in_rows = false);
std::unique_ptr<PlanStep> make_reduce_step(ReduceProgram program, std::vector<SlotAt> inputs, SlotAt output);
std::unique_ptr<PlanStep> make_whole_step(WholeProgram program, std::vector<SlotAt> inputs, SlotAt output);
// `packed_y`: where a pack step wrote what the program packs of y; nothing if it packs nothing.
std::unique_ptr<PlanStep> make_matmul_step(MatmulProgram program, SlotAt x, SlotAt y, std::optional<SlotAt> packed_y,
                                           SlotAt to);
std::unique_ptr<PlanStep> make_pack_step(std::shared_ptr<const SplitProduct> product, SlotAt y, SlotAt to);
std::unique_ptr<PlanStep> make_copy_step(CopyProgram program, SlotAt from, SlotAt to);

}  // namespace mps
