// Every operator with every argument that does not fit, and with memory that overlaps: refused in
// one line, and nothing written.
#include "ops/operators.h"

namespace evenkeel::ops {
namespace {

using testing::Operator;
using testing::operators;
using testing::same_bits;
using testing::Slot;

class MisusedOperatorIn : public ::testing::TestWithParam<Layout> {};

INSTANTIATE_TEST_SUITE_P(Layouts, MisusedOperatorIn,
                         ::testing::Values(Layout::channels_first, Layout::channels_last),
                         [](const auto& one) { return std::string(name_of(one.param)); });

/// Runs on `tensors`, which must be refused with an E, and compares all of them afterwards.
template <class E>
void expect_refusal(const Operator& op, std::vector<Tensor>& tensors) {
  std::vector<Tensor> before;
  for (const Tensor& tensor : tensors) before.push_back(tensor.clone());
  try {
    op.run(tensors);
    ADD_FAILURE() << "accepted";
  } catch (const E& error) {
    const std::string message = error.what();
    EXPECT_EQ(message.rfind("[", 0), 0U) << message;
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  } catch (const std::exception& error) {
    ADD_FAILURE() << "another error: " << error.what();
  }
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    EXPECT_TRUE(!before[i].defined() || same_bits(before[i], tensors[i])) << "written: " << i;
  }
}

/// What may stand in a slot by mistake, and what to call it.
std::vector<std::pair<std::string, Tensor>> wrong_tensors(const Slot& slot) {
  const Tensor& t = slot.tensor;
  std::vector<std::pair<std::string, Tensor>> wrong;
  if (!slot.optional) wrong.emplace_back("undefined", Tensor());
  wrong.emplace_back("a scalar", Tensor::zeros({}, t.dtype()));
  wrong.emplace_back("of rank 6", Tensor::zeros({1, 1, 1, 1, 1, 1}, t.dtype(), t.layout()));
  wrong.emplace_back("empty",
                     Tensor::zeros(t.shape().with(t.rank() - 1, 0), t.dtype(), t.layout()));
  for (int i = 0; i < t.rank(); ++i) {
    if (std::ranges::count(slot.free_dims, i) != 0) continue;
    for (const std::int64_t change : {-1, 1}) {
      const Shape shape = t.shape().with(i, t.dim(i) + change);
      wrong.emplace_back(shape.str(), Tensor::zeros(shape, t.dtype(), t.layout()));
    }
  }
  for (const DType dtype : {DType::f64, DType::bf16, DType::i64}) {
    wrong.emplace_back(std::string(name_of(dtype)), Tensor::zeros(t.shape(), dtype, t.layout()));
  }
  if (t.rank() >= 3 && slot.free_dims.empty()) {
    const Layout other =
        t.layout() == Layout::channels_first ? Layout::channels_last : Layout::channels_first;
    wrong.emplace_back("in the other layout", Tensor::zeros(t.shape(), t.dtype(), other));
  }
  return wrong;
}

TEST_P(MisusedOperatorIn, RefusesEveryTensorThatDoesNotFit) {
  for (const Operator& op : operators(GetParam())) {
    for (std::size_t i = 0; i < op.slots.size(); ++i) {
      for (const auto& [what, wrong] : wrong_tensors(op.slots[i])) {
        SCOPED_TRACE(fmt::format("{}, {} {}", op.name, op.slots[i].name, what));
        std::vector<Tensor> tensors = op.tensors();
        tensors[i] = wrong.clone();
        expect_refusal<ShapeError>(op, tensors);
      }
    }
  }
}

/// Puts slots i and j into one block of memory, j `shift` elements behind i. Such tensors are views
/// of samples, so both come in one layout.
bool put_together(std::vector<Tensor>& tensors, std::size_t i, std::size_t j, std::int64_t shift) {
  if (tensors[i].dtype() != tensors[j].dtype()) return false;
  const auto place = [&](Tensor& tensor, const Tensor& room, std::int64_t begin) {
    const Tensor values = tensor.clone();
    Tensor view = room.slice(begin, begin + values.numel()).reshape(values.shape());
    view.copy_from(values);
    tensor = view;
  };
  const Tensor room =
      Tensor::zeros({std::max(tensors[i].numel(), tensors[j].numel() + shift)}, tensors[i].dtype());
  place(tensors[i], room, 0);
  place(tensors[j], room, shift);
  return true;
}

TEST(MisusedOperator, RefusesOutputsThatOverlapInPart) {
  int pairs = 0;
  for (const Operator& op : operators(Layout::channels_first)) {
    for (std::size_t out = 0; out < op.slots.size(); ++out) {
      for (std::size_t other = 0; other < op.slots.size(); ++other) {
        if (!op.slots[out].output || out == other) continue;
        for (const bool before : {true, false}) {
          SCOPED_TRACE(
              fmt::format("{}: {} and {}", op.name, op.slots[out].name, op.slots[other].name));
          std::vector<Tensor> tensors = op.tensors();
          if (!(before ? put_together(tensors, out, other, 1)
                       : put_together(tensors, other, out, 1))) {
            continue;
          }
          ++pairs;
          expect_refusal<UsageError>(op, tensors);
        }
      }
    }
  }
  EXPECT_GT(pairs, 80);
}

TEST(MisusedOperator, RefusesOutputsInTheMemoryOfOthersUnlessItSaysSo) {
  int pairs = 0;
  for (const Operator& op : operators(Layout::channels_first)) {
    for (std::size_t out = 0; out < op.slots.size(); ++out) {
      for (std::size_t other = 0; other < op.slots.size(); ++other) {
        const Slot& slot = op.slots[out];
        if (!slot.output || out == other) continue;
        if (std::ranges::count(slot.may_be, op.slots[other].name) != 0) continue;
        if (op.name == "accumulate") continue;  // y may be a, which then doubles
        SCOPED_TRACE(fmt::format("{}: {} in {}", op.name, slot.name, op.slots[other].name));
        std::vector<Tensor> tensors = op.tensors();
        if (!put_together(tensors, out, other, 0)) continue;
        ++pairs;
        expect_refusal<UsageError>(op, tensors);
      }
    }
  }
  EXPECT_GT(pairs, 20);
}

TEST_P(MisusedOperatorIn, TakesEmptyBatches) {
  for (const Operator& op : operators(GetParam())) {
    SCOPED_TRACE(op.name);
    std::vector<Tensor> tensors = op.tensors();
    const std::int64_t samples = tensors[0].dim(0);
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      const std::string& name = op.slots[i].name;
      if (name == "weight" || name == "bias" || name == "dweight" || name == "dbias") continue;
      if (tensors[i].dim(0) == samples) tensors[i] = tensors[i].slice(0, 0);
    }
    std::vector<Tensor> before;
    for (const Tensor& tensor : tensors) before.push_back(tensor.clone());
    if (op.name == "cross-entropy") {
      EXPECT_EQ(softmax_cross_entropy(tensors[0], {}, 0.1, &tensors[1]), 0);
      continue;
    }
    EXPECT_NO_THROW(op.run(tensors));
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      EXPECT_TRUE(same_bits(before[i], tensors[i])) << op.slots[i].name << " was written";
    }
  }
}

TEST(MisusedOperator, RefusesNumbersOutOfRange) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const Tensor x = testing::random_tensor({2, 3}, DType::f32);
  Tensor y = Tensor::zeros({2, 3});
  Tensor mask = Tensor::zeros({2, 3}, DType::u8);
  Random random(1);
  for (const double p : {-0.1, 1.0, 1.5, nan}) {
    EXPECT_THROW(dropout_forward(x, p, random, mask, y), UsageError);
    EXPECT_THROW(dropout_backward(x, mask, p, y), UsageError);
  }
  EXPECT_EQ(random.position(), 0U);
  for (const double slope : {0.0, -1.0, nan}) {
    EXPECT_THROW(activation_forward(ActivationKind::leaky_relu, x, y, slope), UsageError);
    EXPECT_THROW(activation_backward(ActivationKind::leaky_relu, x, x, y, slope), UsageError);
  }
  const std::vector<std::int32_t> labels{0, 1};
  for (const double smoothing : {-0.1, 1.1, nan}) {
    EXPECT_THROW(softmax_cross_entropy(x, labels, smoothing, &y), UsageError);
  }
  EXPECT_TRUE(same_bits(y, Tensor::zeros({2, 3})));
  EXPECT_THROW(random.below(0), UsageError);
}

TEST(MisusedOperator, RefusesGeometriesThatMeanNothing) {
  const Shape x{2, 4, 6, 6}, weight{4, 4, 3, 3};
  EXPECT_NO_THROW((void)conv_output_shape(x, weight, {}));
  const auto conv = [](std::int64_t stride, std::int64_t padding, std::int64_t dilation,
                       std::int64_t groups) {
    return ConvOptions{{stride, 1}, {padding, 0}, {dilation, 1}, groups};
  };
  for (const ConvOptions& options :
       {conv(0, 0, 1, 1), conv(-1, 0, 1, 1), conv(1, -1, 1, 1), conv(1, 0, 0, 1), conv(1, 0, 9, 1),
        conv(1, 0, 1, 0), conv(1, 0, 1, 3)}) {
    EXPECT_THROW((void)conv_output_shape(x, weight, options), ShapeError);
  }
  EXPECT_THROW((void)conv_output_shape({2, 4, 2, 2}, weight, {}), ShapeError);
  EXPECT_THROW((void)conv_output_shape({2, 4}, weight, {}), ShapeError);
  EXPECT_THROW((void)conv_output_shape(x, {4, 4, 3}, {}), ShapeError);
  EXPECT_THROW((void)conv_output_shape(x, {4, 4, 0, 3}, {}), ShapeError);
  EXPECT_THROW((void)conv_output_shape({2, 0, 6, 6}, {4, 0, 3, 3}, {}), ShapeError);
  const auto pool = [](std::int64_t kernel, std::int64_t stride, std::int64_t padding) {
    return PoolOptions{{kernel, 2}, {stride, 1}, {padding, 0}, true};
  };
  for (const PoolOptions& options :
       {pool(0, 1, 0), pool(2, 0, 0), pool(2, 1, 2), pool(2, 1, -1), pool(7, 1, 0)}) {
    EXPECT_THROW((void)pool_output_shape(x, options), ShapeError);
  }
  EXPECT_THROW((void)pool_output_shape({2, 4}, {}), ShapeError);
  EXPECT_THROW((void)pool_output_shape({2, 4, 0, 6}, {}), ShapeError);
}

}  // namespace
}  // namespace evenkeel::ops
