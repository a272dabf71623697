#include "train/stop_signal.h"

#include <array>
#include <atomic>
#include <cerrno>
#include <mutex>
#include <system_error>

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

namespace evenkeel::train {
namespace {

constexpr std::array<int, 2> kSignals{SIGINT, SIGTERM};

std::atomic<int> received_signal{0};
static_assert(std::atomic<int>::is_always_lock_free, "a signal handler may write nothing else");

std::mutex mutex;  // of the two below: runs may go on in several threads
int users = 0;
std::array<struct sigaction, 2> before;

void note(int signal) { received_signal = signal; }

void install_handlers() {
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

/// Takes the signals until the other end of the pipe is closed. poll() is interrupted by every signal,
/// restarting handlers or not, so that a tool that delivers signals between system calls can.
void wait_for_signals(int descriptor, const sigset_t& signals) {
  ::pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
  pollfd end{descriptor, POLLIN, 0};
  while (::poll(&end, 1, -1) < 0 && errno == EINTR) {
  }
}

}  // namespace

StopSignal::StopSignal() {
  {
    const std::scoped_lock lock(mutex);
    if (users++ == 0) install_handlers();
  }
  if (::pipe2(pipe_, O_CLOEXEC) != 0) return;  // out of descriptors: signals come as they always do
  sigset_t signals;
  ::sigemptyset(&signals);
  for (const int signal : kSignals) ::sigaddset(&signals, signal);
  ::pthread_sigmask(SIG_BLOCK, &signals, &mask_before_);
  try {
    aside_ =
        std::thread([descriptor = pipe_[0], signals] { wait_for_signals(descriptor, signals); });
  } catch (const std::system_error&) {  // no thread to be had
    ::pthread_sigmask(SIG_SETMASK, &mask_before_, nullptr);
  }
}

StopSignal::~StopSignal() {
  if (pipe_[1] >= 0) ::close(pipe_[1]);
  if (aside_.joinable()) {
    aside_.join();
    ::pthread_sigmask(SIG_SETMASK, &mask_before_, nullptr);
  }
  if (pipe_[0] >= 0) ::close(pipe_[0]);
  const std::scoped_lock lock(mutex);
  if (--users > 0) return;
  for (std::size_t i = 0; i < kSignals.size(); ++i) {
    ::sigaction(kSignals[i], &before[i], nullptr);
  }
}

int StopSignal::received() { return received_signal; }

}  // namespace evenkeel::train
