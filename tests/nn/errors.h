// Messages of expected errors.
#pragma once

#include <string>

#include <evenkeel/core/error.h>

namespace evenkeel::testing {

/// What f throws as an E; a text that says so where it throws nothing or something else.
template <class E, class F>
std::string message_of(F&& f) {
  try {
    f();
  } catch (const E& error) {
    return error.what();
  } catch (const std::exception& error) {
    return std::string("another error: ") + error.what();
  }
  return "no error";
}

}  // namespace evenkeel::testing
