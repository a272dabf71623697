// The pickle inside of a PyTorch checkpoint, as plain data.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "io/origin.h"
#include "io/torch/types.h"

namespace evenkeel::io {

/// Values of a pickle, in the order in which they were made; they refer to one another by number.
///
/// Python's pickles are programs for a small machine that may call any function by name. This one
/// has the instructions that build data, and knows the five names that PyTorch's tensors need;
/// these stand for what they build, and no other is looked up anywhere.
class Pickle {
 public:
  using Id = std::uint32_t;

  enum class Kind : std::uint8_t {
    other,    ///< None, a truth value, a fraction, bytes: passed over
    integer,  ///< number
    text,     ///< text
    tuple,    ///< items
    list,     ///< items
    dict,     ///< items: key, value, key, value
    name,     ///< what a file may call: number is a Callable
    type,     ///< a storage class: element
    storage,  ///< text is the key of its data, number how many elements, element their type
    tensor,   ///< items: storage, offset, shape, strides
  };

  struct Value {
    Kind kind = Kind::other;
    std::int64_t number = 0;
    std::string_view text = {};  // in the bytes of the pickle
    const TorchType* element = nullptr;
    std::vector<Id> items = {};
  };

  /// Runs the program. Refuses what is no data, and more values than a real file has.
  Pickle(std::string bytes, const Origin& origin);
  Pickle(const Pickle&) = delete;
  Pickle& operator=(const Pickle&) = delete;

  const Value& operator[](Id id) const { return values_[id]; }
  Id root() const { return root_; }
  /// Of the pickle.
  std::size_t size() const { return bytes_.size(); }

 private:
  enum class Callable : std::uint8_t { ordered_dict, tensor, parameter, size };

  void run();
  bool execute(std::uint8_t opcode);  // false at the end
  bool execute_scalar(std::uint8_t opcode);
  bool execute_container(std::uint8_t opcode);
  bool execute_memo(std::uint8_t opcode);

  std::string_view take(std::uint64_t count);
  std::string_view take_line();
  std::uint64_t take_number(std::size_t bytes);
  std::string_view take_counted(std::size_t length_bytes);

  Id add(Value value);
  void push(Value value) { stack_.push_back(add(std::move(value))); }
  void push_integer(std::int64_t number) { push({.kind = Kind::integer, .number = number}); }
  void push_text(std::string_view text) { push({.kind = Kind::text, .text = text}); }
  void push_long(std::string_view digits);
  Id pop();
  /// What lies above the last mark, which goes.
  std::vector<Id> pop_marked();
  void push_tuple(std::vector<Id> items);
  void push_last_as_tuple(std::size_t count);
  /// The container below what was popped, which must be of that kind.
  Value& open(Kind kind, std::string_view what);
  void append(std::vector<Id> items);
  void set_items(std::vector<Id> items);
  void remember(std::uint64_t place);
  void recall(std::uint64_t place);
  void find_name(std::string_view module, std::string_view name);
  void call();
  void build_tensor(const Value& arguments);
  void find_storage();
  void build();

  Origin origin_;
  std::string bytes_;
  std::string_view rest_;
  std::deque<Value> values_;  // which stay where they are while others are added
  std::vector<Id> stack_;
  std::vector<std::size_t> marks_;
  std::vector<Id> memo_;
  Id root_ = 0;
};

}  // namespace evenkeel::io
