// A fused region of pointwise nodes, compiled once and run on arrays.
//
// The region's nodes are evaluated together, a block of elements at a time: every intermediate value lives in a block
// that stays in the first-level cache, and only inputs and outputs touch memory. A block function per node and dtype
// (vector_kernels.h) does the arithmetic, with the widest vectors that the processor has. float16 and bfloat16 values
// are held as float32 between nodes and rounded after each node, so fusing does not change a bit.
//
// A program is immutable: any number of threads may run it at once.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "plugin/core/graph.h"

namespace mps {

// Says that an input of a region is not dense: element (i, j, ...) of `value`, counted in value's own shape, lies at
// address + i * strides[0] + j * strides[1] + ..., in elements. Strides may be 0 or negative. This is how a region
// reads through a transpose, broadcast or slice that feeds it.
struct PointwiseView {
  Value value;
  Ints strides;
};

// How an output lies: in rows of so many elements, `stride` elements apart; dense if they are 0. This is how a region
// writes a part of a concatenation.
struct PointwiseRows {
  int64_t elements = 0, stride = 0;
};

class PointwiseProgram {
 public:
  // `nodes`: the pointwise nodes to evaluate, operands before users. `outputs`: those of them (each once) whose values
  // are wanted; all have one shape, to which every node of the region broadcasts. `views`: the inputs that are not
  // dense. `rows`: of each output, or nothing if all are dense. Operands outside of `nodes` become inputs, except
  // constants, which are compiled in.
  static PointwiseProgram compile(const Graph& graph, Span<const Value> nodes, Span<const Value> outputs,
                                  Span<const PointwiseView> views = {}, Span<const PointwiseRows> rows = {});

  // The values that run() wants addresses of, in its order, each once.
  Span<const Value> inputs() const;
  // True if that input is read element by element at the position of the outputs: only then may its memory also be an
  // output's.
  bool input_is_dense(size_t input) const;

  // Evaluates the whole region. An input's address is that of its first element; for a scalar feed it is the address of
  // the value's bits. An output may lie exactly where a dense input of the same element size lies, if it is dense
  // itself, or overlap no input; outputs do not overlap.
  void run(Span<const void* const> inputs, Span<void* const> outputs) const;

  // Evaluates elements [begin, begin + count) of the flat iteration space on the calling thread; each output address
  // receives element `begin`. All outputs are dense.
  void run_range(Span<const void* const> inputs, Span<void* const> outputs, int64_t begin, int64_t count) const;

  // Where a row of an input or output lies, if the iteration space is cut into so many equal ones: the `bytes` that
  // begin `stride` bytes after those of the row before, and what lies multiples of rows * stride further on. Without a
  // stride, all rows read the same. Nothing if it does not lie so.
  struct Row {
    int64_t stride, bytes;
  };
  std::optional<Row> input_row(size_t input, int64_t rows) const;
  std::optional<Row> output_row(size_t output, int64_t rows) const;
  // As run(), of rows [begin, end) of so many alone, on the calling thread.
  void run_rows(Span<const void* const> inputs, Span<void* const> outputs, int64_t rows, int64_t begin,
                int64_t end) const;

  int64_t elements() const;  // of the iteration space
  uint64_t cost_ns() const;  // rough time of run() on one thread
  size_t bytes() const;      // memory held by the program

  struct Plan;  // pointwise_plan_host.h

 private:
  explicit PointwiseProgram(std::shared_ptr<const Plan> plan) : plan_(std::move(plan)) {}
  std::shared_ptr<const Plan> plan_;
};

}  // namespace mps
