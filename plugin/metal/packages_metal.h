// Compiled graphs as MPSGraph packages, kept between runs in a PackageFolder (macOS 14).
#pragma once

#include "plugin/metal/executable_metal.h"

namespace mps {

// What was kept for this graph on this device; nothing otherwise.
Compiled load_package(id<MTLDevice> device, const Graph& legal, MPSGraphCompilationDescriptor* options);

// Keeps it if there is a folder. That it cannot be kept is not an error.
void keep_package(id<MTLDevice> device, const Graph& legal, const Compiled& compiled);

}  // namespace mps
