// accuracy: how often a label is among the classes that a model thinks of first.
#include "kernels/graphs/lines.h"
#include "kernels/ops/wide.h"
#include "paddle/phi/kernels/accuracy_kernel.h"
#include "plugin/core/check.h"
#include "plugin/paddle/register.h"

namespace mps::paddle {
namespace {

using phi::CustomContext;
using phi::DenseTensor;

// `indices` [rows, k] are the classes of the k highest scores, `label` [rows, 1] the right ones.
void accuracy(const CustomContext& ctx, const DenseTensor&, const DenseTensor& indices, const DenseTensor& label,
              DenseTensor* rate, DenseTensor* correct, DenseTensor* total) {
  const Dims shape = dims_of(indices);
  MPS_CHECK(shape.size() == 2 && element_count(dims_of(label)) == shape[0], kArgument,
            "shapes do not fit: expected indices [rows, k] and label [rows, 1], got ", to_string(shape), " and ",
            to_string(dims_of(label)), ".");
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value labels = g.cast(record.input(label, {shape[0], 1}), dtype_of(indices));
  const Value hits = g.cast(g.equal(record.input(indices), labels), DType::int32);
  const Value found = g.reduction(NodeKind::reduction_maximum, hits, {1});
  const Value count = g.reduction_sum(found, {0}), all = g.constant(shape[0], DType::int32, {1});
  const Value share = g.division(g.cast(count, DType::float32), g.cast(all, DType::float32));
  write(record, rate, shape[0] == 0 ? g.constant(0, DType::float32, {1}) : share);
  // Paddle's shape rules give these two the dtype of the scores.
  record.output(ctx.Alloc(correct, phi::DataType::INT32), count);
  record.output(ctx.Alloc(total, phi::DataType::INT32), all);
  record.launch();
}

void give_counts(const phi::KernelKey&, phi::Kernel* kernel) {
  kernel->OutputAt(1).SetDataType(phi::DataType::INT32);
  kernel->OutputAt(2).SetDataType(phi::DataType::INT32);
}

}  // namespace

MPS_KERNEL_WITH_DEFINE(accuracy, phi::AccuracyKernel, accuracy, kFloats, give_counts)

}  // namespace mps::paddle
