// Rows that go to other rows, where they are combined: segment_pool, and the messages along the edges of graphs
// (send_u_recv, send_ue_recv, send_uv).
#include <string>
#include <vector>

#include "kernels/graphs/lines.h"
#include "paddle/phi/kernels/segment_pool_grad_kernel.h"
#include "paddle/phi/kernels/segment_pool_kernel.h"
#include "paddle/phi/kernels/send_u_recv_grad_kernel.h"
#include "paddle/phi/kernels/send_u_recv_kernel.h"
#include "paddle/phi/kernels/send_ue_recv_grad_kernel.h"
#include "paddle/phi/kernels/send_ue_recv_kernel.h"
#include "paddle/phi/kernels/send_uv_grad_kernel.h"
#include "paddle/phi/kernels/send_uv_kernel.h"
#include "plugin/core/check.h"
#include "plugin/paddle/host_value.h"
#include "plugin/paddle/recorder.h"
#include "plugin/paddle/register.h"

namespace mps::paddle {
namespace {

using phi::CustomContext;
using phi::DenseTensor;
using OptionalTensor = ::paddle::optional<DenseTensor>;

enum class Combine { kSum, kMean, kMinimum, kMaximum };

Combine combine_of(const std::string& name) {
  if (name == "SUM") return Combine::kSum;
  if (name == "MEAN") return Combine::kMean;
  if (name == "MIN") return Combine::kMinimum;
  if (name == "MAX") return Combine::kMaximum;
  MPS_THROW(kArgument, "bad reduction: expected SUM, MEAN, MIN or MAX, got ", name, ".");
}

bool is_product(const std::string& message) {
  MPS_CHECK(message == "ADD" || message == "MUL", kArgument, "bad message: expected ADD or MUL, got ", message, ".");
  return message == "MUL";
}

Value in_computation(Recorder& record, const DenseTensor& tensor) {
  return record.graph.cast(record.input(tensor), graphs::compute_dtype(dtype_of(tensor)));
}

void write(Recorder& record, DenseTensor* out, Value value) {
  record.output(out, record.graph.cast(record.graph.reshape(value, dims_of(*out)), dtype_of(*out)));
}

void resize(DenseTensor* out, const Shape& shape) {
  out->Resize(phi::make_ddim(std::vector<int64_t>(shape.begin(), shape.end())));
}

Shape first_axis(Dims shape, int64_t size) { return graphs::with_axis(shape, 0, size); }

// How many messages each of `rows` rows gets, but at least 1: [rows, 1 ..].
Value counts(Graph& g, Value to, int64_t rows, DType dtype, size_t rank) {
  Shape one;
  one.resize(rank, 1);
  const Value ones = g.constant(1, dtype, first_axis(one, g.elements(to)));
  const Value none = graphs::zeros(g, dtype, first_axis(one, rows));
  const Value found = graphs::put(g, ScatterMode::kAdd, none, 0, to, ones);
  return g.maximum(found, graphs::number(g, found, 1));
}

// What `rows` rows are made of the messages [messages, ..] sent to them; 0 where there are none.
Value combined(Graph& g, Value messages, Value to, int64_t rows, Combine how) {
  const DType dtype = g.dtype(messages);
  const Value none = graphs::zeros(g, dtype, first_axis(g.shape(messages), rows));
  if (how == Combine::kSum || how == Combine::kMean) {
    const Value sum = graphs::put(g, ScatterMode::kAdd, none, 0, to, messages);
    if (how == Combine::kSum) return sum;
    return g.division(sum, counts(g, to, rows, dtype, g.shape(messages).size()));
  }
  const Value any = graphs::put(g, ScatterMode::kSet, none, 0, to, messages);
  const ScatterMode mode = how == Combine::kMinimum ? ScatterMode::kMinimum : ScatterMode::kMaximum;
  return graphs::put(g, mode, any, 0, to, messages);
}

// What of `dout` belongs to each message. `out` and `messages` are asked for extremes alone: all that are equal to the
// extreme get the whole.
template <typename Messages>
Value shared_out(Graph& g, Value dout, Value to, Combine how, Recorder& record, const DenseTensor* out,
                 const Messages& messages) {
  if (how == Combine::kMean) {
    dout = g.division(dout, counts(g, to, g.shape(dout)[0], g.dtype(dout), g.shape(dout).size()));
  }
  const Value each = graphs::take(g, dout, 0, to);
  if (how == Combine::kSum || how == Combine::kMean) return each;
  MPS_CHECK(out != nullptr, kArgument, "no result: expected that of MIN or MAX for its gradient, got none.");
  // What is compared has been rounded to the dtype of the result.
  const DType dtype = dtype_of(*out);
  const Value best = graphs::take(g, record.input(*out), 0, to);
  return g.select(g.equal(g.cast(messages(), dtype), best), each, graphs::number(g, each, 0));
}

bool write_nothing(Recorder& record, DenseTensor* out, bool is_empty) {
  if (out == nullptr || !is_empty) return out == nullptr;
  record.output(out, graphs::zeros(record.graph, dtype_of(*out), dims_of(*out)));
  return true;
}

// -- segment_pool: rows of one number follow each other
// --------------------------------------------------------------------------------------------------------

int64_t segments_of(const CustomContext& ctx, const DenseTensor& ids) {
  const int64_t count = ids.numel();
  MPS_CHECK(count > 0, kArgument, "no segments: expected one id or more, got none.");
  DenseTensor last(std::shared_ptr<phi::Allocation>(), phi::DenseTensorMeta(ids.dtype(), phi::make_ddim({1})));
  Recorder record(ctx);
  record.output(&last, graphs::slice_axis(record.graph, record.input(ids, {count}), 0, count - 1, 1));
  record.launch();
  return host_value(ctx, last).to_int64() + 1;
}

void segment_pool(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& ids, const std::string& type,
                  DenseTensor* out, DenseTensor* summed_ids) {
  const Combine how = combine_of(type);
  const int64_t rows = segments_of(ctx, ids);
  resize(out, first_axis(dims_of(x), rows));
  Recorder record(ctx);
  Graph& g = record.graph;
  if (!write_nothing(record, out, out->numel() == 0)) {
    write(record, out, combined(g, in_computation(record, x), record.input(ids), rows, how));
  }
  if (summed_ids != nullptr && how == Combine::kMean) {
    summed_ids->Resize(phi::make_ddim({rows, 1}));
    write(record, summed_ids, counts(g, record.input(ids), rows, graphs::compute_dtype(dtype_of(x)), 2));
  }
  record.launch();
}

void segment_pool_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& ids, const DenseTensor& out,
                       const OptionalTensor&, const DenseTensor& dout, const std::string& type, DenseTensor* dx) {
  Recorder record(ctx);
  if (!write_nothing(record, dx, dout.numel() == 0)) {
    const auto messages = [&] { return record.input(x); };
    write(record, dx,
          shared_out(record.graph, in_computation(record, dout), record.input(ids), combine_of(type), record, &out,
                     messages));
  }
  record.launch();
}

// -- send_u_recv, send_ue_recv: edges from rows of x
// --------------------------------------------------------------------------------------------------------

// Sets the number of rows, those of x unless another is given.
void resize_rows(DenseTensor* out, Dims features, const phi::IntArray& size, int64_t rows) {
  const int64_t given = size.GetData().empty() ? 0 : size[0];
  resize(out, first_axis(features, given > 0 ? given : rows));
}

void write_counts(Recorder& record, DenseTensor* count, Value to, int64_t rows, Combine how) {
  if (count == nullptr || how != Combine::kMean) return;
  count->Resize(phi::make_ddim({rows}));
  write(record, count, counts(record.graph, to, rows, DType::int32, 1));
}

void send_u_recv(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& from, const DenseTensor& to,
                 const std::string& reduction, const phi::IntArray& size, DenseTensor* out, DenseTensor* count) {
  const Combine how = combine_of(reduction);
  resize_rows(out, dims_of(x), size, dims_of(x)[0]);
  Recorder record(ctx);
  Graph& g = record.graph;
  if (!write_nothing(record, out, out->numel() == 0 || to.numel() == 0)) {
    const Value messages = graphs::take(g, in_computation(record, x), 0, record.input(from));
    write(record, out, combined(g, messages, record.input(to), dims_of(*out)[0], how));
    write_counts(record, count, record.input(to), dims_of(*out)[0], how);
  }
  record.launch();
}

void send_u_recv_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& from, const DenseTensor& to,
                      const OptionalTensor& out, const OptionalTensor&, const DenseTensor& dout,
                      const std::string& reduction, DenseTensor* dx) {
  Recorder record(ctx);
  Graph& g = record.graph;
  if (!write_nothing(record, dx, dout.numel() == 0 || to.numel() == 0 || x.numel() == 0)) {
    const Value source = record.input(from), gradient = in_computation(record, dout);
    const auto messages = [&] { return graphs::take(g, record.input(x), 0, source); };
    const Value each =
        shared_out(g, gradient, record.input(to), combine_of(reduction), record, out.get_ptr(), messages);
    const Value none = graphs::zeros(g, g.dtype(each), dims_of(x));
    write(record, dx, graphs::put(g, ScatterMode::kAdd, none, 0, source, each));
  }
  record.launch();
}

void send_ue_recv(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& y, const DenseTensor& from,
                  const DenseTensor& to, const std::string& message, const std::string& reduction,
                  const phi::IntArray& size, DenseTensor* out, DenseTensor* count) {
  const Combine how = combine_of(reduction);
  const bool is_mul = is_product(message);
  const Shape edges = broadcast_shapes(first_axis(dims_of(x), dims_of(y)[0]), dims_of(y));
  resize_rows(out, edges, size, dims_of(x)[0]);
  Recorder record(ctx);
  Graph& g = record.graph;
  if (!write_nothing(record, out, out->numel() == 0 || to.numel() == 0)) {
    const Value sent = graphs::take(g, in_computation(record, x), 0, record.input(from));
    const Value edge = in_computation(record, y);
    const Value messages = is_mul ? g.multiplication(sent, edge) : g.addition(sent, edge);
    write(record, out, combined(g, messages, record.input(to), dims_of(*out)[0], how));
    write_counts(record, count, record.input(to), dims_of(*out)[0], how);
  }
  record.launch();
}

void send_ue_recv_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& y, const DenseTensor& from,
                       const DenseTensor& to, const OptionalTensor& out, const OptionalTensor&, const DenseTensor& dout,
                       const std::string& message, const std::string& reduction, DenseTensor* dx, DenseTensor* dy) {
  const bool is_mul = is_product(message);
  Recorder record(ctx);
  Graph& g = record.graph;
  const bool is_empty = dout.numel() == 0 || to.numel() == 0 || x.numel() == 0;
  const bool has_dx = !write_nothing(record, dx, is_empty), has_dy = !write_nothing(record, dy, is_empty);
  if (has_dx || has_dy) {
    const Value source = record.input(from), edge = in_computation(record, y);
    const Value sent = graphs::take(g, in_computation(record, x), 0, source);
    const auto messages = [&] { return is_mul ? g.multiplication(sent, edge) : g.addition(sent, edge); };
    const Value gradient = in_computation(record, dout);
    const Value each =
        shared_out(g, gradient, record.input(to), combine_of(reduction), record, out.get_ptr(), messages);
    if (has_dx) {
      const Value along = graphs::sum_to_shape(g, is_mul ? g.multiplication(each, edge) : each, Shape(g.shape(sent)));
      const Value none = graphs::zeros(g, g.dtype(along), dims_of(x));
      write(record, dx, graphs::put(g, ScatterMode::kAdd, none, 0, source, along));
    }
    if (has_dy) {
      write(record, dy, graphs::sum_to_shape(g, is_mul ? g.multiplication(each, sent) : each, dims_of(y)));
    }
  }
  record.launch();
}

// -- send_uv: a message for each edge, of both its ends
// --------------------------------------------------------------------------------------------------------

void send_uv(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& y, const DenseTensor& from,
             const DenseTensor& to, const std::string& message, DenseTensor* out) {
  const bool is_mul = is_product(message);
  Recorder record(ctx);
  Graph& g = record.graph;
  if (!write_nothing(record, out, out->numel() == 0)) {
    const Value first = graphs::take(g, in_computation(record, x), 0, record.input(from));
    const Value second = graphs::take(g, in_computation(record, y), 0, record.input(to));
    write(record, out, is_mul ? g.multiplication(first, second) : g.addition(first, second));
  }
  record.launch();
}

void send_uv_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& y, const DenseTensor& from,
                  const DenseTensor& to, const DenseTensor& dout, const std::string& message, DenseTensor* dx,
                  DenseTensor* dy) {
  const bool is_mul = is_product(message);
  Recorder record(ctx);
  Graph& g = record.graph;
  const auto write_end = [&](DenseTensor* out, const DenseTensor& end, const DenseTensor& places,
                             const DenseTensor& other, const DenseTensor& other_places) {
    if (write_nothing(record, out, dout.numel() == 0)) return;
    Value each = in_computation(record, dout);
    if (is_mul) {
      each = g.multiplication(each, graphs::take(g, in_computation(record, other), 0, record.input(other_places)));
    }
    const Value along = graphs::sum_to_shape(g, each, first_axis(dims_of(end), places.numel()));
    const Value none = graphs::zeros(g, g.dtype(along), dims_of(end));
    write(record, out, graphs::put(g, ScatterMode::kAdd, none, 0, record.input(places), along));
  };
  write_end(dx, x, from, y, to);
  write_end(dy, y, to, x, from);
  record.launch();
}

void give_counts(const phi::KernelKey&, phi::Kernel* kernel) { kernel->OutputAt(1).SetDataType(phi::DataType::INT32); }

}  // namespace

MPS_KERNEL(segment_pool, phi::SegmentPoolKernel, segment_pool, kFloatsAndInts)
MPS_KERNEL(segment_pool_grad, phi::SegmentPoolGradKernel, segment_pool_grad, kFloatsAndInts)
MPS_KERNEL_WITH_DEFINE(send_u_recv, phi::SendURecvKernel, send_u_recv, kFloatsAndInts, give_counts)
MPS_KERNEL(send_u_recv_grad, phi::SendURecvGradKernel, send_u_recv_grad, kFloatsAndInts)
MPS_KERNEL_WITH_DEFINE(send_ue_recv, phi::SendUERecvKernel, send_ue_recv, kFloatsAndInts, give_counts)
MPS_KERNEL(send_ue_recv_grad, phi::SendUERecvGradKernel, send_ue_recv_grad, kFloatsAndInts)
MPS_KERNEL(send_uv, phi::SendUVKernel, send_uv, kFloatsAndInts)
MPS_KERNEL(send_uv_grad, phi::SendUVGradKernel, send_uv_grad, kFloatsAndInts)

}  // namespace mps::paddle
