// What PyTorch does at the edges (edge.json), matched, or different as docs/numerics.md says.
#include <evenkeel/nn/layers/batch_norm.h>
#include <evenkeel/norm/batch_norm.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iostream>
#include <regex>

#include "cases.h"

namespace evenkeel::conformance {
namespace {

using nlohmann::json;

/// A number, or "nan", "inf", "-inf".
double number(const json& value) {
  if (value.is_number()) return value.get<double>();
  const auto text = value.get<std::string>();
  return text == "nan" ? NAN : (text == "inf" ? INFINITY : -INFINITY);
}

void expect_values(const json& wanted, const Tensor& got, const std::string& what) {
  const Tensor values = got.to(DType::f64);
  ASSERT_EQ(wanted.size(), static_cast<std::size_t>(values.numel())) << what;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const double want = number(wanted[i]);
    const double have = std::as_const(values).span<double>()[i];
    if (std::isnan(want)) {
      EXPECT_TRUE(std::isnan(have)) << what << " at " << i << ": " << have;
    } else if (std::isinf(want)) {
      EXPECT_EQ(have, want) << what << " at " << i;
    } else {
      EXPECT_NEAR(have, want, 2e-6 * std::max(1.0, std::abs(want))) << what << " at " << i;
    }
  }
}

Tensor buffer_of(nn::Module& layer, const std::string& name) {
  for (const auto& [key, tensor] : layer.state_dict()) {
    if (key == name) return tensor;
  }
  return {};
}

void expect_state(const json& c, nn::Module& layer) {
  for (const char* name : {"running_mean", "running_var"}) {
    if (c.contains(name)) expect_values(c.at(name), buffer_of(layer, name), name);
  }
}

/// 0, 1, 2, … in this shape.
Tensor ramp(const Shape& shape) {
  Tensor x = Tensor::empty(shape);
  for (std::int64_t i = 0; i < x.numel(); ++i) x.data<float>()[i] = static_cast<float>(i);
  return x;
}

template <class Layer>
void expect_error(std::int64_t channels, const Tensor& x, const std::string& part) {
  Layer layer(channels);
  const nn::StateDict before = [&] {
    nn::StateDict copy;
    for (const auto& [name, tensor] : layer.state_dict()) copy.emplace_back(name, tensor.clone());
    return copy;
  }();
  try {
    layer.forward(x);
    FAIL() << "accepted";
  } catch (const ShapeError& error) {
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  }
  for (const auto& [name, tensor] : layer.state_dict()) {
    for (const auto& [old_name, old] : before) {
      if (name == old_name) {
        EXPECT_EQ(std::memcmp(tensor.raw(), old.raw(), old.bytes()), 0) << name << " changed";
      }
    }
  }
}

template <class Layer>
void expect_shape(const json& c, std::int64_t channels, const Shape& shape, bool train) {
  Layer layer(channels);
  layer.train(train);
  const Tensor y = layer.forward(ramp(shape));
  EXPECT_EQ(y.shape(), shape);
  EXPECT_EQ(c.at("shape").get<std::vector<std::int64_t>>(),
            std::vector<std::int64_t>(shape.dims().begin(), shape.dims().end()));
}

/// Empty batches: as PyTorch except that num_batches_tracked does not count one.
void run_empty(const json& c) {
  const bool train = c.at("name").get<std::string>().find("train") != std::string::npos;
  const Shape shape(c.at("y_shape").get<std::vector<std::int64_t>>());
  std::unique_ptr<nn::BatchNorm> layer;
  if (shape.rank() <= 3) {
    layer = std::make_unique<nn::BatchNorm1d>(3);
  } else {
    layer = std::make_unique<nn::BatchNorm2d>(3);
  }
  layer->train(train);
  layer->keep_for_backward();
  const Tensor y = layer->forward(Tensor::empty(shape));
  EXPECT_EQ(y.shape(), shape);
  EXPECT_EQ(layer->backward(Tensor::empty(shape)).shape(), shape);
  for (const auto& [name, parameter] : layer->parameters()) {
    expect_values(c.at(name == "weight" ? "dgamma" : "dbeta"), parameter->grad, name);
  }
  expect_state(c, *layer);
  EXPECT_EQ(buffer_of(*layer, "num_batches_tracked").item(), 0);
}

/// One bad value at [1, 1] of [4, 3].
void run_non_finite(const json& c) {
  Tensor x = Tensor::empty({4, 3});
  for (std::int64_t i = 0; i < 12; ++i) {
    x.data<float>()[i] = static_cast<float>(number(c.at("x")[static_cast<std::size_t>(i)]));
  }
  nn::BatchNorm1d layer(3);
  expect_values(c.at("y"), layer.forward(x), "y");
  const Tensor dx = layer.backward(ramp({4, 3}));
  for (std::int64_t i = 0; i < 12; ++i) {
    EXPECT_EQ(std::isfinite(std::as_const(dx).data<float>()[i]),
              c.at("dx_finite")[static_cast<std::size_t>(i)].get<bool>())
        << i;
  }
  expect_state(c, layer);
}

void run_eval_non_finite(const json& c) {
  const auto& wanted = c.at("y");
  const auto columns = static_cast<std::int64_t>(wanted.size()) / 2;
  Tensor x = ramp({2, columns});
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const double v = number(wanted[i]);
    if (!std::isfinite(v)) x.data<float>()[i] = static_cast<float>(v);
  }
  nn::BatchNorm1d layer(columns);
  layer.eval();
  expect_values(wanted, layer.forward(x), "y");
}

/// Two values per channel: 1 and 3, 2 and 6, as the recorded means 2 and 4 and variances 2 and 8 say.
void run_momentum(const json& c, double momentum) {
  nn::BatchNorm1d layer(2, {.momentum = momentum});
  layer.forward(Tensor::from<float>({1, 2, 3, 6}, {2, 2}));
  expect_state(c, layer);
}

const std::vector<std::pair<std::string, EdgeRun>>& edges() {
  using nn::BatchNorm1d;
  using nn::BatchNorm2d;
  static const std::vector<std::pair<std::string, EdgeRun>> table{
      {"bn1d train N=1 \\(count 1\\)",
       [](const json&) { expect_error<BatchNorm1d>(3, ramp({1, 3}), "more than one value"); }},
      {"bn1d eval N=1", [](const json& c) { expect_shape<BatchNorm1d>(c, 3, {1, 3}, false); }},
      {"bn2d train 1x3x1x1 \\(count 1\\)",
       [](const json&) { expect_error<BatchNorm2d>(3, ramp({1, 3, 1, 1}), "more than one value"); }},
      {"bn2d train 1x3x1x2 \\(count 2\\)",
       [](const json& c) { expect_shape<BatchNorm2d>(c, 3, {1, 3, 1, 2}, true); }},
      {"bn2d channel mismatch",
       [](const json&) { expect_error<BatchNorm2d>(4, ramp({2, 3, 2, 2}), "4 channels"); }},
      {"bn2d rank 3 input",
       [](const json&) { expect_error<BatchNorm2d>(3, ramp({2, 3, 4}), "[N, C, H, W]"); }},
      {"bn1d rank 4 input",
       [](const json&) { expect_error<BatchNorm1d>(3, ramp({2, 3, 4, 5}), "[N, C]"); }},
      {"bn eval without running stats.*",
       [](const json&) {
         Tensor y = Tensor::empty({2, 3});
         const Tensor x = ramp({2, 3});
         EXPECT_THROW(norm::forward_infer(norm::view(x), {}, 1e-5, {}, {}, {}, norm::view(y),
                                          nullptr, {}),
                      ShapeError);
       }},
      {"bn (train|eval) empty .*", run_empty},
      {"bn1d C=0 .*", [](const json&) { EXPECT_THROW(BatchNorm1d(0), UsageError); }},
      // PyTorch returns NaN for a negative eps; here it is refused.
      {"bn negative eps .*",
       [](const json&) { EXPECT_THROW(BatchNorm1d(2, {.eps = -1}), UsageError); }},
      {"bn eps 0 constant input",
       [](const json& c) {
         BatchNorm1d layer(1, {.eps = 0});
         expect_values(c.at("y"), layer.forward(Tensor::full({2, 1}, 3)), "y");
       }},
      {"bn train (nan|inf|-inf) at .*", run_non_finite},
      {"bn eval (nan|inf) is elementwise.*", run_eval_non_finite},
      {"bn momentum 0.*", [](const json& c) { run_momentum(c, 0); }},
      {"bn momentum 1.*", [](const json& c) { run_momentum(c, 1); }},
      {"bn track_running_stats=False in eval.*",
       [](const json& c) {
         BatchNorm1d layer(1, {.track_running_stats = false});
         layer.eval();
         expect_values(c.at("y"), layer.forward(Tensor::from<float>({1, 3}, {2, 1})), "y");
       }},
  };
  return table;
}

class EdgeTest : public ::testing::Test {
 public:
  EdgeTest(json c, const EdgeRun& run) : case_(std::move(c)), run_(run) {}
  void TestBody() override { run_(case_); }

 private:
  json case_;
  const EdgeRun& run_;
};

const EdgeRun* find(const std::string& name) {
  for (const auto* table : {&edges(), &row_edges()}) {
    for (const auto& [pattern, run] : *table) {
      if (std::regex_match(name, std::regex(pattern))) return &run;
    }
  }
  return nullptr;
}

}  // namespace

void register_edges() {
  const char* path = std::getenv("EVENKEEL_EDGE");
  const std::string file_name =
      path != nullptr && *path != '\0' ? path : std::string(EVENKEEL_CARRIED_VECTORS) + "/edge.json";
  std::ifstream file(file_name);
  if (!file) fail<IoError>("[vectors] cannot read '{}'", file_name);
  const json edge = json::parse(file);
  std::vector<std::string> missing;
  for (const json& c : edge.at("cases")) {
    const auto name = c.at("name").get<std::string>();
    const EdgeRun* const run = find(name);
    if (run == nullptr) {
      missing.push_back(name);
      continue;
    }
    ::testing::RegisterTest("Edge", name.c_str(), nullptr, nullptr, __FILE__, __LINE__,
                            [c, run]() -> EdgeTest* { return new EdgeTest(c, *run); });
  }
  std::cout << edge.at("cases").size() << " edges; " << missing.size()
            << " of operators that do not exist here:\n";
  for (const std::string& name : missing) std::cout << "  not run: " << name << "\n";
}

}  // namespace evenkeel::conformance
