// Repairs that more than one target uses.
#pragma once

#include <string>
#include <string_view>

namespace evenkeel::fuzz {

/// Makes the header length reach to the end of the header's outermost braces.
void repair_safetensors(std::string& bytes);
/// Makes the header length reach to the line break behind the header's dictionary.
void repair_npy(std::string& bytes);

/// Of a zip file: the checksums in the directory as the members need them.
void repair_zip(std::string& bytes);

}  // namespace evenkeel::fuzz
