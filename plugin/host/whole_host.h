// Nodes that are computed as a whole, from dense operands into a dense result: scans, arg reductions, gathers,
// scatters, sorts, searches, random numbers, convolutions, poolings, attention and spectra (is_whole() of node.h). Each
// file named below compiles the nodes of its families.
//
// A program is immutable: any number of threads may run it at once. How work is cut depends on shapes alone, so results
// do not depend on the number of threads.
#pragma once

#include <cstdint>
#include <functional>

#include "plugin/core/graph.h"

namespace mps {

struct WholeProgram {
  // Inputs in the order of the operands; the output overlaps none.
  std::function<void(Span<const void* const> inputs, void* output)> run;
  uint64_t cost_ns = 0;  // rough time of run() on one thread
  size_t bytes = 0;      // memory held by run, beyond some hundred bytes
};

WholeProgram compile_whole(const Graph& graph, Value value);

WholeProgram compile_arg_reduction(const Graph& graph, Value value);  // scan_host.cc
WholeProgram compile_scan(const Graph& graph, Value value);           // scan_host.cc
WholeProgram compile_gather(const Graph& graph, Value value);         // index_host.cc
WholeProgram compile_scatter(const Graph& graph, Value value);        // index_host.cc
WholeProgram compile_arg_sort(const Graph& graph, Value value);       // sort_host.cc
WholeProgram compile_search_sorted(const Graph& graph, Value value);  // sort_host.cc
WholeProgram compile_random(const Graph& graph, Value value);         // random_host.cc
WholeProgram compile_convolution(const Graph& graph, Value value);    // convolution_host.cc
WholeProgram compile_pooling(const Graph& graph, Value value);        // pooling_host.cc
WholeProgram compile_attention(const Graph& graph, Value value);      // attention_host.cc
WholeProgram compile_alignment(const Graph& graph, Value value);      // alignment_host.cc
WholeProgram compile_fourier(const Graph& graph, Value value);        // fourier_host.cc
WholeProgram compile_quantized(const Graph& graph, Value value);      // quantized_host.cc

// Without inputs: 0, 1, 2 ... as int32.
WholeProgram count_to(int64_t count);

// An axis of a dense tensor: element i of line (o, n) lies at (o * length + i) * inner + n.
struct Lines {
  int64_t outer = 1, length = 1, inner = 1;
  Lines(Dims shape, size_t axis);
  int64_t count() const { return outer * inner; }
};

// How many pieces of work are worth a thread of their own, given the elements of each.
constexpr int64_t grain_of(int64_t elements_each) {
  constexpr int64_t kElements = 16384;
  return elements_each >= kElements ? 1 : kElements / (elements_each < 1 ? 1 : elements_each);
}

}  // namespace mps
