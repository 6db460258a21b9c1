// pad and pad3d, in every mode, and their gradients.
//
// Constants surround what is kept. The other modes say of every position of the result which element it repeats, axis
// by axis: a gather, whose gradient adds up at the same positions.
#include <cstring>

#include "kernels/graphs/lines.h"
#include "paddle/phi/kernels/pad3d_grad_kernel.h"
#include "paddle/phi/kernels/pad3d_kernel.h"
#include "paddle/phi/kernels/pad_grad_kernel.h"
#include "paddle/phi/kernels/pad_kernel.h"
#include "plugin/core/check.h"
#include "plugin/paddle/recorder.h"
#include "plugin/paddle/register.h"
#include "plugin/paddle/scalar.h"

namespace mps::paddle {
namespace {

using phi::CustomContext;
using phi::DenseTensor;

// How many elements are added before and behind each axis; fewer than none: so many are cut off.
struct Margins {
  Ints before, behind;
};

// The part of the inner tensor that is kept, and where it lies in the outer one.
struct Kept {
  Ints starts, ends, steps;
  Shape shape;
  int64_t offset = 0;
};

Kept kept_of(const Margins& margins, Dims inner, Dims outer) {
  Kept kept;
  const Ints strides = contiguous_strides(outer);
  for (size_t i = 0; i < inner.size(); ++i) {
    const int64_t before = margins.before[i], behind = margins.behind[i];
    kept.starts.push_back(before < 0 ? -before : 0);
    kept.ends.push_back(inner[i] + (behind < 0 ? behind : 0));
    kept.steps.push_back(1);
    kept.shape.push_back(kept.ends[i] - kept.starts[i]);
    kept.offset += (before > 0 ? before : 0) * strides[i];
  }
  return kept;
}

void surround(const CustomContext& ctx, const DenseTensor& x, const Margins& margins, Scalar value, DenseTensor* out) {
  const Kept kept = kept_of(margins, dims_of(x), dims_of(*out));
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value around = g.broadcast(record.scalar(value, dtype_of(*out)), {out->numel()});
  const Value inside = g.slice(record.input(x), kept.starts, kept.ends, kept.steps);
  record.output(out, g.strided_update(around, inside, contiguous_strides(dims_of(*out)), kept.offset));
  record.launch();
}

// dx is dout where x was kept, and 0 where it was cut off.
void take_inside(const CustomContext& ctx, const DenseTensor& dout, const Margins& margins, DenseTensor* dx) {
  if (dx == nullptr) return;
  const Kept kept = kept_of(margins, dims_of(*dx), dims_of(dout));
  Recorder record(ctx);
  Graph& g = record.graph;
  const Ints strides = contiguous_strides(dims_of(*dx));
  const Value flat = record.input(dout, {dout.numel()});
  const Value inside = g.strided_view(flat, kept.shape, contiguous_strides(dims_of(dout)),
                                      element_count(kept.shape) == 0 ? 0 : kept.offset);
  int64_t offset = 0;
  for (size_t i = 0; i < strides.size(); ++i) offset += kept.starts[i] * strides[i];
  const Value nothing = graphs::zeros(g, dtype_of(*dx), {dx->numel()});
  record.output(dx, g.strided_update(nothing, inside, strides, offset));
  record.launch();
}

Margins margins_of(const std::vector<int>& paddings) {
  Margins margins;
  for (size_t i = 0; i + 1 < paddings.size(); i += 2) {
    margins.before.push_back(paddings[i]);
    margins.behind.push_back(paddings[i + 1]);
  }
  return margins;
}

// As the tensor's elements are moved: complex64 as an integer of its bits.
Scalar as_moved(const phi::Scalar& value, phi::DataType dtype) {
  if (dtype != phi::DataType::COMPLEX64) return to_scalar(value);
  const phi::complex64 number = value.to<phi::complex64>();
  int64_t bits;
  static_assert(sizeof(bits) == sizeof(number));
  std::memcpy(&bits, &number, sizeof(bits));
  return bits;
}

void pad(const CustomContext& ctx, const DenseTensor& x, const std::vector<int>& paddings, const phi::Scalar& value,
         DenseTensor* out) {
  surround(ctx, x, margins_of(paddings), as_moved(value, x.dtype()), out);
}

void pad_grad(const CustomContext& ctx, const DenseTensor& dout, const std::vector<int>& paddings, const phi::Scalar&,
              DenseTensor* dx) {
  take_inside(ctx, dout, margins_of(paddings), dx);
}

// Paddings come as left, right, top, bottom, front, back.
Margins spatial_margins(const phi::IntArray& paddings, const std::string& format) {
  const std::vector<int64_t>& p = paddings.GetData();
  const bool channels_last = format == "NDHWC";
  Margins margins;
  const auto add = [&](int64_t before, int64_t behind) {
    margins.before.push_back(before);
    margins.behind.push_back(behind);
  };
  add(0, 0);
  if (!channels_last) add(0, 0);
  add(p[4], p[5]);
  add(p[2], p[3]);
  add(p[0], p[1]);
  if (channels_last) add(0, 0);
  return margins;
}

// Which element of an axis of `size` each position of the padded axis repeats.
Value repeated_positions(Graph& g, const std::string& mode, int64_t size, int64_t before, int64_t behind) {
  const Value line = g.coordinate({before + size + behind}, 0);
  const auto int32 = [&](int64_t value) { return graphs::number(g, line, value); };
  const Value at = g.subtraction(line, int32(before));
  if (mode == "replicate") return g.maximum(g.minimum(at, int32(size - 1)), int32(0));
  if (mode == "reflect") {
    const Value inside = g.maximum(at, g.negative(at));
    return g.minimum(inside, g.subtraction(int32(2 * (size - 1)), inside));
  }
  MPS_CHECK(mode == "circular", kArgument, "unknown mode: expected constant, reflect, replicate or circular, got ",
            mode, ".");
  // Integer division truncates, so what is divided is made positive first.
  const int64_t turns = (before + size - 1) / size;
  const Value positive = g.addition(at, int32(turns * size));
  return g.subtraction(positive, g.multiplication(g.division(positive, int32(size)), int32(size)));
}

void pad3d(const CustomContext& ctx, const DenseTensor& x, const phi::IntArray& paddings, const std::string& mode,
           double value, const std::string& format, DenseTensor* out) {
  const Margins margins = spatial_margins(paddings, format);
  if (mode == "constant" || x.numel() == 0) return surround(ctx, x, margins, value, out);
  Recorder record(ctx);
  Value padded = record.input(x);
  for (size_t axis = 0; axis < margins.before.size(); ++axis) {
    const int64_t size = dims_of(x)[axis], before = margins.before[axis], behind = margins.behind[axis];
    if (before == 0 && behind == 0) continue;
    MPS_CHECK(mode != "reflect" || (before < size && behind < size), kArgument,
              "padding too large for reflect: expected less than ", size, ", got ", before, " and ", behind, ".");
    const Value positions = repeated_positions(record.graph, mode, size, before, behind);
    padded = graphs::take(record.graph, padded, axis, positions);
  }
  record.output(out, padded);
  record.launch();
}

void pad3d_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& dout, const phi::IntArray& paddings,
                const std::string& mode, double, const std::string& format, DenseTensor* dx) {
  const Margins margins = spatial_margins(paddings, format);
  if (mode == "constant" || x.numel() == 0) return take_inside(ctx, dout, margins, dx);
  if (dx == nullptr) return;
  Recorder record(ctx);
  Graph& g = record.graph;
  const DType to = dtype_of(*dx);
  Value gradient = g.cast(record.input(dout), graphs::compute_dtype(to));
  for (size_t axis = margins.before.size(); axis-- > 0;) {
    const int64_t size = dims_of(x)[axis], before = margins.before[axis], behind = margins.behind[axis];
    if (before == 0 && behind == 0) continue;
    const Shape shape(g.shape(gradient));
    const Value nothing = graphs::zeros(g, g.dtype(gradient), graphs::with_axis(shape, axis, size));
    const Value positions = repeated_positions(g, mode, size, before, behind);
    gradient = graphs::put(g, ScatterMode::kAdd, nothing, axis, positions, gradient);
  }
  record.output(dx, g.cast(gradient, to));
  record.launch();
}

constexpr DTypes kPadded = {phi::DataType::FLOAT32, phi::DataType::FLOAT16, phi::DataType::BFLOAT16,
                            phi::DataType::INT32,   phi::DataType::INT64,   phi::DataType::COMPLEX64};

}  // namespace

MPS_KERNEL(pad, phi::PadKernel, pad, kPadded)
MPS_KERNEL(pad_grad, phi::PadGradKernel, pad_grad, kPadded)
MPS_KERNEL(pad3d, phi::Pad3dKernel, pad3d, kFloatsAndInts)
MPS_KERNEL(pad3d_grad, phi::Pad3dGradKernel, pad3d_grad, kFloats)

}  // namespace mps::paddle
