// InputRecipe as text for a file's metadata.
#pragma once

#include <string>
#include <string_view>

#include <evenkeel/model/run_folder.h>

namespace evenkeel::model {

/// TOML with the keys mean, stddev and class_names; floats keep all their digits.
std::string to_text(const InputRecipe& recipe);
/// Throws IoError naming `where` for text that is no recipe.
InputRecipe parse_recipe(std::string_view text, std::string_view where);

}  // namespace evenkeel::model
