// Running statistics taken anew, against references in double.
#include <cmath>
#include <numeric>

#include <gtest/gtest.h>

#include "nn/tensors.h"
#include "train/runs.h"
#include <evenkeel/data/loader.h>
#include <evenkeel/deploy/recalibrate.h>
#include <evenkeel/model/run_folder.h>
#include <evenkeel/nn/layers/activation.h>
#include <evenkeel/nn/layers/batch_norm.h>
#include <evenkeel/nn/layers/conv.h>
#include <evenkeel/nn/layers/sequential.h>
#include <evenkeel/train/evaluate.h>

namespace evenkeel::deploy {
namespace {

using evenkeel::testing::error_of;
using evenkeel::testing::identical;

/// Two convolutions with a batch norm each.
nn::Sequential small_network() {
  nn::Sequential net;
  net.add(nn::Conv2d(1, 4, 3)).add(nn::BatchNorm2d(4)).add(nn::ReLU());
  net.add(nn::Conv2d(4, 6, 3, {.stride = 2})).add(nn::BatchNorm2d(6));
  net.initialize(3);
  net.eval();
  return net;
}

nn::BatchNorm& norm_of(nn::Sequential& net, std::size_t i) {
  return dynamic_cast<nn::BatchNorm&>(net[i]);
}

Tensor statistic(nn::BatchNorm& layer, const std::string& name) {
  for (const auto& [key, tensor] : layer.state_dict()) {
    if (key == name) return tensor.clone();
  }
  return {};
}

/// Of every channel of x [N, C, H, W], f64.
void expect_population(const Tensor& x, nn::BatchNorm& layer) {
  const auto [n, c, s] = channel_dims(x.shape(), "test");
  const Tensor mean = statistic(layer, "running_mean"), var = statistic(layer, "running_var");
  for (std::int64_t k = 0; k < c; ++k) {
    long double sum = 0, squares = 0;
    const auto value = [&, c = c, s = s](std::int64_t i, std::int64_t j) {
      return static_cast<long double>(x.data<double>()[(i * c + k) * s + j]);
    };
    for (std::int64_t i = 0; i < n; ++i) {
      for (std::int64_t j = 0; j < s; ++j) sum += value(i, j);
    }
    const long double average = sum / static_cast<long double>(n * s);
    for (std::int64_t i = 0; i < n; ++i) {
      for (std::int64_t j = 0; j < s; ++j) {
        squares += (value(i, j) - average) * (value(i, j) - average);
      }
    }
    const auto expected = static_cast<double>(squares / static_cast<long double>(n * s));
    EXPECT_NEAR(mean.data<double>()[k], static_cast<double>(average), 1e-6 * std::sqrt(expected));
    EXPECT_NEAR(var.data<double>()[k] / expected, 1, 1e-6);
  }
}

/// All samples, prepared as batches are.
Tensor whole(const data::Dataset& dataset) {
  data::LoaderOptions options;
  options.batch_size = dataset.size();
  data::Loader loader(dataset, options);
  loader.start(0);
  data::Batch batch;
  loader.next(batch);
  return batch.x;
}

const data::Dataset& glyphs() {
  static const data::Dataset all = data::make_glyphs(150, 3);
  return all;
}

TEST(Recalibrate, LayerByLayerGivesThePopulationThatEachLayerSees) {
  nn::Sequential net = small_network();
  RecalibrationOptions options;
  options.order = StatisticsOrder::layer_by_layer;
  options.batch_size = 32;
  const RecalibrationReport report = recalibrate(net, glyphs(), {}, options);
  EXPECT_EQ(report.layers.size(), 2U);
  EXPECT_EQ(report.samples, 150);
  EXPECT_EQ(report.batches, 5);
  const auto wide = net.clone();
  wide->to(DType::f64);
  auto& layers = dynamic_cast<nn::Sequential&>(*wide);
  Tensor x = whole(glyphs()).to(DType::f64);
  for (std::size_t i = 0; i < layers.size(); ++i) {
    if (dynamic_cast<nn::BatchNorm*>(&layers[i]) != nullptr) expect_population(x, norm_of(net, i));
    x = layers[i].forward(x);
  }
  EXPECT_EQ(statistic(norm_of(net, 1), "num_batches_tracked").item(), 5);
}

TEST(Recalibrate, AtOnceTakesTheFirstLayersPopulationInOnePass) {
  nn::Sequential net = small_network();
  RecalibrationOptions options;
  options.batch_size = 64;  // 150 samples: 64, 64 and 22 weigh by their number
  recalibrate(net, glyphs(), {}, options);
  const auto first = net[0].clone();
  first->to(DType::f64);
  expect_population(first->forward(whole(glyphs()).to(DType::f64)), norm_of(net, 1));
  EXPECT_FALSE(net.training());
  EXPECT_FALSE(net[1].training());
}

TEST(Recalibrate, AveragesAreThoseOfACumulativeAverageInTraining) {
  nn::Sequential net = small_network();
  RecalibrationOptions options;
  options.method = StatisticsMethod::averages;
  options.batch_size = 50;
  const auto other = net.clone();
  recalibrate(net, glyphs(), {}, options);
  auto& trained = dynamic_cast<nn::Sequential&>(*other);
  for (const std::size_t i : {1u, 4u}) {
    norm_of(trained, i).reset_running_stats();
    norm_of(trained, i).set_momentum(std::nullopt);
  }
  trained.train();
  std::vector<std::int64_t> order(150);  // as recalibrate() draws it
  std::iota(order.begin(), order.end(), 0);
  Random(0, 0x5265).shuffle(order);
  const Tensor x = whole(glyphs().select(order));
  for (std::int64_t begin = 0; begin < 150; begin += 50)
    trained.forward(x.slice(begin, begin + 50));
  for (const std::size_t i : {1u, 4u}) {
    for (const std::string name : {"running_mean", "running_var", "num_batches_tracked"}) {
      EXPECT_LT(evenkeel::testing::max_difference(statistic(norm_of(net, i), name),
                                                  statistic(norm_of(trained, i), name)),
                1e-9)
          << i << name;
    }
  }
}

TEST(Recalibrate, ProgressEndsAtItsTotal) {
  for (const StatisticsOrder order : {StatisticsOrder::at_once, StatisticsOrder::layer_by_layer}) {
    nn::Sequential net = small_network();
    RecalibrationOptions options;
    options.order = order;
    options.samples = 145;
    options.batch_size = 36;  // one is left over
    std::int64_t last = 0, of = 0;
    options.progress = [&](std::int64_t done, std::int64_t total) {
      EXPECT_GT(done, last);
      last = done;
      of = total;
    };
    EXPECT_EQ(recalibrate(net, glyphs(), {}, options).samples, 144);
    EXPECT_EQ(last, of);
    EXPECT_EQ(of, order == StatisticsOrder::at_once ? 145 : 290);
  }
}

TEST(Recalibrate, AWeightBlendsOldAndNew) {
  nn::Sequential replaced = small_network();
  nn::Sequential blended = small_network();
  RecalibrationOptions options;
  recalibrate(replaced, glyphs(), {}, options);
  options.weight = 0.25;
  recalibrate(blended, glyphs(), {}, options);
  for (std::int64_t c = 0; c < 4; ++c) {
    const double mean = statistic(norm_of(replaced, 1), "running_mean").data<double>()[c];
    const double var = statistic(norm_of(replaced, 1), "running_var").data<double>()[c];
    EXPECT_NEAR(statistic(norm_of(blended, 1), "running_mean").data<double>()[c], 0.25 * mean,
                1e-12);
    EXPECT_NEAR(statistic(norm_of(blended, 1), "running_var").data<double>()[c],
                0.25 * var + 0.75 * 1, 1e-12);
  }
  EXPECT_EQ(statistic(norm_of(blended, 1), "num_batches_tracked").item(), 0);
}

TEST(Recalibrate, StatisticsThatAreNotFiniteAreReplaced) {
  for (const double weight : {1.0, 0.25}) {
    nn::Sequential wanted = small_network();
    nn::Sequential spoiled = small_network();
    nn::StateDict state = spoiled.state_dict();
    for (auto& [name, tensor] : state) {
      if (name == "1.running_mean") tensor = Tensor::full({4}, NAN, tensor.dtype());
      if (name == "1.running_var") tensor = Tensor::full({4}, INFINITY, tensor.dtype());
    }
    spoiled.load_state_dict(state);
    RecalibrationOptions options;
    recalibrate(wanted, glyphs(), {}, options);
    options.weight = weight;
    recalibrate(spoiled, glyphs(), {}, options);
    for (const char* name : {"running_mean", "running_var"}) {
      for (std::int64_t c = 0; c < 4; ++c) {
        EXPECT_EQ(statistic(norm_of(spoiled, 1), name).data<double>()[c],
                  statistic(norm_of(wanted, 1), name).data<double>()[c]);
      }
    }
  }
}

TEST(Recalibrate, LeavesEverythingAsItWasWhereItFails) {
  nn::Sequential net = small_network();
  for (const auto& [name, parameter] : net.parameters()) {
    if (name == "3.weight") parameter->value.fill(std::numeric_limits<double>::quiet_NaN());
  }
  nn::StateDict before;
  for (const auto& [name, tensor] : net.state_dict()) before.emplace_back(name, tensor.clone());
  for (const StatisticsOrder order : {StatisticsOrder::at_once, StatisticsOrder::layer_by_layer}) {
    RecalibrationOptions options;
    options.order = order;
    const std::string error =
        error_of<NumericError>([&] { recalibrate(net, glyphs(), {}, options); });
    EXPECT_NE(error.find("BatchNorm2d 4"), std::string::npos) << error;
    const nn::StateDict after = net.state_dict();
    for (std::size_t i = 0; i < before.size(); ++i) {
      EXPECT_TRUE(identical(before[i].second, after[i].second)) << before[i].first;
    }
    EXPECT_FALSE(net.training());
  }
}

TEST(Recalibrate, HeldStatisticsStayAndMistakesAreNamed) {
  nn::Sequential net = small_network();
  norm_of(net, 1).freeze();
  const RecalibrationReport report = recalibrate(net, glyphs(), {});
  ASSERT_EQ(report.kept.size(), 1U);
  EXPECT_EQ(report.kept[0].path, "1");
  EXPECT_EQ(report.layers.size(), 1U);
  EXPECT_EQ(statistic(norm_of(net, 1), "running_mean").data<double>()[0], 0);
  RecalibrationOptions options;
  options.weight = 0;
  EXPECT_THROW(recalibrate(net, glyphs(), {}, options), UsageError);
  options.weight = 1;
  options.samples = 151;
  EXPECT_THROW(recalibrate(net, glyphs(), {}, options), UsageError);
  nn::Sequential none;
  none.add(nn::Conv2d(1, 4, 3));
  EXPECT_THROW(recalibrate(none, glyphs(), {}), UsageError);
}

/// A network trained on glyphs for a little while, and how good it is.
class TrainedNetwork : public ::testing::Test {
 protected:
  static constexpr std::int64_t kTrain = 1500, kTest = 1000;

  void SetUp() override {
    const data::Dataset all = data::make_glyphs(kTrain + kTest, 5);
    splits_.train = all.slice(0, kTrain);
    splits_.test = all.slice(kTrain, kTrain + kTest);
    train::Settings settings = evenkeel::testing::tiny_settings(folder_ / "run");
    settings.net = "mlp";
    settings.dropout = 0;
    settings.epochs = 6;
    train::Trainer(settings, splits_).run();
    model::LoadedNetwork loaded = model::load_run(folder_ / "run");
    network_ = std::move(loaded.network);
    normalization_ = {loaded.recipe.mean, loaded.recipe.stddev};
  }
  double accuracy(const data::Dataset& dataset) {
    return train::evaluate(*network_, dataset, normalization_).accuracy;
  }

  evenkeel::testing::TemporaryFolder folder_;
  data::Splits splits_;
  std::unique_ptr<nn::Module> network_;
  data::Normalization normalization_;
};

/// Half the contrast, brighter by 0.3.
data::Dataset faded(const data::Dataset& dataset) {
  data::Dataset result = dataset;
  result.samples = dataset.samples.clone();
  for (std::uint8_t& value : result.samples.span<std::uint8_t>()) {
    value = static_cast<std::uint8_t>(std::min(255.0, 0.5 * value + 0.3 * 255));
  }
  return result;
}

TEST_F(TrainedNetwork, RecalibratesAfterItsStatisticsWereReset) {
  const double good = accuracy(splits_.test);
  ASSERT_GT(good, 0.85);
  network_->visit([](const std::string&, nn::Module& module) {
    if (auto* layer = dynamic_cast<nn::BatchNorm*>(&module)) layer->reset_running_stats();
  });
  EXPECT_LT(accuracy(splits_.test), good - 0.03);
  for (const StatisticsMethod method : {StatisticsMethod::exact, StatisticsMethod::averages}) {
    for (const StatisticsOrder order :
         {StatisticsOrder::at_once, StatisticsOrder::layer_by_layer}) {
      RecalibrationOptions options;
      options.method = method;
      options.order = order;
      recalibrate(*network_, splits_.train, normalization_, options);
      EXPECT_GE(accuracy(splits_.test), good - 0.003) << name_of(method) << name_of(order);
    }
  }
}

TEST_F(TrainedNetwork, AdaptsToFadedImages) {
  const double good = accuracy(splits_.test);
  const data::Dataset test = faded(splits_.test);
  const double lost = good - accuracy(test);
  ASSERT_GT(lost, 0.05);
  RecalibrationOptions options;
  options.samples = 500;
  recalibrate(*network_, faded(splits_.train), normalization_, options);
  EXPECT_GE(accuracy(test), good - lost / 2);
}

}  // namespace
}  // namespace evenkeel::deploy
