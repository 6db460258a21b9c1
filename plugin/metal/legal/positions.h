// Gathers and scatters. Indices that lie outside are never given to MPSGraph: what it reads or writes there is not
// documented alike, and has been seen to be the next row (see workarounds.def).
#pragma once

#include "plugin/core/graph.h"
#include "plugin/metal/legal/builder.h"

namespace mps::legal {

Value gather(Builder& b, Value indices, Value data);
// Of several updates of one element MPSGraph takes any, and it scatters float32 and int32 only. So what is set is
// gathered instead, once the last update of each row is known; and int64 is put together from what int32 can hold.
Value scatter(Builder& b, ScatterMode mode, Value data, Value indices, Value updates);

// A gather of rows that all are inside, in a dtype that MPSGraph gathers.
Value gather_inside(Builder& b, Value indices, Value data);

}  // namespace mps::legal
