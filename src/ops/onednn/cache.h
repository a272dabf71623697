// A bounded cache of what is expensive to make: primitives are compiled at run time.
#pragma once

#include <array>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <unordered_map>

namespace evenkeel::ops::onednn {

/// Everything that distinguishes one primitive from another, as numbers; unused places are zero.
using Key = std::array<std::int64_t, 25>;

struct KeyHash {
  std::size_t operator()(const Key& key) const {
    std::uint64_t hash = 0xcbf29ce484222325u;
    for (const std::int64_t value : key) {
      hash = (hash ^ static_cast<std::uint64_t>(value)) * 0x100000001b3u;
      hash ^= hash >> 29;
    }
    return static_cast<std::size_t>(hash);
  }
};

/// Least recently used entries go first. Safe to use from several threads; entries are immutable
/// and stay alive while someone holds them.
template <class Entry>
class Cache {
 public:
  explicit Cache(std::size_t capacity) : capacity_(capacity) {}

  /// The entry of `key`, made by `make` (outside the lock) where it is missing.
  template <class Make>
  std::shared_ptr<const Entry> get(const Key& key, Make&& make) {
    {
      const std::scoped_lock lock(mutex_);
      if (const auto found = index_.find(key); found != index_.end()) {
        order_.splice(order_.begin(), order_, found->second);
        return found->second->second;
      }
    }
    std::shared_ptr<const Entry> made = make();
    const std::scoped_lock lock(mutex_);
    if (const auto found = index_.find(key); found != index_.end()) return found->second->second;
    Order entry{{key, made}};
    index_.emplace(key, entry.begin());
    order_.splice(order_.begin(), entry);  // which cannot fail
    if (order_.size() > capacity_) {
      index_.erase(order_.back().first);
      order_.pop_back();
    }
    return made;
  }

 private:
  using Order = std::list<std::pair<Key, std::shared_ptr<const Entry>>>;

  std::size_t capacity_;
  std::mutex mutex_;
  Order order_;
  std::unordered_map<Key, typename Order::iterator, KeyHash> index_;
};

}  // namespace evenkeel::ops::onednn
