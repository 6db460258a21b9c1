// einsum of one or two tensors, and its gradient; Paddle's Python breaks longer sums into these.
#include "kernels/graphs/einsum.h"

#include <string>

#include "paddle/phi/kernels/einsum_grad_kernel.h"
#include "paddle/phi/kernels/einsum_kernel.h"
#include "plugin/core/check.h"
#include "plugin/paddle/recorder.h"
#include "plugin/paddle/register.h"

namespace mps::paddle {
namespace {

using graphs::Labels;
using graphs::Term;
using phi::CustomContext;
using phi::DenseTensor;
using Tensors = std::vector<const DenseTensor*>;

struct Equation {
  std::vector<Labels> in;
  Labels out;
};

// Axes that "..." stands for have names of their own, counted from the last.
constexpr int kFirstUnnamed = 1000;

Labels labels_of(const std::string& text, size_t rank) {
  Labels labels;
  const size_t dots = text.find("...");
  const size_t named = dots == std::string::npos ? text.size() : text.size() - 3;
  const bool fits = dots == std::string::npos ? named == rank : named <= rank;
  MPS_CHECK(fits, kArgument, "bad equation of einsum: expected a name for each of ", rank, " axes, got \"", text,
            "\".");
  for (size_t i = 0; i < text.size(); ++i) {
    if (i == dots) {
      for (size_t left = rank - named; left > 0; --left) labels.push_back(kFirstUnnamed + static_cast<int>(left));
      i += 2;
    } else {
      labels.push_back(text[i]);
    }
  }
  return labels;
}

// Without an arrow the result has what is named once, in alphabetical order, behind what "..." stands for.
Labels implied_result(const std::vector<Labels>& in) {
  std::map<int, int> counts;
  for (const Labels& labels : in) {
    for (int label : labels) ++counts[label];
  }
  Labels unnamed, named;
  for (const auto& [label, count] : counts) {
    if (label > kFirstUnnamed) {
      unnamed.insert(unnamed.begin(), label);
    } else if (count == 1) {
      named.push_back(label);
    }
  }
  unnamed.insert(unnamed.end(), named.begin(), named.end());
  return unnamed;
}

Equation parsed(std::string text, const Tensors& x, size_t out_rank) {
  text.erase(std::remove(text.begin(), text.end(), ' '), text.end());
  const size_t arrow = text.find("->");
  const std::string left = text.substr(0, arrow);
  Equation equation;
  size_t begin = 0;
  for (const DenseTensor* each : x) {
    const size_t end = std::min(left.find(',', begin), left.size());
    equation.in.push_back(labels_of(left.substr(begin, end - begin), dims_of(*each).size()));
    begin = end + 1;
  }
  MPS_CHECK(!x.empty() && x.size() <= 2 && begin == left.size() + 1, kArgument,
            "bad equation of einsum: expected one or two operands as in the equation, got ", x.size(), " for \"", text,
            "\".");
  equation.out = arrow == std::string::npos ? implied_result(equation.in) : labels_of(text.substr(arrow + 2), out_rank);
  return equation;
}

Term term(Recorder& record, const DenseTensor& x, const Labels& labels) {
  return graphs::with_names_once(record.graph, {record.input(x), labels});
}

void einsum(const CustomContext& ctx, const Tensors& x, const std::string& text, DenseTensor* out,
            std::vector<DenseTensor*> cache, std::vector<DenseTensor*>) {
  const Equation equation = parsed(text, x, dims_of(*out).size());
  Recorder record(ctx);
  Graph& g = record.graph;
  Term result = term(record, *x[0], equation.in[0]);
  result = x.size() == 1 ? graphs::summed_to(g, result, equation.out, {})
                         : graphs::contracted(g, result, term(record, *x[1], equation.in[1]), equation.out);
  record.output(out, g.cast(graphs::in_order(g, result, equation.out), dtype_of(*out)));
  // The gradient gets the operands from here. It is a copy because what they lie in may be written to before.
  for (size_t i = 0; i < std::min(x.size(), cache.size()); ++i) {
    if (cache[i] == nullptr) continue;
    cache[i]->set_meta(x[i]->meta());
    record.output(cache[i], record.input(*x[i]));
  }
  record.launch();
}

// The gradient of one operand is the incoming one times the other operand, summed over what this one does not name.
void einsum_grad(const CustomContext& ctx, const Tensors& shapes, const Tensors& x, const DenseTensor& dout,
                 const std::string& text, std::vector<DenseTensor*> dx) {
  const Equation equation = parsed(text, shapes, dims_of(dout).size());
  Recorder record(ctx);
  Graph& g = record.graph;
  for (size_t i = 0; i < dx.size(); ++i) {
    if (dx[i] == nullptr) continue;
    const Labels& labels = equation.in[i];
    const Shape shape(dims_of(*dx[i]));
    Labels once;  // the names of the operand, and the sizes behind them
    Shape sizes;
    for (size_t axis = 0; axis < labels.size(); ++axis) {
      if (graphs::contains(once, labels[axis])) continue;
      once.push_back(labels[axis]);
      sizes.push_back(shape[axis]);
    }
    // What is summed afterwards is not to be rounded before.
    bool sums = false;
    const auto look_for_longer = [&](const Labels& names, Dims dims) {
      for (size_t axis = 0; axis < names.size(); ++axis) {
        const auto found = std::find(once.begin(), once.end(), names[axis]);
        if (found != once.end()) sums = sums || sizes[static_cast<size_t>(found - once.begin())] < dims[axis];
      }
    };
    look_for_longer(equation.out, dims_of(dout));
    if (shapes.size() == 2) look_for_longer(equation.in[1 - i], dims_of(*shapes[1 - i]));
    const DType compute = sums ? graphs::compute_dtype(dtype_of(dout)) : dtype_of(dout);
    const Term gradient{g.cast(record.input(dout), compute), equation.out};
    const Term part = shapes.size() == 1
                          ? graphs::summed_to(g, gradient, once, {})
                          : graphs::contracted(g, gradient, term(record, *x[1 - i], equation.in[1 - i]), once);
    Labels found;
    Shape stretched;
    for (size_t axis = 0; axis < once.size(); ++axis) {
      const bool is_there = graphs::contains(part.labels, once[axis]);
      if (is_there) found.push_back(once[axis]);
      stretched.push_back(is_there ? -1 : 1);
    }
    Value value = graphs::in_order(g, part, found);
    size_t next = 0;
    for (int64_t& size : stretched) size = size == 1 ? 1 : g.shape(value)[next++];
    // What was stretched is summed, and what was summed alone is stretched.
    value = g.reshape(value, stretched);
    Shape narrow = stretched;
    for (size_t axis = 0; axis < once.size(); ++axis) narrow[axis] = sizes[axis] == 1 ? 1 : stretched[axis];
    value = g.broadcast(graphs::sum_to_shape(g, value, narrow), sizes);
    value = graphs::on_diagonals(g, {value, once}, labels, shape);
    record.output(dx[i], g.cast(value, dtype_of(*dx[i])));
  }
  record.launch();
}

}  // namespace

MPS_KERNEL(einsum, phi::EinsumKernel, einsum, kFloats)
MPS_KERNEL_KEYED(einsum_grad, phi::EinsumGradKernel, einsum_grad, kFloats, 2)

}  // namespace mps::paddle
