// MPSGraphTensorData: what a graph is fed with, and what it writes to.
#pragma once

#include <MetalPerformanceShadersGraph/MetalPerformanceShadersGraph.h>

#include "tests/apple_double/mps/ndarray.h"

namespace apple_double {

struct TensorDataState {
  Kept<MPSNDArray*> array;
};

}  // namespace apple_double
