// Offers `paddle.mps` to Python programs that only wrote `import paddle`.
#pragma once

namespace mps::paddle {

// While Paddle is being imported: if this process runs Python and has the package paddle_mps, calls
// its small hook, which puts a lazy module where `paddle.mps` is looked for. Does nothing in C++
// programs, or with PADDLE_MPS_PYTHON_HOOK=0. Never throws; a Python error is printed and dropped,
// since the import must go on.
void offer_python_module();

}  // namespace mps::paddle
