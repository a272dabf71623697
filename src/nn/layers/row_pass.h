// The two passes that layers of the row geometry share.
#pragma once

#include <span>

#include <evenkeel/core/memory.h>
#include <evenkeel/nn/layers/saved_rows.h>
#include <evenkeel/nn/module.h>

namespace evenkeel::nn {

/// Memory from the caching allocator, as the bytes that the operators ask for.
struct OperatorMemory {
  std::shared_ptr<std::byte> owner;
  std::span<std::byte> span;

  explicit OperatorMemory(std::size_t size) : owner(allocate(size)), span(owner.get(), size) {}
};

/// The rows of `x`, laid out as `rows` is.
norm::ConstRowView rows_at(const norm::ConstRowView& rows, const Tensor& x);
norm::RowView rows_at(const norm::ConstRowView& rows, Tensor& x);

/// y for x. Fills `saved` where it is given.
Tensor forward_rows(const Tensor& x, const norm::ConstRowView& rows, const norm::Affine& affine,
                    const norm::RowNorm& norm, SavedRows* saved);
/// The statistics behind a forward.
norm::RowNormState state_of(const SavedRows& saved);
/// dx for dy, which lies as x does; adds to dγ and dβ where they are given.
Tensor backward_rows(const SavedRows& saved, const Tensor& dy, const norm::Affine& affine,
                     norm::Centre centre, norm::VectorView dgamma, norm::VectorView dbeta);

/// Where a result has to lie as another tensor does than the one that the operator writes: made
/// before the operator runs, so that nothing can fail between that and the end of the call.
class Relaid {
 public:
  /// For results like x that are wanted in this shape and layout.
  Relaid(const Tensor& x, const Shape& shape, Layout layout);
  /// `result` itself, or its values laid out as wanted.
  Tensor of(const Tensor& result);

 private:
  Tensor room_;
};

/// Throws UsageError naming the layer unless eps is 0 or more.
void expect_eps(std::string_view layer, double eps);

}  // namespace evenkeel::nn
