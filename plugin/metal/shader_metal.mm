#include "plugin/metal/shader_metal.h"

#include "plugin/core/check.h"
#include "plugin/metal/os.h"

namespace mps {

Ref<MTLCompileOptions*> safe_math() {
  auto options = adopt([[MTLCompileOptions alloc] init]);
  if (MPS_AVAILABLE(15, 0)) {
    [options.get() setMathMode:MTLMathModeSafe];
    [options.get() setMathFloatingPointFunctions:MTLMathFloatingPointFunctionsPrecise];
  } else {
    [options.get() setFastMathEnabled:NO];
  }
  return options;
}

Ref<id<MTLComputePipelineState>> compile_shader(id<MTLDevice> device, const char* source, const char* function) {
  MPS_POOL;
  NSError* error = nil;
  const auto library = adopt([device newLibraryWithSource:ns_string(source) options:safe_math().get() error:&error]);
  MPS_CHECK(library, kInternal, "a shader does not compile: expected ", function,
            ", got: ", text_of([error localizedDescription]), ". Report this with the macOS version.");
  const auto compiled = adopt([library.get() newFunctionWithName:ns_string(function)]);
  MPS_CHECK(compiled, kInternal, "a shader has no function ", function, ".");
  auto pipeline = adopt([device newComputePipelineStateWithFunction:compiled.get() error:&error]);
  MPS_CHECK(pipeline, kInternal, "a shader cannot be used: expected a pipeline of ", function,
            ", got: ", text_of([error localizedDescription]), ". Report this with the macOS version.");
  return pipeline;
}

}  // namespace mps
