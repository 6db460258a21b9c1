// What optimisers share: a parameter in float32, its state, and powers that may lie on the host.
//
// Everything is taken flat, so that parameters of as many elements share a graph, and computed in float32. A float16 or
// bfloat16 parameter with a master copy is updated there and rounded from it.
#pragma once

#include "kernels/ops/wide.h"
#include "paddle/utils/optional.h"
#include "plugin/paddle/register.h"

namespace mps::paddle {

using OptionalTensor = ::paddle::optional<phi::DenseTensor>;
// Of kernels that update many parameters at once.
using Tensors = std::vector<const phi::DenseTensor*>;
using Outputs = std::vector<phi::DenseTensor*>;

inline Value flat(Recorder& record, const phi::DenseTensor& tensor) { return wide(record, tensor, {tensor.numel()}); }
// A tensor of one element, for all of another.
inline Value one(Recorder& record, const phi::DenseTensor& tensor) { return wide(record, tensor, {}); }
inline Value number(Recorder& record, double value) { return record.scalar(value, DType::float32); }

inline const phi::DenseTensor* given(const OptionalTensor& tensor) { return tensor ? tensor.get_ptr() : nullptr; }

inline const phi::DenseTensor* given(const ::paddle::optional<Tensors>& tensors, size_t i) {
  return tensors && i < tensors->size() ? (*tensors)[i] : nullptr;
}
inline phi::DenseTensor* wanted(const Outputs& outputs, size_t i) { return i < outputs.size() ? outputs[i] : nullptr; }

inline Value parameter(Recorder& record, const phi::DenseTensor& param, const phi::DenseTensor* master) {
  return flat(record, master == nullptr ? param : *master);
}
inline void write_parameter(Recorder& record, phi::DenseTensor* out, phi::DenseTensor* master_out, Value value) {
  write(record, out, value);
  write(record, master_out, value);
}

// old * rate + now * (1 - rate)
inline Value moved(Recorder& record, Value old, Value now, double rate) {
  Graph& g = record.graph;
  return g.addition(g.multiplication(old, number(record, rate)), g.multiplication(now, number(record, 1 - rate)));
}

// A power of beta. Paddle makes those on the host, programs may have them on the device.
class Power {
 public:
  Power(const phi::CustomContext& ctx, Recorder& record, const phi::DenseTensor& tensor)
      : ctx_(ctx), record_(record), tensor_(tensor) {
    is_on_host_ = tensor.place().GetType() == phi::AllocationType::CPU;
    if (is_on_host_) host_ = *tensor.data<float>();
  }
  Value one_minus() {
    if (is_on_host_) return number(record_, 1.0 - host_);
    Graph& g = record_.graph;
    return g.subtraction(g.constant(1, DType::float32), one(record_, tensor_));
  }
  // The next power, in the place of this one.
  void write_next(phi::DenseTensor* out, double beta) {
    if (out == nullptr) return;
    if (is_on_host_) {
      *ctx_.HostAlloc<float>(out) = host_ * static_cast<float>(beta);
    } else {
      write(record_, out, record_.graph.multiplication(one(record_, tensor_), number(record_, beta)));
    }
  }

 private:
  const phi::CustomContext& ctx_;
  Recorder& record_;
  const phi::DenseTensor& tensor_;
  bool is_on_host_;
  float host_ = 0;
};

// State and master copies have dtypes of their own, which Paddle infers.
inline void give_own_dtypes(const phi::KernelKey&, phi::Kernel* kernel) {
  for (size_t i = 1; i < kernel->args_def().output_defs().size(); ++i) {
    kernel->OutputAt(i).SetDataType(phi::DataType::UNDEFINED);
  }
}

}  // namespace mps::paddle
