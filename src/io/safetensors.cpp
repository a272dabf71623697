#include <algorithm>
#include <array>
#include <set>

#include "io/atomic_writer.h"
#include "io/bytes.h"
#include "io/safetensors_header.h"
#include "io/source.h"
#include <evenkeel/io/safetensors.h>

namespace evenkeel::io {
namespace {

// The limit of the format's reference implementation.
constexpr std::uint64_t kMaxHeader = 100'000'000;
constexpr std::uint64_t kLengthSize = 8;

struct StoredType {
  std::string_view name;
  std::uint64_t size;
  DType dtype;
};
constexpr std::array kStoredTypes = {
    StoredType{"F32", 4, DType::f32},   StoredType{"F64", 8, DType::f64},
    StoredType{"BF16", 2, DType::bf16}, StoredType{"F16", 2, DType::f32},
    StoredType{"I64", 8, DType::i64},   StoredType{"I32", 4, DType::i32},
    StoredType{"U8", 1, DType::u8},
};
constexpr std::array<std::string_view, 14> kOtherTypes = {
    "BOOL",    "I8",      "I16",     "U16",     "U32", "U64", "F8_E4M3",
    "F8_E5M2", "F8_E8M0", "F6_E2M3", "F6_E3M2", "F4",  "C64", "C128"};

const StoredType& find_type(const std::string& name, const Origin& origin) {
  const auto* found = std::ranges::find(kStoredTypes, name, &StoredType::name);
  if (found != kStoredTypes.end()) return *found;
  const bool known = std::ranges::find(kOtherTypes, name) != kOtherTypes.end();
  origin.refuse("expected dtype F32, F64, BF16, F16, I64, I32 or U8, got {} {}",
                known ? "the unsupported" : "the unknown", quote(name));
}

/// An entry whose dtype and shape have been checked against its offsets.
struct Planned {
  const SafetensorsEntry* entry = nullptr;
  const StoredType* type = nullptr;
  Shape shape;
};

Planned plan_entry(const SafetensorsEntry& entry, const Origin& origin) {
  const StoredType& type = find_type(entry.dtype, origin);
  const FileShape size = checked_shape(entry.shape, type.size, size_of(type.dtype), origin);
  const std::uint64_t begin = entry.offsets[0];
  const std::uint64_t end = entry.offsets[1];
  if (end < begin || end - begin != size.bytes) {
    origin.refuse("expected {} bytes for shape {} of {}, got data_offsets [{}, {}]", size.bytes,
                  size.shape.str(), type.name, begin, end);
  }
  return {&entry, &type, size.shape};
}

/// Every entry in the order of its data, after proof that the entries tile the data without hole or
/// overlap. Nothing of the size of a tensor has been allocated by then.
std::vector<Planned> plan(const SafetensorsHeader& header, std::uint64_t data_size,
                          const Origin& origin) {
  std::vector<Planned> planned;
  planned.reserve(header.entries.size());
  for (const SafetensorsEntry& entry : header.entries) {
    planned.push_back(plan_entry(entry, origin.part("tensor", entry.name)));
  }
  std::ranges::stable_sort(planned, {}, [](const Planned& p) { return p.entry->offsets; });
  std::uint64_t position = 0;
  for (const Planned& p : planned) {
    const std::uint64_t begin = p.entry->offsets[0];
    const std::uint64_t end = p.entry->offsets[1];
    if (begin != position) {
      origin.part("tensor", p.entry->name)
          .refuse("expected its data at offset {}, got {}; tensors must not {}", position, begin,
                  begin < position ? "overlap" : "leave holes");
    }
    if (end > data_size) {
      origin.part("tensor", p.entry->name)
          .refuse(
              "expected data inside the {} bytes behind the header, got [{}, {}]; the file is "
              "cut short",
              data_size, begin, end);
    }
    position = end;
  }
  if (position != data_size) {
    origin.refuse("expected {} bytes of tensors behind the header, got {}", position, data_size);
  }
  return planned;
}

Tensor read_tensor(const Planned& planned, const InputFile& file, std::uint64_t data_begin,
                   const Origin& origin) {
  Tensor tensor = allocate_tensor(planned.shape, planned.type->dtype, origin);
  FileSource source(file, data_begin + planned.entry->offsets[0],
                    planned.entry->offsets[1] - planned.entry->offsets[0]);
  if (planned.type->name != "F16") {
    read_exactly(source, {static_cast<std::byte*>(tensor.raw()), tensor.bytes()}, "data", origin);
    return tensor;
  }
  std::array<std::uint16_t, 4096> halves;
  for (auto out = tensor.span<float>(); !out.empty();) {
    const auto chunk = std::span(halves).first(std::min(halves.size(), out.size()));
    read_exactly(source, std::as_writable_bytes(chunk), "data", origin);
    std::ranges::transform(chunk, out.begin(), half_to_float);
    out = out.subspan(chunk.size());
  }
  return tensor;
}

std::uint64_t read_header_length(const InputFile& file) {
  const Origin& origin = file.origin();
  if (file.size() < kLengthSize) {
    origin.refuse("expected at least 8 bytes of header length, got {}", file.size());
  }
  std::array<std::byte, kLengthSize> bytes;
  file.read_at(0, bytes);
  const auto length = load_le<std::uint64_t>(bytes.data());
  const std::uint64_t most = std::min(file.size() - kLengthSize, kMaxHeader);
  if (length > most) {
    origin.refuse("expected a header of at most {} bytes, got a header length of {}", most, length);
  }
  return length;
}

TensorFile read_checked(const InputFile& file) {
  const std::uint64_t length = read_header_length(file);
  FileSource text(file, kLengthSize, length);
  SafetensorsHeader header = parse_safetensors_header(text, file.origin());
  const std::uint64_t data_begin = kLengthSize + length;
  TensorFile result;
  for (const Planned& p : plan(header, file.size() - data_begin, file.origin())) {
    const std::string& name = p.entry->name;
    result.tensors.emplace_back(
        name, read_tensor(p, file, data_begin, file.origin().part("tensor", name)));
  }
  result.metadata = std::move(header.metadata);
  return result;
}

std::string_view stored_name(DType dtype) {
  return std::ranges::find(kStoredTypes, dtype, &StoredType::dtype)->name;
}

SafetensorsHeader describe(const TensorFile& content, const Origin& origin) {
  SafetensorsHeader header;
  header.metadata = content.metadata;
  std::set<std::string_view> names;
  std::uint64_t position = 0;
  for (const auto& [name, tensor] : content.tensors) {
    if (name == "__metadata__") origin.refuse("a tensor cannot be called __metadata__");
    if (!names.insert(name).second) origin.refuse("tensor {} comes twice", quote(name));
    if (name.size() > kMaxTensorName) {
      origin.refuse("expected names of at most {} bytes, got {}", kMaxTensorName, quote(name));
    }
    if (!tensor.defined()) origin.refuse("tensor {} holds nothing", quote(name));
    const std::uint64_t end = position + tensor.bytes();
    SafetensorsEntry entry{name, std::string(stored_name(tensor.dtype())), {}, {position, end}};
    for (const std::int64_t dim : tensor.shape().dims()) {
      entry.shape.push_back(static_cast<std::uint64_t>(dim));
    }
    header.entries.push_back(std::move(entry));
    position = end;
  }
  return header;
}

}  // namespace

const Tensor* TensorFile::find(const std::string& name) const {
  const auto found = std::ranges::find(tensors, name, &std::pair<std::string, Tensor>::first);
  return found == tensors.end() ? nullptr : &found->second;
}

TensorFile read_safetensors(const std::filesystem::path& path) {
  const InputFile file(path, Origin("safetensors", path));
  try {
    return read_checked(file);
  } catch (const std::bad_alloc&) {
    file.origin().refuse("not enough memory for its {} bytes", file.size());
  }
}

void write_safetensors(const std::filesystem::path& path, const TensorFile& content) {
  const Origin origin("safetensors", path);
  const std::string header = make_safetensors_header(describe(content, origin), origin);
  if (header.size() > kMaxHeader) {
    origin.refuse("expected a header of at most {} bytes, got {}", kMaxHeader, header.size());
  }
  std::string length;
  append_le<std::uint64_t>(length, header.size());
  AtomicWriter writer(path);
  writer.write(length);
  writer.write(header);
  for (const auto& [name, tensor] : content.tensors) {
    const Tensor stored = tensor.to(Layout::channels_first);
    writer.write(std::span(static_cast<const std::byte*>(stored.raw()), stored.bytes()));
  }
  writer.commit();
}

}  // namespace evenkeel::io
