#include "plugin/metal/bytes_metal.h"

#include <algorithm>

#include "plugin/metal/encoding_metal.h"
#include "plugin/metal/shader_metal.h"

namespace mps {
namespace {

// A blit of 4 GiB does nothing and says nothing (pytorch/pytorch#124335). Shaders count bytes in 32 bits.
constexpr size_t kMostBytes = size_t{2} << 30;
// Where a shader's argument may begin in its buffer; the shader skips the rest.
constexpr size_t kArgumentAlignment = 256;

constexpr const char* kSource = R"(
#include <metal_stdlib>
using namespace metal;

kernel void copy_bytes(device uchar* to [[buffer(0)]], device const uchar* from [[buffer(1)]],
                       constant uint2& skip [[buffer(2)]], uint i [[thread_position_in_grid]]) {
  to[skip.x + i] = from[skip.y + i];
}

kernel void fill_bytes(device uchar* to [[buffer(0)]], constant uint2& skip_and_value [[buffer(1)]],
                       uint i [[thread_position_in_grid]]) {
  to[skip_and_value.x + i] = uchar(skip_and_value.y);
}
)";

bool whole_words(size_t a, size_t b, size_t c) { return (a | b | c) % 4 == 0; }

template <typename Visit>
void in_pieces(size_t bytes, const Visit& visit) {
  for (size_t done = 0; done < bytes; done += kMostBytes) visit(done, std::min(kMostBytes, bytes - done));
}

void set_argument(id<MTLComputeCommandEncoder> encoder, id<MTLBuffer> buffer, size_t offset, NSUInteger index) {
  [encoder setBuffer:buffer offset:offset - offset % kArgumentAlignment atIndex:index];
}

void dispatch(id<MTLComputeCommandEncoder> encoder, id<MTLComputePipelineState> shader, size_t threads) {
  const NSUInteger group = std::min<NSUInteger>([shader maxTotalThreadsPerThreadgroup], 256);
  [encoder dispatchThreads:MTLSizeMake(threads, 1, 1) threadsPerThreadgroup:MTLSizeMake(group, 1, 1)];
}

uint32_t skip(size_t offset) { return static_cast<uint32_t>(offset % kArgumentAlignment); }

}  // namespace

id<MTLComputePipelineState> Bytes::shader(Ref<id<MTLComputePipelineState>>* kept, const char* function) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (!*kept) *kept = compile_shader(device_.get(), kSource, function);
  return kept->get();
}

void Bytes::copy(Encoding& encoding, id<MTLBuffer> to, size_t to_offset, id<MTLBuffer> from, size_t from_offset,
                 size_t bytes) {
  if (whole_words(to_offset, from_offset, bytes)) {
    in_pieces(bytes, [&](size_t done, size_t count) {
      [encoding.blit() copyFromBuffer:from
                         sourceOffset:from_offset + done
                             toBuffer:to
                    destinationOffset:to_offset + done
                                 size:count];
    });
    return;
  }
  const id<MTLComputePipelineState> pipeline = shader(&copy_, "copy_bytes");
  const id<MTLComputeCommandEncoder> encoder = encoding.compute();
  [encoder setComputePipelineState:pipeline];
  in_pieces(bytes, [&](size_t done, size_t count) {
    const uint32_t skips[] = {skip(to_offset + done), skip(from_offset + done)};
    set_argument(encoder, to, to_offset + done, 0);
    set_argument(encoder, from, from_offset + done, 1);
    [encoder setBytes:skips length:sizeof skips atIndex:2];
    dispatch(encoder, pipeline, count);
  });
}

void Bytes::fill(Encoding& encoding, id<MTLBuffer> to, size_t offset, size_t bytes, uint8_t value) {
  if (whole_words(offset, bytes, 0)) {
    in_pieces(bytes, [&](size_t done, size_t count) {
      [encoding.blit() fillBuffer:to range:NSMakeRange(offset + done, count) value:value];
    });
    return;
  }
  const id<MTLComputePipelineState> pipeline = shader(&fill_, "fill_bytes");
  const id<MTLComputeCommandEncoder> encoder = encoding.compute();
  [encoder setComputePipelineState:pipeline];
  in_pieces(bytes, [&](size_t done, size_t count) {
    const uint32_t skip_and_value[] = {skip(offset + done), value};
    set_argument(encoder, to, offset + done, 0);
    [encoder setBytes:skip_and_value length:sizeof skip_and_value atIndex:1];
    dispatch(encoder, pipeline, count);
  });
}

}  // namespace mps
