// Custom ops of this plugin whose work is a graph: what PD_BUILD_OP's functions have in common.
//
//   CustomOp g_twice("twice");
//
//   std::vector<Tensor> twice(const Tensor& x) {
//     return graph_op(g_twice, x, [&](GraphOp& op) {
//       const Value value = op.input(x);
//       op.output(op.record.graph.addition(value, value));
//     });
//   }
#pragma once

#include <vector>

#include "paddle/phi/api/ext/op_meta_info.h"
#include "plugin/core/check.h"
#include "plugin/paddle/op_counts.h"
#include "plugin/paddle/recorder.h"

namespace mps::paddle {

// What an op is called in profiles, messages and fallback_report(), which counts its calls by the dtype of the tensor
// that says where it runs. Static: the list of counters is complete before any thread runs.
struct CustomOp {
  explicit CustomOp(const char* op_name) : name(op_name), counter(op_name) {}

  const char* const name;
  OpCounter counter;
};

class GraphOp {
 public:
  explicit GraphOp(const phi::CustomContext& ctx) : record(ctx) {}

  Recorder record;

  // A dense tensor on the device of the op; the second one under another shape.
  Value input(const ::paddle::Tensor& tensor);
  Value input(const ::paddle::Tensor& tensor, Dims shape);
  // The op's next result; of the value's own shape, or of another one with as many elements.
  void output(Value value);
  void output(Value value, Dims shape);

 private:
  friend std::vector<::paddle::Tensor> run_graph_op(const char*, const ::paddle::Tensor&, void (*)(void*, GraphOp&),
                                                    void*);
  std::vector<::paddle::Tensor> results_;
};

// Ops on rows see x [.., K] as [M, K], and give [.., N].
Shape rows_of(const ::paddle::Tensor& x);
Shape with_last(const ::paddle::Tensor& x, int64_t last);

std::vector<::paddle::Tensor> run_graph_op(const char* name, const ::paddle::Tensor& on,
                                           void (*body)(void* context, GraphOp& op), void* context);

// Runs `body` to record the graph and launches it on the device of the tensor `on`. Errors become Paddle's. An op of
// several graphs is counted with the first.
template <typename F>
std::vector<::paddle::Tensor> graph_op(CustomOp& custom_op, const ::paddle::Tensor& on, F&& body, bool first = true) {
  if (first) custom_op.counter.count(on.dtype());
  return run_graph_op(
      custom_op.name, on, [](void* context, GraphOp& op) { (*static_cast<std::remove_reference_t<F>*>(context))(op); },
      &body);
}

}  // namespace mps::paddle
