#include "train/stop_signal.h"

#include <array>
#include <atomic>
#include <mutex>

#include <signal.h>

namespace evenkeel::train {
namespace {

constexpr std::array<int, 2> kSignals{SIGINT, SIGTERM};

std::atomic<int> received_signal{0};
static_assert(std::atomic<int>::is_always_lock_free, "a signal handler may write nothing else");

std::mutex mutex;  // of the two below: runs may go on in several threads
int users = 0;
std::array<struct sigaction, 2> before;

void note(int signal) { received_signal = signal; }

}  // namespace

StopSignal::StopSignal() {
  const std::scoped_lock lock(mutex);
  if (users++ > 0) return;
  received_signal = 0;
  for (std::size_t i = 0; i < kSignals.size(); ++i) {
    ::sigaction(kSignals[i], nullptr, &before[i]);
    if (before[i].sa_handler == SIG_IGN) continue;
    struct sigaction action {};
    action.sa_handler = note;
    action.sa_flags = static_cast<int>(SA_RESETHAND | SA_RESTART);
    ::sigemptyset(&action.sa_mask);
    ::sigaction(kSignals[i], &action, nullptr);
  }
}

StopSignal::~StopSignal() {
  const std::scoped_lock lock(mutex);
  if (--users > 0) return;
  for (std::size_t i = 0; i < kSignals.size(); ++i) {
    ::sigaction(kSignals[i], &before[i], nullptr);
  }
}

int StopSignal::received() { return received_signal; }

}  // namespace evenkeel::train
