// rnn: layers of LSTM, GRU or simple cells, in one direction or both, over sequences that may differ in length. All
// steps are one graph.
#include "kernels/graphs/random.h"
#include "kernels/ops/rnn_network.h"
#include "paddle/phi/kernels/rnn_grad_kernel.h"
#include "paddle/phi/kernels/rnn_kernel.h"
#include "plugin/paddle/random.h"
#include "plugin/paddle/register.h"

namespace mps::paddle {
namespace {

using phi::CustomContext;
using phi::DenseTensor;
using Outputs = std::vector<DenseTensor*>;

// What the gradient wants to know again is Paddle's to hand on, as bytes: in training what all steps made, then
// which elements are kept between layers, if some are not.
struct Reserve {
  Reserve(const Network& network, bool trains, bool drops)
      : states(trains ? element_count(network.states_shape()) * static_cast<int64_t>(sizeof(float)) : 0),
        marks(drops ? element_count(network.mask_shape()) : 0) {}
  int64_t states, marks;  // bytes
};

char* give_bytes(const CustomContext& ctx, DenseTensor* tensor, int64_t bytes) {
  phi::DenseTensorMeta meta = tensor->meta();
  meta.dtype = phi::DataType::UINT8;
  tensor->set_meta(meta);
  tensor->Resize(phi::make_ddim({bytes}));
  return static_cast<char*>(ctx.Alloc(tensor, phi::DataType::UINT8));
}

void rnn(const CustomContext& ctx, const DenseTensor& x, const Tensors& pre_state, const Tensors& weights,
         const OptionalTensor& lengths, float dropout, bool is_bidirectional, int, int, int layers,
         const std::string& mode, int seed, bool is_test, DenseTensor* out, DenseTensor* dropout_state, Outputs state,
         DenseTensor* reserve) {
  Recorder record(ctx);
  Graph& g = record.graph;
  Network network(record, x, pre_state, weights, lengths, mode, is_bidirectional, layers, dropout);
  const bool drops = !is_test && dropout > 0 && layers > 1;
  const Reserve parts(network, !is_test && reserve != nullptr, drops);
  char* const bytes = reserve != nullptr ? give_bytes(ctx, reserve, parts.states + parts.marks) : nullptr;
  Value mask;
  if (drops) {
    Random random(ctx, record, seed);
    const Value unit = graphs::unit_interval(g, random.words(network.mask_shape()));
    mask = g.greater_than_or_equal_to(unit, record.scalar(dropout, DType::float32));
    if (bytes != nullptr) record.output(bytes + parts.states, g.cast(mask, DType::uint8));
  }
  if (dropout_state != nullptr && !dropout_state->initialized()) give_bytes(ctx, dropout_state, 0);
  network.run(drops ? &mask : nullptr);
  if (parts.states != 0) record.output(bytes, network.states());
  write(record, out, network.output());
  for (size_t i = 0; i < state.size(); ++i) write(record, state[i], network.last(i));
  record.launch();
}

void rnn_grad(const CustomContext& ctx, const DenseTensor& x, const Tensors& pre_state, const Tensors& weights,
              const OptionalTensor& lengths, const DenseTensor&, const DenseTensor&, const DenseTensor& reserve,
              const DenseTensor& dout, const Tensors& dstate, float dropout, bool is_bidirectional, int, int,
              int layers, const std::string& mode, int, bool is_test, DenseTensor* dx, Outputs dpre_state,
              Outputs dweights) {
  Recorder record(ctx);
  Graph& g = record.graph;
  Network network(record, x, pre_state, weights, lengths, mode, is_bidirectional, layers, dropout);
  const bool drops = !is_test && dropout > 0 && layers > 1;
  const Reserve parts(network, !is_test, drops);
  const bool has_states = parts.states != 0 && reserve.numel() == parts.states + parts.marks;
  const char* const bytes = static_cast<const char*>(reserve.data());
  Value mask, states;
  if (drops) {
    const Value marks = record.input(bytes + parts.states, DType::uint8, parts.marks);
    mask = g.cast(g.reshape(marks, network.mask_shape()), DType::bool_);
  }
  if (has_states) {
    const int64_t count = parts.states / static_cast<int64_t>(sizeof(float));
    states = g.reshape(record.input(bytes, DType::float32, count), network.states_shape());
  }
  network.run(drops ? &mask : nullptr, has_states ? &states : nullptr);
  std::vector<Value> incoming;
  for (size_t i = 0; i < pre_state.size(); ++i) {
    const bool is_there = i < dstate.size() && dstate[i] != nullptr && dstate[i]->initialized();
    incoming.push_back(is_there ? wide(record, *dstate[i]) : graphs::zeros(g, DType::float32, dims_of(*pre_state[i])));
  }
  const Network::Gradients found = network.gradients(wide(record, dout), incoming, drops ? &mask : nullptr);
  if (dx != nullptr) write(record, dx, found.x);
  for (size_t i = 0; i < dpre_state.size(); ++i) write(record, dpre_state[i], found.states[i]);
  for (size_t i = 0; i < dweights.size(); ++i) write(record, dweights[i], found.weights[i]);
  record.launch();
}

void give_marks(const phi::KernelKey&, phi::Kernel* kernel) {
  kernel->OutputAt(1).SetDataType(phi::DataType::UINT8);
  kernel->OutputAt(3).SetDataType(phi::DataType::UINT8);
}

}  // namespace

MPS_KERNEL_WITH_DEFINE(rnn, phi::RnnKernel, rnn, kFloats, give_marks)
MPS_KERNEL(rnn_grad, phi::RnnGradKernel, rnn_grad, kFloats)

}  // namespace mps::paddle
