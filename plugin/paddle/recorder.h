// One kernel call being recorded: the graph, and the tensors behind its feeds and results. The
// usual kernel is
//
//   Recorder record(ctx);
//   record.output(out, record.graph.addition(record.input(x), record.input(y)));
//   record.launch();
#pragma once

#include <vector>

#include "paddle/phi/backends/custom/custom_context.h"
#include "plugin/core/launch.h"
#include "plugin/paddle/tensor.h"

namespace mps::paddle {

class Recorder {
 public:
  explicit Recorder(const phi::CustomContext& ctx);

  Graph graph;

  const phi::Place& place() const { return ctx_.GetPlace(); }

  // A tensor that the graph reads, by its strides if it is a view. Its memory must live until launch().
  Value input(const phi::DenseTensor& tensor);
  // The same elements under another shape of as many elements.
  Value input(const phi::DenseTensor& tensor, Dims shape);
  // The elements that its strides lead to, of any dtype that Paddle has: see elements_of().
  Value input_of_elements(const phi::DenseTensor& tensor);
  // Raw memory, for kernels that see strides: `count` elements from `address` on.
  Value input(const void* address, DType dtype, int64_t count);
  // A number that may differ from call to call without making another graph.
  Value scalar(Scalar value, DType dtype);

  // Allocates `tensor` (its dimensions and dtype are already set by Paddle), a dense one, and writes
  // `value` to it, which must have its dtype and as many elements. A null tensor is an output that
  // nobody wants.
  void output(phi::DenseTensor* tensor, Value value);
  // Writes to raw memory.
  void output(void* address, Value value);

  // Submits the work and returns before it is done. A result that partly overlaps an input (an
  // in-place op that changes shape or dtype) goes through a temporary.
  void launch();

  // Instead of a graph: copies bytes, as many as there are, in the order of the stream. False, and nothing done, if the
  // ranges overlap in part.
  bool copy(void* to, const void* from, size_t bytes);

 private:
  struct FeedBytes {
    const char* begin;
    size_t size;
  };
  struct Detour {
    void* to;
    size_t bytes;
    phi::DenseTensor temporary;
  };

  Value feed(const void* address, Value placeholder);
  std::vector<Detour> detour_overlapping_results();

  const phi::CustomContext& ctx_;
  DeviceState& device_;
  Stream& stream_;
  SmallVector<Feed, 8> feeds_;
  SmallVector<FeedBytes, 8> feed_bytes_;  // of the feeds that are memory
  SmallVector<void*, 4> results_;
};

}  // namespace mps::paddle
