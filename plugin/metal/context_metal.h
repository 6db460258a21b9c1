// What the heaps and streams of one device share. It lives as long as any of them.
#pragma once

#import <Metal/Metal.h>

#include "plugin/metal/bytes_metal.h"
#include "plugin/metal/objc.h"
#include "plugin/metal/residency_metal.h"

namespace mps {

struct MetalContext {
  explicit MetalContext(id<MTLDevice> mtl_device)
      : device(retain(mtl_device)), bytes(mtl_device), residency(mtl_device) {}

  const Ref<id<MTLDevice>> device;
  Bytes bytes;
  Residency residency;
};

}  // namespace mps
