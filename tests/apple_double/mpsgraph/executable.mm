// Compiling graphs, encoding executables, and keeping them in packages.
#include <MetalPerformanceShadersGraph/MetalPerformanceShadersGraph.h>

#include <algorithm>
#include <fstream>
#include <random>
#include <sstream>

#include "tests/apple_double/base/control.h"
#include "tests/apple_double/metal/command_buffer.h"
#include "tests/apple_double/metal/device.h"
#include "tests/apple_double/mpsgraph/graph.h"
#include "tests/apple_double/mpsgraph/run.h"
#include "tests/apple_double/mpsgraph/tensor_data.h"

namespace apple_double {
namespace {

struct ExecutableState {
  std::shared_ptr<const Compiled> compiled;
  Kept<MPSGraph*> graph;
  Kept<NSArray*> feedTensors, targetTensors;  // nil for one from a package
  MPSGraphOptions options = MPSGraphOptionsDefault;
};

// One in this many encodes commits on its own, as MPSGraph may.
constexpr uint64_t kCommitsOneIn = 8;

void check_level(MPSGraphCompilationDescriptor* descriptor, const char* what) {
  if (!os_at_least(12, 3)) return;  // it has no levels
  require(descriptor != nil && descriptor.optimizationLevel == MPSGraphOptimizationLevel0, what,
          ": without MPSGraphOptimizationLevel0 work may go to the Neural Engine and the CPU, in other precisions.");
}

uint32_t node_of(MPSGraph* graph, MPSGraphTensor* tensor, const char* what) {
  require([tensor isKindOfClass:[MPSGraphTensor class]], what, ": expected an MPSGraphTensor, got ",
          public_name(tensor), ".");
  require(state<TensorState>(tensor).graph == graph, what, ": a tensor of another graph.");
  return state<TensorState>(tensor).node;
}

// The array of a feed or target: it must be as the graph has it, and dense from the beginning of its buffer, or from
// an offset where this macOS has those (which initWithBuffer:offset:descriptor: sees to).
const NDArrayState& checked(MPSGraphTensorData* data, const Node& node, const std::string& what) {
  require([data isKindOfClass:[MPSGraphTensorData class]], what, ": expected an MPSGraphTensorData, got ",
          public_name(data), ".");
  const NDArrayState& array = state<NDArrayState>(state<TensorDataState>(data).array);
  require(array.dtype == node.dtype && mps::same_shape(array.shape, node.shape), what, ": expected ",
          describe(node.dtype, node.shape), ", got ", describe(array.dtype, array.shape), ": the assertion fails.");
  require(array.shape.size() >= 1 && array.shape.size() <= kMostAxes, what, ": ", array.shape.size(),
          " axes: expected 1 to ", kMostAxes, ". A scalar is fed as [1]; reshape what has more.");
  require(mps::is_contiguous(array.shape, array.strides), what,
          ": a strided feed: such are a steady source of wrong numbers (pytorch/pytorch#133520, #174345, #181133).");
  return array;
}

struct Bytes {
  char* begin;
  size_t size;
  bool overlaps(const Bytes& other) const { return begin < other.begin + other.size && other.begin < begin + size; }
};

Bytes bytes_of(Encoding& encoding, const NDArrayState& array, bool writes, const char* what) {
  BufferState& buffer = encoding.use(array.buffer, what);
  const size_t size = static_cast<size_t>(mps::element_count(array.shape)) * mps::size_of(array.dtype);
  encoding.touch(buffer, array.offset, size, writes, what);
  return {buffer.address + array.offset, size};
}

void encode(MPSGraphExecutable* executable, MPSCommandBuffer* commands, NSArray* inputs, NSArray* results) {
  const std::shared_ptr<const Compiled> compiled = state<ExecutableState>(executable).compiled;
  require([inputs count] == compiled->feeds().size(), "encodeToCommandBuffer: ", [inputs count], " inputs for ",
          compiled->feeds().size(), " feeds.");
  require([results count] == compiled->targets().size(), "encodeToCommandBuffer: ", [results count], " results for ",
          compiled->targets().size(), " targets. (The double gives no memory of its own.)");
  Encoding encoding(underlying(commands), "encodeToCommandBuffer:");
  encoding.no_open_encoder("encodeToCommandBuffer:");
  ++encoding->passes;
  std::vector<Bytes> feeds, targets;
  for (size_t i = 0; i < compiled->feeds().size(); ++i) {
    const std::string what = "input " + std::to_string(i);
    feeds.push_back(
        bytes_of(encoding, checked([inputs objectAtIndex:i], compiled->feed(i), what), false, what.c_str()));
  }
  for (size_t i = 0; i < compiled->targets().size(); ++i) {
    const std::string what = "result " + std::to_string(i);
    targets.push_back(
        bytes_of(encoding, checked([results objectAtIndex:i], compiled->target(i), what), true, what.c_str()));
    for (size_t k = 0; k < i; ++k) require(!targets[i].overlaps(targets[k]), what, " overlaps result ", k, ".");
    for (size_t k = 0; k < feeds.size(); ++k) {
      if (!targets[i].overlaps(feeds[k])) continue;
      const bool exactly = targets[i].begin == feeds[k].begin && targets[i].size == feeds[k].size;
      const std::string reason = exactly ? compiled->in_place(i, k) : "they overlap in part";
      require(reason.empty(), what, " lies where input ", k, " lies, but ", reason,
              ": results are written while inputs are still read (pytorch/pytorch#97085). Use a temporary.");
    }
  }
  std::vector<char*> from, to;
  for (const Bytes& feed : feeds) from.push_back(feed.begin);
  for (const Bytes& target : targets) to.push_back(target.begin);
  encoding->steps.push_back([compiled, from, to] { compiled->run(from, to); });
}

std::string path_of(NSURL* folder, const char* file) { return text([folder path]) + "/" + file; }

}  // namespace
}  // namespace apple_double

using namespace apple_double;

@implementation MPSGraph (Compilation)

- (MPSGraphExecutable*)compileWithDevice:(MPSGraphDevice*)device
                                   feeds:(MPSGraphTensorShapedTypeDictionary*)feeds
                           targetTensors:(NSArray<MPSGraphTensor*>*)targets
                        targetOperations:(NSArray<MPSGraphOperation*>*)operations
                   compilationDescriptor:(MPSGraphCompilationDescriptor*)descriptor {
  (void)device;
  const char* const what = "compileWithDevice:";
  check_level(descriptor, what);
  require(operations == nil || [operations count] == 0, what, ": the double knows no target operations.");
  require([targets count] > 0, what, ": no targets.");
  const Program& program = state<GraphState>(self).program;
  std::vector<uint32_t> target_nodes, feed_nodes;
  for (MPSGraphTensor* target in targets) {
    const uint32_t node = node_of(self, target, what);
    require(program.nodes[node].kernel != "placeholder", what,
            ": a target that is a placeholder: not known to be copied. Copy it yourself.");
    require(!program.nodes[node].is_complex, what, ": a target of complex numbers: the double knows none in memory.");
    require(std::find(target_nodes.begin(), target_nodes.end(), node) == target_nodes.end(), what,
            ": one tensor is a target twice: not known to be written twice.");
    target_nodes.push_back(node);
  }
  for (MPSGraphTensor* feed in feeds) {
    const uint32_t node = node_of(self, feed, what);
    MPSGraphShapedType* const type = [feeds objectForKey:feed];
    require(program.nodes[node].kernel == "placeholder", what, ": a feed that is no placeholder.");
    require([type isKindOfClass:[MPSGraphShapedType class]], what, ": expected an MPSGraphShapedType, got ",
            public_name(type), ".");
    const Node& placeholder = program.nodes[node];
    require(dtype_of(type.dataType, what) == placeholder.dtype &&
                mps::same_shape(shape_of(type.shape, what), placeholder.shape),
            what, ": the type of a feed differs from its placeholder's ",
            describe(placeholder.dtype, placeholder.shape), ".");
    feed_nodes.push_back(node);
  }
  // A dictionary has no order: which one the executable has, its feedTensors say.
  std::sort(feed_nodes.begin(), feed_nodes.end());
  std::shuffle(feed_nodes.begin(), feed_nodes.end(), std::mt19937(static_cast<unsigned>(random_number())));
  MPSGraphExecutable* const made = [[MPSGraphExecutable alloc] init];
  ExecutableState& executable = state<ExecutableState>(made);
  NSMutableArray* const ordered = [NSMutableArray array];
  for (uint32_t node : feed_nodes) [ordered addObject:state<GraphState>(self).tensors[node]];
  executable.graph = self;
  executable.feedTensors = ordered;
  executable.targetTensors = targets;
  executable.compiled = std::make_shared<Compiled>(program, std::move(feed_nodes), std::move(target_nodes));
  return [made autorelease];
}
@end

@implementation MPSGraphExecutable
APPLE_DOUBLE_STATE(ExecutableState)
APPLE_DOUBLE_PROPERTY(ExecutableState, MPSGraphOptions, options, setOptions)
APPLE_DOUBLE_READONLY(ExecutableState, NSArray*, feedTensors)
APPLE_DOUBLE_READONLY(ExecutableState, NSArray*, targetTensors)

- (NSArray<MPSGraphTensorData*>*)encodeToCommandBuffer:(MPSCommandBuffer*)commands
                                           inputsArray:(NSArray<MPSGraphTensorData*>*)inputs
                                          resultsArray:(NSArray<MPSGraphTensorData*>*)results
                                   executionDescriptor:(MPSGraphExecutableExecutionDescriptor*)descriptor {
  (void)descriptor;
  require([commands isKindOfClass:[MPSCommandBuffer class]],
          "encodeToCommandBuffer: expected an MPSCommandBuffer, got ", public_name(commands), ".");
  if (random_number() % kCommitsOneIn == 0) [commands commitAndContinue];
  encode(self, commands, inputs, results);
  if (random_number() % kCommitsOneIn == 0) [commands commitAndContinue];
  return results;
}

- (void)specializeWithDevice:(MPSGraphDevice*)device
                  inputTypes:(NSArray<MPSGraphType*>*)types
       compilationDescriptor:(MPSGraphCompilationDescriptor*)descriptor {
  (void)device;
  check_level(descriptor, "specializeWithDevice:");
  const Compiled& compiled = *state<ExecutableState>(self).compiled;
  require([types count] == compiled.feeds().size(), "specializeWithDevice: ", [types count], " types for ",
          compiled.feeds().size(), " feeds.");
  for (size_t i = 0; i < compiled.feeds().size(); ++i) {
    MPSGraphShapedType* const type = (MPSGraphShapedType*)[types objectAtIndex:i];
    const Node& feed = compiled.feed(i);
    require(dtype_of(type.dataType, "specializeWithDevice:") == feed.dtype &&
                mps::same_shape(shape_of(type.shape, "specializeWithDevice:"), feed.shape),
            "specializeWithDevice: type ", i, " differs from its feed's ", describe(feed.dtype, feed.shape), ".");
  }
}

- (NSArray<MPSGraphShapedType*>*)getOutputTypesWithDevice:(MPSGraphDevice*)device
                                               inputTypes:(NSArray<MPSGraphType*>*)types
                                    compilationDescriptor:(MPSGraphCompilationDescriptor*)descriptor {
  (void)device;
  const char* const what = "getOutputTypesWithDevice:";
  check_level(descriptor, what);
  const Compiled& compiled = *state<ExecutableState>(self).compiled;
  require([types count] == compiled.feeds().size(), what, " ", [types count], " types for ", compiled.feeds().size(),
          " feeds.");
  for (size_t i = 0; i < compiled.feeds().size(); ++i) {
    MPSGraphShapedType* const type = (MPSGraphShapedType*)[types objectAtIndex:i];
    require(dtype_of(type.dataType, what) == compiled.feed(i).dtype &&
                mps::same_shape(shape_of(type.shape, what), compiled.feed(i).shape),
            what, " type ", i, " is not that of its feed, ", describe(compiled.feed(i).dtype, compiled.feed(i).shape),
            ": what is inferred then, if anything, is not known.");
  }
  NSMutableArray* const found = [NSMutableArray array];
  for (size_t i = 0; i < compiled.targets().size(); ++i) {
    const Node& target = compiled.target(i);
    MPSGraphShapedType* const type = [[MPSGraphShapedType alloc] initWithShape:numbers_of(target.shape)
                                                                      dataType:type_of(target.dtype)];
    [found addObject:[type autorelease]];
  }
  return found;
}

- (void)serializeToMPSGraphPackageAtURL:(NSURL*)folder
                             descriptor:(MPSGraphExecutableSerializationDescriptor*)descriptor {
  require([folder path] != nil, "serializeToMPSGraphPackageAtURL: no path.");
  require(![[NSFileManager defaultManager] fileExistsAtPath:[folder path]], "serializeToMPSGraphPackageAtURL: '",
          text([folder path]), "' exists: another process may be reading it. Write beside it and move.");
  NSString* const target = descriptor == nil ? nil : descriptor.minimumDeploymentTarget;
  [[NSFileManager defaultManager] createDirectoryAtPath:[folder path]
                            withIntermediateDirectories:YES
                                             attributes:nil
                                                  error:nullptr];
  const Compiled& compiled = *state<ExecutableState>(self).compiled;
  std::ofstream manifest(path_of(folder, "manifest"));
  manifest << (target == nil ? os_version().text() : text(target)) << "\n" << compiled.feeds().size();
  for (uint32_t node : compiled.feeds()) manifest << " " << node;
  manifest << "\n" << compiled.targets().size();
  for (uint32_t node : compiled.targets()) manifest << " " << node;
  std::ofstream(path_of(folder, "model_0.mpsgraph"), std::ios::binary) << compiled.program().write();
}

- (instancetype)initWithMPSGraphPackageAtURL:(NSURL*)folder
                       compilationDescriptor:(MPSGraphCompilationDescriptor*)descriptor {
  const char* const what = "initWithMPSGraphPackageAtURL:";
  check_level(descriptor, what);
  self = [super init];
  std::ifstream manifest(path_of(folder, "manifest"));
  std::ifstream model(path_of(folder, "model_0.mpsgraph"), std::ios::binary);
  std::ostringstream bytes;
  bytes << model.rdbuf();
  int major = 0, minor = 0;
  char dot = 0;
  std::vector<uint32_t> lists[2];
  bool fine = static_cast<bool>(manifest >> major >> dot >> minor);
  for (std::vector<uint32_t>& list : lists) {
    size_t count = 0;
    fine = fine && manifest >> count && count < 100'000;
    for (size_t i = 0; i < count && fine; ++i) {
      uint32_t node = 0;
      fine = static_cast<bool>(manifest >> node);
      list.push_back(node);
    }
  }
  Program program;
  require(fine && program.read(bytes.str()), what, ": '", text([folder path]),
          "' is no package, or a damaged one: what MPSGraph makes of such is not known, an abort most likely. Check "
          "before.");
  require(os_at_least(major, minor), what, ": a package for macOS ", major, ".", minor, ", but this is macOS ",
          os_version().text(), ".");
  state<ExecutableState>(self).compiled = std::make_shared<Compiled>(std::move(program), lists[0], lists[1]);
  return self;
}
@end
