// Words of a command, to be typed again.
#pragma once

#include <string>
#include <string_view>

namespace evenkeel {

/// The word as one would type it in a POSIX shell: as it is where nothing in it means something to
/// the shell, else in single quotes.
std::string shell_word(std::string_view word);

}  // namespace evenkeel
