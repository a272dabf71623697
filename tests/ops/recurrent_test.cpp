#include "ops/testing.h"
#include <evenkeel/ops/recurrent.h>

namespace evenkeel::ops {
namespace {

using namespace testing;

constexpr std::int64_t kRows = 3, kUnits = 5;

/// h of one LSTM step; c too where it is asked for.
Tensor lstm(const Tensor& gates, const Tensor& c_prev, Tensor* c_out = nullptr) {
  Tensor active = gates.clone();
  Tensor c = poisoned({kRows, kUnits}, gates.dtype());
  Tensor tanh_c = c.clone();
  Tensor h = c.clone();
  lstm_cell_forward(active, c_prev, c);
  lstm_output_forward(active, c, tanh_c, h);
  if (c_out != nullptr) *c_out = c;
  return h;
}

TEST(LstmCell, GradientsAreThoseOfCentralDifferences) {
  for (const bool first : {false, true}) {
    Tensor gates = random_tensor({kRows, 4 * kUnits});
    Tensor c_prev = first ? Tensor() : random_tensor({kRows, kUnits}, DType::f64, 2);
    const Tensor dh = random_tensor({kRows, kUnits}, DType::f64, 3);
    const Tensor dc_next = random_tensor({kRows, kUnits}, DType::f64, 4);
    const auto loss = [&] {
      Tensor c;
      const Tensor h = lstm(gates, c_prev, &c);
      return dot(h, dh) + dot(c, dc_next);
    };
    Tensor active = gates.clone();
    Tensor c = poisoned({kRows, kUnits});
    Tensor tanh_c = c.clone();
    Tensor h = c.clone();
    lstm_cell_forward(active, c_prev, c);
    lstm_output_forward(active, c, tanh_c, h);
    Tensor dgates = poisoned(gates.shape());
    Tensor dc = poisoned(c.shape());
    lstm_output_backward(active, tanh_c, dh, dgates, dc);
    for (std::int64_t i = 0; i < dc.numel(); ++i) {
      dc.data<double>()[i] += dc_next.data<double>()[i];
    }
    Tensor dc_prev = first ? Tensor() : Tensor::full(c.shape(), 2, DType::f64);
    lstm_cell_backward(active, c_prev, dc, dgates, dc_prev);
    EXPECT_LE(distance(dgates, numerical_gradient(gates, loss)), 1e-8);
    if (first) continue;
    for (double& value : dc_prev.span<double>()) value -= 2;  // it adds
    EXPECT_LE(distance(dc_prev, numerical_gradient(c_prev, loss)), 1e-8);
  }
}

TEST(LstmCell, NoStateBeforeIsAStateOfZero) {
  const Tensor gates = random_tensor({kRows, 4 * kUnits}, DType::f32);
  EXPECT_TRUE(same_bits(lstm(gates, {}), lstm(gates, Tensor::zeros({kRows, kUnits}))));
}

TEST(LstmCell, FloatAgreesWithDouble) {
  const Tensor gates = random_tensor({kRows, 4 * kUnits}, DType::f32);
  const Tensor c = random_tensor({kRows, kUnits}, DType::f32, 2);
  EXPECT_LE(distance(lstm(gates, c), lstm(gates.to(DType::f64), c.to(DType::f64))), 4e-7);
}

Tensor gru(const Tensor& input, const Tensor& hidden, const Tensor& h_prev) {
  Tensor gates = input.clone();
  Tensor h = poisoned({kRows, kUnits}, input.dtype());
  gru_cell_forward(gates, hidden, h_prev, h);
  return h;
}

TEST(GruCell, GradientsAreThoseOfCentralDifferences) {
  for (const bool first : {false, true}) {
    Tensor input = random_tensor({kRows, 3 * kUnits});
    Tensor hidden = random_tensor({kRows, 3 * kUnits}, DType::f64, 2);
    Tensor h_prev = first ? Tensor() : random_tensor({kRows, kUnits}, DType::f64, 3);
    const Tensor dh = random_tensor({kRows, kUnits}, DType::f64, 4);
    const auto loss = [&] { return dot(gru(input, hidden, h_prev), dh); };
    Tensor gates = input.clone();
    Tensor h = poisoned({kRows, kUnits});
    gru_cell_forward(gates, hidden, h_prev, h);
    Tensor dgates = poisoned(gates.shape());
    Tensor dhidden = poisoned(gates.shape());
    Tensor dh_prev = first ? Tensor() : Tensor::full(h.shape(), 2, DType::f64);
    gru_cell_backward(gates, hidden, h_prev, dh, dgates, dhidden, dh_prev);
    EXPECT_LE(distance(dgates, numerical_gradient(input, loss)), 1e-8);
    EXPECT_LE(distance(dhidden, numerical_gradient(hidden, loss)), 1e-8);
    if (first) continue;
    for (double& value : dh_prev.span<double>()) value -= 2;  // it adds
    EXPECT_LE(distance(dh_prev, numerical_gradient(h_prev, loss)), 1e-8);
  }
}

TEST(GruCell, NoStateBeforeIsAStateOfZero) {
  const Tensor input = random_tensor({kRows, 3 * kUnits}, DType::f32);
  const Tensor hidden = random_tensor({kRows, 3 * kUnits}, DType::f32, 2);
  EXPECT_TRUE(
      same_bits(gru(input, hidden, {}), gru(input, hidden, Tensor::zeros({kRows, kUnits}))));
}

TEST(RecurrentCells, RefuseWhatDoesNotFit) {
  Tensor gates = random_tensor({kRows, 4 * kUnits});
  Tensor c = random_tensor({kRows, kUnits});
  Tensor narrow = random_tensor({kRows, kUnits - 1});
  const Tensor before = gates.clone();
  EXPECT_THROW(lstm_cell_forward(gates, narrow, c), ShapeError);
  EXPECT_THROW(lstm_cell_forward(gates, {}, narrow), ShapeError);
  EXPECT_THROW(lstm_cell_forward(gates, c, c), UsageError);
  Tensor odd = random_tensor({kRows, 7});
  EXPECT_THROW(lstm_cell_forward(odd, {}, c), ShapeError);
  EXPECT_THROW(gru_cell_forward(gates, gates, {}, c), ShapeError);
  EXPECT_TRUE(same_bits(gates, before));
}

TEST(Rows, AreBroadcastAndSummed) {
  const Tensor row = Tensor::from({1.0, 2.0}, {2});
  Tensor y = poisoned({3, 2});
  broadcast_rows(row, y);
  EXPECT_EQ(values_of(y), (std::vector<double>{1, 2, 1, 2, 1, 2}));
  Tensor sums = Tensor::from({10.0, 20.0}, {2});
  accumulate_row_sums(y, sums);
  EXPECT_EQ(values_of(sums), (std::vector<double>{13, 26}));
  broadcast_rows({}, y);
  EXPECT_EQ(values_of(y), std::vector<double>(6, 0.0));
  EXPECT_THROW(broadcast_rows(sums, sums), ShapeError);
  EXPECT_THROW(accumulate_row_sums(y, y), ShapeError);
}

}  // namespace
}  // namespace evenkeel::ops
