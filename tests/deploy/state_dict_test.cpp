// State dicts from elsewhere: names, reports, and nothing changed where they do not fit.
#include <gtest/gtest.h>

#include "deploy/onnx_bytes.h"
#include "io/torch_file.h"
#include "nn/tensors.h"
#include "train/runs.h"
#include <evenkeel/deploy/state_dict.h>
#include <evenkeel/io/safetensors.h>
#include <evenkeel/model/run_folder.h>
#include <evenkeel/nn/layers/activation.h>
#include <evenkeel/nn/layers/batch_norm.h>
#include <evenkeel/nn/layers/dropout.h>
#include <evenkeel/nn/layers/linear.h>
#include <evenkeel/nn/layers/sequential.h>

namespace evenkeel::deploy {
namespace {

namespace fs = std::filesystem;
using evenkeel::testing::contains;
using evenkeel::testing::error_of;
using evenkeel::testing::identical;
using evenkeel::testing::pickle_dict;
using evenkeel::testing::pickle_tensor;
using evenkeel::testing::torch_bytes;
using evenkeel::testing::torch_state_bytes;
using testing::test_folder;

nn::Sequential small_network(std::uint64_t seed) {
  nn::Sequential net;
  net.add(nn::Linear(3, 4)).add(nn::BatchNorm1d(4)).add(nn::ReLU()).add(nn::Dropout(0.5));
  net.initialize(seed);
  return net;
}

nn::StateDict copy_of(nn::Module& network, bool exported_only = false) {
  nn::StateDict copy;
  for (const auto& [name, tensor] : network.state_dict(exported_only)) {
    copy.emplace_back(name, tensor.clone());
  }
  return copy;
}

bool same_state(const nn::StateDict& a, const nn::StateDict& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i].first != b[i].first || !identical(a[i].second, b[i].second)) return false;
  }
  return true;
}

void remove_tensor(nn::StateDict& state, const std::string& name) {
  std::erase_if(state, [&](const auto& entry) { return entry.first == name; });
}

fs::path write_file(const std::string& name, const std::string& bytes) {
  return testing::write_file(name, bytes);
}

TEST(LoadByName, TakesAllThatPyTorchKnows) {
  nn::Sequential from = small_network(1), to = small_network(2);
  from.train();
  (void)from.forward(evenkeel::testing::random_tensor({8, 3}, 3));
  from.clear_saved();
  const nn::StateDict state = copy_of(from, true);
  const LoadReport report = load_by_name(to, state);
  EXPECT_TRUE(report.fits());
  EXPECT_EQ(report.loaded.size(), 7U);
  EXPECT_TRUE(report.notes.empty());
  EXPECT_TRUE(same_state(copy_of(to, true), state));
}

TEST(LoadByName, AnAbsentCountOfBatchesIsNoError) {
  nn::Sequential from = small_network(1), to = small_network(2);
  nn::StateDict state = copy_of(from, true);
  remove_tensor(state, "1.num_batches_tracked");
  const LoadReport report = load_by_name(to, state);
  EXPECT_TRUE(report.missing.empty());
  ASSERT_EQ(report.notes.size(), 1U);
  EXPECT_TRUE(contains(report.notes[0], "num_batches_tracked"));
}

TEST(LoadByName, NothingIsSaidOfCountsWhereTheNormIsNotThere) {
  nn::Sequential to = small_network(2);
  const LoadReport report = match_by_name(to, {{"other", Tensor::zeros({2})}});
  EXPECT_EQ(report.missing.size(), 6U);
  EXPECT_TRUE(report.notes.empty());
}

/// A network with a bias before its batch norm, whose statistics were gathered with it.
nn::Sequential with_bias() {
  nn::Sequential net = small_network(1);
  net.train();
  for (std::uint64_t i = 0; i < 5; ++i) {
    (void)net.forward(evenkeel::testing::random_tensor({8, 3}, i));
  }
  net.clear_saved();
  net.eval();
  return net;
}

nn::Sequential without_bias() {
  nn::Sequential net;
  net.add(nn::Linear(3, 4, {.bias = false})).add(nn::BatchNorm1d(4));
  net.add(nn::ReLU()).add(nn::Dropout(0.5));
  net.initialize(2);
  net.eval();
  return net;
}

TEST(LoadByName, ABiasBeforeABatchNormIsAbsorbed) {
  nn::Sequential from = with_bias(), to = without_bias();
  const LoadReport report = load_by_name(to, copy_of(from, true));
  EXPECT_TRUE(report.fits());
  EXPECT_EQ(report.absorbed, std::vector<std::string>{"0.bias"});
  ASSERT_EQ(report.notes.size(), 1U);
  EXPECT_TRUE(contains(report.notes[0], "subtracted from its running mean ('0.bias')"));
  const Tensor x = evenkeel::testing::random_tensor({6, 3}, 9);
  const Tensor expected = from.forward(x), got = to.forward(x);
  for (std::size_t i = 0; i < expected.span<float>().size(); ++i) {
    EXPECT_NEAR(got.span<float>()[i], expected.span<float>()[i], 1e-6);
  }
}

TEST(LoadByName, ABiasIsNotAbsorbedWhereThatWouldChangeTheFunction) {
  const nn::StateDict state = copy_of(*std::make_unique<nn::Sequential>(with_bias()), true);
  nn::Sequential activated;
  activated.add(nn::Linear(3, 4, {.bias = false})).add(nn::ReLU()).add(nn::BatchNorm1d(4));
  nn::StateDict moved = state;
  for (auto& [name, tensor] : moved) {
    if (name[0] == '1') name[0] = '2';
  }
  EXPECT_EQ(match_by_name(activated, moved).unexpected, std::vector<std::string>{"0.bias"});
  nn::Sequential to = without_bias();
  nn::StateDict partial = state;
  remove_tensor(partial, "1.running_mean");
  const LoadReport report = match_by_name(to, partial);
  EXPECT_EQ(report.unexpected, std::vector<std::string>{"0.bias"});
  EXPECT_TRUE(report.absorbed.empty());
}

TEST(NamedInOrder, BiasesThatAreAbsorbedGoWithTheirLayer) {
  nn::Sequential from = with_bias(), to = without_bias();
  nn::StateDict state = copy_of(from, true);
  for (auto& [name, tensor] : state) name = (name[0] == '0' ? "fc" : "norm") + name.substr(1);
  const LoadReport report = load_by_name(to, named_in_order(to, state));
  EXPECT_TRUE(report.fits());
  EXPECT_EQ(report.absorbed, std::vector<std::string>{"0.bias"});
  state[1].second = Tensor::zeros({3});
  EXPECT_TRUE(contains(error_of<Error>([&] { named_in_order(to, state); }), "'fc.bias' [3]"));
}

TEST(LoadByName, StrictChangesNothingWhereSomethingDoesNotFit) {
  nn::Sequential from = small_network(1), to = small_network(2);
  const nn::StateDict before = copy_of(to);
  nn::StateDict state = copy_of(from, true);
  remove_tensor(state, "1.running_mean");
  state.emplace_back("fc.weight", Tensor::zeros({2}));
  state[1].second = Tensor::zeros({5});
  const std::string error = error_of<Error>([&] { load_by_name(to, state); });
  EXPECT_TRUE(contains(error, "1 is missing ('1.running_mean')"));
  EXPECT_TRUE(contains(error, "1 is unexpected ('fc.weight')"));
  EXPECT_TRUE(contains(error, "'0.bias' is [5], expected [4]"));
  EXPECT_TRUE(same_state(copy_of(to), before));
}

TEST(LoadByName, PartlyLeavesTheRestAsItIs) {
  nn::Sequential from = small_network(1), to = small_network(2);
  const Tensor bias = to.state_dict()[1].second.clone();
  nn::StateDict state = copy_of(from, true);
  state[1].second = Tensor::zeros({5});
  const LoadReport report = load_by_name(to, state, /*strict=*/false);
  ASSERT_EQ(report.mismatched.size(), 1U);
  EXPECT_EQ(report.mismatched[0].name, "0.bias");
  EXPECT_EQ(report.mismatched[0].expected, Shape({4}));
  EXPECT_EQ(report.mismatched[0].got, Shape({5}));
  EXPECT_TRUE(identical(to.state_dict()[0].second, from.state_dict()[0].second));
  EXPECT_TRUE(identical(to.state_dict()[1].second, bias));
}

TEST(LoadByName, SaysWhatIsRounded) {
  nn::Sequential from = small_network(1), to = small_network(2);
  nn::StateDict state = copy_of(from, true);
  state[0].second = state[0].second.to(DType::f64);
  EXPECT_EQ(load_by_name(to, state).notes,
            std::vector<std::string>{"1 tensor of f64 rounded to f32"});
}

TEST(NamedInOrder, TakesOtherNamesInTheSameOrder) {
  nn::Sequential from = small_network(1), to = small_network(2);
  nn::StateDict state = copy_of(from, true);
  for (auto& [name, tensor] : state) name = (name[0] == '0' ? "fc" : "norm") + name.substr(1);
  EXPECT_TRUE(load_by_name(to, named_in_order(to, state)).fits());
  EXPECT_TRUE(same_state(copy_of(to, true), copy_of(from, true)));
  nn::StateDict turned = state;
  std::swap(turned[0], turned[1]);
  EXPECT_TRUE(contains(error_of<Error>([&] { named_in_order(to, turned); }),
                       "expected '0.weight' [4, 3] as tensor 1 in order, got 'fc.bias' [4]"));
  turned = state;
  turned[3].first = "other.bias";
  turned[2].first = "fc.weight";
  EXPECT_TRUE(contains(error_of<Error>([&] { named_in_order(to, turned); }), "'1.weight'"));
  state.pop_back();
  EXPECT_TRUE(load_by_name(to, named_in_order(to, state)).fits());  // a count of batches
  state.pop_back();
  EXPECT_TRUE(contains(error_of<Error>([&] { named_in_order(to, state); }), "6 tensors"));
}

TEST(ReadStateDict, TakesTheDictOfTheNetwork) {
  const std::string weight = pickle_tensor({.count = 2, .shape = {2}, .strides = {1}});
  const std::string head = pickle_tensor({.count = 2, .shape = {1}, .strides = {1}});
  const fs::path path = write_file(
      "several.pt", torch_bytes(pickle_dict({{"optimizer", pickle_dict({{"momentum", head}})},
                                             {"ema", pickle_dict({{"w", head}})},
                                             {"model", pickle_dict({{"w", weight}})}}),
                                {{"0", std::string(8, '\0')}}));
  const ReadState state = read_state_dict(path);
  ASSERT_EQ(state.tensors.size(), 1U);
  EXPECT_EQ(state.tensors[0].second.numel(), 2);
  EXPECT_EQ(state.notes, std::vector<std::string>{"of the checkpoint, its dict 'model'"});
  EXPECT_EQ(read_state_dict(path, {.dict = "ema"}).tensors[0].second.numel(), 1);
  EXPECT_TRUE(contains(error_of<UsageError>([&] { read_state_dict(path, {.dict = "x"}); }),
                       "it has 'optimizer', 'ema', 'model'"));
}

TEST(ReadStateDict, AsksWhereSeveralDictsWouldDo) {
  const std::string weight = pickle_tensor({.count = 2, .shape = {2}, .strides = {1}});
  const fs::path path =
      write_file("gan.pt", torch_bytes(pickle_dict({{"generator", pickle_dict({{"w", weight}})},
                                                    {"critic", pickle_dict({{"w", weight}})}}),
                                       {{"0", std::string(8, '\0')}}));
  EXPECT_TRUE(contains(error_of<UsageError>([&] { read_state_dict(path); }),
                       "name the one of the network: 'generator', 'critic'"));
}

TEST(ReadStateDict, StripsAPrefixOfAllNames) {
  const fs::path path = write_file(
      "parallel.pth", torch_state_bytes({{"module._orig_mod.0.weight", Tensor::zeros({2})},
                                         {"module._orig_mod.0.bias", Tensor::zeros({1})}}));
  const ReadState state = read_state_dict(path);
  EXPECT_EQ(state.tensors[0].first, "0.weight");
  EXPECT_EQ(state.tensors[1].first, "0.bias");
  EXPECT_EQ(state.notes.size(), 2U);
  const fs::path other =
      write_file("mixed.pth",
                 torch_state_bytes({{"module.a", Tensor::zeros({2})}, {"b", Tensor::zeros({1})}}));
  EXPECT_EQ(read_state_dict(other).tensors[0].first, "module.a");
}

TEST(ReadStateDict, ReadsKerasNamesAsPyTorchs) {
  io::TensorFile file;
  for (const char* name : {"bn/gamma:0", "bn/beta:0", "bn/moving_mean:0", "bn.moving_variance",
                           "gamma", "dense/kernel:0", "gammas"}) {
    file.tensors.emplace_back(name, Tensor::zeros({1}));
  }
  const fs::path path = test_folder() / "keras.safetensors";
  io::write_safetensors(path, file);
  const ReadState state = read_state_dict(path);
  const std::vector<std::string> expected{"bn.weight",      "bn.bias", "bn.running_mean",
                                          "bn.running_var", "weight",  "dense/kernel:0",
                                          "gammas"};
  ASSERT_EQ(state.tensors.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_EQ(state.tensors[i].first, expected[i]);
  EXPECT_EQ(state.notes.size(), 1U);
  file.tensors.emplace_back("bn.weight", Tensor::zeros({1}));
  io::write_safetensors(path, file);
  EXPECT_TRUE(contains(error_of<IoError>([&] { read_state_dict(path); }), "two tensors"));
}

TEST(ReadStateDict, ReadsOurOwnFilesAndTheirCheckpoints) {
  nn::Sequential net = small_network(1);
  const fs::path path = test_folder() / "own.safetensors";
  save_state_dict(path, net);
  const ReadState plain = read_state_dict(path);
  EXPECT_EQ(plain.tensors.size(), 7U);  // without the random position of dropout
  io::TensorFile checkpoint;
  for (const auto& [name, tensor] : net.state_dict()) {
    checkpoint.tensors.emplace_back("network/" + name, tensor);
  }
  checkpoint.tensors.emplace_back("optimizer/step", Tensor::zeros({1}));
  io::write_safetensors(path, checkpoint);
  nn::Sequential other = small_network(2);
  EXPECT_TRUE(load_by_name(other, read_state_dict(path).tensors).fits());
  EXPECT_TRUE(same_state(copy_of(other), copy_of(net)));
}

TEST(ReadStateDict, RefusesOtherKindsByName) {
  EXPECT_TRUE(contains(error_of<UsageError>([] { read_state_dict("weights.h5"); }),
                       "give a .safetensors, .pt, .pth, .bin or .ckpt file"));
}

TEST(Conventions, AreThoseOfTheirLibraries) {
  EXPECT_EQ(convention("torch").eps, 1e-5);
  EXPECT_EQ(convention("torch").momentum, 0.1);
  EXPECT_EQ(convention("keras").eps, 1e-3);
  EXPECT_EQ(convention("keras").source_momentum, 0.99);
  EXPECT_NEAR(convention("keras").momentum, 0.01, 1e-15);
  EXPECT_TRUE(contains(error_of<UsageError>([] { convention("kears"); }), "keras"));
}

}  // namespace
}  // namespace evenkeel::deploy
