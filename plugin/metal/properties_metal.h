// What the system says of a GPU.
#pragma once

#import <Metal/Metal.h>

#include <string>

#include "plugin/core/device.h"

namespace mps {

DeviceProperties describe(id<MTLDevice> device);

// Why we do not compute on this GPU, in one sentence; empty if we do.
std::string refusal(id<MTLDevice> device);

}  // namespace mps
