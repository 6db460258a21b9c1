// Every kind of mistake ends the program with a sentence. Each test makes one, in a process of its own.
#include <IOKit/IOKitLib.h>
#include <Metal/Metal.h>
#include <MetalPerformanceShaders/MetalPerformanceShaders.h>
#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "tests/apple_double/double.h"

namespace apple_double {
namespace {

class MetalMistakes : public ::testing::Test {
 protected:
  void SetUp() override {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    pool_ = [[NSAutoreleasePool alloc] init];
    device_ = MTLCreateSystemDefaultDevice();
    queue_ = [device_ newCommandQueue];
    buffer_ = [device_ newBufferWithLength:1024 options:MTLResourceStorageModeShared];
    commands_ = [[queue_ commandBuffer] retain];
  }
  void TearDown() override {
    for (id object : {(id)commands_, (id)buffer_, (id)queue_, (id)device_}) [object release];
    [pool_ release];
  }
  MTLHeapDescriptor* placement(size_t bytes) {
    MTLHeapDescriptor* const descriptor = [[[MTLHeapDescriptor alloc] init] autorelease];
    descriptor.size = bytes;
    descriptor.type = MTLHeapTypePlacement;
    descriptor.storageMode = MTLStorageModeShared;
    return descriptor;
  }

  NSAutoreleasePool* pool_ = nil;
  id<MTLDevice> device_ = nil;
  id<MTLCommandQueue> queue_ = nil;
  id<MTLBuffer> buffer_ = nil;
  id<MTLCommandBuffer> commands_ = nil;
  id<MTLBuffer> nothing_ = nil;
};

TEST_F(MetalMistakes, EncodersInParallel) {
  EXPECT_DEATH(
      {
        [commands_ blitCommandEncoder];
        [commands_ blitCommandEncoder];
      },
      "still open");
  EXPECT_DEATH(
      {
        [commands_ blitCommandEncoder];
        [commands_ commit];
      },
      "commit: an encoder");
  EXPECT_DEATH(
      {
        [commands_ blitCommandEncoder];
        [commands_ encodeSignalEvent:[device_ newSharedEvent] value:1];
      },
      "encodeSignalEvent:value:: an encoder");
}

TEST_F(MetalMistakes, EncodersThatAreNotEnded) {
  EXPECT_DEATH(
      {
        @autoreleasepool {
          [commands_ blitCommandEncoder];
        }
      },
      "released without endEncoding");
  EXPECT_DEATH(
      {
        id<MTLBlitCommandEncoder> blit = [commands_ blitCommandEncoder];
        [blit endEncoding];
        [blit fillBuffer:buffer_ range:NSMakeRange(0, 4) value:0];
      },
      "ended already");
}

TEST_F(MetalMistakes, CommandBuffersOutOfOrder) {
  EXPECT_DEATH(
      {
        [commands_ commit];
        [commands_ commit];
      },
      "committed already");
  EXPECT_DEATH(
      {
        [commands_ commit];
        [commands_ blitCommandEncoder];
      },
      "committed already");
  EXPECT_DEATH([commands_ waitUntilCompleted], "waits for ever");
  EXPECT_DEATH(
      {
        [commands_ pushDebugGroup:@"x"];
        [commands_ commit];
      },
      "was not popped");
  EXPECT_DEATH(
      {
        for (int i = 0; i < 64; ++i) [[queue_ commandBuffer] retain];
      },
      "64 command buffers of this queue are alive and none");
  EXPECT_DEATH(
      {
        MPSCommandBuffer* const commands = [MPSCommandBuffer commandBufferFromCommandQueue:queue_];
        [commands commitAndContinue];
        [commands waitUntilCompleted];
      },
      "waits for ever");
}

TEST_F(MetalMistakes, EventsThatNothingSignals) {
  EXPECT_DEATH(
      {
        set_patience_ms(100);
        id<MTLSharedEvent> event = [device_ newSharedEvent];
        [event waitUntilSignaledValue:1 timeoutMS:~0ull];
      },
      "nothing signals it");
  EXPECT_DEATH(
      {
        set_patience_ms(100);
        [commands_ encodeWaitForEvent:[device_ newSharedEvent] value:1];
        [commands_ commit];
        [commands_ waitUntilCompleted];
      },
      "nothing signals it|does not end");
  EXPECT_DEATH(
      {
        set_patience_ms(100);
        fail_command_buffer(MTLCommandBufferErrorTimeout);
        id<MTLSharedEvent> event = [device_ newSharedEvent];
        [commands_ encodeSignalEvent:event value:1];
        [commands_ commit];
        [event waitUntilSignaledValue:1 timeoutMS:~0ull];
      },
      "nothing signals it");
}

TEST_F(MetalMistakes, Blits) {
  id<MTLBlitCommandEncoder> blit = [commands_ blitCommandEncoder];
  EXPECT_DEATH([blit fillBuffer:buffer_ range:NSMakeRange(0, 0) value:0], "0 bytes");
  EXPECT_DEATH([blit fillBuffer:buffer_ range:NSMakeRange(1000, 25) value:0], "beyond the buffer's 1024 bytes");
  EXPECT_DEATH([blit fillBuffer:nothing_ range:NSMakeRange(0, 1) value:0], "is nil");
  EXPECT_DEATH([blit copyFromBuffer:buffer_ sourceOffset:0 toBuffer:buffer_ destinationOffset:8 size:16], "overlap");
  EXPECT_DEATH([blit copyFromBuffer:buffer_ sourceOffset:1016 toBuffer:buffer_ destinationOffset:0 size:16], "beyond");
  EXPECT_DEATH(
      {
        set_memory_bytes(uint64_t{64} << 30);
        const size_t size = (size_t{2} << 30) + 4;
        id<MTLBuffer> a = [device_ newBufferWithLength:size options:MTLResourceStorageModeShared];
        id<MTLBuffer> b = [device_ newBufferWithLength:size options:MTLResourceStorageModeShared];
        [blit copyFromBuffer:a sourceOffset:0 toBuffer:b destinationOffset:0 size:size];
      },
      "copies nothing");
  EXPECT_DEATH([blit fillBuffer:buffer_ range:NSMakeRange(2, 4) value:0], "multiples of 4");
  EXPECT_DEATH([blit copyFromBuffer:buffer_ sourceOffset:0 toBuffer:buffer_ destinationOffset:512 size:3],
               "multiples of 4");
  [blit endEncoding];
}

TEST_F(MetalMistakes, Hazards) {
  id<MTLBuffer> const untracked = [device_ newBufferWithLength:1024 options:MTLResourceHazardTrackingModeUntracked];
  const auto fill = [&](id<MTLCommandBuffer> commands, size_t offset) {
    id<MTLBlitCommandEncoder> blit = [commands blitCommandEncoder];
    [blit fillBuffer:untracked range:NSMakeRange(offset, 512) value:0];
    [blit endEncoding];
  };
  fill(commands_, 0);
  fill(commands_, 512);  // beside it
  EXPECT_DEATH(fill(commands_, 256), "an untracked buffer that another pass, not done yet, writes");
  id<MTLCommandBuffer> const other = [queue_ commandBuffer];
  EXPECT_DEATH(fill(other, 0), "an untracked buffer that another pass");
  [commands_ commit];
  [commands_ waitUntilCompleted];
  fill(other, 0);
  [(id)untracked release];
}

TEST_F(MetalMistakes, Dispatches) {
  id<MTLLibrary> library = [device_ newLibraryWithSource:@"kernel void f(device int* to [[buffer(2)]]) { *to = 1; }"
                                                 options:nil
                                                   error:nullptr];
  id<MTLFunction> function = [library newFunctionWithName:@"f"];
  id<MTLComputePipelineState> pipeline = [device_ newComputePipelineStateWithFunction:function error:nullptr];
  id<MTLComputeCommandEncoder> encoder = [commands_ computeCommandEncoder];
  const MTLSize one = MTLSizeMake(1, 1, 1);
  EXPECT_DEATH([encoder dispatchThreads:one threadsPerThreadgroup:one], "no pipeline");
  EXPECT_DEATH([encoder setBuffer:buffer_ offset:0 atIndex:31], "31 buffers");
  EXPECT_DEATH([encoder setBuffer:buffer_ offset:1024 atIndex:0], "not in the buffer");
  EXPECT_DEATH([encoder setBytes:&one length:5000 atIndex:0], "1 to 4096");
  [encoder setComputePipelineState:pipeline];
  EXPECT_DEATH([encoder dispatchThreads:one threadsPerThreadgroup:one], "buffer 2, to which nothing is bound");
  [encoder setBuffer:buffer_ offset:0 atIndex:2];
  EXPECT_DEATH([encoder dispatchThreads:one threadsPerThreadgroup:MTLSizeMake(1025, 1, 1)], "1025 threads");
  EXPECT_DEATH([encoder dispatchThreads:MTLSizeMake(0, 1, 1) threadsPerThreadgroup:one], "an empty grid");
  [encoder endEncoding];
  for (id object : {(id)library, (id)function, (id)pipeline}) [object release];
}

TEST_F(MetalMistakes, Memory) {
  EXPECT_DEATH([device_ newBufferWithLength:0 options:0], "no empty buffers");
  EXPECT_DEATH([device_ newHeapWithDescriptor:placement(0)], "0 bytes");
  id<MTLHeap> const heap = [device_ newHeapWithDescriptor:placement(1 << 20)];
  EXPECT_DEATH([heap newBufferWithLength:100 options:0 offset:128], "multiple of 256");
  EXPECT_DEATH([heap newBufferWithLength:100'000 options:0 offset:4096], "multiple of 16384");
  EXPECT_DEATH([heap newBufferWithLength:65536 options:0 offset:(1 << 20) - 16384], "beyond the heap's");
  EXPECT_DEATH([heap newBufferWithLength:256 options:MTLResourceStorageModePrivate offset:0], "differ from the heap's");
  EXPECT_DEATH(
      { [heap newBufferWithLength:256 options:MTLResourceHazardTrackingModeTracked offset:0]; }, "cannot be tracked");
  EXPECT_DEATH([[device_ newBufferWithLength:16 options:MTLResourceStorageModePrivate] contents], "not for the host");
  EXPECT_DEATH(
      {
        char memory[8192];
        [device_ newBufferWithBytesNoCopy:memory + 1 length:4096 options:0 deallocator:nil];
      },
      "beginning of a page");
  EXPECT_DEATH(
      {
        void* memory = aligned_alloc(4096, 8192);
        [device_ newBufferWithBytesNoCopy:memory length:5000 options:0 deallocator:nil];
      },
      "whole number of pages");
  EXPECT_DEATH(
      {
        id<MTLBuffer> buffer = [heap newBufferWithLength:256 options:0 offset:0];
        [heap setPurgeableState:MTLPurgeableStateEmpty];
        [buffer contents];
      },
      "purgeable");
  [(id)heap release];
}

TEST_F(MetalMistakes, UseAfterRelease) {
  EXPECT_DEATH(
      {
        id<MTLBuffer> buffer = [device_ newBufferWithLength:16 options:0];
        [(id)buffer release];
        [buffer contents];
      },
      "-contents was sent to a deallocated MTLBuffer");
  EXPECT_DEATH(
      {
        id<MTLBuffer> buffer = [device_ newBufferWithLength:16 options:0];
        [(id)buffer release];
        [(id)buffer release];
      },
      "-release was sent to a deallocated MTLBuffer");
  EXPECT_DEATH(
      {
        id<MTLBuffer> buffer = [device_ newBufferWithLength:16 options:0];
        id<MTLCommandBuffer> commands = [queue_ commandBufferWithUnretainedReferences];
        id<MTLBlitCommandEncoder> blit = [commands blitCommandEncoder];
        [blit fillBuffer:buffer range:NSMakeRange(0, 16) value:0];
        [blit endEncoding];
        [(id)buffer release];
      },
      "still uses it");
}

TEST_F(MetalMistakes, NoPool) {
  EXPECT_DEATH(std::thread([&] { [queue_ commandBuffer]; }).join(),
               "class MTLCommandBuffer was autoreleased on a thread");
  EXPECT_DEATH(std::thread([&] { [NSString stringWithFormat:@"%d and more words than a pointer holds", 1]; }).join(),
               "was autoreleased on a thread without a pool");
  EXPECT_DEATH(
      {
        [commands_ addCompletedHandler:^(id<MTLCommandBuffer>) {
          [NSArray arrayWithObject:@"x"];
        }];
        [commands_ commit];
        settle();
      },
      "was autoreleased on a thread without a pool");
}

TEST_F(MetalMistakes, TwoThreadsInOneCommandBuffer) {
  EXPECT_DEATH(
      {
        // Until they meet; on a busy machine one of them may begin long before the other.
        std::thread threads[2];
        const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
        for (std::thread& thread : threads) {
          thread = std::thread([&] {
            while (std::chrono::steady_clock::now() < end) {
              [commands_ pushDebugGroup:@"x"];
              [commands_ popDebugGroup];
            }
          });
        }
        for (std::thread& thread : threads) thread.join();
      },
      "two threads");
}

TEST_F(MetalMistakes, ResidencyAndCapture) {
  EXPECT_DEATH([[MTLCaptureManager sharedCaptureManager] stopCapture], "no capture");
  EXPECT_DEATH(
      {
        id<MTLSharedEvent> event = [device_ newSharedEvent];
        [event newSharedEventHandle];
      },
      "one process");
  EXPECT_DEATH(IOObjectRelease(0), "IO_OBJECT_NULL");
}

TEST_F(MetalMistakes, NewerSelectors) {
  MTLHeapDescriptor* const descriptor = placement(1 << 20);
  if (os_version().number() < 2600) {
    EXPECT_DEATH([MTLSharedEventListener sharedListener],
                 "\\+\\[MTLSharedEventListener sharedListener\\] is there from macOS 26.0 on");
  }
  if (os_version().number() < 1500) {
    EXPECT_DEATH([MTLResidencySetDescriptor new], "the class MTLResidencySetDescriptor is there from macOS 15.0 on");
    EXPECT_DEATH([device_ newResidencySetWithDescriptor:(id)descriptor error:nullptr],
                 "-\\[MTLDevice newResidencySetWithDescriptor:error:\\] is there from macOS 15.0 on");
  }
  if (os_version().number() < 1400) EXPECT_DEATH([device_ architecture], "architecture. is there from macOS 14.0 on");
  EXPECT_EQ([(id)device_ respondsToSelector:@selector(architecture)], os_version().number() >= 1400);
  EXPECT_EQ([(id)device_ respondsToSelector:@selector(newResidencySetWithDescriptor:error:)],
            os_version().number() >= 1500);
  EXPECT_EQ(NSClassFromString(@"MTLResidencySetDescriptor") != Nil, os_version().number() >= 1500);
  EXPECT_NE(NSClassFromString(@"MTLHeapDescriptor"), Nil);
  EXPECT_TRUE([(id)device_ respondsToSelector:@selector(newSharedEvent)]);
  EXPECT_EQ(buffer_.allocatedSize, 1024u);  // of MTLResource, older than MTLAllocation's
}

TEST_F(MetalMistakes, UnknownSelectors) { EXPECT_DEATH([(id)buffer_ commit], "no such method"); }

}  // namespace
}  // namespace apple_double
