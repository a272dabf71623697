#include "io/torch/tensors.h"

#include <algorithm>
#include <array>
#include <limits>

namespace evenkeel::io {
namespace {

// Of the file's bytes: bytes of i8 become four of i32. More means that the same storage is shown
// again and again.
constexpr std::uint64_t kMostHeld = 4;
constexpr std::string_view kData = "data/";

std::vector<std::uint64_t> numbers_of(const Pickle& pickle, Pickle::Id tuple, std::string_view what,
                                      const Origin& origin) {
  std::vector<std::uint64_t> numbers;
  for (const Pickle::Id id : pickle[tuple].items) {
    const Pickle::Value& value = pickle[id];
    if (value.kind != Pickle::Kind::integer || value.number < 0) {
      origin.refuse("expected {} of whole numbers from 0, got something else", what);
    }
    numbers.push_back(static_cast<std::uint64_t>(value.number));
    if (numbers.size() > 64) origin.refuse("expected at most {} dimensions, got more", 64);
  }
  return numbers;
}

}  // namespace

/// A tensor as the pickle describes it, proved to lie inside of its storage.
struct TorchTensors::View {
  const Pickle::Value* storage = nullptr;
  const TorchType* type = nullptr;
  FileShape size;
  std::uint64_t offset = 0;
  std::array<std::uint64_t, Shape::kMaxRank> strides{};

  bool contiguous() const {
    std::uint64_t expected = 1;
    for (int d = size.shape.rank() - 1; d >= 0; --d) {
      if (size.shape[d] != 1 && strides[static_cast<std::size_t>(d)] != expected) return false;
      expected *= static_cast<std::uint64_t>(size.shape[d]);
    }
    return true;
  }

  void copy(std::span<const std::byte> from, Tensor& to) const {
    if (size.shape.numel() == 0) return;
    void* const out = to.raw();
    const auto count = static_cast<std::size_t>(size.shape.numel());
    const std::byte* const begin = from.data() + offset * type->size;
    if (contiguous()) return type->convert(begin, out, 0, count);
    std::array<std::int64_t, Shape::kMaxRank> index{};
    std::uint64_t at = 0;
    for (std::size_t i = 0; i < count; ++i) {
      type->convert(begin + at * type->size, out, i, 1);
      for (int d = size.shape.rank() - 1; d >= 0; --d) {
        const auto k = static_cast<std::size_t>(d);
        at += strides[k];
        if (++index[k] < size.shape[d]) break;
        at -= strides[k] * static_cast<std::uint64_t>(index[k]);
        index[k] = 0;
      }
    }
  }
};

TorchTensors::TorchTensors(const InputFile& file, const std::vector<ZipEntry>& members,
                           const Pickle& pickle, std::string_view folder)
    : file_(file), pickle_(pickle) {
  for (const ZipEntry& member : members) {
    std::string_view name = member.name;
    if (!name.starts_with(folder)) continue;
    name.remove_prefix(folder.size());
    if (!name.starts_with(kData)) continue;
    storages_[name.substr(kData.size())].member = &member;
  }
}

void TorchTensors::expect(Pickle::Id tensor) {
  if (!expected_.insert(tensor).second) return;
  const auto found = storages_.find(pickle_[pickle_[tensor].items[0]].text);
  if (found != storages_.end()) ++found->second.users;
}

TorchTensors::View TorchTensors::plan(Pickle::Id tensor, const Origin& origin) const {
  const std::vector<Pickle::Id>& parts = pickle_[tensor].items;
  View view;
  view.storage = &pickle_[parts[0]];
  view.type = view.storage->element;
  const std::int64_t offset = pickle_[parts[1]].number;
  const std::int64_t count = view.storage->number;
  if (offset < 0 || count < 0) {
    origin.refuse("expected an offset and a size of 0 or more, got {} and {}", offset, count);
  }
  const auto stored = static_cast<std::uint64_t>(count);
  view.offset = static_cast<std::uint64_t>(offset);
  const auto dims = numbers_of(pickle_, parts[2], "a shape", origin);
  const auto strides = numbers_of(pickle_, parts[3], "strides", origin);
  view.size = checked_shape(dims, view.type->size, size_of(view.type->dtype), origin);
  if (strides.size() != dims.size()) {
    origin.refuse("expected {} strides for shape {}, got {}", dims.size(), view.size.shape.str(),
                  strides.size());
  }
  std::ranges::copy(strides, view.strides.begin());
  if (view.size.shape.numel() == 0) return view;
  if (static_cast<std::uint64_t>(view.size.shape.numel()) > stored) {
    origin.refuse(
        "expected at most the {} elements of its storage, got shape {}; save what "
        "contiguous() gives of a tensor that was expanded",
        stored, view.size.shape.str());
  }
  // The last element's place, which must not wrap around.
  bool inside = view.offset < stored;
  std::uint64_t room = inside ? stored - 1 - view.offset : 0;
  for (std::size_t d = 0; inside && d < dims.size(); ++d) {
    const std::uint64_t steps = dims[d] - 1;
    inside = steps == 0 || strides[d] <= room / steps;
    if (inside) room -= steps * strides[d];
  }
  if (!inside) {
    origin.refuse(
        "expected elements inside of the {} of its storage, got offset {}, shape {} and "
        "strides beyond them; the file is damaged",
        stored, offset, view.size.shape.str());
  }
  return view;
}

/// With its bytes, whose checksum has been found right.
TorchTensors::Storage& TorchTensors::open(const View& view, const Origin& origin) {
  const std::string_view key = view.storage->text;
  const auto found = storages_.find(key);
  if (found == storages_.end()) {
    origin.refuse("expected its data in member {}, got no such member", quote(key));
  }
  Storage& storage = found->second;
  const ZipEntry& member = *storage.member;
  const auto count = static_cast<std::uint64_t>(view.storage->number);
  if (count > std::numeric_limits<std::uint64_t>::max() / view.type->size ||
      member.size != count * view.type->size) {
    origin.refuse("expected {} elements of {} in member {}, got {} bytes", count, view.type->name,
                  quote(member.name), member.size);
  }
  if (storage.bytes.empty() && member.size > 0) {
    storage.bytes.resize(static_cast<std::size_t>(member.size));
    const Origin part = file_.origin().part("member", member.name);
    ZipSource source(file_, member, part);
    read_exactly(source, storage.bytes, "member data", part);
  }
  return storage;
}

Tensor TorchTensors::read(Pickle::Id id, const Origin& origin) {
  if (const auto known = done_.find(id); known != done_.end()) return known->second;
  const View view = plan(id, origin);
  const std::uint64_t bytes =
      static_cast<std::uint64_t>(view.size.shape.numel()) * size_of(view.type->dtype);
  if (bytes > kMostHeld * file_.size() - held_) {
    origin.refuse(
        "expected tensors of at most {} times the file's {} bytes, got more: they show "
        "the same storage again and again",
        kMostHeld, file_.size());
  }
  Storage& storage = open(view, origin);
  Tensor tensor = allocate_tensor(view.size.shape, view.type->dtype, origin);
  view.copy(storage.bytes, tensor);
  held_ += bytes;
  if (storage.users > 0 && --storage.users == 0) storage.bytes = {};
  if (view.type->name != name_of(view.type->dtype)) {
    auto& [to, count] = widened_[view.type->name];
    to = view.type->dtype;
    ++count;
  }
  done_.emplace(id, tensor);
  return tensor;
}

std::vector<std::string> TorchTensors::notes() const {
  std::vector<std::string> notes;
  for (const auto& [name, to] : widened_) {
    notes.push_back(fmt::format("{} tensor{} of {} {} held as {}", to.second,
                                to.second == 1 ? "" : "s", name, to.second == 1 ? "is" : "are",
                                name_of(to.first)));
  }
  return notes;
}

}  // namespace evenkeel::io
