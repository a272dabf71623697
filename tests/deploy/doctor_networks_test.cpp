// The doctor on networks that were trained, and on models of them.
#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

#include "deploy/patients.h"
#include "train/runs.h"
#include <evenkeel/deploy/onnx_network.h>
#include <evenkeel/model/run_folder.h>
#include <evenkeel/nn/fold.h>

namespace evenkeel::deploy {
namespace {

using evenkeel::testing::TemporaryFolder;

/// A network after a short training run, as the command reads it.
struct Trained {
  data::Splits splits;
  model::LoadedNetwork model;
  DoctorOptions options;

  explicit Trained(const std::function<void(train::Settings&)>& change) {
    static const data::Dataset all = data::make_glyphs(1280, 5);
    splits.train = all.slice(0, 1024);
    splits.test = all.slice(1024, 1280);
    const TemporaryFolder folder;
    train::Settings settings = evenkeel::testing::tiny_settings(folder / "run");
    settings.dropout = 0;
    settings.threads = 0;
    change(settings);
    train::Trainer(settings, splits).run();
    model = model::load_run(folder / "run");
    options.sample = Shape{1, 28, 28};
    options.training_batch = settings.batch_size;
    if (model::prefers_channels_last(model.options)) options.layout = Layout::channels_last;
  }

  Diagnosis examine(const data::Dataset& dataset) const {
    return diagnose(*model.network, dataset, {model.recipe.mean, model.recipe.stddev}, options);
  }
};

struct Healthy {
  std::string label;
  std::function<void(train::Settings&)> settings;
};

void PrintTo(const Healthy& one, std::ostream* out) { *out << one.label; }

/// Such runs, with further settings on top.
Healthy healthy_case(const std::string& label, const std::string& net,
                     const std::function<void(train::Settings&)>& more = {}) {
  return {label, [=](train::Settings& settings) {
            settings.net = net;
            if (more) more(settings);
          }};
}

class HealthyNetwork : public ::testing::TestWithParam<Healthy> {
 protected:
  static void expect_no_warning() {
    const Trained trained(GetParam().settings);
    for (const data::Dataset* part : {&trained.splits.train, &trained.splits.test}) {
      const Diagnosis diagnosis = trained.examine(*part);
      EXPECT_TRUE(healthy(diagnosis)) << listed(diagnosis);
      ASSERT_TRUE(diagnosis.running.has_value());
      EXPECT_GT(diagnosis.running->accuracy, 0.5);
    }
  }
};
class HealthyNetworkLong : public HealthyNetwork {};

TEST_P(HealthyNetwork, GivesNoWarning) { expect_no_warning(); }
TEST_P(HealthyNetworkLong, GivesNoWarning) { expect_no_warning(); }

std::string label_of(const ::testing::TestParamInfo<Healthy>& tried) { return tried.param.label; }

INSTANTIATE_TEST_SUITE_P(
    Doctor, HealthyNetwork,
    ::testing::Values(
        healthy_case("Mlp", "mlp"),
        healthy_case("MlpWithDropout", "mlp", [](auto& s) { s.dropout = 0.2; }),
        healthy_case("MlpWithoutNorm", "mlp", [](auto& s) { s.norm = "none"; }),
        healthy_case("MlpWithLayerNorm", "mlp", [](auto& s) { s.norm = "layer"; }),
        healthy_case("MlpWithNormBehindActivations", "mlp", [](auto& s) { s.placement = "after"; }),
        healthy_case("MlpWithNormAtItsInput", "mlp", [](auto& s) { s.placement = "input"; }),
        healthy_case("MlpInSmallBatches", "mlp", [](auto& s) { s.batch_size = 16; }),
        healthy_case("Convnet", "convnet"),
        healthy_case("ConvnetWithRenorm", "convnet", [](auto& s) { s.norm = "renorm"; }),
        healthy_case("Resnet20", "resnet20", [](auto& s) { s.epochs = 2; })),
    label_of);

INSTANTIATE_TEST_SUITE_P(Doctor, HealthyNetworkLong,
                         ::testing::Values(healthy_case("Resnet20", "resnet20"),
                                           healthy_case("PreactResnet20", "preact-resnet20"),
                                           healthy_case("DensenetSmall", "densenet-small"),
                                           healthy_case("MobilenetSmall", "mobilenet-small"),
                                           healthy_case("InceptionSmall", "inception-small"),
                                           healthy_case("ConvnetWithNormBehindActivations",
                                                        "convnet",
                                                        [](auto& s) { s.placement = "after"; })),
                         label_of);

/// The same network every time: trained once, spoiled as copies.
class TrainedMlp : public ::testing::Test {
 protected:
  static const Trained& trained() {
    static const Trained mlp([](train::Settings& settings) { settings.net = "mlp"; });
    return mlp;
  }
  static Diagnosis examine(nn::Module& network) {
    const Trained& t = trained();
    return diagnose(network, t.splits.train, {t.model.recipe.mean, t.model.recipe.stddev},
                    t.options);
  }
  /// Of a copy whose batch norms were changed.
  static Diagnosis examine_changed(const std::function<void(nn::BatchNorm&)>& change) {
    const auto copy = trained().model.network->clone();
    copy->visit([&](const std::string& /*path*/, nn::Module& module) {
      if (auto* norm = dynamic_cast<nn::BatchNorm*>(&module)) change(*norm);
    });
    return examine(*copy);
  }
};

TEST_F(TrainedMlp, LosesAccuracyWithForgottenStatistics) {
  const Diagnosis well = examine_changed([](nn::BatchNorm&) {});
  EXPECT_EQ(find(well, "mode-gap", ""), nullptr) << listed(well);
  const Diagnosis ill = examine_changed([](nn::BatchNorm& norm) { norm.reset_running_stats(); });
  const Finding* const gap = find(ill, "mode-gap", "");
  ASSERT_NE(gap, nullptr) << listed(ill);
  EXPECT_TRUE(gap->type.empty());
  EXPECT_LT(ill.running->accuracy, ill.batch->accuracy);
  for (const char* layer : {"2", "5"}) {
    EXPECT_NE(find(ill, "never-updated", layer), nullptr) << listed(ill);
    EXPECT_NE(find(ill, "far-apart-statistics", layer), nullptr) << listed(ill);
  }
}

TEST_F(TrainedMlp, LosesAccuracyWithStatisticsOfAnotherLayer) {
  const Diagnosis ill = examine_changed([](nn::BatchNorm& norm) {
    for (auto [name, tensor] : norm.state_dict()) {
      if (name == "running_mean") tensor.fill(2);
      if (name == "running_var") tensor.fill(0.3);
    }
  });
  const Finding* const gap = find(ill, "mode-gap", "");
  ASSERT_NE(gap, nullptr) << listed(ill);
  EXPECT_EQ(gap->severity, Severity::error);
}

TEST_F(TrainedMlp, OtherDataThanThatOfTrainingIsSeen) {
  const Trained& t = trained();
  data::Dataset bright = t.splits.test;
  bright.samples = bright.samples.clone();
  for (std::uint8_t& value : bright.samples.span<std::uint8_t>()) {
    value = static_cast<std::uint8_t>(255 - value / 2);
  }
  const Diagnosis diagnosis = t.examine(bright);
  EXPECT_NE(find(diagnosis, "far-apart-statistics", "2"), nullptr) << listed(diagnosis);
}

TEST_F(TrainedMlp, RecalibrationHeals) {
  const auto copy = trained().model.network->clone();
  copy->visit([&](const std::string& /*path*/, nn::Module& module) {
    if (auto* norm = dynamic_cast<nn::BatchNorm*>(&module)) norm->reset_running_stats();
  });
  EXPECT_FALSE(healthy(examine(*copy)));
  const Trained& t = trained();
  const data::Normalization normalization{t.model.recipe.mean, t.model.recipe.stddev};
  recalibrate(*copy, t.splits.train, normalization);
  DoctorOptions options = t.options;
  EXPECT_NE(find(diagnose(*copy, options), "few-updates", "2"), nullptr);
  // The data say that few batches were enough.
  const Diagnosis diagnosis = diagnose(*copy, t.splits.train, normalization, options);
  EXPECT_TRUE(healthy(diagnosis)) << listed(diagnosis);
  EXPECT_NE(find(diagnosis, "few-updates", "2"), nullptr);
  options.recalibrated = true;
  EXPECT_EQ(find(diagnose(*copy, options), "few-updates", "2"), nullptr);
}

TEST_F(TrainedMlp, AFoldedNetworkIsHealthy) {
  const auto copy = trained().model.network->clone();
  nn::fold(*copy);
  const Diagnosis diagnosis = examine(*copy);
  EXPECT_TRUE(healthy(diagnosis)) << listed(diagnosis);
  EXPECT_EQ(diagnosis.norms, 0U);
}

/// Of a model written from the network and read back.
Diagnosis of_model(const nn::Module& network, bool training) {
  const TemporaryFolder folder;
  export_onnx(network, Shape{1, 28, 28}, folder / "model.onnx", {.training = training});
  const OnnxNetwork read = load_onnx(folder / "model.onnx");
  return diagnose(*read.model.network,
                  {.sample = read.model.options.input, .training_norms = read.training_norms});
}

TEST_F(TrainedMlp, AModelLeftInTrainingModeIsFound) {
  const nn::Module& network = *trained().model.network;
  const Diagnosis well = of_model(network, false);
  EXPECT_TRUE(healthy(well)) << listed(well);
  const Diagnosis ill = of_model(network, true);
  EXPECT_EQ(ill.norms, 2U);
  EXPECT_EQ(ill.count(Severity::error), 2U) << listed(ill);
  for (const char* layer : {"2", "5"}) {
    const Finding* const finding = find(ill, "training-mode", layer);
    ASSERT_NE(finding, nullptr) << listed(ill);
    EXPECT_EQ(finding->severity, Severity::error);
  }
}

TEST(DoctorModel, ConvolutionsLeftInTrainingModeAreFound) {
  const Patient patient = make_patient();
  EXPECT_TRUE(healthy(of_model(patient.net, false)));
  const Diagnosis ill = of_model(patient.net, true);
  EXPECT_NE(find(ill, "training-mode", "1"), nullptr) << listed(ill);
  EXPECT_NE(find(ill, "training-mode", "7"), nullptr) << listed(ill);
}

TEST(DoctorModel, WithoutRunningStatisticsIsFound) {
  const Patient patient = make_patient({.norm = {.track_running_stats = false}});
  const Diagnosis ill = of_model(patient.net, false);
  EXPECT_NE(find(ill, "no-running-statistics", "1"), nullptr) << listed(ill);
  EXPECT_EQ(find(ill, "training-mode", "1"), nullptr) << listed(ill);
}

TEST(DoctorModel, OtherFaultsTravelWithTheFile) {
  Patient patient = make_patient({.norm = {.momentum = 0.99}});
  patient.set("7.weight", 3, 0);
  patient.set("1.running_mean", 2, 1e9);
  const Diagnosis ill = of_model(patient.net, false);
  EXPECT_NE(find(ill, "momentum-convention", "1"), nullptr) << listed(ill);
  EXPECT_NE(find(ill, "dead-channels", "7"), nullptr) << listed(ill);
  EXPECT_NE(find(ill, "exploded-statistics", "1"), nullptr) << listed(ill);
}

TEST(DoctorPage, ExplainsEveryCheck) {
  std::ifstream file(std::string(EVENKEEL_DEPLOY_TESTS) + "/../../docs/doctor.md");
  std::stringstream page;
  page << file.rdbuf();
  for (const CheckInfo& check : doctor_checks()) {
    EXPECT_NE(page.str().find(fmt::format("\n### {}\n", check.name)), std::string::npos)
        << check.name;
  }
}

}  // namespace
}  // namespace evenkeel::deploy
