// The null device under exam: memory, copies, order and errors are asked; what an executable computes is not.
#include "plugin/null/device_null.h"
#include "tests/cpp/conformance/exam.h"

namespace mps::exam {

std::unique_ptr<Device> open_device(int64_t) { return std::make_unique<NullDevice>(); }

Span<const Exception> exceptions() {
  static const Exception table[] = {
      {"Pointwise", "it computes nothing"},
      {"Movement", "it computes nothing"},
      {"Reduction", "it computes nothing"},
      {"Positions", "it computes nothing"},
      {"Matmul", "it computes nothing"},
      {"Images", "it computes nothing"},
      {"Sequences", "it computes nothing"},
      {"Alignments", "it computes nothing"},
      {"Spectra", "it computes nothing"},
      {"Quantized", "it computes nothing"},
      {"Integers", "it computes nothing"},
      {"Graphs", "it computes nothing"},
      {"RandomBits", "it computes nothing"},
      {"RandomGraphs", "it computes nothing"},
      {"InPlace", "it computes nothing"},
      {"Streams.LaunchesKeepTheirOrder", "it computes nothing"},
      {"Streams.LaunchesKeepTheirOrderAmongCopies", "it computes nothing"},
      {"DelayedStreams.LaunchesKeepTheirOrder", "it computes nothing"},
      {"DelayedStreams.LaunchesKeepTheirOrderAmongCopies", "it computes nothing"},
      {"ExternalMemory.IsReadAndWrittenByLaunches", "it computes nothing"},
      {"DelayedExternalMemory.IsReadAndWrittenByLaunches", "it computes nothing"},
  };
  return {table, sizeof table / sizeof table[0]};
}

}  // namespace mps::exam
