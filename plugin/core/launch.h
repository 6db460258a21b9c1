// The only way from a kernel to a device.
//
// launch() takes a graph, the addresses and scalars it reads, and the addresses it writes. It finds
// the buffers behind the addresses, looks the graph up (compiling it if it is new) and encodes it
// on the stream. It returns before the work is done. Kernels may assume nothing about when work is
// submitted: a stream may gather several launches into one submission.
#pragma once

#include "plugin/core/runtime.h"
#include "plugin/core/scalar.h"

namespace mps {

// What a graph reads at one launch: the address of a dense, row-major tensor, or a number.
class Feed {
 public:
  Feed(const void* address) : address_(address), scalar_(0), is_scalar_(false) {}  // NOLINT: addresses convert
  Feed(Scalar scalar) : address_(nullptr), scalar_(scalar), is_scalar_(true) {}    // NOLINT: numbers convert

  const void* address() const { return address_; }
  Scalar scalar() const { return scalar_; }
  bool is_scalar() const { return is_scalar_; }

 private:
  const void* address_;
  Scalar scalar_;
  bool is_scalar_;
};

// Feeds and results come in the graph's order. A result may be exactly the range of a feed (in
// place); any other overlap throws kArgument. Results without elements are skipped, and a launch
// with no others does nothing.
void launch(DeviceState& device, Stream& stream, const Graph& graph, Span<const Feed> feeds, Span<void* const> results);

}  // namespace mps
