#include "plugin/core/elapsed.h"

#include "plugin/core/check.h"

namespace mps {
namespace {

double moment_of(const Event& event, const char* which) {
  MPS_CHECK(event.query(), kArgument, "the ", which,
            " event is not reached yet: expected one whose work is done. Call ", "its synchronize() first.");
  const std::optional<double> moment = event.reached_at();
  MPS_CHECK(moment.has_value(), kArgument, "the ", which,
            " event has no time: expected one recorded with timing on, got one that was not. Create it with "
            "enable_timing=True and record it.");
  return *moment;
}

}  // namespace

double elapsed_ms(const Event& start, const Event& end) {
  return (moment_of(end, "end") - moment_of(start, "start")) * 1e3;
}

}  // namespace mps
