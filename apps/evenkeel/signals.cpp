#include "signals.h"

#include <thread>

#include <signal.h>
#include <unistd.h>

namespace evenkeel::app {

void handle_signals_aside() {
  sigset_t interrupts;
  ::sigemptyset(&interrupts);
  ::sigaddset(&interrupts, SIGINT);
  ::sigaddset(&interrupts, SIGTERM);
  sigset_t before;
  // Threads inherit what is blocked here.
  if (::pthread_sigmask(SIG_BLOCK, &interrupts, &before) != 0) return;
  std::thread([before] {
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    for (;;) ::pause();
  }).detach();
}

}  // namespace evenkeel::app
