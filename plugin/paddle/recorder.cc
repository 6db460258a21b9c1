#include "plugin/paddle/recorder.h"

#include <vector>

#include "paddle/common/flags.h"
#include "plugin/core/check.h"
#include "plugin/paddle/strided.h"

PHI_DECLARE_bool(check_nan_inf);

namespace mps::paddle {
namespace {

template <typename Bytes>
bool overlap_in_part(const Bytes& a, const Bytes& b) {
  if (a.size == 0 || b.size == 0 || a.begin + a.size <= b.begin || b.begin + b.size <= a.begin) return false;
  return a.begin != b.begin || a.size != b.size;
}

// With FLAGS_check_nan_inf Paddle reads the results of an op as soon as its kernel returns, and of devices that are no
// GPU as if they were memory of the CPU: they must be there.
void finish_if_checked(Stream& stream) {
  if (__builtin_expect(FLAGS_check_nan_inf, 0)) stream.synchronize();
}

}  // namespace

Recorder::Recorder(const phi::CustomContext& ctx)
    : ctx_(ctx), device_(Runtime::device(ctx.GetPlace().GetDeviceId())), stream_(*static_cast<Stream*>(ctx.stream())) {
  device_.note_stream_of_op(stream_);
}

Value Recorder::input(const phi::DenseTensor& tensor) { return input(tensor, dims_of(tensor)); }

Value Recorder::input(const phi::DenseTensor& tensor, Dims shape) {
  // An empty tensor has no memory, and no live node reads it.
  if (tensor.numel() == 0) return feed(nullptr, graph.placeholder(dtype_of(tensor), shape));
  if (!is_dense(tensor)) return graph.reshape(input_of_elements(tensor), shape);
  return feed(tensor.data(), graph.placeholder(dtype_of(tensor), shape));
}

Value Recorder::input_of_elements(const phi::DenseTensor& tensor) {
  const StridedStorage from = storage_of(tensor, dims_of(tensor), strides_of(tensor));
  return graph.strided_view(input(from.address, from.dtype, from.count), from.shape, from.strides, from.offset);
}

Value Recorder::input(const void* address, DType dtype, int64_t count) {
  return feed(address, graph.placeholder(dtype, {count}));
}

Value Recorder::feed(const void* address, Value placeholder) {
  feeds_.push_back(Feed(address));
  feed_bytes_.push_back({static_cast<const char*>(address), graph.bytes(placeholder)});
  return placeholder;
}

Value Recorder::scalar(Scalar value, DType dtype) {
  feeds_.push_back(Feed(value));
  return graph.scalar(dtype);
}

void Recorder::output(phi::DenseTensor* tensor, Value value) {
  if (tensor == nullptr) return;
  MPS_CHECK(dtype_of(*tensor) == graph.dtype(value) && tensor->numel() == graph.elements(value), kInternal,
            "result does not fit its tensor: expected ", name(dtype_of(*tensor)), to_string(dims_of(*tensor)), ", got ",
            name(graph.dtype(value)), to_string(graph.shape(value)), ".");
  MPS_CHECK(is_dense(*tensor), kInternal, "a result has strides: expected a dense one, got ",
            to_string(strides_of(*tensor)), " for ", to_string(dims_of(*tensor)), ".");
  output(ctx_.Alloc(tensor, tensor->dtype()), value);
}

void Recorder::output(void* address, Value value) {
  graph.result(value);
  results_.push_back(address);
}

void Recorder::launch() {
  // Most calls have no overlap, and then this is all.
  std::vector<Detour> detours = detour_overlapping_results();
  mps::launch(device_, stream_, graph, feeds_, results_);
  for (const Detour& detour : detours) {
    const size_t size = detour.bytes;
    Memory& memory = device_.memory();
    stream_.copy(memory.resolve(detour.to, size, &stream_), memory.resolve(detour.temporary.data(), size, &stream_));
  }
  // Paddle may hand the temporaries' memory out again at once: only to later work of this stream,
  // which comes after.
  finish_if_checked(stream_);
}

bool Recorder::copy(void* to, const void* from, size_t bytes) {
  const FeedBytes target{static_cast<const char*>(to), bytes}, source{static_cast<const char*>(from), bytes};
  if (overlap_in_part(target, source)) return false;
  Memory& memory = device_.memory();
  stream_.copy(memory.resolve(to, bytes, &stream_), memory.resolve(from, bytes, &stream_));
  finish_if_checked(stream_);
  return true;
}

std::vector<Recorder::Detour> Recorder::detour_overlapping_results() {
  std::vector<Detour> detours;
  for (size_t i = 0; i < results_.size(); ++i) {
    const Value value{graph.results()[i]};
    const FeedBytes result{static_cast<const char*>(results_[i]), graph.bytes(value)};
    for (const FeedBytes& read : feed_bytes_) {
      if (!overlap_in_part(result, read)) continue;
      Detour detour{results_[i], result.size, {}};
      detour.temporary.Resize({static_cast<int64_t>(result.size)});
      results_[i] = ctx_.Alloc(&detour.temporary, phi::DataType::UINT8);
      detours.push_back(std::move(detour));
      break;
    }
  }
  return detours;
}

}  // namespace mps::paddle
