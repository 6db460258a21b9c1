#include "plugin/paddle/backends.h"

#include "plugin/paddle/host_as_macos.h"

namespace mps {

extern const Backend kNullBackend;
#if MPS_HAS_METAL
extern const Backend kMetalBackend;
#else
extern const Backend kHostBackend;
#endif

namespace paddle {

// The first one is what a program gets that asks for none, so it must be one that computes.
Span<const Backend* const> linked_backends() {
#if MPS_HAS_METAL
  static const Backend* const backends[] = {&kMetalBackend, &kNullBackend};
#else
  static const Backend* const backends[] = {&as_macos(kHostBackend), &kNullBackend};
#endif
  return {backends, 2};
}

}  // namespace paddle
}  // namespace mps
