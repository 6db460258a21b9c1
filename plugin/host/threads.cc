#include "plugin/host/threads.h"

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <fstream>
#include <mutex>
#include <set>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#if defined(__linux__)
#include <sched.h>
#endif
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "plugin/core/check.h"
#include "plugin/core/env.h"
#include "plugin/core/log.h"

namespace mps {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kMaxThreads = 256;

// A helper without work spins so long before it sleeps.
constexpr auto kSpin = std::chrono::microseconds(20), kSpinWhileWaitedFor = std::chrono::microseconds(300);
// A background thread works so long before it wakes helpers, which takes them some 30 us.
constexpr auto kAlone = std::chrono::microseconds(500);
// A program that has given the device no work for so long does something else, or nothing.
constexpr auto kBusy = std::chrono::milliseconds(1);

void pause_cpu() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

#if defined(__linux__)
int read_topology(int cpu, const char* name) {
  std::ifstream file("/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/" + name);
  int value = -1;
  file >> value;
  return file ? value : -1;
}

// Cores that this process may run on, each counted once however many hardware threads it has; 0 if unknown.
int physical_cores() {
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return 0;
  std::set<std::pair<int, int>> cores;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed)) continue;
    const int package = read_topology(cpu, "physical_package_id");
    const int core = read_topology(cpu, "core_id");
    // Where the kernel does not say, every processor counts as a core.
    cores.insert(core < 0 ? std::make_pair(-2, cpu) : std::make_pair(package, core));
  }
  return static_cast<int>(cores.size());
}
#else
int physical_cores() { return static_cast<int>(std::thread::hardware_concurrency()); }
#endif

int default_thread_count() {
  const int64_t wanted = env::host_threads();
  return static_cast<int>(wanted > 0 ? std::min<int64_t>(wanted, kMaxThreads)
                                     : std::clamp(physical_cores(), 1, kMaxThreads));
}

std::atomic<int>& thread_count_setting() {
  static std::atomic<int> count(default_thread_count());
  return count;
}

// True on helpers, and on a caller inside its loop: a loop started there runs alone.
thread_local bool t_inside_loop = false;
thread_local bool t_in_background = false;

// Threads that wait for the device, and when the program last gave it work.
std::atomic<int> g_waiting{0};
std::atomic<Clock::rep> g_last_work{0};

// True if some thread of the program seems to be giving the device more work.
bool program_is_busy() {
  if (g_waiting.load(std::memory_order_relaxed) > 0) return false;
  return Clock::now().time_since_epoch().count() - g_last_work.load(std::memory_order_relaxed) <
         Clock::duration(kBusy).count();
}

// Where the program has one core and the thread behind its back has the other, a helper can only be in the way.
bool takes_a_core_from_the_program() { return thread_count() <= 2 && program_is_busy(); }

class Pool {
 public:
  // False if another thread's loop is running, or nobody is there to help; then nothing was done.
  bool run(int64_t count, int64_t grain, int threads, Helpers helpers, detail::ParallelBody body, void* context);
  // Takes part in the running loop, if there is one; whether there was.
  bool help();

  std::atomic<int> spare{0};  // threads that call help() all the time

 private:
  // A thread's share of the range, of which it takes one piece after the other; when it is through, it helps with the
  // others' shares. So threads work far apart while they can: near each other, and at distances that are powers of two,
  // they would wait for the same banks of memory (measured: twice the time for sums of large arrays).
  struct alignas(64) Share {
    std::atomic<int64_t> next{0};
    int64_t end = 0;
  };

  // What the helpers need to know of the running loop. Written while no helper is inside, see gate_.
  struct Loop {
    int64_t piece = 0;
    int shares = 0;
    detail::ParallelBody body = nullptr;
    void* context = nullptr;
    const char* op = nullptr;  // for errors
    std::atomic<int> entered{0};
    std::atomic<bool> failed{false};
    std::exception_ptr error;  // of whoever set `failed`
  };

  // The gate: number of the loop (high bits), how many helpers may still enter it, how many are inside. A helper enters
  // and leaves by changing this one word, so the caller can close a loop and know that nobody will read it any more.
  static constexpr int kHelperBits = 12;
  static constexpr uint64_t kInside = 1, kMayEnter = uint64_t{1} << kHelperBits;
  static constexpr uint64_t kNumber = uint64_t{1} << (2 * kHelperBits);
  static uint64_t inside(uint64_t gate) { return gate % kMayEnter; }
  static uint64_t may_enter(uint64_t gate) { return gate % kNumber / kMayEnter; }
  static uint64_t number(uint64_t gate) { return gate / kNumber; }

  // Then a loop needs no helper.
  bool has_spare(int threads) const { return spare.load(std::memory_order_relaxed) >= threads; }
  void start_helpers(int wanted);
  void helper();
  void wake_helpers();
  bool enter();
  void work(int own, bool wakes_late);
  uint64_t wait_for_change(uint64_t seen);

  std::atomic<bool> busy_{false};
  std::atomic<uint64_t> gate_{0};
  Loop loop_;
  std::array<Share, kMaxThreads> shares_;
  int helpers_ = 0;                          // guarded by busy_
  std::atomic<int> sleepers_{0}, awake_{0};  // helpers
  std::mutex mutex_;
  std::condition_variable wake_;
};

void Pool::wake_helpers() {
  if (sleepers_.load() == 0) return;
  {
    std::lock_guard<std::mutex> lock(mutex_);
  }  // whoever is about to sleep has seen the gate or is asleep
  wake_.notify_all();
}

// Share `own` first. The caller's is always the first: what one loop wrote is in the cache of who reads it in the next.
void Pool::work(int own, bool wakes_late) {
  const auto start = wakes_late ? Clock::now() : Clock::time_point();
  for (int i = 0; i < loop_.shares; ++i) {
    Share& share = shares_[static_cast<size_t>((own + i) % loop_.shares)];
    for (;;) {
      const int64_t begin = share.next.fetch_add(loop_.piece, std::memory_order_relaxed);
      if (begin >= share.end) break;
      if (loop_.failed.load(std::memory_order_relaxed)) return;
      try {
        loop_.body(loop_.context, begin, std::min(share.end, begin + loop_.piece));
      } catch (...) {
        if (!loop_.failed.exchange(true)) loop_.error = std::current_exception();
      }
      if (wakes_late && (!program_is_busy() || Clock::now() - start > kAlone)) {
        wakes_late = false;
        if (!has_spare(loop_.shares - 1)) wake_helpers();
      }
    }
  }
}

bool Pool::enter() {
  uint64_t gate = gate_.load(std::memory_order_acquire);
  while (may_enter(gate) > 0) {
    if (gate_.compare_exchange_weak(gate, gate - kMayEnter + kInside, std::memory_order_acq_rel)) return true;
  }
  return false;
}

// Returns when the number of the loop is no longer `seen`: spins first, since the next loop usually follows at once.
uint64_t Pool::wait_for_change(uint64_t seen) {
  const auto start = Clock::now();
  const auto may_spin = [&] {
    if (takes_a_core_from_the_program() || has_spare(thread_count() - 1)) return false;
    const auto spun = Clock::now() - start;
    return spun < kSpin || (g_waiting.load(std::memory_order_relaxed) > 0 && spun < kSpinWhileWaitedFor);
  };
  do {
    for (int i = 0; i < 32; ++i) {
      const uint64_t now = number(gate_.load(std::memory_order_acquire));
      if (now != seen) return now;
      pause_cpu();
    }
  } while (may_spin());
  std::unique_lock<std::mutex> lock(mutex_);
  // Ordered against run(), which changes the gate and then looks for sleepers: one of the two sees the other.
  sleepers_.fetch_add(1);
  awake_.fetch_sub(1, std::memory_order_relaxed);
  wake_.wait(lock, [&] { return number(gate_.load()) != seen; });
  sleepers_.fetch_sub(1);
  awake_.fetch_add(1, std::memory_order_relaxed);
  return number(gate_.load(std::memory_order_acquire));
}

bool Pool::help() {
  bool helped = false;
  for (; enter(); helped = true) {
    const OpScope scope(loop_.op);
    work(loop_.entered.fetch_add(1, std::memory_order_relaxed), /*wakes_late=*/false);
    gate_.fetch_sub(kInside, std::memory_order_acq_rel);
  }
  return helped;
}

void Pool::helper() {
  t_inside_loop = true;
  awake_.fetch_add(1, std::memory_order_relaxed);
  uint64_t seen = 0;
  for (;;) {
    seen = wait_for_change(seen);
    help();
  }
}

void Pool::start_helpers(int wanted) {
  if (helpers_ >= wanted) return;
  // Signals are for the program's own threads: Python expects them on its main thread.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    for (; helpers_ < wanted; ++helpers_) std::thread([this] { helper(); }).detach();
  } catch (const std::system_error& error) {
    // The loop still runs, on fewer threads; once is enough to say so.
    static std::once_flag once;
    std::call_once(once, [&] {
      MPS_LOG(kWarning, "the host device computes with ", helpers_ + 1, " threads instead of ", wanted + 1,
              ": the system refused to start one (", error.what(), ").");
    });
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

bool Pool::run(int64_t count, int64_t grain, int threads, Helpers helpers, detail::ParallelBody body, void* context) {
  const bool wakes = helpers == Helpers::kAll;
  if (!wakes && spare.load(std::memory_order_relaxed) + awake_.load(std::memory_order_relaxed) == 0) return false;
  if (busy_.exchange(true, std::memory_order_acquire)) return false;
  start_helpers(threads - 1);
  const int64_t grains = (count + grain - 1) / grain;
  for (int i = 0; i < threads; ++i) {
    Share& share = shares_[static_cast<size_t>(i)];
    share.next.store(grains * i / threads * grain, std::memory_order_relaxed);
    share.end = std::min(count, grains * (i + 1) / threads * grain);
  }
  constexpr int64_t kPiecesPerShare = 8;  // evens out what delays a thread
  loop_.piece = std::max<int64_t>(1, grains / (kPiecesPerShare * threads)) * grain;
  loop_.shares = threads;
  loop_.body = body;
  loop_.context = context;
  loop_.op = current_op();
  loop_.entered.store(1, std::memory_order_relaxed);
  loop_.failed.store(false, std::memory_order_relaxed);
  const uint64_t admitted = static_cast<uint64_t>(std::min(threads - 1, helpers_));
  gate_.store((number(gate_.load(std::memory_order_relaxed)) + 1) * kNumber + admitted * kMayEnter);
  const bool wakes_late = wakes && t_in_background && takes_a_core_from_the_program();
  if (wakes && !wakes_late && !has_spare(threads - 1)) wake_helpers();

  t_inside_loop = true;
  work(0, wakes_late);
  t_inside_loop = false;

  // Nobody enters any more; those inside finish the piece that they have.
  uint64_t gate = gate_.load(std::memory_order_relaxed);
  while (!gate_.compare_exchange_weak(gate, gate - may_enter(gate) * kMayEnter, std::memory_order_acq_rel)) continue;
  for (int spins = 0; inside(gate_.load(std::memory_order_acquire)) != 0; ++spins) {
    spins < 1000 ? pause_cpu() : std::this_thread::yield();
  }
  const std::exception_ptr error = std::exchange(loop_.error, nullptr);
  busy_.store(false, std::memory_order_release);
  if (error) std::rethrow_exception(error);
  return true;
}

// The pool is never destroyed: its helpers may sleep in it until the process is gone. A forked child has no helpers,
// and its copy may have been caught in the middle of a loop, so it gets another.
std::atomic<Pool*> g_pool{nullptr};

Pool& pool() {
  Pool* pool = g_pool.load(std::memory_order_acquire);
  if (pool != nullptr) return *pool;
  static const int registered = pthread_atfork(nullptr, nullptr, [] {
    g_pool.store(nullptr, std::memory_order_relaxed);
    t_inside_loop = false;
    g_waiting.store(0, std::memory_order_relaxed);
  });
  static_cast<void>(registered);
  Pool* const fresh = new Pool;
  if (g_pool.compare_exchange_strong(pool, fresh, std::memory_order_acq_rel)) return *fresh;
  delete fresh;
  return *pool;
}

}  // namespace

int thread_count() { return thread_count_setting().load(std::memory_order_relaxed); }

void set_thread_count(int count) {
  MPS_CHECK(count >= 1 && count <= kMaxThreads, kArgument, "bad number of host threads: expected 1..", kMaxThreads,
            ", got ", count, ". Pass the number of cores to use.");
  thread_count_setting().store(count, std::memory_order_relaxed);
}

WaitingForDevice::WaitingForDevice() { g_waiting.fetch_add(1, std::memory_order_relaxed); }

WaitingForDevice::~WaitingForDevice() { g_waiting.fetch_sub(1, std::memory_order_relaxed); }

void the_device_is_given_work() {
  g_last_work.store(Clock::now().time_since_epoch().count(), std::memory_order_relaxed);
}

void this_is_a_background_thread() { t_in_background = true; }

SpareThread::SpareThread() { pool().spare.fetch_add(1, std::memory_order_relaxed); }

SpareThread::~SpareThread() { pool().spare.fetch_sub(1, std::memory_order_relaxed); }

bool SpareThread::help() {
  if (t_inside_loop) return false;
  t_inside_loop = true;
  const bool helped = pool().help();
  t_inside_loop = false;
  return helped;
}

namespace detail {
void parallel_for(int64_t count, int64_t grain, Helpers helpers, ParallelBody body, void* context) {
  if (count <= 0) return;
  grain = std::max<int64_t>(grain, 1);
  const int threads = static_cast<int>(std::min<int64_t>(thread_count(), (count + grain - 1) / grain));
  if (threads > 1 && !t_inside_loop && pool().run(count, grain, threads, helpers, body, context)) return;
  body(context, 0, count);
}
}  // namespace detail
}  // namespace mps
