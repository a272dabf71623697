// Probes in the metrics of a run (Settings::probe_every).
#include <sstream>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "io/event_reader.h"
#include "train/json_line.h"
#include "train/runs.h"
#include <evenkeel/nn/layers/batch_norm.h>
#include <evenkeel/optim/clip.h>

namespace evenkeel::train {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::read_text;
using testing::RecordingReporter;
using testing::same_tensors;
using testing::TemporaryFolder;
using testing::tiny_settings;
using testing::tiny_splits;

std::vector<json> probes_of(const fs::path& run) {
  std::vector<json> probes;
  std::istringstream lines(read_text(run / "metrics.jsonl"));
  for (std::string line; std::getline(lines, line);) {
    json object = json::parse(line);
    if (object["kind"] == "probe") probes.push_back(std::move(object));
  }
  return probes;
}

TEST(Probe, WritesALineEverySoManySteps) {
  const TemporaryFolder folder;
  Settings settings = tiny_settings(folder / "run");
  settings.probe_every = 7;
  Trainer trainer(settings, tiny_splits());
  trainer.run();
  const std::vector<json> probes = probes_of(folder / "run");
  ASSERT_EQ(probes.size(), 4U);
  for (std::size_t i = 0; i < probes.size(); ++i) {
    const json& probe = probes[i];
    EXPECT_EQ(probe["step"], 7 * (i + 1));
    const auto parameters = trainer.network().parameters();
    EXPECT_EQ(probe["gradients"].size(), parameters.size());
    for (const auto& [name, parameter] : parameters) {
      EXPECT_TRUE(probe["gradients"].at(name).is_number()) << name;
      if (parameter->kind == nn::ParameterKind::weight) {
        EXPECT_GT(probe["weights"].at(name), 0) << name;
      }
    }
    ASSERT_EQ(probe["norms"].size(), 2U);
    for (const auto& [path, norm] : probe["norms"].items()) {
      for (const char* part : {"mean_gap", "std_ratio", "gamma", "beta", "input", "output"}) {
        ASSERT_EQ(norm.at(part).size(), 3U) << path << " " << part;
        EXPECT_LE(norm[part][0], norm[part][1]) << path << " " << part;
        EXPECT_LE(norm[part][1], norm[part][2]) << path << " " << part;
      }
      EXPECT_GT(norm["std_ratio"][0], 0);
    }
  }
}

TEST(Probe, IsInTheEventsToo) {
  const TemporaryFolder folder;
  Settings settings = tiny_settings(folder / "run");
  settings.probe_every = 10;
  Trainer(settings, tiny_splits()).run();
  const auto file = fs::directory_iterator(folder / "run/events")->path();
  const auto scalars = testing::scalars(read_text(file));
  const auto expect = [&](const std::string& tag, std::int64_t step, double value) {
    const testing::Scalar wanted{step, static_cast<float>(value)};
    ASSERT_TRUE(scalars.contains(tag)) << tag;
    EXPECT_EQ(std::ranges::count(scalars.at(tag), wanted), 1) << tag << " " << step;
  };
  std::size_t tags = 0;
  const std::vector<json> probes = probes_of(folder / "run");
  ASSERT_EQ(probes.size(), 3U);
  for (const json& probe : probes) {
    const std::int64_t step = probe["step"];
    for (const char* kind : {"gradients", "weights"}) {
      for (const auto& [name, value] : probe[kind].items()) {
        expect(fmt::format("{}/{}", kind, name), step, value);
        ++tags;
      }
    }
    for (const auto& [path, norm] : probe["norms"].items()) {
      for (const auto& [part, values] : norm.items()) {
        const std::string tag = fmt::format("norms/{}/{}", path, part);
        expect(tag + "/p15", step, values[0]);
        expect(tag + "/p50", step, values[1]);
        expect(tag + "/p85", step, values[2]);
        tags += 3;
      }
    }
  }
  std::size_t found = 0;
  for (const auto& [tag, values] : scalars) {
    const bool probed =
        tag.starts_with("gradients/") || tag.starts_with("weights/") || tag.starts_with("norms/");
    if (probed) found += values.size();
  }
  EXPECT_EQ(found, tags);
}

TEST(Probe, HasTheGradientOfItsStepAndTheWeightsBehindIt) {
  const TemporaryFolder folder;
  Settings settings = tiny_settings(folder / "run");
  settings.probe_every = 1;
  settings.clip = 0.1;
  RecordingReporter reporter;
  Trainer trainer(settings, tiny_splits(), &reporter);
  std::vector<std::vector<GradientNorm>> wanted;
  std::vector<double> lengths;
  reporter.at_step = [&](const StepInfo&) {
    wanted.push_back(gradient_norms(trainer.network()));
    lengths.push_back(optim::gradient_norm(trainer.network()));
  };
  trainer.run();
  const std::vector<json> probes = probes_of(folder / "run");
  ASSERT_EQ(probes.size(), wanted.size());
  for (std::size_t i = 0; i < probes.size(); ++i) {
    for (const GradientNorm& norm : wanted[i]) {
      EXPECT_DOUBLE_EQ(probes[i]["gradients"][norm.name], norm.gradient);
      EXPECT_DOUBLE_EQ(probes[i]["weights"][norm.name], norm.weight);
    }
    EXPECT_LE(lengths[i], 0.1001);  // after clipping
  }
}

TEST(Probe, DoesNotChangeTheRun) {
  const TemporaryFolder folder;
  for (const std::int64_t accumulate : {1, 2}) {
    for (const bool fusion : {false, true}) {
      const std::string name = fmt::format("{}-{}", accumulate, fusion);
      for (const std::int64_t every : {0, 3}) {
        Settings settings = tiny_settings(folder / (name + (every > 0 ? "-probed" : "-plain")));
        settings.accumulate = accumulate;
        settings.fusion = fusion;
        settings.probe_every = every;
        Trainer(settings, tiny_splits()).run();
      }
      EXPECT_TRUE(same_tensors(folder / (name + "-plain/final.safetensors"),
                               folder / (name + "-probed/final.safetensors")))
          << name;
      EXPECT_EQ(probes_of(folder / (name + "-probed")).size(), 10U);
      EXPECT_TRUE(probes_of(folder / (name + "-plain")).empty());
    }
  }
}

TEST(Probe, SaysTheSameWithAndWithoutFusion) {
  const TemporaryFolder folder;
  std::vector<std::vector<json>> probes;
  for (const bool fusion : {false, true}) {
    Settings settings = tiny_settings(folder / (fusion ? "fused" : "plain"));
    settings.fusion = fusion;
    settings.probe_every = 10;
    Trainer(settings, tiny_splits()).run();
    probes.push_back(probes_of(settings.out));
  }
  ASSERT_EQ(probes[0].size(), 3U);
  EXPECT_EQ(probes[0], probes[1]);
}

TEST(Probe, IsWrittenOnceByARunThatIsResumed) {
  const TemporaryFolder folder;
  Settings settings = tiny_settings(folder / "whole");
  settings.probe_every = 4;
  Trainer(settings, tiny_splits()).run();
  settings.out = (folder / "parts").string();
  {
    RecordingReporter reporter;
    Trainer trainer(settings, tiny_splits(), &reporter);
    reporter.at_step = [&](const StepInfo& info) {
      if (info.step == 13) trainer.request_stop();
    };
    trainer.run();
  }
  Trainer(stored_settings(folder / "parts"), tiny_splits()).run();
  EXPECT_EQ(probes_of(folder / "parts"), probes_of(folder / "whole"));
  EXPECT_TRUE(same_tensors(folder / "whole/final.safetensors", folder / "parts/final.safetensors"));
}

TEST(Probe, MayBeSwitchedOnForTheRestOfARun) {
  const TemporaryFolder folder;
  Settings settings = tiny_settings(folder / "run");
  {
    RecordingReporter reporter;
    Trainer trainer(settings, tiny_splits(), &reporter);
    reporter.at_step = [&](const StepInfo& info) {
      if (info.step == 13) trainer.request_stop();
    };
    trainer.run();
  }
  settings = stored_settings(folder / "run");
  settings.probe_every = 10;
  EXPECT_TRUE(Trainer(settings, tiny_splits()).run().finished);
  EXPECT_EQ(probes_of(folder / "run").size(), 2U);
}

TEST(Probe, OfANetworkWithoutBatchNormHasNoNorms) {
  const TemporaryFolder folder;
  Settings settings = tiny_settings(folder / "run");
  settings.norm = "layer";
  settings.probe_every = 10;
  Trainer(settings, tiny_splits()).run();
  const std::vector<json> probes = probes_of(folder / "run");
  ASSERT_EQ(probes.size(), 3U);
  EXPECT_TRUE(probes[0]["norms"].is_object());
  EXPECT_TRUE(probes[0]["norms"].empty());
  EXPECT_FALSE(probes[0]["gradients"].empty());
}

TEST(Probe, LeavesNoObserverBehind) {
  const TemporaryFolder folder;
  Settings settings = tiny_settings(folder / "run");
  settings.probe_every = 1;
  Trainer trainer(settings, tiny_splits());
  trainer.run();
  trainer.network().visit([](const std::string& path, nn::Module& module) {
    EXPECT_FALSE(module.watch().forward) << path;
    const auto* const layer = dynamic_cast<const nn::BatchNorm*>(&module);
    EXPECT_FALSE(layer != nullptr && layer->observer()) << path;
  });
}

TEST(JsonLine, HoldsObjectsAndListsAndOddNames) {
  JsonLine inner;
  inner.add("a \"name\"", std::int64_t{3});
  const std::vector<double> list{1, 0.5};
  const std::string text =
      JsonLine("probe").add("inner", inner).add("none", JsonLine()).add("list", list).str();
  const json parsed = json::parse(text);
  EXPECT_EQ(parsed["kind"], "probe");
  EXPECT_EQ(parsed["inner"]["a \"name\""], 3);
  EXPECT_TRUE(parsed["none"].empty());
  EXPECT_EQ(parsed["list"], (json{1, 0.5}));
}

}  // namespace
}  // namespace evenkeel::train
