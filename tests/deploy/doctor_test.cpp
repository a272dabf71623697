// Faults planted in a healthy network, each found by its name, in its layer, and only there.
#include <functional>
#include <limits>
#include <set>

#include <gtest/gtest.h>

#include "deploy/patients.h"

namespace evenkeel::deploy {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();

struct Plant {
  std::string label;  ///< of the test
  std::string name, layer;
  Severity severity;
  std::function<void(Patient&)> plant;
  Recipe recipe = {};
  bool data = false;
};

void PrintTo(const Plant& plant, std::ostream* out) { *out << plant.label; }

/// Changes one value.
std::function<void(Patient&)> value(const std::string& name, std::int64_t i, double to) {
  return [=](Patient& patient) { patient.set(name, i, to); };
}
/// Changes all of them.
std::function<void(Patient&)> values(const std::string& name, double factor, double offset = 0) {
  return [=](Patient& patient) { patient.scale(name, factor, offset); };
}
std::function<void(Patient&)> batches(std::int64_t count) {
  return [=](Patient& patient) {
    for (const char* name : {"1.num_batches_tracked", "7.num_batches_tracked"}) {
      *patient.state(name).data<std::int64_t>() = count;
    }
  };
}
std::function<void(Patient&)> initial(std::int64_t count) {
  return [=](Patient& patient) {
    patient.scale("7.running_mean", 0);
    patient.scale("7.running_var", 0, 1);
    *patient.state("7.num_batches_tracked").data<std::int64_t>() = count;
  };
}
std::function<void(Patient&)> trained_with(std::int64_t batch) {
  return [=](Patient& patient) { patient.options.training_batch = batch; };
}
void nothing(Patient& /*patient*/) {}

Recipe with_norm(const nn::BatchNormOptions& norm) { return {.norm = norm}; }

const std::vector<Plant>& plants() {
  using enum Severity;
  static const std::vector<Plant> table = {
      {"NanInAConvolution", "weights-not-finite", "5", error, value("5.weight", 7, kNan)},
      {"InfiniteGamma", "weights-not-finite", "7", error, value("7.weight", 2, kInf)},
      {"NanInTheLastLayer", "weights-not-finite", "10", error, value("10.bias", 0, kNan)},
      {"NanMean", "statistics-not-finite", "1", error, value("1.running_mean", 0, kNan)},
      {"InfiniteVariance", "statistics-not-finite", "7", error, value("7.running_var", 15, kInf)},
      {"OneNegativeVariance", "negative-variance", "7", error, value("7.running_var", 3, -1e-3)},
      {"AllVariancesNegative", "negative-variance", "1", error, values("1.running_var", -1)},
      {"ExplodedVariance", "exploded-statistics", "7", error, value("7.running_var", 4, 1e12)},
      {"ExplodedMean", "exploded-statistics", "1", error, value("1.running_mean", 1, -1e7)},
      {"NeverUpdated", "never-updated", "7", error, initial(0)},
      {"NeverUpdatedThoughCounted", "never-updated", "7", error, initial(500)},
      {"KerasMomentum", "momentum-convention", "7", warning, nothing,
       with_norm({.momentum = 0.99})},
      {"TensorFlowMomentum", "momentum-convention", "1", warning, nothing,
       with_norm({.momentum = 0.9})},
      {"MomentumOne", "momentum-convention", "1", warning, nothing, with_norm({.momentum = 1.0})},
      {"FiveBatches", "few-updates", "1", warning, batches(5)},
      {"HundredBatchesOfASlowAverage", "few-updates", "7", warning, batches(100),
       with_norm({.momentum = 0.01})},
      {"DeadChannel", "dead-channels", "7", warning, value("7.weight", 9, 0)},
      {"DeadLayer", "dead-channels", "1", warning, values("1.weight", 1e-9)},
      {"NearlyDeadChannel", "dead-channels", "1", warning, value("1.weight", 3, -2e-5)},
      {"ConstantChannelByItsStatistics", "constant-channels", "7", warning,
       value("7.running_var", 0, 0)},
      {"ConstantChannelInTheData",
       "constant-channels",
       "1",
       warning,
       [](Patient& patient) {
         for (std::int64_t i = 18; i < 27; ++i) patient.set("0.weight", i, 0);
       },
       {},
       true},
      {"LargeEps", "eps-dominates", "7", warning, nothing, with_norm({.eps = 10})},
      {"SmallActivations", "eps-dominates", "1", warning, values("1.running_var", 0, 2e-6)},
      {"BatchesOfTwo", "tiny-batch", "7", warning, trained_with(2)},
      {"BatchesOfOne", "tiny-batch", "1", warning, trained_with(1)},
      {"GhostsOfTwo", "tiny-batch", "7", warning, nothing, with_norm({.ghost_size = 2})},
      {"NoRunningStatistics", "no-running-statistics", "7", warning, nothing,
       with_norm({.track_running_stats = false})},
      {"DropoutBeforeTheNorm",
       "dropout-before-norm",
       "7",
       warning,
       nothing,
       {.dropout_before_norm = 0.3}},
      {"DropoutBeforeTheConvolution",
       "dropout-before-norm",
       "7",
       info,
       nothing,
       {.dropout_before_conv = 0.3}},
      {"BiasBeforeTheNorm", "bias-before-norm", "5", info, nothing, {.conv = {.padding = 1}}},
      {"OverflowOnTheWay",
       "values-not-finite",
       "7",
       error,
       [](Patient& patient) {
         patient.scale("5.weight", 0, 3e38);
         patient.scale("1.weight", 1e3);
       },
       {},
       true},
      {"ShiftedMeans",
       "far-apart-statistics",
       "7",
       error,
       values("7.running_mean", 1, 3),
       {},
       true},
      {"WideVariances", "far-apart-statistics", "1", error, values("1.running_var", 100), {}, true},
      {"OneNarrowVariance",
       "far-apart-statistics",
       "7",
       warning,
       [](Patient& patient) {
         patient.set("7.running_var", 5, patient.state("7.running_var").data<double>()[5] / 20);
       },
       {},
       true},
  };
  return table;
}

class Planted : public ::testing::TestWithParam<Plant> {
 protected:
  static Diagnosis examined(const Patient& patient, bool data) {
    return data ? diagnose(patient.net, digits(), {}, patient.options)
                : diagnose(patient.net, patient.options);
  }
};

TEST_P(Planted, IsFoundByItsName) {
  const Plant& plant = GetParam();
  const Patient before = make_patient();
  Patient after = make_patient(plant.recipe);
  plant.plant(after);
  const Diagnosis well = examined(before, plant.data);
  const Diagnosis ill = examined(after, plant.data);
  EXPECT_TRUE(healthy(well)) << listed(well);
  EXPECT_EQ(find(well, plant.name, plant.layer), nullptr) << listed(well);
  const Finding* const finding = find(ill, plant.name, plant.layer);
  ASSERT_NE(finding, nullptr) << listed(ill);
  EXPECT_EQ(finding->severity, plant.severity) << listed(ill);
  for (const std::string& text : {finding->evidence, finding->consequence, finding->remedy}) {
    EXPECT_FALSE(text.empty());
    EXPECT_EQ(text.find('\n'), std::string::npos);
  }
  EXPECT_FALSE(finding->type.empty());
}

INSTANTIATE_TEST_SUITE_P(Doctor, Planted, ::testing::ValuesIn(plants()),
                         [](const auto& tried) { return tried.param.label; });

TEST(Doctor, AHealthyNetworkHasNotesAlone) {
  const Patient patient = make_patient();
  const Diagnosis diagnosis = diagnose(patient.net, digits(), {}, patient.options);
  EXPECT_TRUE(healthy(diagnosis)) << listed(diagnosis);
  EXPECT_EQ(diagnosis.norms, 2U);
  EXPECT_EQ(diagnosis.samples, 512);
  EXPECT_EQ(diagnosis.batch_size, 64);
  EXPECT_TRUE(diagnosis.left_out.empty());
  EXPECT_EQ(diagnosis.worst(), Severity::info);
}

TEST(Doctor, LooksWithoutTouching) {
  Patient patient = make_patient({.dropout_before_conv = 0.5});
  nn::StateDict before;
  for (const auto& [name, tensor] : patient.net.state_dict()) {
    before.emplace_back(name, tensor.clone());
  }
  patient.net.train();
  diagnose(patient.net, digits(), {}, patient.options);
  EXPECT_TRUE(patient.net.training());
  const nn::StateDict after = patient.net.state_dict();
  for (std::size_t i = 0; i < before.size(); ++i) {
    EXPECT_EQ(std::memcmp(before[i].second.raw(), std::as_const(after[i].second).raw(),
                          before[i].second.bytes()),
              0)
        << before[i].first;
  }
}

TEST(Doctor, AFaultStaysInItsLayer) {
  Patient patient = make_patient();
  patient.scale("1.running_var", 100);
  const Diagnosis diagnosis = diagnose(patient.net, digits(), {}, patient.options);
  EXPECT_NE(find(diagnosis, "far-apart-statistics", "1"), nullptr) << listed(diagnosis);
  EXPECT_EQ(find(diagnosis, "far-apart-statistics", "7"), nullptr) << listed(diagnosis);
}

TEST(Doctor, FoldableIsWhatStandsBesideAWeight) {
  nn::Sequential behind{nn::Linear(4, 4, {.bias = false}), nn::BatchNorm1d(4), nn::ReLU()};
  nn::Sequential before{nn::BatchNorm1d(4), nn::Linear(4, 4, {.bias = false})};
  nn::Sequential apart{nn::BatchNorm1d(4), nn::ReLU(), nn::Linear(4, 4, {.bias = false})};
  EXPECT_NE(find(diagnose(behind), "foldable", "1"), nullptr);
  EXPECT_NE(find(diagnose(before), "foldable", "0"), nullptr);
  EXPECT_EQ(find(diagnose(apart), "foldable", "0"), nullptr);
}

TEST(Doctor, ABiasThatIsUsedElsewhereDoesSomething) {
  nn::Sequential branch{nn::BatchNorm2d(4)};
  const auto network = [&](bool shared) {
    nn::Sequential net{nn::ConvTranspose2d(1, 4, 3)};
    if (shared) {
      net.add(nn::Residual(branch));
    } else {
      net.add(branch);
    }
    return net;
  };
  EXPECT_NE(find(diagnose(network(false)), "bias-before-norm", "0"), nullptr);
  EXPECT_EQ(find(diagnose(network(true)), "bias-before-norm", "0"), nullptr);
}

TEST(Doctor, ValuesPerChannelCountPositions) {
  const auto found = [](nn::BatchNormOptions norm, std::int64_t batch) {
    nn::Sequential net{nn::Linear(6, 4), nn::BatchNorm1d(4, norm)};
    return find(diagnose(net, {.training_batch = batch, .sample = Shape{6}}), "tiny-batch", "1") !=
           nullptr;
  };
  EXPECT_TRUE(found({}, 8));
  EXPECT_FALSE(found({}, 16));
  EXPECT_TRUE(found({.ghost_size = 8}, 64));
  EXPECT_FALSE(found({.freeze = nn::Freeze::statistics}, 8));
  nn::Sequential renorm{nn::Linear(6, 4), nn::BatchRenorm1d(4)};
  EXPECT_EQ(find(diagnose(renorm, {.training_batch = 8, .sample = Shape{6}}), "tiny-batch", "1"),
            nullptr);
}

TEST(Doctor, RawInputsMayBeConstantAndOfAnyUnit) {
  nn::Sequential net{nn::Flatten(), nn::BatchNorm1d(4), nn::Linear(4, 2)};
  const auto state = net.state_dict();
  for (auto [name, tensor] : state) {
    if (name == "1.running_var") tensor.copy_from(Tensor::from<double>({0, 1e14, 3e-6, 2}, {4}));
    if (name == "1.running_mean") tensor.fill(1e5);
  }
  const Diagnosis diagnosis = diagnose(net);
  EXPECT_TRUE(healthy(diagnosis)) << listed(diagnosis);
  EXPECT_NE(find(diagnosis, "constant-channels", "1"), nullptr);
}

TEST(Doctor, StatisticsInsideOtherLayersAreLookedAt) {
  nn::Sequential net{nn::LSTM(3, 4, {.norm = {.kind = nn::RecurrentNormKind::batch}}),
                     nn::InstanceNorm1d(4, {.track_running_stats = true})};
  for (auto [name, tensor] : net.state_dict()) {
    if (name == "0.running_var_hh_l0") tensor.fill(-1);
    if (name == "1.running_mean") tensor.fill(kNan);
  }
  const Diagnosis diagnosis = diagnose(net);
  EXPECT_NE(find(diagnosis, "negative-variance", "0"), nullptr) << listed(diagnosis);
  EXPECT_NE(find(diagnosis, "statistics-not-finite", "1"), nullptr) << listed(diagnosis);
  ASSERT_EQ(diagnosis.left_out.size(), 3U);
  EXPECT_NE(diagnosis.left_out[0].find("inside layer '0'"), std::string::npos);
}

TEST(Doctor, NetworksWithoutBatchNormAndLoneLayersAreFine) {
  nn::Sequential net{nn::Flatten(), nn::Linear(784, 10)};
  net.initialize(1);
  const Diagnosis diagnosis = diagnose(net, digits(), {});
  EXPECT_TRUE(diagnosis.findings.empty()) << listed(diagnosis);
  EXPECT_EQ(diagnosis.norms, 0U);
  EXPECT_FALSE(diagnosis.worst().has_value());
  EXPECT_TRUE(diagnosis.running.has_value());
  EXPECT_FALSE(diagnosis.batch.has_value());
  for (auto [name, tensor] : net.state_dict()) tensor.fill(kNan);
  const Diagnosis spoiled = diagnose(net, digits(), {});
  EXPECT_NE(find(spoiled, "weights-not-finite", "1"), nullptr) << listed(spoiled);
  EXPECT_NE(find(spoiled, "values-not-finite", ""), nullptr) << listed(spoiled);
  EXPECT_NE(find(diagnose(nn::BatchNorm1d(3)), "never-updated", ""), nullptr);
  EXPECT_TRUE(diagnose(nn::Sequential()).findings.empty());
}

TEST(Doctor, SaysWhatItLeftOut) {
  Patient patient = make_patient();
  patient.options.training_batch.reset();
  EXPECT_EQ(diagnose(patient.net, patient.options).left_out.size(), 2U);
  data::Dataset unlabelled = digits();
  unlabelled.labels.assign(unlabelled.labels.size(), 10);
  const Diagnosis diagnosis = diagnose(patient.net, unlabelled, {}, patient.options);
  ASSERT_EQ(diagnosis.left_out.size(), 2U);
  EXPECT_NE(diagnosis.left_out[1].find("labels beyond"), std::string::npos);
  EXPECT_FALSE(diagnosis.running.has_value());
}

TEST(Doctor, RefusesWhatCannotBeDone) {
  const Patient patient = make_patient();
  EXPECT_THROW(diagnose(patient.net, data::Dataset{}, {}), UsageError);
  EXPECT_THROW(diagnose(patient.net, digits().slice(0, 1), {}), UsageError);
  EXPECT_THROW(diagnose(patient.net, digits(), {}, {.samples = 1}), UsageError);
  EXPECT_THROW(diagnose(patient.net, digits(), {}, {.batch_size = 1}), UsageError);
  EXPECT_THROW(diagnose(nn::Linear(3, 2), digits(), {}), ShapeError);
}

TEST(Doctor, TellsProgressAndTakesPartOfTheData) {
  const Patient patient = make_patient();
  std::int64_t last = 0, of = 0;
  DoctorOptions options = patient.options;
  options.samples = 200;  // three batches of 64
  options.progress = [&](std::int64_t done, std::int64_t total) {
    EXPECT_GT(done, last);
    last = done;
    of = total;
  };
  EXPECT_EQ(diagnose(patient.net, digits(), {}, options).samples, 192);
  EXPECT_EQ(last, 384);
  EXPECT_EQ(of, 384);
}

TEST(Doctor, ChecksHaveNamesAndWords) {
  std::set<std::string_view> names;
  Severity before = Severity::error;
  for (const CheckInfo& check : doctor_checks()) {
    EXPECT_TRUE(names.insert(check.name).second) << check.name;
    EXPECT_LE(check.severity, before) << check.name;
    before = check.severity;
    for (const std::string_view text : {check.looks_at, check.consequence, check.remedy}) {
      EXPECT_FALSE(text.empty()) << check.name;
    }
  }
  for (const Plant& plant : plants()) EXPECT_EQ(names.count(plant.name), 1U) << plant.name;
}

}  // namespace
}  // namespace evenkeel::deploy
