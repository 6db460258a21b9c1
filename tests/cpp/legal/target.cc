#include "tests/cpp/legal/target.h"

#include <cstdio>
#include <cstdlib>

#include "plugin/core/check.h"

namespace mps::exam {

legal::Target target() {
  const char* const text = std::getenv("PADDLE_MPS_DOUBLE_OS");
  int major = 26, minor = 0;
  if (text != nullptr && std::sscanf(text, "%d.%d", &major, &minor) != 2) {
    MPS_THROW(kArgument, "bad PADDLE_MPS_DOUBLE_OS: expected 13.3, say, got ", text, ".");
  }
  return {major * 10 + minor};
}

}  // namespace mps::exam
