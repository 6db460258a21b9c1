// What this machine can do at most. Benchmarks build it as a shared library and call it by ctypes:
//   g++ -O3 -march=native -std=c++17 -shared -fPIC -pthread machine.cc -o libmachine.so
//
// stream_*: the memory bound, after McCalpin's STREAM: how fast it copies, scales and adds float32 arrays. The best
// time of one pass in nanoseconds, over ordinary and non-temporal stores, with the arrays (sizes in elements; `c`
// receives the result) cut among `threads` threads. stream_dot is that of BabelStream (Deakin et al., 2018): it reads
// two arrays and writes nothing.
// fma_gflops: the arithmetic bound: float32 multiply-adds in registers, on `threads` threads.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>
#include <vector>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace {

using Lanes = float __attribute__((vector_size(64), aligned(4)));

void store(float* to, Lanes value) { *reinterpret_cast<Lanes*>(to) = value; }

void stream(float* to, Lanes value) {
#if defined(__AVX512F__)
  _mm512_stream_ps(to, reinterpret_cast<__m512>(value));
#elif defined(__SSE2__)
  const float* from = reinterpret_cast<const float*>(&value);
  for (int i = 0; i < 16; i += 4) _mm_stream_ps(to + i, _mm_loadu_ps(from + i));
#else
  store(to, value);
#endif
}

// Writes c[i] = f(a[i], b[i]) for one thread's part; the part starts on a 64-byte line of c.
template <bool kNonTemporal, typename F>
void map(const float* a, const float* b, float* c, int64_t n, F f) {
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) {
    const Lanes value = f(*reinterpret_cast<const Lanes*>(a + i), *reinterpret_cast<const Lanes*>(b + i));
    kNonTemporal ? stream(c + i, value) : store(c + i, value);
  }
  for (; i < n; ++i) c[i] = f(a[i], b[i]);
#if defined(__SSE2__)
  if (kNonTemporal) _mm_sfence();
#endif
}

// pass(begin, end) does one thread's part.
template <typename F>
double best_ns(int64_t n, int threads, int repeats, F pass) {
  // Threads spin at a counter before and after each pass, so that no wake-up is timed.
  std::atomic<int> arrived{0};
  const int64_t part = (n / threads + 15) / 16 * 16;
  const auto meet = [&](int target) {
    arrived.fetch_add(1);
    while (arrived.load() < target) continue;
  };
  const auto run = [&](int thread, double* best) {
    const int64_t begin = std::min(n, thread * part), end = thread + 1 == threads ? n : std::min(n, begin + part);
    for (int r = 0; r < repeats; ++r) {
      meet(threads * (2 * r + 1));
      const auto start = std::chrono::steady_clock::now();
      pass(begin, end);
      meet(threads * (2 * r + 2));
      const std::chrono::duration<double, std::nano> time = std::chrono::steady_clock::now() - start;
      *best = std::min(*best, time.count());
    }
  };
  double best = 1e30;
  std::vector<double> others(threads, 1e30);
  std::vector<std::thread> helpers;
  for (int t = 1; t < threads; ++t) helpers.emplace_back(run, t, &others[t]);
  run(0, &best);
  for (std::thread& helper : helpers) helper.join();
  return best;
}

template <typename F>
double best_of_both(const float* a, const float* b, float* c, int64_t n, int threads, int repeats, F f) {
  for (; n > 0 && reinterpret_cast<uintptr_t>(c) % 64 != 0; ++a, ++b, ++c, --n) *c = f(*a, *b);
  const auto plain = [&](int64_t begin, int64_t end) { map<false>(a + begin, b + begin, c + begin, end - begin, f); };
  const auto past = [&](int64_t begin, int64_t end) { map<true>(a + begin, b + begin, c + begin, end - begin, f); };
  return std::min(best_ns(n, threads, repeats, plain), best_ns(n, threads, repeats, past));
}

// In as many sums as hide how long an addition takes.
float dot(const float* a, const float* b, int64_t n) {
  constexpr int64_t kSums = 8;
  Lanes sums[kSums] = {};
  for (int64_t i = 0; i + 16 * kSums <= n; i += 16 * kSums) {
    for (int64_t s = 0; s < kSums; ++s) {
      sums[s] += *reinterpret_cast<const Lanes*>(a + i + 16 * s) * *reinterpret_cast<const Lanes*>(b + i + 16 * s);
    }
  }
  float sum = 0;
  for (const Lanes& lanes : sums) {
    for (int lane = 0; lane < 16; ++lane) sum += lanes[lane];
  }
  return sum;
}

// Multiply-adds in as many independent chains as hide their latency: on x86 12 of 16 floats, which fit its registers.
double fma_seconds(int64_t turns) {
  Lanes a[12];
  for (int i = 0; i < 12; ++i) a[i] = Lanes{} + static_cast<float>(i);
  Lanes b = Lanes{} + 0.999f, c = Lanes{} + 1e-4f;
  const auto start = std::chrono::steady_clock::now();
  for (int64_t turn = 0; turn < turns; ++turn) {
#pragma GCC unroll 12
    for (int i = 0; i < 12; ++i) a[i] = a[i] * b + c;
    asm volatile("" :::);  // every turn is done
  }
  const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
  Lanes sum = {};
  for (const Lanes& lane : a) sum += lane;
  volatile float used = sum[0];
  static_cast<void>(used);
  return time.count();
}

}  // namespace

extern "C" {
double fma_gflops(int threads) {
  constexpr int64_t kTurns = 4'000'000;
  std::vector<std::thread> helpers;
  std::vector<double> seconds(threads);
  for (int t = 1; t < threads; ++t) helpers.emplace_back([&seconds, t] { seconds[t] = fma_seconds(kTurns); });
  seconds[0] = fma_seconds(kTurns);
  for (std::thread& helper : helpers) helper.join();
  double sum = 0;
  for (double s : seconds) sum += kTurns * 12 * 16 * 2 / s * 1e-9;
  return sum;
}
double stream_copy(const float* a, float* c, int64_t n, int threads, int repeats) {
  return best_of_both(a, a, c, n, threads, repeats, [](auto x, auto) { return x; });
}
double stream_scale(const float* a, float* c, int64_t n, int threads, int repeats) {
  return best_of_both(a, a, c, n, threads, repeats, [](auto x, auto) { return x * 3.0f; });
}
double stream_add(const float* a, const float* b, float* c, int64_t n, int threads, int repeats) {
  return best_of_both(a, b, c, n, threads, repeats, [](auto x, auto y) { return x + y; });
}
double stream_dot(const float* a, const float* b, int64_t n, int threads, int repeats) {
  return best_ns(n, threads, 2 * repeats, [&](int64_t begin, int64_t end) {
    volatile float used = dot(a + begin, b + begin, end - begin);
    static_cast<void>(used);
  });
}
}
