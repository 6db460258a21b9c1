// cross_entropy_with_softmax and its gradient. Of hard labels, one class each, the loss is the class's -log p; of soft
// ones the mean of it over their distribution.
#include <cmath>

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

// Hard labels as int32 [before, 1, behind], and which of them count.
struct Labels {
  Labels(Recorder& record, const DenseTensor& label, const Classes& classes, int ignored) {
    Graph& g = record.graph;
    named = g.cast(record.input(label, classes.one), DType::int32);
    counts = g.not_equal(named, number(g, named, ignored));
  }
  Value named, counts;
};

// x at the labels; NaN at a label that is no class. The device does not stop for it.
Value at_labels(Graph& g, Value x, const Labels& labels, const Classes& classes) {
  const Value first = number(g, labels.named, 0), end = number(g, labels.named, classes.all[1]);
  const Value is_class =
      g.multiplication(g.greater_than_or_equal_to(labels.named, first), g.less_than(labels.named, end));
  const Value place = g.select(is_class, labels.named, first);
  const Value found = graphs::take_at(g, x, graphs::positions_along(g, place, 1, classes.all));
  return g.select(is_class, found, number(g, found, NAN));
}

// Paddle counts the logarithm of 0 as -1e20.
Value bounded_logarithm(Graph& g, Value x) { return g.maximum(g.logarithm(x), number(g, x, -1e20)); }

void cross_entropy(const CustomContext& ctx, const DenseTensor& logits, const DenseTensor& label, bool soft_label,
                   bool use_softmax, bool, int ignore_index, int axis, DenseTensor* softmax, DenseTensor* loss) {
  const Classes classes = classes_of(logits, axis);
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value x = wide(record, logits, classes.all);
  graphs::Softmax parts;
  if (use_softmax) parts = graphs::softmax_parts(g, x, {1});
  write(record, softmax, use_softmax ? g.division(parts.part, parts.sum) : x);
  if (logits.numel() == 0) {
    write(record, loss, graphs::zeros(g, DType::float32, dims_of(*loss)));
  } else if (soft_label) {
    const Value weight = wide(record, label, classes.all), nothing = number(g, x, 0);
    const Value log_part = use_softmax ? g.subtraction(parts.shifted, g.logarithm(parts.sum)) : bounded_logarithm(g, x);
    // A weight of 0 counts for nothing, however unlikely its class.
    const Value terms = g.select(g.equal(weight, nothing), nothing, g.multiplication(weight, log_part));
    write(record, loss, g.negative(g.reduction_sum(terms, {1})));
  } else {
    const Labels labels(record, label, classes, ignore_index);
    const Value found = at_labels(g, x, labels, classes);
    const Value log_part = use_softmax ? g.subtraction(g.subtraction(found, parts.greatest), g.logarithm(parts.sum))
                                       : bounded_logarithm(g, found);
    write(record, loss, g.select(labels.counts, g.negative(log_part), number(g, log_part, 0)));
  }
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
    const Labels labels(record, label, classes, ignore_index);
    const Value at = g.equal(g.coordinate(classes.all, 1), labels.named);
    slope = use_softmax ? g.subtraction(part, g.cast(at, DType::float32))
                        : g.select(at, g.negative(g.reciprocal(part)), nothing);
    slope = g.select(labels.counts, slope, nothing);
  }
  write(record, dlogits, g.multiplication(slope, dy));
  record.launch();
}

}  // namespace

MPS_KERNEL(cross_entropy_with_softmax, phi::CrossEntropyWithSoftmaxKernel, cross_entropy, kFloats)
MPS_KERNEL_KEYED(cross_entropy_with_softmax_grad, phi::CrossEntropyWithSoftmaxGradKernel, cross_entropy_grad, kFloats,
                 1)

}  // namespace mps::paddle
