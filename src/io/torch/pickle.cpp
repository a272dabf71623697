#include "io/torch/pickle.h"

#include <algorithm>
#include <array>

#include "io/bytes.h"

namespace evenkeel::io {
namespace {

// A tensor takes some 25 values: those of 20,000 tensors, in 32 MiB.
constexpr std::size_t kMaxValues = std::size_t{1} << 19;
constexpr std::uint64_t kMaxProtocol = 5;

/// The instructions, by the letters of Python's documentation where they have one.
enum Opcode : std::uint8_t {
  kMark = '(',
  kStop = '.',
  kNone = 'N',
  kTrue = 0x88,
  kFalse = 0x89,
  kInteger32 = 'J',
  kInteger8 = 'K',
  kInteger16 = 'M',
  kLong1 = 0x8a,
  kLong4 = 0x8b,
  kDouble = 'G',
  kText32 = 'X',
  kText8 = 0x8c,
  kText64 = 0x8d,
  kBytes8 = 'C',
  kBytes32 = 'B',
  kEmptyTuple = ')',
  kTuple = 't',
  kTuple1 = 0x85,
  kTuple2 = 0x86,
  kTuple3 = 0x87,
  kEmptyList = ']',
  kAppend = 'a',
  kAppends = 'e',
  kEmptyDict = '}',
  kSetItem = 's',
  kSetItems = 'u',
  kPut8 = 'q',
  kPut32 = 'r',
  kMemoize = 0x94,
  kGet8 = 'h',
  kGet32 = 'j',
  kName = 'c',
  kNameOnStack = 0x93,
  kCall = 'R',
  kBuild = 'b',
  kPersistent = 'Q',
  kProtocol = 0x80,
  kFrame = 0x95,
};

}  // namespace

Pickle::Pickle(std::string bytes, const Origin& origin)
    : origin_(origin), bytes_(std::move(bytes)), rest_(bytes_) {
  values_.emplace_back();  // the one that stands for all that is passed over
  run();
}

void Pickle::run() {
  while (execute(static_cast<std::uint8_t>(take(1).front()))) {
  }
  if (stack_.size() != 1 || !marks_.empty() || !rest_.empty()) {
    origin_.refuse(
        "expected one value and the end, got {} values and {} bytes more; the file is "
        "damaged",
        stack_.size(), rest_.size());
  }
  root_ = stack_.front();
}

bool Pickle::execute(std::uint8_t opcode) {
  if (opcode == kStop) return false;
  if (execute_scalar(opcode) || execute_container(opcode) || execute_memo(opcode)) return true;
  switch (opcode) {
    case kProtocol:
      if (const std::uint64_t protocol = take_number(1); protocol > kMaxProtocol) {
        origin_.refuse("expected pickle protocol {} or earlier, got {}", kMaxProtocol, protocol);
      }
      return true;
    case kFrame:
      take(8);  // its length says nothing that the instructions do not
      return true;
    case kName: {
      const std::string_view module = take_line();
      find_name(module, take_line());
      return true;
    }
    case kNameOnStack: {
      const Value& name = values_[pop()];
      const Value& module = values_[pop()];
      find_name(module.text, name.text);
      return true;
    }
    case kCall:
      call();
      return true;
    case kBuild:
      build();
      return true;
    case kPersistent:
      find_storage();
      return true;
    default:
      origin_.refuse(
          "the pickle has instruction 0x{:02x}, which no dict of tensors needs; save "
          "model.state_dict() with torch.save",
          opcode);
  }
}

bool Pickle::execute_scalar(std::uint8_t opcode) {
  switch (opcode) {
    case kNone:
    case kTrue:
    case kFalse:
      stack_.push_back(0);
      return true;
    case kDouble:
      take(8);
      stack_.push_back(0);
      return true;
    case kBytes8:
    case kBytes32:
      take_counted(opcode == kBytes8 ? 1 : 4);
      stack_.push_back(0);
      return true;
    case kInteger32:
      push_integer(static_cast<std::int32_t>(take_number(4)));
      return true;
    case kInteger8:
      push_integer(static_cast<std::int64_t>(take_number(1)));
      return true;
    case kInteger16:
      push_integer(static_cast<std::int64_t>(take_number(2)));
      return true;
    case kLong1:
      push_long(take_counted(1));
      return true;
    case kLong4:
      push_long(take_counted(4));
      return true;
    case kText8:
      push_text(take_counted(1));
      return true;
    case kText32:
      push_text(take_counted(4));
      return true;
    case kText64:
      push_text(take_counted(8));
      return true;
    default:
      return false;
  }
}

bool Pickle::execute_container(std::uint8_t opcode) {
  switch (opcode) {
    case kMark:
      marks_.push_back(stack_.size());
      return true;
    case kEmptyTuple:
      push_tuple({});
      return true;
    case kTuple:
      push_tuple(pop_marked());
      return true;
    case kTuple1:
    case kTuple2:
    case kTuple3:
      push_last_as_tuple(static_cast<std::size_t>(opcode - kTuple1) + 1);
      return true;
    case kEmptyList:
      push({.kind = Kind::list});
      return true;
    case kAppend:
      append({pop()});
      return true;
    case kAppends:
      append(pop_marked());
      return true;
    case kEmptyDict:
      push({.kind = Kind::dict});
      return true;
    case kSetItem: {
      const Id value = pop();
      const Id key = pop();
      set_items({key, value});
      return true;
    }
    case kSetItems:
      set_items(pop_marked());
      return true;
    default:
      return false;
  }
}

bool Pickle::execute_memo(std::uint8_t opcode) {
  switch (opcode) {
    case kPut8:
      remember(take_number(1));
      return true;
    case kPut32:
      remember(take_number(4));
      return true;
    case kMemoize:
      remember(memo_.size());
      return true;
    case kGet8:
      recall(take_number(1));
      return true;
    case kGet32:
      recall(take_number(4));
      return true;
    default:
      return false;
  }
}

std::string_view Pickle::take(std::uint64_t count) {
  if (count > rest_.size()) {
    origin_.refuse("expected {} bytes more of the pickle, got {}; the file is damaged", count,
                   rest_.size());
  }
  const std::string_view taken = rest_.substr(0, static_cast<std::size_t>(count));
  rest_.remove_prefix(taken.size());
  return taken;
}

std::string_view Pickle::take_line() {
  const std::size_t end = rest_.find('\n');
  if (end == std::string_view::npos) origin_.refuse("expected a name, got no end of one");
  const std::string_view line = take(end);
  take(1);
  return line;
}

std::uint64_t Pickle::take_number(std::size_t bytes) {
  std::array<std::byte, 8> field{};
  std::ranges::copy(as_bytes(take(bytes)), field.begin());
  return load_le<std::uint64_t>(field.data());
}

std::string_view Pickle::take_counted(std::size_t length_bytes) {
  return take(take_number(length_bytes));
}

Pickle::Id Pickle::add(Value value) {
  if (values_.size() == kMaxValues) {
    origin_.refuse("expected at most {} values in the pickle, got more", kMaxValues);
  }
  values_.push_back(std::move(value));
  return static_cast<Id>(values_.size() - 1);
}

/// Two's complement, lowest byte first, in as few bytes as the number needs.
void Pickle::push_long(std::string_view digits) {
  if (digits.size() > 8) {
    origin_.refuse("expected numbers of at most 8 bytes, got one of {}", digits.size());
  }
  const bool negative = !digits.empty() && (digits.back() & 0x80) != 0;
  std::array<std::byte, 8> field;
  field.fill(negative ? std::byte{0xFF} : std::byte{0});
  std::ranges::copy(as_bytes(digits), field.begin());
  push_integer(load_le<std::int64_t>(field.data()));
}

Pickle::Id Pickle::pop() {
  const std::size_t floor = marks_.empty() ? 0 : marks_.back();
  if (stack_.size() <= floor) {
    origin_.refuse("an instruction lacks the value that it needs; the file is damaged");
  }
  const Id id = stack_.back();
  stack_.pop_back();
  return id;
}

std::vector<Pickle::Id> Pickle::pop_marked() {
  if (marks_.empty()) {
    origin_.refuse("an instruction lacks the mark that it needs; the file is damaged");
  }
  const auto from = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
  std::vector<Id> items(from, stack_.end());
  stack_.erase(from, stack_.end());
  marks_.pop_back();
  return items;
}

void Pickle::push_tuple(std::vector<Id> items) {
  push({.kind = Kind::tuple, .items = std::move(items)});
}

void Pickle::push_last_as_tuple(std::size_t count) {
  std::vector<Id> items(count);
  for (std::size_t i = count; i-- > 0;) items[i] = pop();
  push_tuple(std::move(items));
}

Pickle::Value& Pickle::open(Kind kind, std::string_view what) {
  const Id id = pop();
  if (values_[id].kind != kind) {
    origin_.refuse("an instruction adds to a {} where there is none; the file is damaged", what);
  }
  stack_.push_back(id);
  return values_[id];
}

void Pickle::append(std::vector<Id> items) {
  Value& list = open(Kind::list, "list");
  list.items.insert(list.items.end(), items.begin(), items.end());
}

void Pickle::set_items(std::vector<Id> items) {
  if (items.size() % 2 != 0) origin_.refuse("a dict has a key without a value");
  Value& dict = open(Kind::dict, "dict");
  dict.items.insert(dict.items.end(), items.begin(), items.end());
}

void Pickle::remember(std::uint64_t place) {
  if (place >= kMaxValues) {
    origin_.refuse("expected at most {} remembered values, got number {}", kMaxValues, place);
  }
  const Id id = pop();
  stack_.push_back(id);
  const auto index = static_cast<std::size_t>(place);
  if (index >= memo_.size()) memo_.resize(index + 1);
  memo_[index] = id;
}

void Pickle::recall(std::uint64_t place) {
  if (place >= memo_.size()) {
    origin_.refuse("value {} is recalled and was never remembered; the file is damaged", place);
  }
  stack_.push_back(memo_[static_cast<std::size_t>(place)]);
}

}  // namespace evenkeel::io
