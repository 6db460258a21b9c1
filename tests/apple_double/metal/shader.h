// Shaders: the text of a library is compiled for this machine (clang takes Metal's language with a few macros, see
// shim/metal_stdlib) and its kernels are called thread by thread.
//
// What is known: parameters [[buffer(n)]], [[thread_position_in_grid]] and [[threads_per_grid]] of any of their types.
// What is not: threadgroup memory, SIMD groups, textures, function constants. A text with those does not compile here.
#pragma once

#include <Metal/Metal.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tests/apple_double/base/object.h"

@interface DoubleLibrary : NSObject <MTLLibrary>
@end
@interface DoubleFunction : NSObject <MTLFunction>
@end
@interface DoubleComputePipelineState : NSObject <MTLComputePipelineState>
@end

namespace apple_double {

struct Kernel {
  std::string name;
  std::vector<unsigned> buffers;  // which indices it reads or writes
  // Runs all threads of the grid. buffers[i]: the address bound to index i.
  void (*run)(void* const* buffers, const uint32_t* grid) = nullptr;
};

struct PipelineState {
  Kernel kernel;
};

constexpr unsigned kMostBuffers = 31;   // of an encoder
constexpr size_t kMostBytesSet = 4096;  // setBytes:length:atIndex:
constexpr size_t kThreadsPerThreadgroup = 1024;

// Null, with an error of MTLLibraryErrorDomain, if the text does not compile.
DoubleLibrary* new_library(NSString* source, MTLCompileOptions* options, NSError** error);
DoubleComputePipelineState* new_pipeline(id<MTLFunction> function);

}  // namespace apple_double
