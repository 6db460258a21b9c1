// x[index] and x[index] = value, where index holds tensors: index_elementwise_get, index_elementwise_put and their
// gradients.
//
// Paddle describes what is named as a strided view: the axes that are not indexed have their strides, in elements,
// those that the indices give it have stride 0, and each index moves along an axis of the data, with a stride in bytes,
// as the offset is. The dimensions of the indexed axes come in one list with those that each index broadcasts to the
// view by: x[:, i, j] of [2, 3, 4, 5] with i of [6] and j of [7, 1] gives [3, 4, -1, 1, 7, 6, 1, -1, 1, 7, 6, 1]. What
// lies outside of an indexed axis is read as 0 and not written: the device does not stop for it.
#include "kernels/graphs/lines.h"
#include "paddle/phi/kernels/index_elementwise_get_grad_kernel.h"
#include "paddle/phi/kernels/index_elementwise_get_kernel.h"
#include "paddle/phi/kernels/index_elementwise_put_grad_kernel.h"
#include "paddle/phi/kernels/index_elementwise_put_kernel.h"
#include "plugin/core/check.h"
#include "plugin/paddle/recorder.h"
#include "plugin/paddle/register.h"
#include "plugin/paddle/scalar.h"

namespace mps::paddle {
namespace {

using graphs::number;
using phi::CustomContext;
using phi::DenseTensor;
using Indices = std::vector<const DenseTensor*>;
using Numbers = std::vector<int64_t>;

// What Paddle says of the elements that are named.
struct View {
  const Indices& indices;
  std::vector<Shape> shapes;  // of the indices, with as many axes as the view
  Shape shape;                // of what is named
  Ints strides;               // in elements
  int64_t offset;             // in elements
  Ints sizes;                 // of the indexed axes
  Ints steps;                 // their strides, in elements
};

View view_of(const DenseTensor& x, const Indices& indices, const Numbers& dims, const Numbers& strides,
             const Numbers& index_dims, const Numbers& index_strides, int64_t offset) {
  const int64_t bytes = static_cast<int64_t>(size_of(dtype_of(x)));
  View view{indices, {}, Shape(Dims(dims.data(), dims.size())), {}, offset / bytes, {}, {}};
  const size_t count = indices.size();
  MPS_CHECK(
      strides.size() == dims.size() && index_strides.size() == count && index_dims.size() == count * (2 + dims.size()),
      kInternal, "bad index: expected ", count, " sizes and shapes of ", dims.size(), " dimensions, got ",
      index_dims.size(), " numbers.");
  for (int64_t stride : strides) view.strides.push_back(stride);
  for (size_t i = 0; i < count; ++i) {
    view.sizes.push_back(index_dims[i]);
    view.steps.push_back(index_strides[i] / bytes);
    const size_t begin = count + i * (1 + dims.size()) + 1;  // behind the -1 that separates them
    view.shapes.push_back(Shape(Dims(index_dims.data() + begin, dims.size())));
  }
  return view;
}

// The last axes of the view that lie dense in the data and that no index moves along are one row. Returns how many axes
// come before them.
size_t axes_before_rows(const View& view, int64_t elements, int64_t* width) {
  size_t axis = view.shape.size();
  *width = 1;
  while (axis > 0 && (view.shape[axis - 1] == 1 || view.strides[axis - 1] == *width)) {
    const int64_t wider = *width * view.shape[axis - 1];
    bool fits = elements % wider == 0 && view.offset % wider == 0;
    for (int64_t step : view.steps) fits = fits && step % wider == 0;
    for (size_t i = 0; i + 1 < axis; ++i) fits = fits && view.strides[i] % wider == 0;
    for (const Shape& shape : view.shapes) fits = fits && shape[axis - 1] == 1;
    if (!fits) break;
    *width = wider;
    --axis;
  }
  return axis;
}

// The rows that are named, of data as [1, rows, width].
struct Named {
  Value at;
  Shape rows;
};

Named named(Recorder& record, const View& view, int64_t elements) {
  Graph& g = record.graph;
  int64_t width = 1;
  const size_t before = axes_before_rows(view, elements, &width);
  const int64_t rows = elements / width;
  const DType dtype = graphs::position_dtype(elements);
  const Shape shape(Dims(view.shape.data(), before));
  Value at = g.constant(view.offset / width, dtype);
  for (size_t axis = 0; axis < before; ++axis) {
    if (shape[axis] == 1 || view.strides[axis] == 0) continue;
    Shape line;
    line.resize(before, 1);
    line[axis] = shape[axis];
    const Value place = g.cast(g.coordinate(line, static_cast<int>(axis)), dtype);
    at = g.addition(at, g.multiplication(place, number(g, place, view.strides[axis] / width)));
  }
  Value inside = g.constant(true, DType::bool_);
  for (size_t i = 0; i < view.indices.size(); ++i) {
    Shape own = view.shapes[i];
    own.resize(before);
    const Value given = record.input(*view.indices[i], own);
    const Value index = graphs::from_the_end(g, given, view.sizes[i]);
    const Value is_there = g.multiplication(g.greater_than_or_equal_to(index, number(g, index, 0)),
                                            g.less_than(index, number(g, index, view.sizes[i])));
    inside = g.multiplication(inside, is_there);
    const Value place = g.cast(index, dtype);
    at = g.addition(at, g.multiplication(place, number(g, place, view.steps[i] / width)));
  }
  at = g.select(inside, at, number(g, at, -1));
  return {graphs::flat(g, g.broadcast(at, shape)), {1, rows, width}};
}

bool is_nothing(const View& view, const DenseTensor& data) {
  return element_count(view.shape) == 0 || data.numel() == 0;
}

void get(const CustomContext& ctx, const DenseTensor& x, const Indices& indices, const Numbers& dims,
         const Numbers& strides, const Numbers& index_dims, const Numbers& index_strides, int64_t offset, bool, bool,
         DenseTensor* out) {
  const View view = view_of(x, indices, dims, strides, index_dims, index_strides, offset);
  Recorder record(ctx);
  Graph& g = record.graph;
  if (is_nothing(view, x)) {
    record.output(out, graphs::zeros(g, dtype_of(*out), dims_of(*out)));
  } else {
    const Named from = named(record, view, x.numel());
    record.output(out, g.reshape(g.gather(from.at, record.input(x, from.rows)), dims_of(*out)));
  }
  record.launch();
}

// An element that is named several times gets the sum of its gradients.
void get_grad(const CustomContext& ctx, const DenseTensor& x, const Indices& indices, const DenseTensor& dout,
              const Numbers& dims, const Numbers& strides, const Numbers& index_dims, const Numbers& index_strides,
              int64_t offset, bool, bool, DenseTensor* dx) {
  if (dx == nullptr) return;
  const View view = view_of(x, indices, dims, strides, index_dims, index_strides, offset);
  const DType to = dtype_of(*dx), compute = graphs::compute_dtype(to);
  Recorder record(ctx);
  Graph& g = record.graph;
  if (is_nothing(view, *dx)) {
    record.output(dx, graphs::zeros(g, to, dims_of(*dx)));
  } else {
    const Named into = named(record, view, dx->numel());
    const Value nothing = graphs::zeros(g, compute, into.rows);
    const Value added = g.cast(record.input(dout, {1, g.elements(into.at), into.rows[2]}), compute);
    record.output(dx, g.cast(g.scatter(ScatterMode::kAdd, nothing, into.at, added), to));
  }
  record.launch();
}

// `out` is `x` with the elements of the view replaced; `value` gives them in a shape that broadcasts to the view's.
template <typename Make>
void put(const CustomContext& ctx, const DenseTensor& x, const View& view, DenseTensor* out, const Make& value) {
  if (out == nullptr) return;
  Recorder record(ctx);
  Graph& g = record.graph;
  if (is_nothing(view, x)) {
    record.output(out, record.input(x));
  } else {
    const Named into = named(record, view, x.numel());
    const Value updates = g.reshape(g.broadcast(value(record), view.shape), {1, g.elements(into.at), into.rows[2]});
    record.output(out, g.scatter(ScatterMode::kSet, record.input(x, into.rows), into.at, updates));
  }
  record.launch();
}

void put_scalar(const CustomContext& ctx, const DenseTensor& x, const Indices& indices, const phi::Scalar& value,
                const Numbers& dims, const Numbers& strides, const Numbers& index_dims, const Numbers& index_strides,
                int64_t offset, DenseTensor* out) {
  put(ctx, x, view_of(x, indices, dims, strides, index_dims, index_strides, offset), out,
      [&](Recorder& record) { return record.scalar(to_scalar(value), dtype_of(x)); });
}

void put_tensor(const CustomContext& ctx, const DenseTensor& x, const Indices& indices, const DenseTensor& value,
                const Numbers& dims, const Numbers& strides, const Numbers& index_dims, const Numbers& index_strides,
                int64_t offset, DenseTensor* out) {
  put(ctx, x, view_of(x, indices, dims, strides, index_dims, index_strides, offset), out,
      [&](Recorder& record) { return record.input(value); });
}

void put_scalar_grad(const CustomContext& ctx, const DenseTensor&, const Indices& indices, const DenseTensor& dout,
                     const Numbers& dims, const Numbers& strides, const Numbers& index_dims,
                     const Numbers& index_strides, int64_t offset, DenseTensor* dx) {
  put(ctx, dout, view_of(dout, indices, dims, strides, index_dims, index_strides, offset), dx,
      [&](Recorder& record) { return record.graph.constant(0, dtype_of(dout)); });
}

void put_tensor_grad(const CustomContext& ctx, const DenseTensor& x, const Indices& indices, const DenseTensor& value,
                     const DenseTensor& dout, const Numbers& dims, const Numbers& strides, const Numbers& index_dims,
                     const Numbers& index_strides, int64_t offset, DenseTensor* dx, DenseTensor* dvalue) {
  put_scalar_grad(ctx, x, indices, dout, dims, strides, index_dims, index_strides, offset, dx);
  if (dvalue == nullptr) return;
  const View view = view_of(dout, indices, dims, strides, index_dims, index_strides, offset);
  const DType to = dtype_of(*dvalue);
  Recorder record(ctx);
  Graph& g = record.graph;
  if (is_nothing(view, dout)) {
    record.output(dvalue, graphs::zeros(g, to, dims_of(*dvalue)));
  } else {
    const Named from = named(record, view, dout.numel());
    const Value found = g.reshape(g.gather(from.at, record.input(dout, from.rows)), view.shape);
    const Value sum = graphs::sum_to_shape(g, g.cast(found, graphs::compute_dtype(to)), dims_of(value));
    record.output(dvalue, g.cast(sum, to));
  }
  record.launch();
}

}  // namespace

MPS_KERNEL(index_elementwise_get, phi::IndexElementwiseGetKernel, get, kAllDTypes)
MPS_KERNEL(index_elementwise_get_grad, phi::IndexElementwiseGetGradKernel, get_grad, kNumbers)
MPS_KERNEL(index_elementwise_put, phi::IndexElementwisePutKernel, put_scalar, kAllDTypes)
MPS_KERNEL(index_elementwise_put_grad, phi::IndexElementwisePutGradKernel, put_scalar_grad, kNumbers)
// Paddle's headers do not declare these two; the lists are those of its registered CPU kernels.
MPS_KERNEL_UNCHECKED(index_elementwise_put_with_tensor, put_tensor, kAllDTypes, detail::define_nothing)
MPS_KERNEL_UNCHECKED(index_elementwise_put_with_tensor_grad, put_tensor_grad, kNumbers, detail::define_nothing)

}  // namespace mps::paddle
