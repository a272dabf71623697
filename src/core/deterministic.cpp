#include <atomic>

#include <evenkeel/core/deterministic.h>

namespace evenkeel {
namespace {
std::atomic<bool> g_deterministic{false};
}

void set_deterministic(bool on) { g_deterministic.store(on, std::memory_order_relaxed); }
bool deterministic() { return g_deterministic.load(std::memory_order_relaxed); }

}  // namespace evenkeel
