// What the kernels of simulated quantisation share: tensors in float32, scales by channel, running averages.
#pragma once

#include "kernels/graphs/quantize.h"
#include "plugin/core/check.h"
#include "plugin/paddle/recorder.h"
#include "plugin/paddle/register.h"

namespace mps::paddle {

using OptionalTensor = ::paddle::optional<phi::DenseTensor>;

inline Value in_float32(Recorder& record, const phi::DenseTensor& tensor) {
  return record.graph.cast(record.input(tensor), DType::float32);
}

// Results have the dtype of what is quantised, which Paddle's shape inference does not always say.
inline void write_float(Recorder& record, phi::DenseTensor* out, Value numbers, phi::DataType dtype) {
  if (out == nullptr) return;
  Graph& g = record.graph;
  phi::DenseTensorMeta meta = out->meta();
  meta.dtype = dtype;
  out->set_meta(meta);
  record.output(out, g.reshape(g.cast(numbers, dtype_of(*out)), dims_of(*out)));
}

inline graphs::Rounding rounding_of(int round_type) {
  MPS_CHECK(round_type == 0 || round_type == 1, kArgument, "bad round_type: expected 0, ties to even, or 1, ties away ",
            "from zero, got ", round_type, ".");
  return static_cast<graphs::Rounding>(round_type);
}

inline double greatest_of_bits(int bit_length) {
  MPS_CHECK(bit_length >= 2 && bit_length <= 16, kArgument, "bad bit_length: expected 2 to 16, got ", bit_length, ".");
  return static_cast<double>((1 << (bit_length - 1)) - 1);
}

// Axis -1 is the whole tensor.
struct Channels {
  Shape shape;  // of the scales, as they broadcast to the tensor
  Ints axes;    // all but the channels

  Channels(Dims tensor, int quant_axis) : shape(tensor) {
    MPS_CHECK(quant_axis >= -1 && quant_axis <= 1 && quant_axis < static_cast<int>(tensor.size()), kArgument,
              "bad quant_axis: expected -1 for one scale, or 0 or 1 for the channels of a tensor that has them, got ",
              quant_axis, " for ", tensor.size(), " dimensions.");
    for (size_t axis = 0; axis < tensor.size(); ++axis) {
      if (static_cast<int>(axis) == quant_axis) continue;
      axes.push_back(static_cast<int64_t>(axis));
      shape[axis] = 1;
    }
  }

  Value scales(Recorder& record, const phi::DenseTensor& tensor) const {
    MPS_CHECK(tensor.numel() == element_count(shape), kArgument, "bad scale: expected ", element_count(shape),
              " elements, one per channel, got ", tensor.numel(), ".");
    return record.graph.cast(record.input(tensor, shape), DType::float32);
  }
};

// Averages that forget: state = rate state + 1, accum = rate accum + max |x|, scale = accum / state.
struct Average {
  Value state, accum, scale;  // scale in the shape of one for all of x
};

inline Average average(Recorder& record, const OptionalTensor& accum, const OptionalTensor& state, float rate, Value x,
                       const Channels& all) {
  MPS_CHECK(accum && state, kArgument,
            "no running average: expected in_accum and in_state for training, got none. Give both, or is_test=True.");
  Graph& g = record.graph;
  const Value keep = record.scalar(rate, DType::float32);
  Average next;
  next.state = g.addition(g.multiplication(keep, all.scales(record, *state)), g.constant(1, DType::float32));
  next.accum =
      g.addition(g.multiplication(keep, all.scales(record, *accum)), graphs::greatest_magnitude(g, x, all.axes));
  next.scale = g.division(next.accum, next.state);
  return next;
}

}  // namespace mps::paddle
