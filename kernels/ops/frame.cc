// Frames of a signal: cut out, added up again, and the short-time Fourier transform of them.
#include <cmath>

#include "kernels/graphs/fft.h"
#include "kernels/ops/spectra.h"
#include "paddle/phi/kernels/frame_grad_kernel.h"
#include "paddle/phi/kernels/frame_kernel.h"
#include "paddle/phi/kernels/overlap_add_grad_kernel.h"
#include "paddle/phi/kernels/overlap_add_kernel.h"
#include "paddle/phi/kernels/stft_kernel.h"
#include "plugin/paddle/register.h"

namespace mps::paddle {
namespace {

using phi::CustomContext;
using phi::DenseTensor;

// How frames lie in a signal: of `length` elements each, one every `hop` of them. Signals are [lines, size, width];
// along the last axis of a tensor a frame is a column, [length, frames], and along the first one a row.
struct Frames {
  int64_t lines, size, width, length, count, hop;
  bool are_rows;

  // Of a signal and frames of these shapes, the latter with one axis more.
  Frames(Dims signal, Dims frames, int64_t hop_length, int axis) : hop(hop_length), are_rows(axis == 0) {
    const size_t rank = signal.size();
    const int64_t elements = element_count(signal);
    size = are_rows ? signal[0] : signal[rank - 1];
    lines = are_rows || size == 0 ? 1 : elements / size;
    width = are_rows && size != 0 ? elements / size : 1;
    length = are_rows ? frames[1] : frames[rank - 1];
    count = are_rows ? frames[0] : frames[rank];
  }
  // With pairs of numbers in the place of each.
  Frames of_parts(int64_t parts) const {
    Frames wider = *this;
    wider.width *= parts;
    return wider;
  }

  // `signal` is flat -> [lines, length, count, width], or rows of frames.
  Value cut(Graph& g, Value signal) const {
    const int64_t step = hop * width;
    const Shape shape = are_rows ? Shape{lines, count, length, width} : Shape{lines, length, count, width};
    const Shape strides = are_rows ? Shape{size * width, step, width, 1} : Shape{size * width, width, step, 1};
    return g.strided_view(signal, shape, strides, 0);
  }

  // The opposite: what frames share is added up.
  Value add(Graph& g, Value frames) const {
    const Shape plane = are_rows ? Shape{count, length} : Shape{length, count};
    const Value frame = g.coordinate(plane, are_rows ? 0 : 1), place = g.coordinate(plane, are_rows ? 1 : 0);
    const Value at = g.addition(g.multiplication(frame, graphs::number(g, frame, hop)), place);
    const Value nothing = graphs::zeros(g, g.dtype(frames), {lines, size, width});
    return g.scatter(ScatterMode::kAdd, nothing, graphs::flat(g, at),
                     g.reshape(frames, {lines, length * count, width}));
  }
};

Shape with_parts(Dims shape, int64_t parts) {
  Shape all(shape);
  all.push_back(parts);
  return all;
}

void cut(const CustomContext& ctx, const DenseTensor& signal, int hop, int axis, DenseTensor* frames) {
  if (frames == nullptr) return;
  Recorder record(ctx);
  Graph& g = record.graph;
  const int64_t parts = is_complex(signal) ? 2 : 1;
  const Frames what = Frames(dims_of(signal), dims_of(*frames), hop, axis).of_parts(parts);
  const Value read = read_parts(record, signal);
  if (frames->numel() == 0 || signal.numel() == 0) {
    write_parts(ctx, record, frames, signal.dtype(),
                graphs::zeros(g, g.dtype(read), with_parts(dims_of(*frames), parts)));
  } else {
    const Value found = what.cut(g, graphs::flat(g, read));
    write_parts(ctx, record, frames, signal.dtype(), g.reshape(found, with_parts(dims_of(*frames), parts)));
  }
  record.launch();
}

void add(const CustomContext& ctx, const DenseTensor& frames, int hop, int axis, DenseTensor* signal) {
  if (signal == nullptr) return;
  Recorder record(ctx);
  Graph& g = record.graph;
  const int64_t parts = is_complex(frames) ? 2 : 1;
  const Frames what = Frames(dims_of(*signal), dims_of(frames), hop, axis).of_parts(parts);
  const Value read = read_parts(record, frames);
  const Value added = frames.numel() == 0 ? graphs::zeros(g, g.dtype(read), with_parts(dims_of(*signal), parts))
                                          : g.reshape(what.add(g, read), with_parts(dims_of(*signal), parts));
  write_parts(ctx, record, signal, frames.dtype(), added);
  record.launch();
}

void frame(const CustomContext& ctx, const DenseTensor& x, int, int hop_length, int axis, DenseTensor* out) {
  cut(ctx, x, hop_length, axis, out);
}
void frame_grad(const CustomContext& ctx, const DenseTensor&, const DenseTensor& dout, int, int hop_length, int axis,
                DenseTensor* dx) {
  add(ctx, dout, hop_length, axis, dx);
}
void overlap_add(const CustomContext& ctx, const DenseTensor& x, int hop_length, int axis, DenseTensor* out) {
  add(ctx, x, hop_length, axis, out);
}
void overlap_add_grad(const CustomContext& ctx, const DenseTensor&, const DenseTensor& dout, int hop_length, int axis,
                      DenseTensor* dx) {
  cut(ctx, dout, hop_length, axis, dx);
}

double stft_factor(bool normalized, int n_fft) { return normalized ? 1 / std::sqrt(static_cast<double>(n_fft)) : 1; }

// x [lines, size] -> [lines, frequencies, frames].
void stft(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& window, int n_fft, int hop_length,
          bool normalized, bool onesided, DenseTensor* out) {
  Recorder record(ctx);
  Graph& g = record.graph;
  if (out->numel() == 0) {
    ctx.Alloc(out, phi::DataType::COMPLEX64);
    return record.launch();
  }
  const Shape shape{dims_of(x)[0], n_fft, dims_of(*out)[2]};
  const Frames what(dims_of(x), shape, hop_length, -1);
  const Value frames = g.reshape(what.cut(g, graphs::flat(g, record.input(x))), shape);
  const Value windowed = g.multiplication(frames, record.input(window, {1, n_fft, 1}));
  Value value = graphs::real_to_hermitean_fft(g, windowed, 1, true, stft_factor(normalized, n_fft));
  if (!onesided) value = graphs::with_conjugates(g, value, 1, n_fft);
  write_parts(ctx, record, out, phi::DataType::COMPLEX64, value);
  record.launch();
}

void stft_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& window, const DenseTensor& dout,
               int n_fft, int hop_length, bool normalized, bool, DenseTensor* dx) {
  if (dx == nullptr) return;
  Recorder record(ctx);
  Graph& g = record.graph;
  if (dout.numel() == 0) {
    record.output(dx, graphs::zeros(g, DType::float32, dims_of(x)));
    return record.launch();
  }
  const Shape shape{dims_of(x)[0], n_fft, dims_of(dout)[2]};
  const Frames what(dims_of(x), shape, hop_length, -1);
  const double factor = stft_factor(normalized, n_fft);
  const Value frames = graphs::real_part_of_fft(g, read_parts(record, dout), 1, n_fft, false, factor);
  const Value windowed = g.multiplication(frames, record.input(window, {1, n_fft, 1}));
  record.output(dx, g.reshape(what.add(g, windowed), dims_of(x)));
  record.launch();
}

constexpr DTypes kSlopes = {phi::DataType::FLOAT32, phi::DataType::COMPLEX64};
constexpr DTypes kSignals = {phi::DataType::FLOAT32, phi::DataType::INT32, phi::DataType::INT64,
                             phi::DataType::COMPLEX64};

}  // namespace

MPS_KERNEL(frame, phi::FrameKernel, frame, kSignals)
MPS_KERNEL(frame_grad, phi::FrameGradKernel, frame_grad, kSlopes)
MPS_KERNEL(overlap_add, phi::OverlapAddKernel, overlap_add, kSignals)
MPS_KERNEL(overlap_add_grad, phi::OverlapAddGradKernel, overlap_add_grad, kSlopes)
MPS_KERNEL_WITH_DEFINE(stft, phi::StftKernel, stft, kFloat32, give_complex)
MPS_KERNEL_UNCHECKED(stft_grad, stft_grad, kFloat32, take_complex_third)

}  // namespace mps::paddle
