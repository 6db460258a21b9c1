// Residency sets: what the system keeps in memory for the GPU.
#pragma once

#include <Metal/Metal.h>

#include "tests/apple_double/base/object.h"

@interface DoubleResidencySet : NSObject <MTLResidencySet>
@end

namespace apple_double {

constexpr size_t kMostResidencySets = 32;  // of a queue

DoubleResidencySet* new_residency_set(MTLResidencySetDescriptor* descriptor);

}  // namespace apple_double
