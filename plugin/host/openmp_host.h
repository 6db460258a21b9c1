// Keeps the OpenMP inside other libraries on the calling thread.
//
// oneDNN decides by OpenMP's thread count how to cut a primitive and on how many threads to run it. The host device
// cuts the work itself and runs the parts on its own threads (threads.h), so oneDNN must see a count of 1, whenever a
// primitive is created and whenever it is executed.
//
// Which OpenMP that is depends on the process. Alone, libdnnl binds to libgomp; inside Paddle, whose libphi brings
// libiomp5 along, it binds to that one (seen with LD_DEBUG=bindings), while libgomp is loaded as well. So the count is
// set in every OpenMP runtime that is in the process. The setting belongs to the calling thread alone, and the scope
// restores it: nobody else's loops change.
#pragma once

namespace mps {

class SingleOpenMpThread {
 public:
  SingleOpenMpThread();
  ~SingleOpenMpThread();
  SingleOpenMpThread(const SingleOpenMpThread&) = delete;
  SingleOpenMpThread& operator=(const SingleOpenMpThread&) = delete;

  static constexpr int kMaxRuntimes = 3;

 private:
  int before_[kMaxRuntimes];
};

}  // namespace mps
