// A config file on its way: values and layers, settings, a network.
#include "model/network_size.h"
#include "readers.h"
#include "support.h"
#include <evenkeel/model/config.h>
#include <evenkeel/model/network.h>
#include <evenkeel/train/settings.h>

namespace evenkeel::fuzz {
namespace {

constexpr std::uint64_t kLargest = 1 << 14;  // values of a network that is built

void check_settings(const model::Config& config) {
  train::Settings settings;
  if (!accepts([&] { settings = train::settings_from(config); }, Lines::any)) return;
  accepts([&] { train::check(settings); }, Lines::any);
  const model::Config stored = train::to_config(settings);
  const std::string text = model::to_toml(stored);
  const train::Settings again = train::settings_from(model::parse_config(text, "stored"));
  promise(model::to_toml(train::to_config(again)) == text, "settings differ once stored");
}

void check_network(const model::Config& config) {
  model::NetworkOptions options;
  if (!accepts([&] { options = model::network_options(config); }, Lines::any)) return;
  model::Config stored;
  model::put_network_options(options, stored);
  promise(model::least_values(model::network_options(stored)) == model::least_values(options),
          "network options differ once stored");
  // The size alone decides before anything is built; here for the speed of it.
  if (model::least_values(options) > kLargest) return;
  accepts([&] { model::build_network(options, 1); }, Lines::any);
}

void read(std::string_view bytes) {
  model::Config config;
  if (!accepts([&] { config = model::read_config(file_of(bytes)); })) return;
  const std::string text = model::to_toml(config);
  promise(model::to_toml(model::parse_config(text, "written")) == text,
          "the config differs once written");
  check_settings(config);
  check_network(config);
}

std::vector<Seed> seeds() {
  const train::Settings defaults;
  const std::string huge = "9223372036854775807";
  std::string keys = "a";
  for (int i = 0; i < 2000; ++i) keys += ".a";
  const auto linear = [](const std::string& in, const std::string& out) {
    return "input = [4]\nclasses = 3\n[[layer]]\ntype = \"Linear\"\nin_features = " + in +
           "\nout_features = " + out + "\n";
  };
  return {
      {"defaults", model::to_toml(train::to_config(defaults))},
      {"layers", linear("4", "8") + "[[layer]]\ntype = \"ReLU\"\n[[layer]]\ntype = \"Linear\"\n"
                                    "in_features = 8\nout_features = 3\n"},
      {"every_value",
       "net = \"mlp\"\nepochs = 2\nlr = 1e-3\nnesterov = true\ninput = [4]\n"
       "momentum = \"cumulative\"\nplacement = 'after'\nout = '''a\nb'''\n"},
      {"nested",
       "input = [2, 6, 6]\nclasses = 2\n[[layer]]\ntype = \"Residual\"\n"
       "activation = \"relu\"\nbody = [{type = \"Conv2d\", in_channels = 2, "
       "out_channels = 2, kernel_size = [3, 3], padding = 1}, {type = \"BatchNorm2d\", "
       "num_features = 2}]\nshortcut = []\n[[layer]]\ntype = \"Concat\"\n"
       "0 = [{type = \"ReLU\"}]\n1 = []\n[[layer]]\ntype = \"GlobalAvgPool\"\n"},
      {"pools",
       "input = [1, 8]\nclasses = 4\n[[layer]]\ntype = \"Conv1d\"\nin_channels = 1\n"
       "out_channels = 1\nkernel_size = 3\npadding = 1\ndilation = 1\ngroups = 1\n"
       "[[layer]]\ntype = \"MaxPool1d\"\nkernel_size = 2\n[[layer]]\ntype = \"Flatten\"\n"},
      {"huge_layer", linear(huge, huge)},
      {"wrapping_layer", linear("4294967296", "4294967296")},
      {"large_layer", linear("100000", "100000")},
      {"huge_kernel",
       "input = [1, 4, 4]\n[[layer]]\ntype = \"Conv2d\"\nin_channels = 1\n"
       "out_channels = 1\nkernel_size = " +
           huge + "\ndilation = " + huge + "\npadding = " + huge + "\nstride = " + huge + "\n"},
      {"huge_input", "input = [" + huge + ", " + huge + "]\n"},
      {"huge_classes", "input = [4]\nclasses = " + huge + "\n"},
      {"huge_numbers",
       "epochs = " + huge + "\nbatch_size = -" + huge + "\nlr = 1e400\neps = nan\n"},
      {"dotted", keys + " = 1\n"},
      {"dotted_section", "[" + keys + "]\n"},
      {"nested_lists", "input = " + std::string(300, '[') + "\n"},
      {"long_key", std::string(20000, 'k') + " = 1\n"},
      {"long_text", "net = \"" + std::string(20000, 'n') + "\"\n"},
      {"key_of_lines", "\"a\\nb\" = 1\n"},
      {"text_of_lines", "net = \"a\\nb\"\n"},
      {"dates", "epochs = 2026-01-01T00:00:00Z\n"},
      {"not_utf8", "net = \"\xff\"\n"},
  };
}

}  // namespace

Target config_target() { return {.reader = "config", .read = read, .seeds = seeds}; }

}  // namespace evenkeel::fuzz
