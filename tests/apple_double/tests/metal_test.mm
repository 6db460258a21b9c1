// The Metal of the double: what works, works as Metal's headers say.
#include <Metal/Metal.h>
#include <MetalPerformanceShaders/MetalPerformanceShaders.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <cstring>
#include <thread>

#include "tests/apple_double/double.h"

namespace apple_double {
namespace {

class Metal : public ::testing::Test {
 protected:
  void SetUp() override { device_ = MTLCreateSystemDefaultDevice(); }
  void TearDown() override {
    [(id)device_ release];
    set_delay_us(0);
    settle();
    for (const char* type : {"MTLBuffer", "MTLHeap", "MTLCommandBuffer", "MTLCommandQueue", "MTLBlitCommandEncoder"}) {
      EXPECT_EQ(live_objects()[type], 0) << type << " left";
    }
  }

  id<MTLHeap> new_heap(size_t bytes) {
    MTLHeapDescriptor* const descriptor = [[MTLHeapDescriptor alloc] init];
    descriptor.size = bytes;
    descriptor.type = MTLHeapTypePlacement;
    descriptor.storageMode = MTLStorageModeShared;
    descriptor.hazardTrackingMode = MTLHazardTrackingModeTracked;
    id<MTLHeap> const heap = [device_ newHeapWithDescriptor:descriptor];
    [descriptor release];
    return heap;
  }

  id<MTLDevice> device_ = nil;
};

TEST_F(Metal, HeapsHoldBuffersThatMayOverlap) {
  @autoreleasepool {
    id<MTLHeap> const heap = new_heap(100'000);
    EXPECT_EQ(heap.size, 114'688u);
    const MTLResourceOptions options = MTLResourceStorageModeShared;
    id<MTLBuffer> const a = [heap newBufferWithLength:1000 options:options offset:256];
    id<MTLBuffer> const b = [heap newBufferWithLength:300 options:options offset:512];
    std::memset(a.contents, 1, 1000);
    EXPECT_EQ(static_cast<char*>(b.contents)[0], 1);
    EXPECT_EQ(static_cast<char*>(b.contents) - static_cast<char*>(a.contents), 256);
    EXPECT_EQ(b.heapOffset, 512u);
    EXPECT_EQ(b.hazardTrackingMode, MTLHazardTrackingModeTracked);
    EXPECT_GE(device_.currentAllocatedSize, heap.size);
    [(id)a release];
    [(id)b release];
    [(id)heap release];
  }
}

TEST_F(Metal, CommandBuffersRunInOrder) {
  @autoreleasepool {
    set_delay_us(300);
    id<MTLCommandQueue> const queue = [device_ newCommandQueue];
    id<MTLBuffer> const buffer = [device_ newBufferWithLength:4096 options:MTLResourceStorageModeShared];
    std::atomic<int> calls{0};
    std::atomic<int>* const count = &calls;
    id<MTLCommandBuffer> last = nil;
    for (int i = 0; i < 70; ++i) {  // more than a queue holds
      @autoreleasepool {
        id<MTLCommandBuffer> const commands = [queue commandBuffer];
        id<MTLBlitCommandEncoder> const blit = [commands blitCommandEncoder];
        [blit fillBuffer:buffer range:NSMakeRange(0, 4096) value:static_cast<uint8_t>(i)];
        [blit endEncoding];
        [commands addCompletedHandler:^(id<MTLCommandBuffer> done) {
          if (done.status == MTLCommandBufferStatusCompleted) ++*count;
        }];
        [commands commit];
        [(id)last release];
        last = [(id)commands retain];
      }
    }
    [last waitUntilCompleted];
    EXPECT_EQ(static_cast<char*>(buffer.contents)[4095], 69);
    EXPECT_GT(last.GPUEndTime, 0);
    EXPECT_GE(last.GPUEndTime, last.GPUStartTime);
    [(id)last release];
    [(id)buffer release];
    [(id)queue release];
    settle();
    EXPECT_EQ(calls.load(), 70);
  }
}

TEST_F(Metal, EventsOrderQueues) {
  @autoreleasepool {
    set_delay_us(1000);
    id<MTLCommandQueue> const first = [device_ newCommandQueue], second = [device_ newCommandQueue];
    id<MTLBuffer> const a = [device_ newBufferWithLength:256 options:MTLResourceStorageModeShared];
    id<MTLBuffer> const b = [device_ newBufferWithLength:256 options:MTLResourceStorageModeShared];
    id<MTLSharedEvent> const event = [device_ newSharedEvent];
    MPSCommandBuffer* const reads = [MPSCommandBuffer commandBufferFromCommandQueue:second];
    [reads encodeWaitForEvent:event value:1];
    id<MTLBlitCommandEncoder> blit = [reads blitCommandEncoder];
    [blit copyFromBuffer:a sourceOffset:0 toBuffer:b destinationOffset:0 size:256];
    [blit endEncoding];
    [reads commit];
    MPSCommandBuffer* const writes = [MPSCommandBuffer commandBufferFromCommandQueue:first];
    blit = [writes blitCommandEncoder];
    [blit fillBuffer:a range:NSMakeRange(0, 256) value:7];
    [blit endEncoding];
    id<MTLCommandBuffer> const root = writes.rootCommandBuffer;
    [writes commitAndContinue];
    EXPECT_NE(writes.rootCommandBuffer, root);
    [writes encodeSignalEvent:event value:1];
    [writes commit];
    EXPECT_TRUE([event waitUntilSignaledValue:1 timeoutMS:60'000]);
    [reads waitUntilCompleted];
    EXPECT_EQ(static_cast<char*>(b.contents)[255], 7);
    for (id object : {(id)first, (id)second, (id)a, (id)b, (id)event}) [object release];
  }
}

TEST_F(Metal, ListenersHearOfEvents) {
  @autoreleasepool {
    MTLSharedEventListener* const listener = [[MTLSharedEventListener alloc] init];
    id<MTLSharedEvent> const event = [device_ newSharedEvent];
    std::atomic<uint64_t> heard{0};
    std::atomic<uint64_t>* const ear = &heard;
    [event notifyListener:listener
                  atValue:3
                    block:^(id<MTLSharedEvent>, uint64_t value) {
                      *ear = value;
                    }];
    event.signaledValue = 2;
    settle();
    EXPECT_EQ(heard.load(), 0u);
    event.signaledValue = 4;
    settle();
    EXPECT_EQ(heard.load(), 4u);
    EXPECT_FALSE([event waitUntilSignaledValue:5 timeoutMS:1]);
    [(id)event release];
    [listener release];
  }
}

TEST_F(Metal, AFailedCommandBufferSignalsNothing) {
  @autoreleasepool {
    id<MTLCommandQueue> const queue = [device_ newCommandQueue];
    id<MTLSharedEvent> const event = [device_ newSharedEvent];
    fail_command_buffer(MTLCommandBufferErrorOutOfMemory);
    id<MTLCommandBuffer> const commands = [queue commandBuffer];
    [commands encodeSignalEvent:event value:1];
    [commands commit];
    [commands waitUntilCompleted];
    EXPECT_EQ(commands.status, MTLCommandBufferStatusError);
    EXPECT_EQ(commands.error.code, MTLCommandBufferErrorOutOfMemory);
    EXPECT_NE(std::string(commands.error.localizedDescription.UTF8String).find("OutOfMemory"), std::string::npos);
    EXPECT_EQ(event.signaledValue, 0u);
    settle();
    [(id)event release];
    [(id)queue release];
  }
}

TEST_F(Metal, MemoryOfTheProgramCanBeABuffer) {
  @autoreleasepool {
    const size_t page = 4096;
    void* memory = aligned_alloc(page, 2 * page);
    __block int freed = 0;
    id<MTLBuffer> const buffer = [device_ newBufferWithBytesNoCopy:memory
                                                            length:2 * page
                                                           options:MTLResourceStorageModeShared
                                                       deallocator:^(void* address, NSUInteger) {
                                                         free(address);
                                                         ++freed;
                                                       }];
    EXPECT_EQ(buffer.contents, memory);
    [(id)buffer release];
    EXPECT_EQ(freed, 1);
  }
}

TEST_F(Metal, ShadersRun) {
  @autoreleasepool {
    NSError* error = nil;
    id<MTLLibrary> const broken = [device_ newLibraryWithSource:@"kernel void f(" options:nil error:&error];
    EXPECT_EQ(broken, nil);
    EXPECT_EQ(error.code, MTLLibraryErrorCompileFailure);
    NSString* const source =
        @"#include <metal_stdlib>\nusing namespace metal;\n"
         "constant float kOne = 1;\n"
         "kernel void add(device float* to [[buffer(0)]], constant float2& by [[buffer(1)]],\n"
         "                uint2 at [[thread_position_in_grid]], uint2 all [[threads_per_grid]]) {\n"
         "  to[at.y * all.x + at.x] = max(kOne, float(at.y)) + by.y;\n"
         "}\n";
    id<MTLLibrary> const library = [device_ newLibraryWithSource:source options:nil error:&error];
    ASSERT_NE(library, nil) << error.localizedDescription.UTF8String;
    EXPECT_EQ([library newFunctionWithName:@"other"], nil);
    id<MTLFunction> const function = [library newFunctionWithName:@"add"];
    id<MTLComputePipelineState> const pipeline = [device_ newComputePipelineStateWithFunction:function error:&error];
    id<MTLBuffer> const buffer = [device_ newBufferWithLength:1024 options:MTLResourceStorageModeShared];
    id<MTLCommandQueue> const queue = [device_ newCommandQueue];
    id<MTLCommandBuffer> const commands = [queue commandBuffer];
    id<MTLComputeCommandEncoder> const encoder = [commands computeCommandEncoder];
    const float by[] = {5, 10};
    [encoder setComputePipelineState:pipeline];
    [encoder setBuffer:buffer offset:256 atIndex:0];
    [encoder setBytes:by length:sizeof by atIndex:1];
    [encoder dispatchThreads:MTLSizeMake(5, 3, 1) threadsPerThreadgroup:MTLSizeMake(8, 8, 1)];
    [encoder endEncoding];
    [commands commit];
    [commands waitUntilCompleted];
    const float* const got = static_cast<const float*>(buffer.contents) + 64;
    EXPECT_EQ(got[0], 11);
    EXPECT_EQ(got[14], 12);
    EXPECT_TRUE(std::isnan(got[15]));  // garbage, as new memory holds
    for (id object : {(id)library, (id)function, (id)pipeline, (id)buffer, (id)queue}) [object release];
  }
}

TEST_F(Metal, MemoryPressureReachesItsSources) {
  dispatch_queue_t queue = dispatch_queue_create("pressure", DISPATCH_QUEUE_SERIAL);
  dispatch_source_t source = dispatch_source_create(
      DISPATCH_SOURCE_TYPE_MEMORYPRESSURE, 0, DISPATCH_MEMORYPRESSURE_WARN | DISPATCH_MEMORYPRESSURE_CRITICAL, queue);
  std::atomic<uintptr_t> heard{0};
  std::atomic<uintptr_t>* const ear = &heard;
  dispatch_source_set_event_handler(source, ^{
    *ear = dispatch_source_get_data(source);
  });
  dispatch_activate((dispatch_object_t)source);
  raise_memory_pressure(DISPATCH_MEMORYPRESSURE_NORMAL);
  settle();
  EXPECT_EQ(heard.load(), 0u);
  raise_memory_pressure(DISPATCH_MEMORYPRESSURE_CRITICAL);
  settle();
  EXPECT_EQ(heard.load(), uintptr_t{DISPATCH_MEMORYPRESSURE_CRITICAL});
  dispatch_source_cancel(source);
  [(id)source release];
  [(id)queue release];
}

TEST_F(Metal, ADeviceMayBeMissing) {
  @autoreleasepool {
    set_machine(Machine::kNone);
    NSArray* const all = MTLCopyAllDevices();
    EXPECT_EQ(all.count, 0u);
    EXPECT_EQ(MTLCreateSystemDefaultDevice(), nil);
    [all release];
    set_machine(Machine::kVirtual);
    EXPECT_FALSE([device_ supportsFamily:MTLGPUFamilyMetal3]);
    set_machine(Machine::kM2);
  }
}

TEST_F(Metal, MemoryIsLimited) {
  set_memory_bytes(64 << 20);
  EXPECT_EQ(device_.recommendedMaxWorkingSetSize, uint64_t{48} << 20);
  EXPECT_EQ(new_heap(65 << 20), nil);
  id<MTLHeap> const heap = new_heap(32 << 20);
  EXPECT_NE(heap, nil);
  EXPECT_EQ(new_heap(33 << 20), nil);
  [(id)heap release];
  set_memory_bytes(0);
}

}  // namespace
}  // namespace apple_double
