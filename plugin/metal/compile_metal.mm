#include "plugin/metal/compile_metal.h"

#include <utility>

#include "plugin/core/check.h"
#include "plugin/metal/executable_metal.h"
#include "plugin/metal/legal/legal.h"
#include "plugin/metal/lower_metal.h"
#include "plugin/metal/os.h"
#include "plugin/metal/packages_metal.h"

namespace mps {
namespace {

// This Mac, to the release that matters to legalisation.
legal::Target this_mac() {
  static const legal::Target target = [] {
    legal::Target newest;
    for (int release : legal::kReleases) {
      if (os_at_least(release / 10, release % 10)) newest.macos = release;
    }
    return newest;
  }();
  return target;
}

MPSGraphCompilationDescriptor* options() {
  MPSGraphCompilationDescriptor* const options = autorelease([MPSGraphCompilationDescriptor new]);
  // Level 0 is the GPU alone; the default may send work to the Neural Engine, with other numbers.
  if (MPS_AVAILABLE(12, 3)) options.optimizationLevel = MPSGraphOptimizationLevel0;
  if (MPS_AVAILABLE(13, 0)) options.waitForCompilationCompletion = YES;
  return options;
}

// Where in `all` the elements of `some` are.
std::vector<uint32_t> places(NSArray<MPSGraphTensor*>* some, NSArray<MPSGraphTensor*>* all, const char* what) {
  MPS_CHECK([some count] == [all count], kInternal, "MPSGraph compiled ", [some count], " ", what, ": expected ",
            [all count], ".");
  std::vector<uint32_t> found;
  for (MPSGraphTensor* tensor in some) {
    const NSUInteger place = [all indexOfObject:tensor];
    MPS_CHECK(place < [all count], kInternal, "MPSGraph compiled ", what, " that are not those of its graph.");
    found.push_back(static_cast<uint32_t>(place));
  }
  return found;
}

Compiled compile(id<MTLDevice> device, const Graph& legal) {
  const Lowered lowered = lower_metal(legal);
  NSMutableDictionary<MPSGraphTensor*, MPSGraphShapedType*>* const types =
      [NSMutableDictionary dictionaryWithCapacity:[lowered.feeds count]];
  for (MPSGraphTensor* feed in lowered.feeds) {
    MPSGraphShapedType* const type = [[MPSGraphShapedType alloc] initWithShape:feed.shape dataType:feed.dataType];
    [types setObject:autorelease(type) forKey:feed];
  }
  MPSGraphExecutable* const executable = [lowered.graph compileWithDevice:[MPSGraphDevice deviceWithMTLDevice:device]
                                                                    feeds:types
                                                            targetTensors:lowered.results
                                                         targetOperations:nil
                                                    compilationDescriptor:options()];
  MPS_CHECK(executable != nil, kDevice, "MPSGraph did not compile a graph of ", legal.node_count(), " nodes.");
  executable.options = MPSGraphOptionsNone;
  Compiled compiled;
  compiled.executable = retain(executable);
  for (uint32_t place : places(executable.feedTensors, lowered.feeds, "feeds")) {
    compiled.feeds.push_back(lowered.feed_numbers[place]);
  }
  compiled.results = places(executable.targetTensors, lowered.results, "results");
  return compiled;
}

}  // namespace

std::string supports_metal(const Graph& graph) { return legal::refusal(graph, this_mac()); }

std::shared_ptr<const Executable> compile_metal(id<MTLDevice> device, const Graph& graph) {
  const legal::Legal made = legal::legalize(graph, this_mac());
  if (made.graph.results().empty()) return make_executable(graph, made, {});
  Compiled compiled = load_package(device, made.graph, options());
  if (!compiled.executable) {
    compiled = compile(device, made.graph);
    keep_package(device, made.graph, compiled);
  }
  return make_executable(graph, made, std::move(compiled));
}

}  // namespace mps
