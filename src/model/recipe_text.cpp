#include "model/recipe_text.h"

#include <fmt/ranges.h>
#include <toml++/toml.h>

#include "model/toml_limits.h"
#include "model/toml_text.h"
#include <evenkeel/core/error.h>

namespace evenkeel::model {
namespace {

std::string number_list(const std::vector<float>& values) {
  std::vector<std::string> texts;
  // A float is a double, so the text reads back to the same float.
  for (const float value : values) texts.push_back(toml_number(static_cast<double>(value)));
  return fmt::format("[{}]", fmt::join(texts, ", "));
}

class RecipeReader {
 public:
  RecipeReader(const toml::table& document, std::string_view where)
      : document_(document), where_(where) {}

  std::vector<float> numbers(std::string_view key) const {
    std::vector<float> list;
    for (const toml::node& item : array(key)) {
      const auto value = item.value<double>();
      if (!value) refuse(key);
      list.push_back(static_cast<float>(*value));
    }
    return list;
  }

  std::vector<std::string> texts(std::string_view key) const {
    std::vector<std::string> list;
    for (const toml::node& item : array(key)) {
      const auto value = item.value<std::string>();
      if (!value) refuse(key);
      list.push_back(*value);
    }
    return list;
  }

 private:
  const toml::array& array(std::string_view key) const {
    const auto* list = document_.get_as<toml::array>(key);
    if (list == nullptr) refuse(key);
    return *list;
  }
  [[noreturn]] void refuse(std::string_view key) const {
    fail<IoError>("[model] '{}': the input recipe has no valid '{}'; the file is damaged", where_,
                  key);
  }

  const toml::table& document_;
  std::string_view where_;
};

}  // namespace

std::string to_text(const InputRecipe& recipe) {
  std::vector<std::string> names;
  for (const std::string& name : recipe.class_names) names.push_back(toml_string(name));
  return fmt::format("mean = {}\nstddev = {}\nclass_names = [{}]\n", number_list(recipe.mean),
                     number_list(recipe.stddev), fmt::join(names, ", "));
}

InputRecipe parse_recipe(std::string_view text, std::string_view where) {
  const auto refuse = [&] {
    fail<IoError>("[model] '{}': the input recipe cannot be read; the file is damaged", where);
  };
  if (line_of_deep_key(text) != 0) refuse();
  toml::table document;
  try {
    document = toml::parse(text);
  } catch (const toml::parse_error&) {
    refuse();
  }
  const RecipeReader reader(document, where);
  return {reader.numbers("mean"), reader.numbers("stddev"), reader.texts("class_names")};
}

}  // namespace evenkeel::model
