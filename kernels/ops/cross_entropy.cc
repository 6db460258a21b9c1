// cross_entropy_with_softmax and its gradient. Of hard labels, one class each, the loss is the class's -log p; of soft
// ones the mean of it over their distribution.
#include "kernels/graphs/softmax.h"
#include "kernels/ops/wide.h"
#include "paddle/phi/kernels/cross_entropy_grad_kernel.h"
#include "paddle/phi/kernels/cross_entropy_kernel.h"
#include "plugin/paddle/register.h"

namespace mps::paddle {
namespace {

using graphs::number;
using phi::CustomContext;
using phi::DenseTensor;

// [before, classes, behind], with one label for each [before, behind].
struct Classes {
  Shape all, one;
};

Classes classes_of(const DenseTensor& x, int axis) {
  Shape shape(dims_of(x));
  if (shape.empty()) shape.push_back(1);
  const Shape all = graphs::around(shape, static_cast<size_t>(normalize_axis(axis, shape.size())));
  return {all, graphs::with_axis(all, 1, 1)};
}

// 1 at the label's class and 0 elsewhere, as bool; nothing at labels to ignore.
Value is_class(Recorder& record, const DenseTensor& label, const Classes& classes, int ignored) {
  Graph& g = record.graph;
  const Value named = g.cast(record.input(label, classes.one), DType::int64);
  const Value at = g.equal(g.cast(g.coordinate(classes.all, 1), DType::int64), named);
  return g.multiplication(at, g.not_equal(named, number(g, named, ignored)));
}

void cross_entropy(const CustomContext& ctx, const DenseTensor& logits, const DenseTensor& label, bool soft_label,
                   bool use_softmax, bool, int ignore_index, int axis, DenseTensor* softmax, DenseTensor* loss) {
  const Classes classes = classes_of(logits, axis);
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value x = wide(record, logits, classes.all);
  Value part = x, log_part;
  if (use_softmax) {
    const graphs::Softmax parts = graphs::softmax_parts(g, x, {1});
    part = g.division(parts.part, parts.sum);
    log_part = g.subtraction(parts.shifted, g.logarithm(parts.sum));
  } else {
    // Paddle counts the logarithm of 0 as -1e20.
    log_part = g.maximum(g.logarithm(x), number(g, x, -1e20));
  }
  const Value nothing = number(g, x, 0);
  Value terms;
  if (soft_label) {
    const Value weight = wide(record, label, classes.all);
    terms = g.select(g.equal(weight, nothing), nothing, g.multiplication(weight, log_part));
  } else {
    terms = g.select(is_class(record, label, classes, ignore_index), log_part, nothing);
  }
  write(record, softmax, part);
  write(record, loss, g.negative(g.reduction_sum(terms, {1})));
  record.launch();
}

void cross_entropy_grad(const CustomContext& ctx, const DenseTensor& label, const DenseTensor& softmax,
                        const DenseTensor& dloss, bool soft_label, bool use_softmax, bool, int ignore_index, int axis,
                        DenseTensor* dlogits) {
  if (dlogits == nullptr) return;
  const Classes classes = classes_of(softmax, axis);
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value part = wide(record, softmax, classes.all), dy = wide(record, dloss, classes.one);
  const Value nothing = number(g, part, 0);
  Value slope;
  if (soft_label) {
    const Value weight = wide(record, label, classes.all);
    slope = use_softmax ? g.subtraction(part, weight) : g.negative(g.division(weight, part));
  } else {
    const Value at = is_class(record, label, classes, ignore_index);
    if (use_softmax) {
      const Value named = g.cast(record.input(label, classes.one), DType::int64);
      const Value counts = g.not_equal(named, number(g, named, ignore_index));
      slope = g.select(counts, g.subtraction(part, g.cast(at, DType::float32)), nothing);
    } else {
      slope = g.select(at, g.negative(g.reciprocal(part)), nothing);
    }
  }
  write(record, dlogits, g.multiplication(slope, dy));
  record.launch();
}

}  // namespace

MPS_KERNEL(cross_entropy_with_softmax, phi::CrossEntropyWithSoftmaxKernel, cross_entropy, kFloats)
MPS_KERNEL_KEYED(cross_entropy_with_softmax_grad, phi::CrossEntropyWithSoftmaxGradKernel, cross_entropy_grad, kFloats,
                 1)

}  // namespace mps::paddle
