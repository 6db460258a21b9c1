// What both kinds of encoders have in common.
#pragma once

#include "tests/apple_double/metal/encoders.h"

namespace apple_double {

// A call to an encoder.
class EncoderCall {
 public:
  EncoderCall(id encoder, const char* what)
      : encoder_(opened(state<EncoderState>(encoder), what)), encoding_(encoder_.buffer.get(), what) {}
  Encoding& encoding() { return encoding_; }
  EncoderState* operator->() { return &encoder_; }

 private:
  static EncoderState& opened(EncoderState& encoder, const char* what) {
    require(encoder.open, what, ": the encoder was ended already: Metal's assertion fails.");
    return encoder;
  }
  EncoderState& encoder_;
  Encoding encoding_;
};

void end_encoder(id encoder);
void push_group(id encoder, NSString* name);
void pop_group(id encoder);

}  // namespace apple_double

// The methods of MTLCommandEncoder. The state begins with an EncoderState.
#define APPLE_DOUBLE_ENCODER                                                           \
  APPLE_DOUBLE_PROPERTY(EncoderState, NSString*, label, setLabel)                      \
  -(id<MTLDevice>)device {                                                             \
    return given(the_device());                                                        \
  }                                                                                    \
  -(void)endEncoding {                                                                 \
    end_encoder(self);                                                                 \
  }                                                                                    \
  -(void)pushDebugGroup : (NSString*)name {                                            \
    push_group(self, name);                                                            \
  }                                                                                    \
  -(void)popDebugGroup {                                                               \
    pop_group(self);                                                                   \
  }                                                                                    \
  -(void)insertDebugSignpost : (NSString*)name {                                       \
    (void)name;                                                                        \
    EncoderCall(self, "insertDebugSignpost:");                                         \
  }                                                                                    \
  -(void)updateFence : (id<MTLFence>)fence {                                           \
    EncoderCall(self, "updateFence:").encoding()->kept.push_back(fence);               \
  }                                                                                    \
  -(void)waitForFence : (id<MTLFence>)fence {                                          \
    EncoderCall call(self, "waitForFence:");                                           \
    call.encoding()->kept.push_back(fence);                                            \
    call.encoding()->ordered = true;                                                   \
  }                                                                                    \
  -(void)barrierAfterQueueStages : (MTLStages)after beforeStages : (MTLStages)before { \
    (void)after, (void)before;                                                         \
    EncoderCall(self, "barrierAfterQueueStages:beforeStages:");                        \
  }
