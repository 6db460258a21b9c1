// Compiling Metal shaders from their source, which needs no Xcode on the user's machine.
#pragma once

#import <Metal/Metal.h>

#include "plugin/metal/objc.h"

namespace mps {

// Options under which NaN, infinities and integer-valued floats are what they are: Metal's default is fast math.
Ref<MTLCompileOptions*> safe_math();

// A function of the source, ready to be dispatched. Throws kInternal with the compiler's words.
Ref<id<MTLComputePipelineState>> compile_shader(id<MTLDevice> device, const char* source, const char* function);

}  // namespace mps
