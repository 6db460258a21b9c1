// Of boxes that overlap, the first: what greedy suppression keeps, of one class.
#include "kernels/graphs/lines.h"
#include "kernels/ops/masked.h"
#include "kernels/ops/suppression.h"
#include "kernels/ops/temporary.h"
#include "paddle/phi/kernels/nms_kernel.h"
#include "plugin/paddle/recorder.h"
#include "plugin/paddle/register.h"

namespace mps::paddle {
namespace {

using phi::CustomContext;
using phi::DenseTensor;

// Whether the box of a column suppresses that of a row, if it stays: bool [N, N].
Value suppresses(Graph& g, Value boxes, float threshold) {
  const int64_t count = g.shape(boxes)[0];
  const auto edge = [&](int64_t column, bool of_rows) {
    const Value line = graphs::slice_axis(g, boxes, 1, column, 1);
    return g.reshape(line, of_rows ? Shape{count, 1} : Shape{1, count});
  };
  const auto area = [&](bool of_rows) {
    return g.multiplication(g.subtraction(edge(2, of_rows), edge(0, of_rows)),
                            g.subtraction(edge(3, of_rows), edge(1, of_rows)));
  };
  Value both{};
  for (int64_t axis = 0; axis < 2; ++axis) {
    const Value low = g.maximum(edge(axis, true), edge(axis, false));
    const Value length = g.subtraction(g.minimum(edge(axis + 2, true), edge(axis + 2, false)), low);
    const Value bounded = g.maximum(length, graphs::number(g, length, 0));
    both = axis == 0 ? bounded : g.multiplication(both, bounded);
  }
  const Value either = g.subtraction(g.addition(area(true), area(false)), both);
  const Value overlaps = g.greater_than(g.division(both, either), g.constant(threshold, DType::float32));
  const Value before = g.less_than(g.coordinate({1, count}, 1), g.coordinate({count, 1}, 0));
  return g.multiplication(overlaps, before);
}

void nms(const CustomContext& ctx, const DenseTensor& boxes, float threshold, DenseTensor* out) {
  const int64_t count = dims_of(boxes)[0];
  DenseTensor stays = temporary(DType::bool_, {1, count});
  if (count != 0) {
    DenseTensor over = temporary(DType::bool_, {1, count, count});
    Recorder record(ctx);
    Graph& g = record.graph;
    record.output(&over, suppresses(g, g.cast(record.input(boxes), DType::float32), threshold));
    record.output(&stays, g.constant(true, DType::bool_, {1, count}));
    record.launch();
    stays = keep_greedily(ctx, over, stays);
  }
  stays.Resize(phi::make_ddim({count}));
  DenseTensor found = temporary(DType::int64, {0, 1});
  nonzero(ctx, stays, &found);
  out->Resize(phi::make_ddim({dims_of(found)[0]}));
  Recorder record(ctx);
  record.output(out, found.numel() == 0 ? graphs::zeros(record.graph, DType::int64, {0})
                                        : record.input(found, {dims_of(found)[0]}));
  record.launch();
}

void give_positions(const phi::KernelKey&, phi::Kernel* kernel) {
  kernel->OutputAt(0).SetDataType(phi::DataType::INT64);
}

}  // namespace

MPS_KERNEL_WITH_DEFINE(nms, phi::NMSKernel, nms, kFloat32, give_positions)

}  // namespace mps::paddle
