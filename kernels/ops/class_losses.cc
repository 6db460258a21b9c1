// Losses of many classes: margin_cross_entropy, of faces, and hsigmoid_loss, which goes down a tree.
#include <vector>

#include "kernels/graphs/lines.h"
#include "kernels/ops/wide.h"
#include "paddle/phi/kernels/hsigmoid_loss_grad_kernel.h"
#include "paddle/phi/kernels/hsigmoid_loss_kernel.h"
#include "paddle/phi/kernels/margin_cross_entropy_grad_kernel.h"
#include "paddle/phi/kernels/margin_cross_entropy_kernel.h"
#include "plugin/core/check.h"
#include "plugin/paddle/register.h"

namespace mps::paddle {
namespace {

using phi::CustomContext;
using phi::DenseTensor;
using OptionalTensor = ::paddle::optional<DenseTensor>;

// -- margin_cross_entropy (Deng et al., "ArcFace: additive angular margin loss for deep face recognition", 2019)
// --------------------------------------------------------------------------------------------------------

// Of the class of a row the cosine c of an angle becomes cos(by * angle + more) - off.
struct Margin {
  double by, more, off;
  bool turns() const { return by != 1 || more != 0; }
};

struct Cosines {
  Cosines(Recorder& record, const DenseTensor& logits, const DenseTensor& label, int nranks) : g(record.graph) {
    const Dims shape = dims_of(logits);
    MPS_CHECK(shape.size() == 2, kArgument, "bad rank of logits: expected 2, got ", shape.size(), ".");
    MPS_CHECK(nranks == 1, kUnsupported, "classes are not spread over devices: expected 1 rank, got ", nranks, ".");
    all = wide(record, logits);
    const Value wanted = g.cast(record.input(label, {shape[0], 1}), DType::int32);
    is_class = g.equal(g.coordinate({1, shape[1]}, 1), wanted);
  }
  Value number(double value) const { return g.constant(value, DType::float32); }
  Value angle(const Margin& margin) const {
    return g.addition(g.multiplication(g.acos(all), number(margin.by)), number(margin.more));
  }

  Graph& g;
  Value all{}, is_class{};
};

void margin_cross_entropy(const CustomContext& ctx, const DenseTensor& logits, const DenseTensor& label, bool, int, int,
                          int nranks, float by, float more, float off, float scale, DenseTensor* softmax,
                          DenseTensor* loss) {
  const Margin margin{static_cast<double>(by), static_cast<double>(more), static_cast<double>(off)};
  Recorder record(ctx);
  const Cosines cosines(record, logits, label, nranks);
  Graph& g = record.graph;
  const Value turned = margin.turns() ? g.cos(cosines.angle(margin)) : cosines.all;
  const Value less = g.subtraction(turned, cosines.number(margin.off));
  const Value scores =
      g.multiplication(g.select(cosines.is_class, less, cosines.all), cosines.number(static_cast<double>(scale)));
  const Value shifted = g.subtraction(scores, g.reduction(NodeKind::reduction_maximum, scores, {1}));
  const Value parts = g.exponent(shifted), sum = g.reduction_sum(parts, {1});
  write(record, softmax, g.division(parts, sum));
  const Value own = g.reduction_sum(g.select(cosines.is_class, shifted, cosines.number(0)), {1});
  write(record, loss, g.subtraction(g.logarithm(sum), own));
  record.launch();
}

void margin_cross_entropy_grad(const CustomContext& ctx, const DenseTensor& logits, const DenseTensor& label,
                               const DenseTensor& softmax, const DenseTensor& dloss, bool, int, int, int nranks,
                               float by, float more, float off, float scale, DenseTensor* dlogits) {
  if (dlogits == nullptr) return;
  const Margin margin{static_cast<double>(by), static_cast<double>(more), static_cast<double>(off)};
  Recorder record(ctx);
  const Cosines cosines(record, logits, label, nranks);
  Graph& g = record.graph;
  const Value shares = wide(record, softmax);
  Value own = g.subtraction(shares, cosines.number(1));
  if (margin.turns()) {
    // With angle a: d cos(by a + more) / d cos(a) = by sin(by a + more) / sin(a).
    const Value root = g.square_root(g.subtraction(cosines.number(1), g.square(cosines.all)));
    const Value slope = g.division(g.multiplication(g.sin(cosines.angle(margin)), cosines.number(margin.by)), root);
    own = g.multiplication(own, slope);
  }
  const Value incoming =
      g.multiplication(wide(record, dloss, {dims_of(logits)[0], 1}), cosines.number(static_cast<double>(scale)));
  write(record, dlogits, g.multiplication(g.select(cosines.is_class, own, shares), incoming));
  record.launch();
}

// -- hsigmoid_loss (Morin and Bengio, "Hierarchical probabilistic neural network language model", 2005)
// --------------------------------------------------------------------------------------------------------

constexpr double kMost = 40;  // Paddle's end of what goes into an exponential

// From the root of a tree to each row's class: which node, -1 behind the end, and whether to the right: [rows, depth].
struct Ways {
  // Of a complete tree, whose node n has the children 2n + 1 and 2n + 2, or as a table says.
  Ways(Recorder& record, const DenseTensor& label, const OptionalTensor& path, const OptionalTensor& code, int classes)
      : g(record.graph) {
    const int64_t rows = label.numel();
    if (path) {
      MPS_CHECK(static_cast<bool>(code), kArgument, "no path_code: expected one with path_table, got none.");
      node = g.cast(record.input(*path), DType::int32);
      right = g.cast(record.input(*code), DType::float32);
    } else {
      MPS_CHECK(classes >= 2, kArgument, "bad num_classes: expected 2 or more, got ", classes, ".");
      const Value place =
          g.addition(g.cast(record.input(label, {rows, 1}), DType::int32), g.constant(classes, DType::int32));
      std::vector<Value> nodes, sides;
      for (int64_t half = 1; half <= classes - 1; half *= 2) {
        const Value below = g.division(place, g.constant(half, DType::int32));
        const Value above = g.division(place, g.constant(2 * half, DType::int32));
        nodes.push_back(g.subtraction(above, g.constant(1, DType::int32)));
        sides.push_back(g.cast(g.subtraction(below, g.addition(above, above)), DType::float32));
      }
      node = g.concatenation({nodes.data(), nodes.size()}, 1);
      right = g.concatenation({sides.data(), sides.size()}, 1);
    }
    const Value is_there = g.greater_than_or_equal_to(node, graphs::number(g, node, 0));
    right = g.select(is_there, right, graphs::number(g, right, 0));
  }
  int64_t depth() const { return g.shape(node)[1]; }

  Graph& g;
  Value node{}, right{};
};

// w's rows of all nodes of the ways, and 0 where there is none: [rows, depth, width].
Value rows_of(Recorder& record, const Ways& ways, const DenseTensor& w) {
  Graph& g = record.graph;
  const Shape shape(g.shape(ways.node));
  const int64_t width = w.numel() / dims_of(w)[0];
  return g.reshape(graphs::take(g, wide(record, w, {dims_of(w)[0], width}), 0, ways.node), {shape[0], shape[1], width});
}

// Where there is no node the softplus of 0 is part of the sum, as in Paddle.
void hsigmoid_loss(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& label, const DenseTensor& w,
                   const OptionalTensor& bias, const OptionalTensor& path, const OptionalTensor& code, int classes,
                   bool, DenseTensor* out, DenseTensor* pre_out, DenseTensor*) {
  const int64_t rows = dims_of(x)[0], width = dims_of(x)[1];
  Recorder record(ctx);
  Graph& g = record.graph;
  const Ways ways(record, label, path, code, classes);
  const Shape shape{rows, ways.depth()};
  const Value products = g.multiplication(wide(record, x, {rows, 1, width}), rows_of(record, ways, w));
  Value score = g.reshape(g.reduction_sum(products, {2}), shape);
  if (bias) score = g.addition(score, g.reshape(rows_of(record, ways, *bias), shape));
  score = g.maximum(g.minimum(score, graphs::number(g, score, kMost)), graphs::number(g, score, -kMost));
  const Value cost = g.log1p(g.exponent(score));
  write(record, out, g.reduction_sum(g.subtraction(cost, g.multiplication(ways.right, score)), {1}));
  if (pre_out != nullptr) {
    pre_out->Resize(phi::make_ddim({rows, ways.depth()}));
    write(record, pre_out, cost);
  }
  record.launch();
}

void hsigmoid_loss_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& w, const DenseTensor& label,
                        const OptionalTensor& path, const OptionalTensor& code, const OptionalTensor& bias,
                        const DenseTensor& pre_out, const DenseTensor& dout, int classes, bool is_sparse,
                        DenseTensor* dx, DenseTensor* dw, DenseTensor* dbias) {
  MPS_CHECK(!is_sparse, kUnsupported, "no sparse gradient: expected is_sparse=False, got True.");
  const int64_t rows = dims_of(x)[0], width = dims_of(x)[1];
  Recorder record(ctx);
  Graph& g = record.graph;
  const Ways ways(record, label, path, code, classes);
  const int64_t depth = ways.depth();
  // Of a cost log(1 + e^s) the slope is 1 - e^-cost.
  const Value slope = g.negative(g.expm1(g.negative(wide(record, pre_out))));
  const Value each = g.multiplication(g.subtraction(slope, ways.right), wide(record, dout, {rows, 1}));
  const Value column = g.reshape(each, {rows, depth, 1});
  if (dx != nullptr) write(record, dx, g.reduction_sum(g.multiplication(column, rows_of(record, ways, w)), {1}));
  if (dw != nullptr) {
    const Value products = g.multiplication(column, wide(record, x, {rows, 1, width}));
    const Value none = graphs::zeros(g, DType::float32, dims_of(*dw));
    write(record, dw,
          graphs::put(g, ScatterMode::kAdd, none, 0, ways.node, g.reshape(products, {rows * depth, width})));
  }
  if (dbias != nullptr && bias) {
    const Value none = graphs::zeros(g, DType::float32, {dbias->numel(), 1});
    write(record, dbias, graphs::put(g, ScatterMode::kAdd, none, 0, ways.node, g.reshape(each, {rows * depth, 1})));
  }
  record.launch();
}

}  // namespace

MPS_KERNEL(margin_cross_entropy, phi::MarginCrossEntropyKernel, margin_cross_entropy, kFloats)
MPS_KERNEL(margin_cross_entropy_grad, phi::MarginCrossEntropyGradKernel, margin_cross_entropy_grad, kFloats)
MPS_KERNEL(hsigmoid_loss, phi::HSigmoidLossKernel, hsigmoid_loss, kFloats)
MPS_KERNEL(hsigmoid_loss_grad, phi::HSigmoidLossGradKernel, hsigmoid_loss_grad, kFloats)

}  // namespace mps::paddle
