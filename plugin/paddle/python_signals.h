// Lets Python's signal handlers run while its main thread waits for the device, and lets what they raise, such as
// KeyboardInterrupt, end the wait.
//
// Paddle stands between the wait and Python and turns every C++ exception into a Python exception of its own choice, so
// the handler's exception cannot be thrown through it. It takes the place of Paddle's where Python sees that one:
// Python tells a trace function of every exception that arrives in a frame, and what a trace function raises replaces
// it. So a trace function is set for just that moment, and a debugger's own is put back.
#pragma once

namespace mps::paddle {

// Called once, when Paddle initialises the plugin. Does nothing in programs without Python.
void watch_python_signals();

}  // namespace mps::paddle
