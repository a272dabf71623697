// What a network goes back to where a forward breaks off in the middle.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include <evenkeel/nn/module.h>

namespace evenkeel::nn {

/// Notes where a module and everything below it stand before a forward. Unless keep() is called,
/// its end puts them back there: what was saved for backward since is dropped, and buffers (running
/// statistics, random positions) get their old values. Those of modules in eval mode do not change
/// and are not copied; the others are small beside what a forward computes.
class Rollback {
 public:
  explicit Rollback(Module& module);
  ~Rollback();
  Rollback(const Rollback&) = delete;
  Rollback& operator=(const Rollback&) = delete;

  void keep() { kept_ = true; }

  /// How many values are saved for backward, here and below.
  static std::size_t saved_in(Module& module);

 private:
  struct Mark {
    Module* module;
    std::size_t saved;
  };
  struct Copy {
    Tensor* live;
    std::size_t place;  // in copies_
  };
  void note(Module& module);

  std::vector<Mark> marks_;
  std::vector<Copy> buffers_;
  std::size_t bytes_ = 0;
  std::shared_ptr<std::byte> copies_;
  bool kept_ = false;
};

}  // namespace evenkeel::nn
