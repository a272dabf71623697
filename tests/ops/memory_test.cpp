// Outputs in the memory of inputs where that is allowed, tensors at odd addresses, inputs that
// cannot be written: the bits of the plain call.
#include <sys/mman.h>

#include "ops/operators.h"

namespace evenkeel::ops {
namespace {

using testing::Operator;
using testing::operators;
using testing::same_bits;
using testing::Setting;

class OperatorMemoryIn : public ::testing::TestWithParam<Layout> {};

INSTANTIATE_TEST_SUITE_P(Layouts, OperatorMemoryIn,
                         ::testing::Values(Layout::channels_first, Layout::channels_last),
                         [](const auto& one) { return std::string(name_of(one.param)); });

void expect_outputs(const Operator& op, const std::vector<Tensor>& expected,
                    const std::vector<Tensor>& tensors) {
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    if (!op.slots[i].output) continue;
    EXPECT_TRUE(same_bits(expected[i], tensors[i])) << op.slots[i].name;
  }
}

std::vector<Tensor> results_of(const Operator& op) {
  std::vector<Tensor> tensors = op.tensors();
  op.run(tensors);
  return tensors;
}

TEST_P(OperatorMemoryIn, InPlaceWhereItIsAllowed) {
  int cases = 0;
  for (const Operator& op : operators(GetParam())) {
    const std::vector<Tensor> expected = results_of(op);
    for (std::size_t out = 0; out < op.slots.size(); ++out) {
      for (const std::string& name : op.slots[out].may_be) {
        for (std::size_t in = 0; in < op.slots.size(); ++in) {
          if (op.slots[in].name != name) continue;
          SCOPED_TRACE(op.name + " into " + name);
          std::vector<Tensor> tensors = op.tensors();
          tensors[out] = tensors[in];
          op.run(tensors);
          expect_outputs(op, expected, tensors);
          ++cases;
        }
      }
    }
  }
  EXPECT_GE(cases, 20);
}

TEST(OperatorMemory, AccumulatingATensorToItselfDoublesIt) {
  Tensor y = testing::random_tensor({5, 7}, DType::f32);
  Tensor twice = Tensor::like(y);
  add(y, y, twice);
  accumulate(y, y);
  EXPECT_TRUE(same_bits(y, twice));
}

TEST_P(OperatorMemoryIn, AtOddAddresses) {
  for (const Operator& op : operators(GetParam())) {
    SCOPED_TRACE(op.name);
    const std::vector<Tensor> expected = results_of(op);
    std::vector<Tensor> tensors = op.tensors();
    for (Tensor& tensor : tensors) {
      const Tensor room =
          Tensor::zeros(tensor.shape().with(0, tensor.dim(0) + 1), tensor.dtype(), tensor.layout());
      Tensor shifted = room.slice(1, tensor.dim(0) + 1);
      ASSERT_NE(reinterpret_cast<std::uintptr_t>(shifted.raw()) % 8, 0U) << "not odd enough";
      shifted.copy_from(tensor);
      tensor = shifted;
    }
    op.run(tensors);
    expect_outputs(op, expected, tensors);
  }
}

/// A copy in memory of its own that may not be written until the end of this object.
class ReadOnly {
 public:
  explicit ReadOnly(Tensor& tensor) {
    // Buffers of this size begin on a page.
    constexpr std::int64_t kBytes = 4 << 20;
    const std::int64_t sample = std::max<std::int64_t>(1, tensor.numel() / tensor.dim(0)) *
                                static_cast<std::int64_t>(size_of(tensor.dtype()));
    room_ = Tensor::empty(tensor.shape().with(0, tensor.dim(0) + kBytes / sample + 1),
                          tensor.dtype(), tensor.layout());
    Tensor copy = room_.slice(0, tensor.dim(0));
    copy.copy_from(tensor);
    EXPECT_EQ(protect(PROT_READ), 0);
    tensor = copy;
  }
  ~ReadOnly() { protect(PROT_READ | PROT_WRITE); }
  ReadOnly(const ReadOnly&) = delete;
  ReadOnly& operator=(const ReadOnly&) = delete;

 private:
  int protect(int how) { return mprotect(room_.raw(), room_.bytes() / 4096 * 4096, how); }

  Tensor room_;
};

TEST_P(OperatorMemoryIn, InputsAreNeverWritten) {
  for (const int threads : {1, 3}) {
    const Setting setting(threads);
    for (const Operator& op : operators(GetParam())) {
      SCOPED_TRACE(op.name);
      const std::vector<Tensor> expected = results_of(op);
      std::vector<Tensor> tensors = op.tensors();
      std::vector<std::unique_ptr<ReadOnly>> locks;
      for (std::size_t i = 0; i < tensors.size(); ++i) {
        if (!op.slots[i].output) locks.push_back(std::make_unique<ReadOnly>(tensors[i]));
      }
      op.run(tensors);
      expect_outputs(op, expected, tensors);
    }
  }
}

}  // namespace
}  // namespace evenkeel::ops
