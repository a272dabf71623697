#include <gtest/gtest.h>

#include "train/runs.h"

namespace evenkeel::train {
namespace {

using testing::contains;
using testing::error_of;
using testing::TemporaryFolder;

/// A value of each field that is valid and differs from the default.
OptionValue another_value(const SettingField& field) {
  static const std::map<std::string, OptionValue> texts{
      {"net", std::string("convnet")},
      {"data", std::string("mnist:some where")},
      {"optimizer", std::string("adamw")},
      {"schedule", std::string("step:3,0.5")},
      {"norm", std::string("none")},
      {"placement", std::string("after")},
      {"activation", std::string("leaky_relu:0.2")},
      {"augment", std::string("flip,crop")},
      {"layout", std::string("channels_last")},
      {"dtype", std::string("bf16")},
      {"memory", std::string("save")},
      {"out", std::string("a \"folder\"")}};
  switch (field.kind) {
    case SettingKind::flag:
      return !std::get<bool>(field.get(Settings{}));
    case SettingKind::integer:
      return std::int64_t{7};
    case SettingKind::number:
      return 0.1234567890123456789;
    case SettingKind::text:
      break;
  }
  return texts.at(field.key);
}

TEST(Settings, EveryFieldTravelsThroughAConfigFile) {
  for (const SettingField& field : setting_fields()) {
    if (!field.stored) continue;
    Settings settings;
    field.set(settings, another_value(field));
    EXPECT_NE(field.get(settings), field.get(Settings{})) << field.key;
    if (settings.net == "config") continue;
    const std::string toml = model::to_toml(to_config(settings));
    const Settings read = settings_from(model::parse_config(toml, "test"));
    for (const SettingField& other : setting_fields()) {
      EXPECT_EQ(other.get(read), other.get(settings)) << other.key << " after " << field.key;
    }
  }
}

TEST(Settings, EveryFieldTravelsThroughTheTextOfAFlag) {
  for (const SettingField& field : setting_fields()) {
    if (!field.stored) continue;
    Settings settings;
    set_from_text(settings, flag_of(field).substr(2), to_string(another_value(field)));
    EXPECT_EQ(field.get(settings), another_value(field)) << field.key;
  }
}

TEST(Settings, EveryFieldRefusesAValueOfAnotherType) {
  for (const SettingField& field : setting_fields()) {
    Settings settings;
    const OptionValue wrong = std::vector<std::int64_t>{1, 2};
    EXPECT_TRUE(contains(error_of<UsageError>([&] { field.set(settings, wrong); }),
                         "'" + field.key + "' expects"));
  }
}

TEST(Settings, EveryFieldHasAKeyOfItsOwnAndAHelpLine) {
  std::set<std::string> keys;
  for (const SettingField& field : setting_fields()) {
    EXPECT_TRUE(keys.insert(field.key).second) << field.key;
    EXPECT_FALSE(field.help.empty()) << field.key;
    EXPECT_EQ(field.help.find('\n'), std::string::npos) << field.key;
  }
}

TEST(Settings, TheDefaultsAreValid) { EXPECT_NO_THROW(check(Settings{})); }

TEST(Settings, AcceptsDashesInKeys) {
  model::Config config;
  config.values.set("batch-size", std::int64_t{16});
  EXPECT_EQ(settings_from(config).batch_size, 16);
}

TEST(Settings, RefusesAKeyGivenInBothSpellings) {
  model::Config config;
  config.values.set("batch-size", std::int64_t{16});
  config.values.set("batch_size", std::int64_t{32});
  EXPECT_TRUE(contains(error_of<UsageError>([&] { settings_from(config); }), "given twice"));
}

TEST(Settings, SuggestsTheNearestOfAnUnknownKey) {
  model::Config config;
  config.values.set("bach_size", std::int64_t{16});
  EXPECT_TRUE(contains(error_of<UsageError>([&] { settings_from(config); }),
                       "unknown key 'bach_size'; did you mean 'batch_size'?"));
}

TEST(Settings, SuggestsTheNearestOfAnUnknownWord) {
  Settings settings;
  EXPECT_TRUE(contains(error_of<UsageError>([&] { set_from_text(settings, "net", "resnet2"); }),
                       "did you mean 'resnet20'?"));
  EXPECT_TRUE(contains(error_of<UsageError>([&] { set_from_text(settings, "schedule", "cosin"); }),
                       "did you mean 'cosine'?"));
}

TEST(Settings, SaysTheRangeOfANumber) {
  Settings settings;
  const auto message = [&](const std::string& key, const std::string& text) {
    return error_of<UsageError>([&] { set_from_text(settings, key, text); });
  };
  EXPECT_EQ(message("batch-size", "1"),
            "[settings] 'batch_size' expects a whole number from 2 to 16777216, got 1");
  EXPECT_TRUE(contains(message("epochs", "0"), "from 1"));
  EXPECT_TRUE(contains(message("epochs", "2.5"), "got 2.5"));
  EXPECT_TRUE(contains(message("lr", "-0.1"), "of at least 0"));
  EXPECT_TRUE(contains(message("lr", "nan"), "'lr' expects"));
  EXPECT_TRUE(contains(message("lr", "inf"), "'lr' expects"));
  EXPECT_TRUE(contains(message("lr", "fast"), "'auto'"));
  EXPECT_TRUE(contains(message("dropout", "1"), "below 1"));
  EXPECT_TRUE(contains(message("fusion", "maybe"), "true or false"));
  EXPECT_EQ(settings.batch_size, 64);
}

TEST(Settings, DecayIsTheOtherConventionOfMomentum) {
  Settings settings;
  set_from_text(settings, "decay", "0.75");
  EXPECT_EQ(settings.momentum, 0.25);
  model::Config both;
  both.values.set("decay", 0.9);
  both.values.set("momentum", 0.1);
  EXPECT_THROW(settings_from(both), UsageError);
}

TEST(Settings, WordsStandForEmptyValues) {
  Settings settings;
  set_from_text(settings, "momentum", "cumulative");
  EXPECT_FALSE(settings.momentum.has_value());
  set_from_text(settings, "lr", "0.5");
  EXPECT_EQ(settings.lr, 0.5);
  set_from_text(settings, "lr", "auto");
  EXPECT_FALSE(settings.lr.has_value());
  set_from_text(settings, "lr", "0");
  EXPECT_FALSE(settings.lr.has_value());
}

TEST(Settings, LayersOfAConfigMakeItsNetwork) {
  const model::Config config = model::parse_config(
      "epochs = 2\n[[layer]]\ntype = \"Flatten\"\n[[layer]]\ntype = \"Linear\"\n"
      "in_features = 784\nout_features = 10\n",
      "test");
  const Settings settings = settings_from(config);
  EXPECT_EQ(settings.net, "config");
  EXPECT_EQ(settings.layers.size(), 2U);
  const Settings again =
      settings_from(model::parse_config(model::to_toml(to_config(settings)), "test"));
  EXPECT_EQ(again.layers.size(), 2U);
  EXPECT_EQ(again.layers[1].options.values(), settings.layers[1].options.values());
}

TEST(Settings, RefusesWhatDoesNotGoTogether) {
  const auto message = [](auto change) {
    Settings settings;
    change(settings);
    return error_of<UsageError>([&] { check(settings); });
  };
  EXPECT_TRUE(contains(message([](Settings& s) { s.patience = 3; }), "validation"));
  EXPECT_TRUE(contains(message([](Settings& s) { s.resume = true; }), "'out'"));
  EXPECT_TRUE(contains(message([](Settings& s) { s.net = "config"; }), "layer"));
  Settings adamw;
  adamw.optimizer = "adamw";
  adamw.nesterov = true;
  EXPECT_TRUE(contains(error_of<UsageError>([&] {
                         (void)resolve(adamw, {1, 28, 28});
                       }),
                       "the optimizer sgd"));
}

TEST(Resolve, ChoosesNormAndOptimizerOfTheNet) {
  Settings settings;
  EXPECT_EQ(resolve(settings, {1, 28, 28}).norm, "batch");
  EXPECT_EQ(resolve(settings, {1, 28, 28}).optimizer, "sgd");
  settings.net = "encoder-small";
  EXPECT_EQ(resolve(settings, {1, 28, 28}).norm, "layer");
  EXPECT_EQ(resolve(settings, {1, 28, 28}).optimizer, "adamw");
  settings.norm = "rms";
  EXPECT_EQ(resolve(settings, {1, 28, 28}).norm, "rms");
}

TEST(Resolve, ChoosesARateForEveryNetAndOptimizer) {
  for (const model::NetworkInfo& net : model::networks()) {
    for (const std::string optimizer : {"sgd", "adamw"}) {
      Settings settings;
      settings.net = net.name;
      settings.optimizer = optimizer;
      EXPECT_GT(resolve(settings, {3, 32, 32}).lr.value_or(0), 0) << net.name << " " << optimizer;
      settings.lr = 0.125;
      EXPECT_EQ(resolve(settings, {3, 32, 32}).lr, 0.125);
    }
  }
}

TEST(Resolve, AugmentsColourImagesOnly) {
  Settings settings;
  EXPECT_EQ(resolve(settings, {3, 32, 32}).augment, "flip,crop");
  EXPECT_EQ(resolve(settings, {1, 28, 28}).augment, "none");
  EXPECT_EQ(resolve(settings, {12}).augment, "none");
  settings.augment = "crop";
  EXPECT_EQ(resolve(settings, {1, 28, 28}).augment, "crop");
  EXPECT_THROW(resolve(settings, {12}), UsageError);
}

TEST(Resolve, PutsChannelsLastWhereTheNetworkPrefersIt) {
  Settings settings;
  EXPECT_EQ(resolve(settings, {1, 28, 28}).layout, "channels_first");
  settings.net = "convnet";
  EXPECT_EQ(resolve(settings, {1, 28, 28}).layout, "channels_last");
}

}  // namespace
}  // namespace evenkeel::train
