// PyTorch's checkpoints: what is read, how it is named, and what is refused.
#include <gtest/gtest.h>

#include "io/io_testing.h"
#include "io/torch_file.h"
#include <evenkeel/io/torch_checkpoint.h>

namespace evenkeel::io {
namespace {

using evenkeel::testing::pickle_dict;
using evenkeel::testing::pickle_integer;
using evenkeel::testing::pickle_list;
using evenkeel::testing::pickle_name;
using evenkeel::testing::pickle_ordered_dict;
using evenkeel::testing::pickle_tensor;
using evenkeel::testing::pickle_text;
using evenkeel::testing::pickle_tuple;
using evenkeel::testing::torch_bytes;
using evenkeel::testing::torch_state_bytes;
using evenkeel::testing::TorchView;
using evenkeel::testing::zip_bytes;
using testing::contains;
using testing::same;

template <class T>
std::string bytes_of(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

const std::string kSix = bytes_of<float>({0, 1, 2, 3, 4, 5});

/// Six floats seen in some way.
std::string view(std::vector<std::int64_t> shape, std::vector<std::int64_t> strides,
                 std::int64_t offset = 0) {
  return pickle_tensor(
      {.count = 6, .offset = offset, .shape = std::move(shape), .strides = std::move(strides)});
}

class TorchFile : public ::testing::Test {
 protected:
  TorchCheckpoint read(const std::string& bytes) {
    file_.set(bytes);
    return read_torch_checkpoint(file_.path());
  }
  Tensor read_view(const std::string& tensor) {
    return read(torch_bytes(pickle_dict({{"x", tensor}}), {{"0", kSix}}))
        .dicts.at(0)
        .tensors.at(0)
        .second;
  }
  std::string refusal(const std::string& bytes) {
    return testing::message_of([&] { read(bytes); });
  }
  std::string refusal_of(const std::string& value) {
    return refusal(torch_bytes(value, {{"0", kSix}}));
  }

  testing::MemoryFile file_;
};

TEST_F(TorchFile, a_state_dict_comes_back_by_name_and_in_order) {
  const std::vector<std::pair<std::string, Tensor>> tensors = {
      {"1.weight", Tensor::from({1.0f, -2.0f, 0.5f, 3.0f}, {2, 2})},
      {"0.running_var", Tensor::from({1.0, 2.0}, {2})},
      {"0.num_batches_tracked", Tensor::from({std::int64_t{7}}, {})},
      {"none", Tensor::zeros({0, 3})},
      {"half", Tensor::full({3}, 2, DType::bf16)}};
  const TorchCheckpoint back = read(torch_state_bytes(tensors));
  ASSERT_EQ(back.dicts.size(), 1u);
  EXPECT_EQ(back.dicts[0].path, "");
  EXPECT_TRUE(back.notes.empty());
  ASSERT_EQ(back.dicts[0].tensors.size(), tensors.size());
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    EXPECT_EQ(back.dicts[0].tensors[i].first, tensors[i].first);
    EXPECT_TRUE(same(back.dicts[0].tensors[i].second, tensors[i].second)) << tensors[i].first;
  }
}

TEST_F(TorchFile, views_become_contiguous) {
  EXPECT_TRUE(
      same(read_view(view({3, 2}, {1, 3})), Tensor::from<float>({0, 3, 1, 4, 2, 5}, {3, 2})));
  EXPECT_TRUE(same(read_view(view({2, 2}, {3, 1}, 1)), Tensor::from<float>({1, 2, 4, 5}, {2, 2})));
  EXPECT_TRUE(same(read_view(view({3}, {2}, 1)), Tensor::from<float>({1, 3, 5}, {3})));
  EXPECT_TRUE(same(read_view(view({}, {}, 4)), Tensor::from({4.0f}, {})));
  EXPECT_TRUE(
      same(read_view(view({1, 6}, {77, 1})), Tensor::from<float>({0, 1, 2, 3, 4, 5}, {1, 6})));
  EXPECT_EQ(read_view(view({2, 0}, {0, 0}, 99)).numel(), 0);
}

TEST_F(TorchFile, tensors_may_share_a_storage) {
  const std::string whole = view({6}, {1});
  const TorchCheckpoint back = read(torch_bytes(
      pickle_dict({{"all", whole}, {"head", view({2}, {1})}, {"tail", view({2}, {1}, 4)}}),
      {{"0", kSix}}));
  ASSERT_EQ(back.dicts.at(0).tensors.size(), 3u);
  EXPECT_TRUE(same(back.dicts[0].tensors[2].second, Tensor::from({4.0f, 5.0f}, {2})));
}

TEST_F(TorchFile, one_tensor_of_two_names_takes_memory_once) {
  const std::string twice = "}(" + pickle_text("a") + view({6}, {1}) + std::string("q\x05", 2) +
                            pickle_text("b") + std::string("h\x05", 2) + "u";
  TorchCheckpoint back = read(torch_bytes(twice, {{"0", kSix}}));
  auto& tensors = back.dicts.at(0).tensors;
  ASSERT_EQ(tensors.size(), 2u);
  EXPECT_EQ(std::as_const(tensors[0].second).raw(), std::as_const(tensors[1].second).raw());
}

TEST_F(TorchFile, types_that_memory_lacks_are_widened_and_noted) {
  const auto one = [](const char* storage, const char* key, std::int64_t count) {
    return pickle_tensor({storage, key, count, 0, {count}, {1}});
  };
  const TorchCheckpoint back = read(torch_bytes(pickle_dict({{"half", one("HalfStorage", "0", 2)},
                                                             {"small", one("CharStorage", "1", 2)},
                                                             {"short", one("ShortStorage", "2", 1)},
                                                             {"truth", one("BoolStorage", "3", 2)},
                                                             {"bytes", one("ByteStorage", "4", 1)},
                                                             {"int", one("IntStorage", "5", 1)}}),
                                                {{"0", bytes_of<std::uint16_t>({0x3C00, 0xC000})},
                                                 {"1", std::string("\xff\x02", 2)},
                                                 {"2", bytes_of<std::int16_t>({-300})},
                                                 {"3", std::string("\x01\x00", 2)},
                                                 {"4", "\xc8"},
                                                 {"5", bytes_of<std::int32_t>({-7})}}));
  const auto& tensors = back.dicts.at(0).tensors;
  EXPECT_TRUE(same(tensors.at(0).second, Tensor::from({1.0f, -2.0f}, {2})));
  EXPECT_TRUE(same(tensors.at(1).second, Tensor::from({std::int32_t{-1}, std::int32_t{2}}, {2})));
  EXPECT_TRUE(same(tensors.at(2).second, Tensor::from({std::int32_t{-300}}, {1})));
  EXPECT_TRUE(same(tensors.at(3).second, Tensor::from({std::uint8_t{1}, std::uint8_t{0}}, {2})));
  EXPECT_TRUE(same(tensors.at(4).second, Tensor::from({std::uint8_t{200}}, {1})));
  EXPECT_TRUE(same(tensors.at(5).second, Tensor::from({std::int32_t{-7}}, {1})));
  ASSERT_EQ(back.notes.size(), 4u);
  EXPECT_EQ(back.notes[1], "1 tensor of f16 is held as f32");
}

TEST_F(TorchFile, dicts_are_found_however_nested) {
  const TorchCheckpoint back = read(torch_bytes(
      pickle_dict({{"epoch", pickle_integer(3)},
                   {"state_dict", pickle_ordered_dict({{"w", view({6}, {1})}})},
                   {"args", "N"},
                   {"rate", std::string("G\x3f\xf0\0\0\0\0\0\0", 9)},
                   {"optimizer",
                    pickle_dict({{"state", "}" + pickle_integer(0) +
                                               pickle_dict({{"step", view({}, {})}}) + "s"},
                                 {"param_groups", pickle_list({pickle_dict({{"lr", "\x88"}})})}})},
                   {"parts", pickle_list({pickle_text("no tensor"), view({2}, {1})})}}),
      {{"0", kSix}}));
  ASSERT_EQ(back.dicts.size(), 3u);
  EXPECT_EQ(back.dicts[0].path, "state_dict");
  EXPECT_EQ(back.dicts[1].path, "optimizer.state.0");
  EXPECT_EQ(back.dicts[1].tensors.at(0).first, "step");
  EXPECT_EQ(back.dicts[2].path, "parts");
  EXPECT_EQ(back.dicts[2].tensors.at(0).first, "1");
}

TEST_F(TorchFile, a_parameter_and_a_single_tensor_are_tensors) {
  const std::string parameter =
      pickle_name("torch._utils", "_rebuild_parameter") +
      pickle_tuple({view({6}, {1}), "\x88", pickle_name("collections", "OrderedDict") + ")R"}) +
      "R";
  EXPECT_EQ(read(torch_bytes(parameter, {{"0", kSix}})).dicts.at(0).tensors.at(0).second.numel(),
            6);
}

TEST_F(TorchFile, newer_protocols_are_read) {
  // STACK_GLOBAL, SHORT_BINUNICODE, MEMOIZE, FRAME and one-to-three tuples, as protocol 4 has them.
  const auto text = [](const std::string& word) {
    return std::string("\x8c") + static_cast<char>(word.size()) + word + "\x94";
  };
  const std::string pickle = std::string("\x80\x04\x95\x10\0\0\0\0\0\0\0", 11) + "}" + text("x") +
                             text("torch._utils") + text("_rebuild_tensor_v2") + "\x93(" + "(" +
                             text("storage") + text("torch") + text("FloatStorage") + "\x93" +
                             text("0") + text("cpu") + "K\x06tQ" +
                             std::string("K\x00K\x02K\x03\x86K\x03K\x01\x86\x89}t", 15) + "Rs.";
  const TorchCheckpoint back =
      read(zip_bytes({{"a/data.pkl", pickle}, {"a/byteorder", "little"}, {"a/data/0", kSix}}));
  EXPECT_TRUE(
      same(back.dicts.at(0).tensors.at(0).second, Tensor::from<float>({0, 1, 2, 3, 4, 5}, {2, 3})));
}

TEST_F(TorchFile, a_dict_that_holds_itself_ends) {
  const std::string itself = std::string("}q\x01(", 4) + pickle_text("x") + view({6}, {1}) +
                             pickle_text("me") + std::string("h\x01u", 3);
  const TorchCheckpoint back = read(torch_bytes(itself, {{"0", kSix}}));
  EXPECT_EQ(back.dicts.size(), 1u);
  ASSERT_EQ(back.notes.size(), 1u);
  EXPECT_TRUE(contains(back.notes[0], "'me'"));
}

TEST_F(TorchFile, a_dict_is_entered_once_however_many_ways_lead_to_it) {
  std::string level = view({6}, {1});
  for (int i = 0; i < 31; ++i) {
    level = "}(" + pickle_text("a") + level + "q\x01" + pickle_text("b") + "h\x01u";
  }
  const TorchCheckpoint back = read(torch_bytes(level, {{"0", kSix}}));
  EXPECT_EQ(back.dicts.size(), 1u);
  EXPECT_EQ(back.dicts.at(0).tensors.size(), 2u);
}

TEST_F(TorchFile, what_could_be_executed_is_refused_by_name) {
  const std::string call =
      pickle_name("os", "system") + pickle_tuple({pickle_text("touch x")}) + "R";
  EXPECT_TRUE(contains(refusal_of(call), "asks for 'os.system'"));
  EXPECT_TRUE(
      contains(refusal_of(pickle_dict({{"model", pickle_name("my.net", "Model") + ")\x81"}})),
               "'my.net.Model', which is no tensor, and nothing of a file is ever executed"));
  EXPECT_TRUE(contains(refusal_of(pickle_text("builtins") + pickle_text("eval") + "\x93"),
                       "'builtins.eval'"));
  EXPECT_TRUE(
      contains(refusal_of(pickle_name("torch", "ComplexFloatStorage")), "convert the tensor"));
  EXPECT_TRUE(contains(refusal_of("i os\nsystem\n"), "instruction 0x69"));
}

TEST_F(TorchFile, views_outside_of_their_storage_are_refused) {
  const std::int64_t huge = std::int64_t{1} << 62;
  for (const std::string& tensor :
       {view({7}, {1}), view({6}, {1}, 1), view({2, 3}, {4, 1}), view({2}, {huge}),
        view({2, 2}, {huge, huge}), view({1}, {1}, 6), view({1}, {1}, -1), view({2}, {-1}, 3),
        view({3, 3}, {1, 0}), view({huge}, {0}), view({huge, huge}, {0, 0}), view({-1}, {1}),
        view({2}, {1, 1}), view({1, 1, 1, 1, 1, 1, 1, 1, 1}, {1, 1, 1, 1, 1, 1, 1, 1, 1})}) {
    EXPECT_TRUE(contains(refusal_of(pickle_dict({{"x", tensor}})), "tensor 'x': expected"));
  }
}

TEST_F(TorchFile, storages_that_are_missing_or_of_another_size_are_refused) {
  TorchView other{.count = 6, .shape = {6}, .strides = {1}};
  other.key = "7";
  EXPECT_TRUE(contains(refusal_of(pickle_dict({{"x", pickle_tensor(other)}})), "no such member"));
  other.key = "0";
  other.count = 7;
  EXPECT_TRUE(contains(refusal_of(pickle_dict({{"x", pickle_tensor(other)}})), "got 24 bytes"));
  other.count = std::int64_t{1} << 62;
  EXPECT_TRUE(contains(refusal_of(pickle_dict({{"x", pickle_tensor(other)}})), "got 24 bytes"));
}

TEST_F(TorchFile, the_same_storage_again_and_again_is_refused) {
  std::vector<std::pair<std::string, std::string>> entries;
  for (int i = 0; i < 5; ++i) {
    entries.emplace_back(std::string(1, static_cast<char>('a' + i)),
                         pickle_tensor({.count = 100'000, .shape = {100'000}, .strides = {1}}));
  }
  const std::string bytes = torch_bytes(pickle_dict(entries), {{"0", std::string(400'000, '\1')}});
  EXPECT_TRUE(contains(refusal(bytes), "again and again"));
}

TEST_F(TorchFile, damaged_data_is_found_by_its_checksum) {
  std::string bytes = torch_bytes(pickle_dict({{"x", view({6}, {1})}}), {{"0", kSix}});
  bytes[bytes.find(kSix) + 5] ^= 1;
  EXPECT_TRUE(contains(refusal(bytes), "member 'archive/data/0': expected CRC-32"));
}

TEST_F(TorchFile, files_of_other_kinds_are_named) {
  EXPECT_TRUE(contains(refusal(std::string("\x80\x02\x8a\x0al\xfc\x9c\x46\xf9", 9)),
                       "older format; load it with torch.load and save it again"));
  EXPECT_TRUE(contains(refusal("hello"), "got something else"));
  EXPECT_TRUE(contains(refusal(""), "got something else"));
  EXPECT_TRUE(contains(refusal(zip_bytes({{"x.npy", "x"}})), "without a member"));
  EXPECT_TRUE(contains(refusal(zip_bytes({{"a/data.pkl", ")."}, {"a/constants.pkl", ")."}})),
                       "TorchScript"));
  // Its program is compressed, which is not what is wrong with it.
  std::string program = zip_bytes({{"a/code/__torch__.py", "abc"}, {"a/data.pkl", ")."}});
  program[8] = program[program.find("PK\1\2") + 10] = '\x08';
  EXPECT_TRUE(contains(refusal(program),
                       "TorchScript model, which is a program; load it with torch.jit.load and "
                       "save its state_dict()"));
  EXPECT_TRUE(
      contains(refusal(zip_bytes({{"a/data.pkl", ")."}, {"b/data.pkl", ")."}})), "got two"));
  EXPECT_TRUE(contains(refusal(zip_bytes({{"a/data.pkl", ")."}, {"a/byteorder", "big"}})),
                       "byte order 'big'"));
}

TEST_F(TorchFile, programs_that_go_wrong_are_refused) {
  for (const char* program : {"R",
                              "t",
                              "s",
                              "u",
                              "a",
                              "e",
                              "b",
                              "Q",
                              "\x93",
                              "q\x01",
                              "0",
                              "))",
                              "(",
                              ")R",
                              "N)R",
                              "]Na)R",
                              ")Na",
                              "N}s",
                              "h\x05",
                              "X\xff\xff\xff\xff",
                              "\x8a\x09zzzzzzzzz",
                              "c os",
                              "}(Nu",
                              "}])su"}) {
    EXPECT_FALSE(refusal_of(program).empty()) << program;
  }
}

TEST_F(TorchFile, nesting_and_names_are_bounded) {
  std::string deep;
  for (int i = 0; i < 40; ++i) deep += "}" + pickle_text("d");
  deep += view({6}, {1});
  for (int i = 0; i < 40; ++i) deep += "s";
  EXPECT_TRUE(contains(refusal_of(deep), "nested at most 32 deep"));
  EXPECT_TRUE(contains(refusal_of(pickle_dict({{std::string(2000, 'n'), view({6}, {1})}})),
                       "names of at most 1024 bytes"));
  EXPECT_TRUE(contains(refusal_of(pickle_dict({{"x", view({6}, {1})}, {"x", view({6}, {1})}})),
                       "comes twice"));
  EXPECT_TRUE(contains(refusal_of("}(N" + view({6}, {1}) + "u"), "as keys of tensors"));
}

TEST(TorchFileName, says_what_it_may_be) {
  for (const char* name : {"a.pt", "b/a.pth", "pytorch_model.bin", "x.ckpt"}) {
    EXPECT_TRUE(is_torch_checkpoint(name)) << name;
  }
  EXPECT_FALSE(is_torch_checkpoint("a.safetensors"));
  EXPECT_FALSE(is_torch_checkpoint("pt"));
}

}  // namespace
}  // namespace evenkeel::io
