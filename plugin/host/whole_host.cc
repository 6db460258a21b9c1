#include "plugin/host/whole_host.h"

#include "plugin/core/check.h"
#include "plugin/host/threads.h"

namespace mps {

Lines::Lines(Dims shape, size_t axis) {
  for (size_t i = 0; i < axis; ++i) outer *= shape[i];
  length = shape[axis];
  for (size_t i = axis + 1; i < shape.size(); ++i) inner *= shape[i];
}

WholeProgram compile_whole(const Graph& graph, Value value) {
  switch (info(graph.node(value).kind).family) {
    case NodeFamily::kArgReduce:
      return compile_arg_reduction(graph, value);
    case NodeFamily::kScan:
      return compile_scan(graph, value);
    case NodeFamily::kGather:
      return compile_gather(graph, value);
    case NodeFamily::kScatter:
      return compile_scatter(graph, value);
    case NodeFamily::kArgSort:
      return compile_arg_sort(graph, value);
    case NodeFamily::kSearchSorted:
      return compile_search_sorted(graph, value);
    case NodeFamily::kRandom:
      return compile_random(graph, value);
    case NodeFamily::kConvolution:
    case NodeFamily::kConvolutionGradient:
      return compile_convolution(graph, value);
    case NodeFamily::kPooling:
    case NodeFamily::kPoolingGradient:
      return compile_pooling(graph, value);
    case NodeFamily::kAttention:
      return compile_attention(graph, value);
    case NodeFamily::kAlignment:
      return compile_alignment(graph, value);
    case NodeFamily::kFourier:
      return compile_fourier(graph, value);
    case NodeFamily::kQuantized:
      return compile_quantized(graph, value);
    case NodeFamily::kSource:
    case NodeFamily::kUnary:
    case NodeFamily::kBinary:
    case NodeFamily::kCompare:
    case NodeFamily::kSelect:
    case NodeFamily::kCast:
    case NodeFamily::kReshape:
    case NodeFamily::kTranspose:
    case NodeFamily::kBroadcast:
    case NodeFamily::kSlice:
    case NodeFamily::kConcatenation:
    case NodeFamily::kStridedView:
    case NodeFamily::kStridedUpdate:
    case NodeFamily::kReduce:
    case NodeFamily::kCoordinate:
    case NodeFamily::kMatmul:
      break;
  }
  MPS_THROW(kInternal, "no program for a whole ", info(graph.node(value).kind).name, ".");
}

WholeProgram count_to(int64_t count) {
  const auto run = [count](Span<const void* const>, void* output) {
    int32_t* const to = static_cast<int32_t*>(output);
    parallel_for(count, grain_of(1), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) to[i] = static_cast<int32_t>(i);
    });
  };
  return {run, static_cast<uint64_t>(20 + count / 8)};
}

}  // namespace mps
