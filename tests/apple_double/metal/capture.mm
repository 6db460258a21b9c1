// Capture: what is asked for is checked, and a trace is a folder with nothing in it.
#include <Metal/Metal.h>

#include "tests/apple_double/base/object.h"
#include "tests/apple_double/metal/device.h"

namespace apple_double {
namespace {

struct CaptureDescriptorState {
  Kept<id> captureObject;
  MTLCaptureDestination destination = MTLCaptureDestinationDeveloperTools;
  Kept<NSURL*> outputURL;
};

struct CaptureManagerState {
  bool capturing = false;
};

struct CaptureScopeState {
  Kept<NSString*> label;
  Kept<id> queue;
};

}  // namespace
}  // namespace apple_double

using namespace apple_double;

NSErrorDomain const MTLCaptureErrorDomain = @"MTLCaptureErrorDomain";

@interface DoubleCaptureScope : NSObject <MTLCaptureScope>
@end
@implementation DoubleCaptureScope
APPLE_DOUBLE_STATE(CaptureScopeState)
APPLE_DOUBLE_PROPERTY(CaptureScopeState, NSString*, label, setLabel)
- (id<MTLDevice>)device {
  return given(the_device());
}
- (id<MTLCommandQueue>)commandQueue {
  return given(state<CaptureScopeState>(self).queue.get());
}
- (void)beginScope {
}
- (void)endScope {
}
@end

@implementation MTLCaptureDescriptor
APPLE_DOUBLE_STATE(CaptureDescriptorState)
APPLE_DOUBLE_PROPERTY(CaptureDescriptorState, id, captureObject, setCaptureObject)
APPLE_DOUBLE_PROPERTY(CaptureDescriptorState, MTLCaptureDestination, destination, setDestination)
APPLE_DOUBLE_PROPERTY(CaptureDescriptorState, NSURL*, outputURL, setOutputURL)
- (id)copyWithZone:(NSZone*)zone {
  (void)zone;
  return [self retain];
}
@end

@implementation MTLCaptureManager
APPLE_DOUBLE_STATE(CaptureManagerState)
+ (MTLCaptureManager*)sharedCaptureManager {
  static MTLCaptureManager* const manager = [[MTLCaptureManager alloc] init];
  return manager;
}
- (BOOL)isCapturing {
  return state<CaptureManagerState>(self).capturing;
}
- (BOOL)supportsDestination:(MTLCaptureDestination)destination {
  // The system allows it to programs that run with METAL_CAPTURE_ENABLED=1.
  return destination == MTLCaptureDestinationGPUTraceDocument && getenv("METAL_CAPTURE_ENABLED") != nullptr;
}
- (BOOL)startCaptureWithDescriptor:(MTLCaptureDescriptor*)descriptor error:(NSError**)error {
  require(!self.isCapturing, "startCaptureWithDescriptor: a capture is running already.");
  require(descriptor.captureObject != nil, "startCaptureWithDescriptor: no object to capture.");
  NSString* const path = [descriptor.outputURL path];
  NSFileManager* const files = [NSFileManager defaultManager];
  if (![self supportsDestination:descriptor.destination] || path == nil || [files fileExistsAtPath:path] ||
      ![files createDirectoryAtPath:path withIntermediateDirectories:NO attributes:nil error:nullptr]) {
    if (error != nullptr) {
      NSDictionary* const words = @{NSLocalizedDescriptionKey : @"Capturing is not supported, or the file exists."};
      *error = [NSError errorWithDomain:MTLCaptureErrorDomain code:1 userInfo:words];
    }
    return NO;
  }
  state<CaptureManagerState>(self).capturing = true;
  return YES;
}
- (void)stopCapture {
  require(self.isCapturing, "stopCapture: no capture is running.");
  state<CaptureManagerState>(self).capturing = false;
}
- (id<MTLCaptureScope>)newCaptureScopeWithDevice:(id<MTLDevice>)device {
  (void)device;
  return [[DoubleCaptureScope alloc] init];
}
- (id<MTLCaptureScope>)newCaptureScopeWithCommandQueue:(id<MTLCommandQueue>)queue {
  DoubleCaptureScope* const scope = [[DoubleCaptureScope alloc] init];
  state<CaptureScopeState>(scope).queue = (id)queue;
  return scope;
}
@end
