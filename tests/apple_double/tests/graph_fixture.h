// A small MPSGraph to play with: one placeholder or more, and what it takes to run it.
#pragma once

#include <MetalPerformanceShadersGraph/MetalPerformanceShadersGraph.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "tests/apple_double/double.h"

namespace apple_double {

class GraphFixture : public ::testing::Test {
 protected:
  void SetUp() override {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    pool_ = [[NSAutoreleasePool alloc] init];
    device_ = MTLCreateSystemDefaultDevice();
    queue_ = [device_ newCommandQueue];
    graph_ = [MPSGraph new];
  }
  void TearDown() override {
    for (id object : {(id)graph_, (id)queue_, (id)device_}) [object release];
    [pool_ release];
  }

  // Buffers that hold the numbers, released with the pool.
  template <typename T>
  id<MTLBuffer> buffer(const std::vector<T>& numbers) {
    id<MTLBuffer> const made = [device_ newBufferWithBytes:numbers.data() length:numbers.size() * sizeof(T) options:0];
    return [(id)made autorelease];
  }
  template <typename T>
  std::vector<T> read(id<MTLBuffer> from, size_t count) {
    const T* const first = static_cast<const T*>(from.contents);
    return {first, first + count};
  }

  MPSGraphTensor* placeholder(MPSShape* shape, MPSDataType type = MPSDataTypeFloat32) {
    return [graph_ placeholderWithShape:shape dataType:type name:nil];
  }
  MPSGraphTensorData* data(id<MTLBuffer> from, MPSShape* shape, MPSDataType type = MPSDataTypeFloat32) {
    return [[[MPSGraphTensorData alloc] initWithMTLBuffer:from shape:shape dataType:type] autorelease];
  }
  MPSGraphTensorData* data(id<MTLBuffer> from, MPSGraphTensor* tensor) {
    return data(from, tensor.shape, tensor.dataType);
  }

  MPSGraphCompilationDescriptor* level0() {
    MPSGraphCompilationDescriptor* const descriptor = [[MPSGraphCompilationDescriptor new] autorelease];
    if (os_version().number() >= 1203) descriptor.optimizationLevel = MPSGraphOptimizationLevel0;
    return descriptor;
  }
  MPSGraphExecutable* compile(NSArray<MPSGraphTensor*>* feeds, NSArray<MPSGraphTensor*>* targets) {
    NSMutableDictionary* const types = [NSMutableDictionary dictionary];
    for (MPSGraphTensor* feed in feeds) {
      MPSGraphShapedType* const type = [[MPSGraphShapedType alloc] initWithShape:feed.shape dataType:feed.dataType];
      [types setObject:[type autorelease] forKey:feed];
    }
    return [graph_ compileWithDevice:[MPSGraphDevice deviceWithMTLDevice:device_]
                               feeds:types
                       targetTensors:targets
                    targetOperations:nil
               compilationDescriptor:level0()];
  }
  void encode(MPSGraphExecutable* executable, NSArray* inputs, NSArray* results) {
    MPSCommandBuffer* const commands = [MPSCommandBuffer commandBufferFromCommandQueue:queue_];
    [executable encodeToCommandBuffer:commands inputsArray:inputs resultsArray:results executionDescriptor:nil];
    id<MTLCommandBuffer> const root = commands.rootCommandBuffer;
    [commands commit];
    [root waitUntilCompleted];
  }

  // Runs a graph of one feed and one target.
  template <typename To, typename From>
  std::vector<To> run(MPSGraphTensor* feed, const std::vector<From>& numbers, MPSGraphTensor* target, size_t count) {
    id<MTLBuffer> const result = buffer(std::vector<To>(count));
    encode(compile(@[ feed ], @[ target ]), @[ data(buffer(numbers), feed) ], @[ data(result, target) ]);
    return read<To>(result, count);
  }

  NSAutoreleasePool* pool_ = nil;
  id<MTLDevice> device_ = nil;
  id<MTLCommandQueue> queue_ = nil;
  MPSGraph* graph_ = nil;
};

}  // namespace apple_double
