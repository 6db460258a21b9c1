// Turning, repeating and taking apart: flip, roll, tile, unstack, meshgrid, repeat_interleave, crop, the shuffles of
// pixels and channels, and their gradients.
#include "kernels/graphs/lines.h"
#include "paddle/phi/kernels/channel_shuffle_grad_kernel.h"
#include "paddle/phi/kernels/channel_shuffle_kernel.h"
#include "paddle/phi/kernels/crop_grad_kernel.h"
#include "paddle/phi/kernels/crop_kernel.h"
#include "paddle/phi/kernels/flip_kernel.h"
#include "paddle/phi/kernels/meshgrid_grad_kernel.h"
#include "paddle/phi/kernels/meshgrid_kernel.h"
#include "paddle/phi/kernels/pixel_shuffle_grad_kernel.h"
#include "paddle/phi/kernels/pixel_shuffle_kernel.h"
#include "paddle/phi/kernels/pixel_unshuffle_grad_kernel.h"
#include "paddle/phi/kernels/pixel_unshuffle_kernel.h"
#include "paddle/phi/kernels/repeat_interleave_grad_kernel.h"
#include "paddle/phi/kernels/repeat_interleave_kernel.h"
#include "paddle/phi/kernels/reverse_kernel.h"
#include "paddle/phi/kernels/roll_grad_kernel.h"
#include "paddle/phi/kernels/roll_kernel.h"
#include "paddle/phi/kernels/shuffle_channel_grad_kernel.h"
#include "paddle/phi/kernels/shuffle_channel_kernel.h"
#include "paddle/phi/kernels/tile_grad_kernel.h"
#include "paddle/phi/kernels/tile_kernel.h"
#include "paddle/phi/kernels/unbind_kernel.h"
#include "paddle/phi/kernels/unstack_grad_kernel.h"
#include "paddle/phi/kernels/unstack_kernel.h"
#include "plugin/core/check.h"
#include "plugin/paddle/recorder.h"
#include "plugin/paddle/register.h"

namespace mps::paddle {
namespace {

using phi::CustomContext;
using phi::DenseTensor;
using phi::IntArray;

// -- turning
// --------------------------------------------------------------------------------------------------------------

template <typename Axes>
void turn_around(const CustomContext& ctx, const DenseTensor& x, const Axes& axes, DenseTensor* out) {
  Recorder record(ctx);
  Ints turned;
  for (auto axis : axes) turned.push_back(normalize_axis(axis, dims_of(x).size()));
  record.output(out, graphs::reverse(record.graph, record.input(x), turned));
  record.launch();
}

void flip(const CustomContext& ctx, const DenseTensor& x, const std::vector<int>& axes, DenseTensor* out) {
  turn_around(ctx, x, axes, out);
}

void reverse(const CustomContext& ctx, const DenseTensor& x, const IntArray& axes, DenseTensor* out) {
  turn_around(ctx, x, axes.GetData(), out);
}

// Without axes the tensor is one long line.
void roll_by(const CustomContext& ctx, const DenseTensor& x, const IntArray& shifts, const std::vector<int64_t>& axes,
             int sign, DenseTensor* out) {
  if (out == nullptr) return;
  Recorder record(ctx);
  Graph& g = record.graph;
  Value rolled = axes.empty() ? record.input(x, {x.numel()}) : record.input(x);
  for (size_t i = 0; i < shifts.GetData().size() && x.numel() != 0; ++i) {
    const size_t axis = axes.empty() ? 0 : static_cast<size_t>(normalize_axis(axes[i], dims_of(x).size()));
    const int64_t size = g.shape(rolled)[axis];
    const int64_t shift = (sign * shifts.GetData()[i] % size + size) % size;
    if (shift == 0) continue;
    const Value tail = graphs::slice_axis(g, rolled, axis, size - shift, shift);
    rolled = g.concatenation({tail, graphs::slice_axis(g, rolled, axis, 0, size - shift)}, static_cast<int>(axis));
  }
  record.output(out, rolled);
  record.launch();
}

void roll(const CustomContext& ctx, const DenseTensor& x, const IntArray& shifts, const std::vector<int64_t>& axes,
          DenseTensor* out) {
  roll_by(ctx, x, shifts, axes, 1, out);
}

void roll_grad(const CustomContext& ctx, const DenseTensor&, const DenseTensor& dout, const IntArray& shifts,
               const std::vector<int64_t>& axes, DenseTensor* dx) {
  roll_by(ctx, dout, shifts, axes, -1, dx);
}

// -- repeating
// ------------------------------------------------------------------------------------------------------------

// Writes `dout`, seen in `shape`, summed over `axes`.
void add_up(const CustomContext& ctx, const DenseTensor& dout, Dims shape, Dims axes, DenseTensor* dx) {
  if (dx == nullptr) return;
  Recorder record(ctx);
  Graph& g = record.graph;
  const DType to = dtype_of(*dx);
  const Value wide = g.cast(record.input(dout, shape), graphs::compute_dtype(to));
  record.output(dx, g.cast(g.reduction_sum(wide, axes), to));
  record.launch();
}

// How a tile is made: x seen with an axis of size 1 before each that is repeated, which is broadcast.
struct Tiling {
  Shape from, to;
  Ints repeated;  // axes of `to`
};

Tiling tiling_of(Dims shape, const std::vector<int64_t>& times) {
  Tiling tiling;
  const size_t rank = std::max(shape.size(), times.size());
  for (size_t i = 0; i < rank; ++i) {
    const size_t shape_missing = rank - shape.size(), times_missing = rank - times.size();
    const int64_t size = i < shape_missing ? 1 : shape[i - shape_missing];
    const int64_t count = i < times_missing ? 1 : times[i - times_missing];
    if (count != 1) {
      tiling.repeated.push_back(static_cast<int64_t>(tiling.to.size()));
      tiling.from.push_back(1);
      tiling.to.push_back(count);
    }
    tiling.from.push_back(size);
    tiling.to.push_back(size);
  }
  return tiling;
}

void tile(const CustomContext& ctx, const DenseTensor& x, const IntArray& times, DenseTensor* out) {
  const Tiling tiling = tiling_of(dims_of(x), times.GetData());
  Recorder record(ctx);
  record.output(out, record.graph.broadcast(record.input(x, tiling.from), tiling.to));
  record.launch();
}

void tile_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& dout, const IntArray& times,
               DenseTensor* dx) {
  const Tiling tiling = tiling_of(dims_of(x), times.GetData());
  add_up(ctx, dout, tiling.to, tiling.repeated, dx);
}

// x with an axis behind `dim` along which it is repeated.
Shape repeated_shape(Dims shape, size_t dim, int64_t repeats) {
  Shape wide;
  for (size_t i = 0; i < shape.size(); ++i) {
    wide.push_back(shape[i]);
    if (i == dim) wide.push_back(repeats);
  }
  return wide;
}

void repeat_interleave(const CustomContext& ctx, const DenseTensor& x, int repeats, int dim, int64_t,
                       DenseTensor* out) {
  const size_t axis = static_cast<size_t>(normalize_axis(dim, dims_of(x).size()));
  Recorder record(ctx);
  const Value narrow = record.input(x, repeated_shape(dims_of(x), axis, 1));
  record.output(out, record.graph.broadcast(narrow, repeated_shape(dims_of(x), axis, repeats)));
  record.launch();
}

void repeat_interleave_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& dout, int repeats,
                            int dim, int64_t, DenseTensor* dx) {
  const size_t axis = static_cast<size_t>(normalize_axis(dim, dims_of(x).size()));
  add_up(ctx, dout, repeated_shape(dims_of(x), axis, repeats), {static_cast<int64_t>(axis + 1)}, dx);
}

void meshgrid(const CustomContext& ctx, const std::vector<const DenseTensor*>& x, std::vector<DenseTensor*> out) {
  Recorder record(ctx);
  for (size_t i = 0; i < x.size(); ++i) {
    Shape line;
    line.resize(x.size(), 1);
    line[i] = x[i]->numel();
    record.output(out[i], record.graph.broadcast(record.input(*x[i], line), dims_of(*out[i])));
  }
  record.launch();
}

void meshgrid_grad(const CustomContext& ctx, const std::vector<const DenseTensor*>& x,
                   const std::vector<const DenseTensor*>& dout, std::vector<DenseTensor*> dx) {
  for (size_t i = 0; i < x.size(); ++i) {
    if (dx[i] == nullptr) continue;
    Ints others;
    for (size_t axis = 0; axis < x.size(); ++axis) {
      if (axis != i) others.push_back(static_cast<int64_t>(axis));
    }
    add_up(ctx, *dout[i], dims_of(*dout[i]), others, dx[i]);
  }
}

// -- taking apart
// ---------------------------------------------------------------------------------------------------------

void unbind(const CustomContext& ctx, const DenseTensor& x, int dim, std::vector<DenseTensor*> out) {
  const size_t axis = static_cast<size_t>(normalize_axis(dim, dims_of(x).size()));
  Recorder record(ctx);
  const Value whole = record.input(x);
  for (size_t i = 0; i < out.size(); ++i) {
    if (out[i] == nullptr) continue;
    const Value part = graphs::slice_axis(record.graph, whole, axis, static_cast<int64_t>(i), 1);
    record.output(out[i], record.graph.reshape(part, dims_of(*out[i])));
  }
  record.launch();
}

void unstack(const CustomContext& ctx, const DenseTensor& x, int axis, int, std::vector<DenseTensor*> out) {
  unbind(ctx, x, axis, std::move(out));
}

void unstack_grad(const CustomContext& ctx, const std::vector<const DenseTensor*>& dout, int dim, DenseTensor* dx) {
  if (dx == nullptr) return;
  const int axis = normalize_axis(dim, dims_of(*dx).size());
  const Shape part = graphs::with_axis(dims_of(*dx), static_cast<size_t>(axis), 1);
  Recorder record(ctx);
  SmallVector<Value, 16> values;
  for (const DenseTensor* tensor : dout) values.push_back(record.input(*tensor, part));
  record.output(dx, record.graph.concatenation(values, axis));
  record.launch();
}

// Where a crop begins: its offsets, -1 and all.
Ints crop_starts(const IntArray& offsets, size_t rank) {
  Ints starts(Dims(offsets.GetData().data(), offsets.GetData().size()));
  starts.resize(rank, 0);
  return starts;
}

void crop(const CustomContext& ctx, const DenseTensor& x, const IntArray& shape, const IntArray& offsets,
          DenseTensor* out) {
  const size_t rank = dims_of(x).size();
  const Ints starts = crop_starts(offsets, rank);
  Ints ends, steps;
  Shape size;
  for (size_t i = 0; i < rank; ++i) {
    const int64_t wanted = i < shape.GetData().size() ? shape.GetData()[i] : -1;
    size.push_back(wanted == -1 ? dims_of(x)[i] - starts[i] : wanted);
    ends.push_back(starts[i] + size.back());
    MPS_CHECK(starts[i] >= 0 && size[i] >= 0 && ends[i] <= dims_of(x)[i], kArgument, "cropped beyond axis ", i,
              ": expected a part of 0..", dims_of(x)[i], ", got ", starts[i], "..", ends[i], ". Crop less.");
  }
  steps.resize(rank, 1);
  out->Resize(phi::make_ddim(std::vector<int64_t>(size.begin(), size.end())));
  Recorder record(ctx);
  record.output(out, record.graph.slice(record.input(x), starts, ends, steps));
  record.launch();
}

void crop_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& dout, const IntArray& offsets,
               DenseTensor* dx) {
  if (dx == nullptr) return;
  const Shape shape(dims_of(x));
  dx->Resize(x.dims());
  const Ints strides = contiguous_strides(shape), starts = crop_starts(offsets, shape.size());
  int64_t offset = 0;
  for (size_t i = 0; i < shape.size(); ++i) offset += starts[i] * strides[i];
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value nothing = graphs::zeros(g, dtype_of(*dx), {element_count(shape)});
  record.output(dx, g.strided_update(nothing, record.input(dout), strides, offset));
  record.launch();
}

// -- shuffling: a tensor is seen with more axes, which change places
// ------------------------------------------------------

void shuffle(const CustomContext& ctx, const DenseTensor& x, Dims shape, Dims permutation, DenseTensor* out) {
  if (out == nullptr) return;
  Recorder record(ctx);
  record.output(out, record.graph.transpose(record.input(x, shape), permutation));
  record.launch();
}

bool channels_last(const std::string& format) { return !format.empty() && format.back() == 'C'; }

// From pixels of `factor` times `factor` channels to the image, whose shape is `wide`.
void spread_pixels(const CustomContext& ctx, const DenseTensor& x, int factor, const std::string& format,
                   DenseTensor* out) {
  const Dims from = dims_of(x);
  const int64_t r = factor;
  if (channels_last(format)) {
    shuffle(ctx, x, {from[0], from[1], from[2], from[3] / (r * r), r, r}, {0, 1, 4, 2, 5, 3}, out);
  } else {
    shuffle(ctx, x, {from[0], from[1] / (r * r), r, r, from[2], from[3]}, {0, 1, 4, 2, 5, 3}, out);
  }
}

void gather_pixels(const CustomContext& ctx, const DenseTensor& x, int factor, const std::string& format,
                   DenseTensor* out) {
  const Dims from = dims_of(x);
  const int64_t r = factor;
  if (channels_last(format)) {
    shuffle(ctx, x, {from[0], from[1] / r, r, from[2] / r, r, from[3]}, {0, 1, 3, 5, 2, 4}, out);
  } else {
    shuffle(ctx, x, {from[0], from[1], from[2] / r, r, from[3] / r, r}, {0, 1, 3, 5, 2, 4}, out);
  }
}

void pixel_shuffle(const CustomContext& ctx, const DenseTensor& x, int factor, const std::string& format,
                   DenseTensor* out) {
  spread_pixels(ctx, x, factor, format, out);
}
void pixel_shuffle_grad(const CustomContext& ctx, const DenseTensor& dout, int factor, const std::string& format,
                        DenseTensor* dx) {
  gather_pixels(ctx, dout, factor, format, dx);
}
void pixel_unshuffle(const CustomContext& ctx, const DenseTensor& x, int factor, const std::string& format,
                     DenseTensor* out) {
  gather_pixels(ctx, x, factor, format, out);
}
void pixel_unshuffle_grad(const CustomContext& ctx, const DenseTensor& dout, int factor, const std::string& format,
                          DenseTensor* dx) {
  spread_pixels(ctx, dout, factor, format, dx);
}

// Channels, seen as `rows` times some, change places with them.
void turn_channels(const CustomContext& ctx, const DenseTensor& x, const std::string& format, bool back, int groups,
                   DenseTensor* out) {
  const Dims from = dims_of(x);
  const size_t axis = channels_last(format) ? 3 : 1;
  const int64_t many = groups, others = from[axis] / many;
  const Shape around = graphs::around(from, axis);
  shuffle(ctx, x, {around[0], back ? others : many, back ? many : others, around[2]}, {0, 2, 1, 3}, out);
}

void channel_shuffle(const CustomContext& ctx, const DenseTensor& x, int groups, const std::string& format,
                     DenseTensor* out) {
  turn_channels(ctx, x, format, /*back=*/false, groups, out);
}
void channel_shuffle_grad(const CustomContext& ctx, const DenseTensor& dout, int groups, const std::string& format,
                          DenseTensor* dx) {
  turn_channels(ctx, dout, format, /*back=*/true, groups, dx);
}

// The same with channels in front, under the name that it had first.
void shuffle_channel(const CustomContext& ctx, const DenseTensor& x, int groups, DenseTensor* out) {
  turn_channels(ctx, x, "NCHW", /*back=*/false, groups, out);
}
void shuffle_channel_grad(const CustomContext& ctx, const DenseTensor& dout, int groups, DenseTensor* dx) {
  turn_channels(ctx, dout, "NCHW", /*back=*/true, groups, dx);
}

}  // namespace

MPS_KERNEL(flip, phi::FlipKernel, flip, kMovedDTypes)
MPS_KERNEL(reverse, phi::ReverseKernel, reverse, kAllDTypes)
MPS_KERNEL(roll, phi::RollKernel, roll, kMovedDTypes)
MPS_KERNEL(roll_grad, phi::RollGradKernel, roll_grad, kNumbers)
MPS_KERNEL(tile, phi::TileKernel, tile, kMovedDTypes)
MPS_KERNEL(tile_grad, phi::TileGradKernel, tile_grad, kNumbers)
MPS_KERNEL(repeat_interleave, phi::RepeatInterleaveKernel, repeat_interleave, kFloatsAndInts)
MPS_KERNEL(repeat_interleave_grad, phi::RepeatInterleaveGradKernel, repeat_interleave_grad, kFloatsAndInts)
MPS_KERNEL(meshgrid, phi::MeshgridKernel, meshgrid, kFloatsAndInts)
MPS_KERNEL(meshgrid_grad, phi::MeshgridGradKernel, meshgrid_grad, kFloatsAndInts)
MPS_KERNEL(unbind, phi::UnbindKernel, unbind, kMovedDTypes)
MPS_KERNEL(unstack, phi::UnStackKernel, unstack, kFloatsAndInts)
MPS_KERNEL(unstack_grad, phi::UnStackGradKernel, unstack_grad, kFloatsAndInts)
MPS_KERNEL(crop, phi::CropKernel, crop, kFloatsAndInts)
MPS_KERNEL(crop_grad, phi::CropGradKernel, crop_grad, kFloatsAndInts)
MPS_KERNEL(pixel_shuffle, phi::PixelShuffleKernel, pixel_shuffle, kFloats)
MPS_KERNEL(pixel_shuffle_grad, phi::PixelShuffleGradKernel, pixel_shuffle_grad, kFloats)
MPS_KERNEL(pixel_unshuffle, phi::PixelUnshuffleKernel, pixel_unshuffle, kFloats)
MPS_KERNEL(pixel_unshuffle_grad, phi::PixelUnshuffleGradKernel, pixel_unshuffle_grad, kFloats)
MPS_KERNEL(channel_shuffle, phi::ChannelShuffleKernel, channel_shuffle, kFloats)
MPS_KERNEL(channel_shuffle_grad, phi::ChannelShuffleGradKernel, channel_shuffle_grad, kFloats)
MPS_KERNEL(shuffle_channel, phi::ShuffleChannelOpKernel, shuffle_channel, kFloats)
MPS_KERNEL(shuffle_channel_grad, phi::ShuffleChannelGradOpCUDAKernel, shuffle_channel_grad, kFloats)

}  // namespace mps::paddle
