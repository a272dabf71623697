#include "train/run_path.h"

#include <evenkeel/core/error.h>

namespace evenkeel::train {

std::filesystem::path free_run_path(const Settings& settings) {
  const std::string name = settings.net + "-" + settings.data.substr(0, settings.data.find(':'));
  std::filesystem::path path = std::filesystem::path("runs") / name;
  std::error_code ignored;
  for (int i = 2; std::filesystem::exists(path, ignored); ++i) {
    path = std::filesystem::path("runs") / fmt::format("{}-{}", name, i);
  }
  return path;
}

void check_same_run(const Settings& given, const Settings& stored) {
  for (const SettingField& field : setting_fields()) {
    if (!field.stored || field.free_on_resume) continue;
    const std::string want = to_string(field.get(given));
    const std::string have = to_string(field.get(stored));
    if (want != have) {
      fail<UsageError>(
          "[settings] the run in '{}' has '{}' {}, got {}; resume with the same, or start another "
          "run",
          given.out, field.key, have, want);
    }
  }
  model::Config a, b;
  a.layers = given.layers;
  b.layers = stored.layers;
  if (model::to_toml(a) != model::to_toml(b)) {
    fail<UsageError>("[settings] the run in '{}' has other layers; start another run", given.out);
  }
}

}  // namespace evenkeel::train
