// From the zip file to dicts of tensors.

#include <algorithm>
#include <array>
#include <set>

#include "io/bytes.h"
#include "io/safetensors_header.h"
#include "io/torch/pickle.h"
#include "io/torch/tensors.h"
#include "io/zip.h"
#include <evenkeel/io/torch_checkpoint.h>

namespace evenkeel::io {
namespace {

constexpr std::string_view kPickle = "data.pkl";
constexpr std::uint64_t kMaxPickle = 16 << 20;
constexpr std::size_t kMaxDepth = 32;

/// What the first bytes say of files that are none of ours.
void check_beginning(const InputFile& file) {
  std::array<std::byte, 4> head{};
  file.read_at(0, std::span(head).first(
                      static_cast<std::size_t>(std::min<std::uint64_t>(head.size(), file.size()))));
  const auto begins = [&](std::string_view magic) {
    return std::ranges::equal(as_bytes(magic), std::span(head).first(magic.size()));
  };
  if (begins("PK")) return;
  if (begins("\x80")) {
    file.origin().refuse(
        "expected the zip file that torch.save writes since PyTorch 1.6, got the older format; "
        "load it with torch.load and save it again with torch.save");
  }
  file.origin().refuse("expected a zip file written by torch.save, got something else");
}

/// TorchScript keeps its program in members of the folder "code", which it compresses.
void check_no_program(const InputFile& file, const std::vector<ZipEntry>& members) {
  for (const ZipEntry& member : members) {
    const std::string_view name = member.name;
    const std::size_t slash = name.find('/');
    const bool code =
        slash != std::string_view::npos && name.substr(slash + 1).starts_with("code/");
    if (code || name.ends_with("/constants.pkl")) {
      file.origin().refuse(
          "expected tensors, got a TorchScript model, which is a program; load it with "
          "torch.jit.load and save its state_dict() with torch.save");
    }
  }
}

/// Compressed members could be far larger than the file; torch.save never writes any.
void check_stored(const InputFile& file, const std::vector<ZipEntry>& members) {
  for (const ZipEntry& member : members) {
    if (member.method != ZipEntry::Method::stored) {
      file.origin()
          .part("member", member.name)
          .refuse("expected it stored as it is, as torch.save does, got it compressed");
    }
  }
}

const ZipEntry& find_pickle(const InputFile& file, const std::vector<ZipEntry>& members) {
  const ZipEntry* found = nullptr;
  for (const ZipEntry& member : members) {
    const std::string_view name = member.name;
    const std::size_t slash = name.find('/');
    if (slash == std::string_view::npos || name.substr(slash + 1) != kPickle) continue;
    if (found != nullptr) file.origin().refuse("expected one {}, got two", kPickle);
    found = &member;
  }
  if (found == nullptr) {
    file.origin().refuse(
        "expected a zip file written by torch.save, got one without a member '<name>/{}'", kPickle);
  }
  return *found;
}

std::string text_of(const InputFile& file, const ZipEntry& member, std::uint64_t limit) {
  const Origin origin = file.origin().part("member", member.name);
  if (member.size > limit) {
    origin.refuse("expected at most {} bytes, got {}", limit, member.size);
  }
  std::string text(static_cast<std::size_t>(member.size), '\0');
  ZipSource source(file, member, origin);
  read_exactly(source, std::as_writable_bytes(std::span<char>(text)), "member data", origin);
  return text;
}

void check_byte_order(const InputFile& file, const std::vector<ZipEntry>& members,
                      std::string_view folder) {
  const std::string name = std::string(folder) + "byteorder";
  const auto member = std::ranges::find(members, name, &ZipEntry::name);
  if (member == members.end()) return;  // before PyTorch 2.1
  const std::string order = text_of(file, *member, 16);
  if (order != "little") {
    file.origin().refuse(
        "expected little-endian numbers, got byte order {}; save it on another machine",
        quote(order));
  }
}

/// Finds the dicts and lists that hold tensors.
class Collector {
 public:
  Collector(const Pickle& pickle, const Origin& origin)
      : pickle_(pickle), origin_(origin), names_left_(16 * pickle.size() + 4096) {}

  struct Entry {
    std::string name;
    Pickle::Id tensor;
  };
  struct Dict {
    std::string path;
    std::vector<Entry> entries;
  };

  std::vector<Dict> collect() {
    if (pickle_[pickle_.root()].kind == Pickle::Kind::tensor) {
      return {{"", {{"tensor", pickle_.root()}}}};
    }
    enter(pickle_.root(), "", 0);
    return std::move(dicts_);
  }
  const std::vector<std::string>& notes() const { return notes_; }

 private:
  static bool is_container(const Pickle::Value& value) {
    return value.kind == Pickle::Kind::dict || value.kind == Pickle::Kind::list ||
           value.kind == Pickle::Kind::tuple;
  }

  /// Names may be remembered once and used again and again: what they take is bounded as a whole.
  std::string counted(std::string name) {
    if (name.size() > kMaxTensorName) {
      origin_.refuse("expected names of at most {} bytes, got {}", kMaxTensorName, quote(name));
    }
    if (name.size() > names_left_) {
      origin_.refuse("the names of its tensors are far longer than its pickle; it is a trap");
    }
    names_left_ -= name.size();
    return name;
  }

  std::string name_of_key(const Pickle::Value& key) const {
    if (key.kind == Pickle::Kind::text) return std::string(key.text);
    if (key.kind == Pickle::Kind::integer) return fmt::format("{}", key.number);
    origin_.refuse("expected texts or whole numbers as keys of tensors, got something else");
  }

  void enter(Pickle::Id id, const std::string& path, std::size_t depth) {
    const Pickle::Value& value = pickle_[id];
    if (!is_container(value)) return;
    if (depth == kMaxDepth) {
      origin_.refuse("expected dicts nested at most {} deep, got more", kMaxDepth);
    }
    if (!seen_.insert(id).second) return;
    const bool dict = value.kind == Pickle::Kind::dict;
    const std::size_t step = dict ? 2 : 1;
    const auto name_at = [&](std::size_t i) {
      return dict ? name_of_key(pickle_[value.items[i]]) : fmt::format("{}", i);
    };
    add_tensors(value, path, name_at);
    for (std::size_t i = 0; i < value.items.size(); i += step) {
      const Pickle::Id inner = value.items[i + step - 1];
      if (!is_container(pickle_[inner]) || pickle_[inner].items.empty()) continue;
      const std::string name = name_at(i);
      if (seen_.contains(inner)) {
        if (notes_.size() < 3) {
          notes_.push_back(fmt::format("{} is another one once more and left out", quote(name)));
        }
        continue;
      }
      enter(inner, counted(path.empty() ? name : path + "." + name), depth + 1);
    }
  }

  template <class NameAt>
  void add_tensors(const Pickle::Value& value, const std::string& path, const NameAt& name_at) {
    const std::size_t step = value.kind == Pickle::Kind::dict ? 2 : 1;
    Dict dict{path, {}};
    std::set<std::string> names;
    for (std::size_t i = 0; i < value.items.size(); i += step) {
      const Pickle::Id inner = value.items[i + step - 1];
      if (pickle_[inner].kind != Pickle::Kind::tensor) continue;
      dict.entries.push_back({counted(name_at(i)), inner});
      if (!names.insert(dict.entries.back().name).second) {
        origin_.refuse("tensor {} comes twice", quote(dict.entries.back().name));
      }
    }
    if (!dict.entries.empty()) dicts_.push_back(std::move(dict));
  }

  const Pickle& pickle_;
  const Origin& origin_;
  std::size_t names_left_;
  std::set<Pickle::Id> seen_;
  std::vector<Dict> dicts_;
  std::vector<std::string> notes_;
};

TorchCheckpoint read_checked(const InputFile& file) {
  check_beginning(file);
  const std::vector<ZipEntry> members = read_zip_directory(file);
  check_no_program(file, members);
  check_stored(file, members);
  const ZipEntry& program = find_pickle(file, members);
  const std::string_view folder =
      std::string_view(program.name).substr(0, program.name.size() - kPickle.size());
  check_byte_order(file, members, folder);
  const Origin origin = file.origin().part("member", program.name);
  const Pickle pickle(text_of(file, program, kMaxPickle), origin);
  Collector collector(pickle, origin);
  const std::vector<Collector::Dict> dicts = collector.collect();
  TorchTensors tensors(file, members, pickle, folder);
  for (const auto& dict : dicts) {
    for (const auto& entry : dict.entries) tensors.expect(entry.tensor);
  }
  TorchCheckpoint result;
  for (const auto& dict : dicts) {
    TensorDict& read = result.dicts.emplace_back();
    read.path = dict.path;
    for (const auto& [name, id] : dict.entries) {
      read.tensors.emplace_back(name, tensors.read(id, file.origin().part("tensor", name)));
    }
  }
  result.notes = tensors.notes();
  result.notes.insert(result.notes.end(), collector.notes().begin(), collector.notes().end());
  return result;
}

}  // namespace

TorchCheckpoint read_torch_checkpoint(const std::filesystem::path& path) {
  const InputFile file(path, Origin("torch", path));
  try {
    return read_checked(file);
  } catch (const std::bad_alloc&) {
    file.origin().refuse("not enough memory for its {} bytes", file.size());
  }
}

bool is_torch_checkpoint(const std::filesystem::path& path) {
  const std::filesystem::path ending = path.extension();
  return ending == ".pt" || ending == ".pth" || ending == ".bin" || ending == ".ckpt";
}

}  // namespace evenkeel::io
