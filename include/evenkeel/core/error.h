// Error types. Every message is one line: `[where] what was expected, what came; how to fix it`.
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace evenkeel {

/// Base of everything the library throws on purpose.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A tensor of the wrong rank, size, dtype or layout.
class ShapeError : public Error {
 public:
  using Error::Error;
};

/// An option, key or name that does not exist or is out of range. The command line exits with 2.
class UsageError : public Error {
 public:
  using Error::Error;
};

/// A file or folder that is missing, unreadable, unwritable or malformed.
class IoError : public Error {
 public:
  using Error::Error;
};

/// Calls in an order that has no meaning, such as backward without forward.
class StateError : public Error {
 public:
  using Error::Error;
};

/// Values that are not finite where the caller asked for them to be refused.
class NumericError : public Error {
 public:
  using Error::Error;
};

/// Throws E with a formatted message.
template <class E = Error, class... Args>
[[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) {
  throw E(fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace evenkeel
