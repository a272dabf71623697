// What must not get lost silently: lengths on the way to ONNX, and faults on the way through
// folding.
#include <cmath>
#include <fstream>

#include <gtest/gtest.h>

#include "deploy/onnx_bytes.h"
#include "nn/tensors.h"
#include <evenkeel/deploy/difference.h>
#include <evenkeel/deploy/onnx.h>
#include <evenkeel/deploy/onnx_export.h>
#include <evenkeel/nn/fold.h>
#include <evenkeel/nn/nn.h>

namespace evenkeel::deploy {
namespace {

std::string notes_of(const nn::Module& network, const Shape& sample, bool training = false) {
  const auto path = testing::test_folder() / "lost.onnx";
  const ExportReport report = export_onnx(network, sample, path, {.training = training});
  std::string text;
  for (const std::string& note : report.notes) text += note + "\n";
  return text;
}

bool holds(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(ExportNotes, NameTheLayersThatGoByLengths) {
  const nn::Sequential network{nn::Conv1d(2, 4, 3), nn::BatchNorm1d(4), nn::MeanOverTime(),
                               nn::Linear(4, 3)};
  const std::string notes = notes_of(network, {2, 9});
  EXPECT_TRUE(holds(notes, "lengths")) << notes;
  EXPECT_TRUE(holds(notes, "BatchNorm1d 1, MeanOverTime 2")) << notes;
  EXPECT_FALSE(holds(notes, "steps alone")) << notes;

  nn::Sequential folded{nn::Conv1d(2, 4, 3), nn::BatchNorm1d(4), nn::LastStep()};
  nn::fold_norms(folded);
  EXPECT_TRUE(holds(notes_of(folded, {2, 9}), "ValidSteps 1, LastStep 2"));
  nn::fold(folded);
  EXPECT_TRUE(holds(notes_of(folded, {2, 9}), "lengths"));
}

TEST(ExportNotes, SayWhereTheNumberOfStepsIsFixed) {
  const nn::Sequential network{nn::EncoderLayer(4, 2, {.feedforward_dim = 8}), nn::MeanOverTime(),
                               nn::Linear(4, 3)};
  const std::string notes = notes_of(network, {4, 9});
  EXPECT_TRUE(holds(notes, "sequences of 9 steps alone")) << notes;
}

TEST(ExportNotes, SayThatFrozenWeightsAreNotFrozenThere) {
  nn::BatchNorm2d norm(4);
  norm.freeze(nn::Freeze::affine);
  const nn::Sequential network{nn::Conv2d(3, 4, 3), std::move(norm)};
  EXPECT_TRUE(holds(notes_of(network, {3, 5, 5}, true), "frozen"));
  EXPECT_EQ(notes_of(network, {3, 5, 5}), "");
}

TEST(ExportNotes, AreNoneForNetworksOfRowsAndImages) {
  EXPECT_EQ(notes_of(nn::Sequential{nn::Linear(3, 4), nn::BatchNorm1d(4)}, {3}), "");
  EXPECT_EQ(notes_of(nn::Sequential{nn::Conv2d(3, 4, 3), nn::BatchNorm2d(4)}, {3, 5, 5}), "");
}

TEST(Export, WhatIsNotAcceptedLeavesTheOldFile) {
  const auto path = testing::write_file("accepted.onnx", "old");
  const nn::Sequential network{nn::Linear(3, 4)};
  bool right = false;
  const auto look = [&](bool answer) {
    return [&, answer](const std::filesystem::path& file) {
      right = file != path && import_onnx(file).sample == Shape{3};
      return answer;
    };
  };
  export_onnx(network, {3}, path, {.accept = look(false)});
  EXPECT_TRUE(right);
  EXPECT_EQ(testing::file_bytes(path), "old");
  export_onnx(network, {3}, path, {.accept = look(true)});
  EXPECT_EQ(import_onnx(path).sample, (Shape{3}));
}

TEST(OutputDifference, ANanEqualsNothing) {
  nn::Sequential network{nn::Linear(3, 2)};
  network.load_state_dict(
      {{"0.weight", Tensor::full({2, 3}, NAN)}, {"0.bias", Tensor::zeros({2})}});
  network.eval();
  OutputDifference difference(network);
  difference.add_random(network, {3}, 2, 1, Layout::channels_first);
  EXPECT_TRUE(std::isnan(difference.largest()));
}

TEST(FoldFaults, ABatchNormThatIsNotFiniteStaysAndSaysWhy) {
  struct Fault {
    const char* name;
    double value;
    const char* reason;
  };
  for (const Fault& fault :
       {Fault{"1.running_var", NAN, "recalibrate"},
        Fault{"1.running_mean", INFINITY, "recalibrate"}, Fault{"1.running_var", -1, "recalibrate"},
        Fault{"1.weight", NAN, "checkpoint"}}) {
    nn::Sequential network{nn::Conv2d(3, 4, 3), nn::BatchNorm2d(4), nn::ReLU()};
    nn::StateDict state = network.state_dict();
    for (auto& [name, tensor] : state) {
      if (name == fault.name) tensor = Tensor::full({4}, fault.value, tensor.dtype());
    }
    network.load_state_dict(state);
    const nn::FoldReport report = nn::fold_norms(network);
    EXPECT_TRUE(report.folded.empty()) << fault.name;
    ASSERT_EQ(report.kept.size(), 1U);
    EXPECT_TRUE(report.kept[0].faulty);
    EXPECT_TRUE(holds(report.kept[0].reason, fault.reason)) << report.kept[0].reason;
  }
  nn::Sequential sound{nn::ReLU(), nn::BatchNorm2d(4), nn::ReLU()};
  EXPECT_FALSE(nn::fold_norms(sound).kept.at(0).faulty);
}

}  // namespace
}  // namespace evenkeel::deploy
