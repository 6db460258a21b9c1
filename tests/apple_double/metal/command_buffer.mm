#include "tests/apple_double/metal/command_buffer.h"

#include <chrono>

#include "tests/apple_double/base/control.h"
#include "tests/apple_double/metal/encoders.h"
#include "tests/apple_double/metal/event.h"
#include "tests/apple_double/metal/hazards.h"
#include "tests/apple_double/metal/queue.h"

namespace apple_double {
namespace {

// The words of the driver, as they are seen in reports.
const char* words_of(int64_t error) {
  switch (error) {
    case MTLCommandBufferErrorInternal:
      return "Internal Error (0000000e:Internal Error)";
    case MTLCommandBufferErrorTimeout:
      return "Caused GPU Timeout Error (00000002:kIOGPUCommandBufferCallbackErrorTimeout)";
    case MTLCommandBufferErrorPageFault:
      return "Caused GPU Address Fault Error (0000000b:kIOGPUCommandBufferCallbackErrorPageFault)";
    case MTLCommandBufferErrorAccessRevoked:
      return "Ignored (for causing prior/excessive GPU errors) "
             "(00000004:kIOGPUCommandBufferCallbackErrorSubmissionsIgnored)";
    case MTLCommandBufferErrorOutOfMemory:
      return "Insufficient Memory (00000008:kIOGPUCommandBufferCallbackErrorOutOfMemory)";
    case MTLCommandBufferErrorInvalidResource:
      return "Invalid Resource (00000009:kIOGPUCommandBufferCallbackErrorInvalidResource)";
    default:
      return "Unknown Error";
  }
}

NSError* new_error(int64_t code) {
  NSString* const words = [NSString stringWithUTF8String:words_of(code)];
  return [[NSError alloc] initWithDomain:MTLCommandBufferErrorDomain
                                    code:static_cast<NSInteger>(code)
                                userInfo:@{NSLocalizedDescriptionKey : words}];
}

void set_status(CommandBufferState& buffer, MTLCommandBufferStatus status) {
  const std::lock_guard<std::mutex> lock(buffer.mutex);
  buffer.status = status;
  buffer.changed.notify_all();
}

void wait(CommandBufferState& buffer, MTLCommandBufferStatus status, const char* what) {
  require(buffer.committed, what,
          " of a command buffer that was not committed: it waits for ever. (After "
          "commitAndContinue an MPSCommandBuffer stands for a new one.)");
  std::unique_lock<std::mutex> lock(buffer.mutex);
  require(
      buffer.changed.wait_for(lock, std::chrono::milliseconds(patience_ms()), [&] { return buffer.status >= status; }),
      what,
      ": the command buffer does not end. Does it, or one before it in its queue, wait for an event that "
      "nothing signals?");
}

}  // namespace

double host_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

CommandBufferState::~CommandBufferState() {
  forget_touches(this);
  for (DoubleBuffer* buffer : used) {
    BufferState& here = state<BufferState>(buffer);
    if (!committed) --here.in_flight;
    if (!committed && here.heap.get() != nil) --state<HeapState>(here.heap.get()).in_flight;
  }
  if (core != nullptr && !committed) core->leave(this);
}

Encoding::Encoding(id command_buffer, const char* what) : buffer_(state<CommandBufferState>(command_buffer)) {
  require(!buffer_.committed, what, ": the command buffer was committed already: Metal's assertion fails.");
  require(!buffer_.busy.exchange(true), what, ": two threads encode into one command buffer at once.");
}

BufferState& Encoding::use(id<MTLBuffer> buffer, const char* what) {
  BufferState& here = buffer_state(buffer, what);
  check_contents(here);
  if (buffer_.retained_references) buffer_.kept.push_back((id)buffer);
  buffer_.used.push_back((DoubleBuffer*)buffer);
  ++here.in_flight;
  if (here.heap.get() != nil) ++state<HeapState>(here.heap.get()).in_flight;
  return here;
}

void Encoding::touch(const BufferState& buffer, size_t offset, size_t size, bool writes, const char* what) {
  if (buffer.tracking == MTLHazardTrackingModeTracked) return;
  note_touch({buffer.address + offset, size, writes, &buffer_, buffer_.passes}, buffer_.ordered, what);
}

void Encoding::no_open_encoder(const char* what) {
  require(buffer_.encoder == nil, what,
          ": an encoder of this command buffer is still open: end it first. Metal's "
          "assertion fails.");
}

DoubleCommandBuffer* new_command_buffer(id queue, std::shared_ptr<QueueCore> core) {
  DoubleCommandBuffer* const buffer = [[DoubleCommandBuffer alloc] init];
  state<CommandBufferState>(buffer).queue = queue;
  state<CommandBufferState>(buffer).core = std::move(core);
  return buffer;
}

void run_command_buffer(DoubleCommandBuffer* object) {
  CommandBufferState& buffer = state<CommandBufferState>(object);
  buffer.kernel_start = host_seconds();
  set_status(buffer, MTLCommandBufferStatusScheduled);
  call_later(object, buffer.scheduled);
  const double start = buffer.kernel_end = host_seconds();
  const int64_t failure = take_failure();
  if (failure == 0) {
    for (const std::function<void()>& step : buffer.steps) step();
  }
  buffer.steps.clear();
  for (DoubleBuffer* used : buffer.used) {
    BufferState& here = state<BufferState>(used);
    --here.in_flight;
    if (here.heap.get() != nil) --state<HeapState>(here.heap.get()).in_flight;
  }
  buffer.used.clear();
  forget_touches(&buffer);
  @autoreleasepool {
    if (failure != 0) buffer.error = Kept<NSError*>::adopt(new_error(failure));
  }
  buffer.gpu_start = start;
  buffer.gpu_end = host_seconds();
  set_status(buffer, failure == 0 ? MTLCommandBufferStatusCompleted : MTLCommandBufferStatusError);
}

}  // namespace apple_double

using namespace apple_double;

NSErrorDomain const MTLCommandBufferErrorDomain = @"MTLCommandBufferErrorDomain";
NSErrorUserInfoKey const MTLCommandBufferEncoderInfoErrorKey = @"MTLCommandBufferEncoderInfoErrorKey";

@implementation DoubleCommandBuffer
APPLE_DOUBLE_STATE(CommandBufferState)
APPLE_DOUBLE_PROPERTY(CommandBufferState, NSString*, label, setLabel)

- (id<MTLDevice>)device {
  return given(the_device());
}
- (id<MTLCommandQueue>)commandQueue {
  return given(state<CommandBufferState>(self).queue.get());
}
- (BOOL)retainedReferences {
  return state<CommandBufferState>(self).retained_references;
}
- (MTLCommandBufferErrorOption)errorOptions {
  return state<CommandBufferState>(self).error_options;
}
- (MTLCommandBufferStatus)status {
  CommandBufferState& buffer = state<CommandBufferState>(self);
  const std::lock_guard<std::mutex> lock(buffer.mutex);
  return buffer.status;
}
- (NSError*)error {
  return self.status == MTLCommandBufferStatusError ? given(state<CommandBufferState>(self).error.get()) : nil;
}
- (CFTimeInterval)GPUStartTime {
  return self.status >= MTLCommandBufferStatusCompleted ? state<CommandBufferState>(self).gpu_start : 0;
}
- (CFTimeInterval)GPUEndTime {
  return self.status >= MTLCommandBufferStatusCompleted ? state<CommandBufferState>(self).gpu_end : 0;
}
- (CFTimeInterval)kernelStartTime {
  return self.status >= MTLCommandBufferStatusScheduled ? state<CommandBufferState>(self).kernel_start : 0;
}
- (CFTimeInterval)kernelEndTime {
  return self.status >= MTLCommandBufferStatusScheduled ? state<CommandBufferState>(self).kernel_end : 0;
}
- (id<MTLLogContainer>)logs {
  violation("logs: the double has none.");
}

- (void)addScheduledHandler:(MTLCommandBufferHandler)handler {
  Encoding encoding(self, "addScheduledHandler:");
  encoding->scheduled.push_back(handler);
}
- (void)addCompletedHandler:(MTLCommandBufferHandler)handler {
  Encoding encoding(self, "addCompletedHandler:");
  encoding->completed.push_back(handler);
}

- (id<MTLBlitCommandEncoder>)blitCommandEncoder {
  Encoding encoding(self, "blitCommandEncoder");
  encoding.no_open_encoder("blitCommandEncoder");
  ++encoding->passes;
  encoding->encoder = new_blit_encoder(self);
  return [encoding->encoder autorelease];
}
- (id<MTLBlitCommandEncoder>)blitCommandEncoderWithDescriptor:(MTLBlitPassDescriptor*)descriptor {
  (void)descriptor;
  return [self blitCommandEncoder];
}
- (id<MTLComputeCommandEncoder>)computeCommandEncoderWithDispatchType:(MTLDispatchType)type {
  Encoding encoding(self, "computeCommandEncoder");
  encoding.no_open_encoder("computeCommandEncoder");
  ++encoding->passes;
  encoding->encoder = new_compute_encoder(self, type);
  return [encoding->encoder autorelease];
}
- (id<MTLComputeCommandEncoder>)computeCommandEncoder {
  return [self computeCommandEncoderWithDispatchType:MTLDispatchTypeSerial];
}
- (id<MTLComputeCommandEncoder>)computeCommandEncoderWithDescriptor:(MTLComputePassDescriptor*)descriptor {
  return [self computeCommandEncoderWithDispatchType:descriptor.dispatchType];
}

- (void)encodeSignalEvent:(id<MTLEvent>)event value:(uint64_t)value {
  Encoding encoding(self, "encodeSignalEvent:value:");
  encoding.no_open_encoder("encodeSignalEvent:value:");
  std::shared_ptr<EventValue> target = event_value(event);
  encoding->kept.push_back((id)event);
  encoding->steps.push_back([target, value] { target->set(value); });
}
- (void)encodeWaitForEvent:(id<MTLEvent>)event value:(uint64_t)value {
  Encoding encoding(self, "encodeWaitForEvent:value:");
  encoding.no_open_encoder("encodeWaitForEvent:value:");
  std::shared_ptr<EventValue> source = event_value(event);
  encoding->ordered = true;
  encoding->kept.push_back((id)event);
  encoding->steps.push_back([source, value] { source->wait(value, -1, "a command buffer"); });
}

- (void)enqueue {
  Encoding encoding(self, "enqueue");
  require(!encoding->enqueued, "enqueue: the command buffer was enqueued already.");
  encoding->enqueued = true;
  encoding->core->enqueue(self);
  set_status(state<CommandBufferState>(self), MTLCommandBufferStatusEnqueued);
}
- (void)commit {
  CommandBufferState& buffer = state<CommandBufferState>(self);
  require(!buffer.committed, "commit: the command buffer was committed already: Metal's assertion fails.");
  {
    Encoding encoding(self, "commit");
    encoding.no_open_encoder("commit");
    require(encoding->groups.empty(), "commit: pushDebugGroup: '",
            encoding->groups.empty() ? "" : encoding->groups.back(), "' was not popped.");
    encoding->committed = true;
    set_status(buffer, MTLCommandBufferStatusCommitted);
  }
  buffer.core->commit(self);
}
- (void)waitUntilScheduled {
  wait(state<CommandBufferState>(self), MTLCommandBufferStatusScheduled, "waitUntilScheduled");
}
- (void)waitUntilCompleted {
  wait(state<CommandBufferState>(self), MTLCommandBufferStatusCompleted, "waitUntilCompleted");
}

- (void)pushDebugGroup:(NSString*)name {
  Encoding encoding(self, "pushDebugGroup:");
  encoding->groups.push_back(text(name));
}
- (void)popDebugGroup {
  Encoding encoding(self, "popDebugGroup");
  require(!encoding->groups.empty(), "popDebugGroup: none was pushed.");
  encoding->groups.pop_back();
}
- (void)useResidencySet:(id<MTLResidencySet>)set {
  Encoding encoding(self, "useResidencySet:");
  encoding->kept.push_back((id)set);
}
- (void)useResidencySets:(const id<MTLResidencySet>*)sets count:(NSUInteger)count {
  for (NSUInteger i = 0; i < count; ++i) [self useResidencySet:sets[i]];
}
@end
