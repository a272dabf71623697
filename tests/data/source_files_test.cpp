// Data sets in files.
#include <algorithm>
#include <initializer_list>
#include <map>

#include "data/support.h"
#include <evenkeel/data/source.h>
#include <evenkeel/io/npy.h>

namespace evenkeel::data {
namespace {

std::string idx(std::initializer_list<std::uint8_t> dims, const std::string& content) {
  std::string file{'\0', '\0', '\x08', static_cast<char>(dims.size())};
  for (const std::uint8_t dim : dims) file += {'\0', '\0', '\0', static_cast<char>(dim)};
  return file + content;
}

/// Three training and two test images of 2×2 pixels.
void write_mnist(const TemporaryFolder& folder, const std::string& train_labels = {0, 1, 2},
                 const std::string& test_labels = {3, 9}) {
  folder.write("train-images-idx3-ubyte", idx({3, 2, 2}, "abcdefghijkl"));
  folder.write("t10k-images-idx3-ubyte", idx({2, 2, 2}, "mnopqrst"));
  const auto count = [](const std::string& text) { return static_cast<std::uint8_t>(text.size()); };
  folder.write("train-labels-idx1-ubyte", idx({count(train_labels)}, train_labels));
  folder.write("t10k-labels-idx1-ubyte", idx({count(test_labels)}, test_labels));
}

std::string spec(const std::string& name, const TemporaryFolder& folder) {
  return name + ":" + folder.path().string();
}

std::string io_message(const std::string& source) {
  return message_of<IoError>([&] { open_source(source); });
}

TEST(Mnist, ReadsImagesAndLabels) {
  const TemporaryFolder folder;
  write_mnist(folder);
  const Splits splits = open_source(spec("mnist", folder));
  EXPECT_EQ(splits.train.samples.shape(), Shape({3, 1, 2, 2}));
  EXPECT_EQ(splits.train.samples.data<std::uint8_t>()[4], 'e');
  EXPECT_EQ(splits.train.labels, (std::vector<std::int32_t>{0, 1, 2}));
  EXPECT_EQ(splits.test.labels, (std::vector<std::int32_t>{3, 9}));
  EXPECT_EQ(splits.train.classes, 10);
  EXPECT_EQ(splits.test.classes, 10);
  EXPECT_EQ(splits.train.class_names.at(3), "3");
}

TEST(Mnist, MayHaveMoreThanTenClasses) {
  const TemporaryFolder folder;
  write_mnist(folder, {10, 11, 2}, {11, 3});
  const Splits splits = open_source(spec("mnist", folder));
  EXPECT_EQ(splits.train.classes, 12);
  EXPECT_EQ(splits.test.classes, 12);
  EXPECT_EQ(splits.test.class_names.size(), 12U);
}

TEST(Mnist, LabelFarFromTheOthersIsOutOfRange) {
  const TemporaryFolder folder;
  write_mnist(folder, {0, static_cast<char>(200), 2});
  const auto message = io_message(spec("mnist", folder));
  EXPECT_SAYS(message, "from 0 to 9");
  EXPECT_SAYS(message, "got 200 at sample 1");
  EXPECT_SAYS(message, "train-labels-idx1-ubyte");
}

TEST(Mnist, TestLabelUnknownToTrainingIsOutOfRange) {
  const TemporaryFolder folder;
  write_mnist(folder, {0, 1, 2}, {3, 10});
  EXPECT_SAYS(io_message(spec("mnist", folder)), "t10k-labels-idx1-ubyte");
}

TEST(FashionMnist, NamesItsClasses) {
  const TemporaryFolder folder;
  write_mnist(folder);
  const Splits splits = open_source(spec("fashion-mnist", folder));
  EXPECT_EQ(splits.train.class_names.size(), 10U);
  EXPECT_EQ(splits.test.class_names.at(9), "ankle boot");
}

TEST(FashionMnist, HasTenClasses) {
  const TemporaryFolder folder;
  write_mnist(folder, {0, 1, 10});
  EXPECT_SAYS(io_message(spec("fashion-mnist", folder)), "from 0 to 9");
}

TEST(Mnist, MissingFolderSaysWhatWasLookedFor) {
  const auto message = io_message("mnist:/no/such/folder");
  EXPECT_SAYS(message, "train-images-idx3-ubyte or train-images-idx3-ubyte.gz");
  EXPECT_SAYS(message, "/no/such/folder");
  EXPECT_SAYS(message, "give the folder that holds train-images-idx3-ubyte.gz");
}

TEST(Mnist, MissingPartIsNamed) {
  const TemporaryFolder folder;
  write_mnist(folder);
  std::filesystem::remove(folder.path() / "t10k-labels-idx1-ubyte");
  EXPECT_SAYS(io_message(spec("mnist", folder)), "t10k-labels-idx1-ubyte.gz");
}

TEST(Mnist, CountsMustMatch) {
  const TemporaryFolder folder;
  write_mnist(folder, {0, 1});
  const auto message = io_message(spec("mnist", folder));
  EXPECT_SAYS(message, "3 images");
  EXPECT_SAYS(message, "2 labels");
}

TEST(Mnist, SizesOfTrainingAndTestMustMatch) {
  const TemporaryFolder folder;
  write_mnist(folder);
  folder.write("t10k-images-idx3-ubyte", idx({2, 1, 4}, "mnopqrst"));
  EXPECT_SAYS(io_message(spec("mnist", folder)), "images of one size");
}

TEST(Mnist, ImagesAndLabelsMustNotBeSwapped) {
  const TemporaryFolder folder;
  write_mnist(folder);
  folder.write("train-images-idx3-ubyte", idx({3}, "abc"));
  EXPECT_SAYS(io_message(spec("mnist", folder)), "expected images [N, H, W]");
  write_mnist(folder);
  folder.write("train-labels-idx1-ubyte", idx({3, 1, 1}, "abc"));
  EXPECT_SAYS(io_message(spec("mnist", folder)), "expected labels [N]");
}

TEST(Mnist, TruncatedFileIsNamed) {
  const TemporaryFolder folder;
  write_mnist(folder);
  folder.write("train-images-idx3-ubyte", idx({3, 2, 2}, "abc"));
  EXPECT_SAYS(io_message(spec("mnist", folder)), "train-images-idx3-ubyte");
}

/// A CIFAR-10 batch file of one image per label, all pixels `pixel`.
std::string cifar(const std::string& labels, char pixel) {
  std::string file;
  for (const char label : labels) file += label + std::string(3072, pixel);
  return file;
}

TEST(Cifar10, ReadsTheBatchesThatAreThere) {
  const TemporaryFolder folder;
  folder.write("data_batch_2.bin", cifar({4, 5}, 'b'));
  folder.write("data_batch_1.bin", cifar({3}, 'a'));
  folder.write("data_batch_5.bin", cifar({9}, 'e'));
  folder.write("test_batch.bin", cifar({0, 1}, 't'));
  const Splits splits = open_source(spec("cifar10", folder));
  EXPECT_EQ(splits.train.samples.shape(), Shape({4, 3, 32, 32}));
  EXPECT_EQ(splits.train.labels, (std::vector<std::int32_t>{3, 4, 5, 9}));
  EXPECT_EQ(splits.train.samples.data<std::uint8_t>()[3072], 'b');
  EXPECT_EQ(splits.train.samples.data<std::uint8_t>()[4 * 3072 - 1], 'e');
  EXPECT_EQ(splits.test.size(), 2);
  EXPECT_EQ(splits.test.class_names.at(9), "truck");
}

TEST(Cifar10, FindsTheFolderOfTheArchive) {
  const TemporaryFolder folder;
  folder.write("cifar-10-batches-bin/data_batch_1.bin", cifar({3}, 'a'));
  folder.write("cifar-10-batches-bin/test_batch.bin", cifar({0}, 't'));
  EXPECT_EQ(open_source(spec("cifar10", folder)).train.size(), 1);
}

TEST(Cifar10, MissingFilesAreNamed) {
  const TemporaryFolder folder;
  EXPECT_SAYS(io_message(spec("cifar10", folder)), "data_batch_1.bin to data_batch_5.bin");
  folder.write("data_batch_1.bin", cifar({3}, 'a'));
  EXPECT_SAYS(io_message(spec("cifar10", folder)), "test_batch.bin");
}

TEST(Cifar10, DamagedBatchIsNamed) {
  const TemporaryFolder folder;
  folder.write("test_batch.bin", cifar({0}, 't'));
  folder.write("data_batch_1.bin", cifar({12}, 'a'));
  EXPECT_SAYS(io_message(spec("cifar10", folder)), "data_batch_1.bin");
  folder.write("data_batch_1.bin", cifar({1}, 'a') + "x");
  EXPECT_SAYS(io_message(spec("cifar10", folder)), "data_batch_1.bin");
}

TEST(Csv, IsSplitFourToOneWithSharedClasses) {
  const TemporaryFolder folder;
  std::string text = "x,kind\n";
  for (int i = 0; i < 50; ++i) text += fmt::format("{},{}\n", i, i < 25 ? "low" : "high");
  const Splits splits = open_source("csv:" + folder.write("a.csv", text));
  EXPECT_EQ(splits.train.size(), 40);
  EXPECT_EQ(splits.test.size(), 10);
  EXPECT_EQ(splits.train.class_names, (std::vector<std::string>{"high", "low"}));
  EXPECT_EQ(splits.test.class_names, splits.train.class_names);
  std::vector<float> seen;
  for (const Dataset* part : {&splits.train, &splits.test}) {
    EXPECT_EQ(part->classes, 2);
    for (std::size_t i = 0; i < part->labels.size(); ++i) {
      seen.push_back(part->samples.span<float>()[i]);
      EXPECT_EQ(part->labels[i], seen.back() < 25 ? 1 : 0);
    }
  }
  std::sort(seen.begin(), seen.end());
  for (std::size_t i = 0; i < 50; ++i) EXPECT_EQ(seen.at(i), static_cast<float>(i));
}

TEST(Csv, TakesTheNameOfTheLabelColumn) {
  const TemporaryFolder folder;
  const auto file = folder.write("a,b.csv", "kind,x\nq,1\np,2\nq,3\n");
  const Splits splits = open_source("csv:" + file + ",label=kind");
  EXPECT_EQ(splits.train.class_names, (std::vector<std::string>{"p", "q"}));
  EXPECT_EQ(splits.train.samples.dim(1), 1);
}

TEST(Csv, NeedsLabelsAndTwoRows) {
  const TemporaryFolder folder;
  const auto file = folder.write("a.csv", "x,kind\n1,2\n");
  EXPECT_SAYS(message_of<UsageError>([&] { open_source("csv:" + file + ",label=none"); }),
              "label column");
  EXPECT_SAYS(message_of<UsageError>([&] { open_source("csv:" + file); }), "at least 2 samples");
}

TEST(Csv, MissingFileIsNamed) { EXPECT_SAYS(io_message("csv:/no/such.csv"), "/no/such.csv"); }

class Npz : public testing::Test {
 protected:
  std::string write(const std::map<std::string, Tensor>& arrays) const {
    const auto path = folder_.path() / "data.npz";
    io::write_npz(path, arrays);
    return "npz:" + path.string();
  }
  static Tensor labels(std::initializer_list<std::int64_t> values) {
    return Tensor::from<std::int64_t>(values, {static_cast<std::int64_t>(values.size())});
  }

 private:
  TemporaryFolder folder_;
};

TEST_F(Npz, RowsAreSplitFourToOne) {
  const Splits splits = open_source(
      write({{"x", Tensor::zeros({5, 3}, DType::f64)}, {"y", labels({0, 1, 2, 1, 0})}}));
  EXPECT_EQ(splits.train.samples.shape(), Shape({4, 3}));
  EXPECT_EQ(splits.train.samples.dtype(), DType::f32);
  EXPECT_EQ(splits.test.size(), 1);
  EXPECT_EQ(splits.train.classes, 3);
  EXPECT_EQ(splits.test.classes, 3);
}

TEST_F(Npz, GivenPartsAreKept) {
  const Splits splits = open_source(write({{"x_train", Tensor::full({2, 3}, 1)},
                                           {"y_train", Tensor::from<std::int32_t>({0, 1}, {2})},
                                           {"x_test", Tensor::full({1, 3}, 2)},
                                           {"y_test", Tensor::from<std::uint8_t>({4}, {1})}}));
  EXPECT_EQ(splits.train.samples.span<float>()[0], 1.0F);
  EXPECT_EQ(splits.test.samples.span<float>()[0], 2.0F);
  EXPECT_EQ(splits.train.classes, 5);
  EXPECT_EQ(splits.test.classes, 5);
}

TEST_F(Npz, BytesAreImages) {
  const Splits grey = open_source(
      write({{"x", Tensor::zeros({5, 8, 9}, DType::u8)}, {"y", labels({0, 1, 2, 1, 0})}}));
  EXPECT_EQ(grey.train.sample_shape(), Shape({1, 8, 9}));
  EXPECT_EQ(grey.train.samples.dtype(), DType::u8);
  const Splits colour = open_source(
      write({{"x", Tensor::zeros({5, 3, 8, 9}, DType::u8)}, {"y", labels({0, 1, 2, 1, 0})}}));
  EXPECT_EQ(colour.train.sample_shape(), Shape({3, 8, 9}));
}

TEST_F(Npz, ImagesWithChannelsLastAreRefused) {
  EXPECT_SAYS(io_message(write(
                  {{"x", Tensor::zeros({5, 8, 9, 3}, DType::u8)}, {"y", labels({0, 1, 2, 1, 0})}})),
              "transpose");
}

TEST_F(Npz, LabelsAreChecked) {
  const auto said = [&](const Tensor& y) {
    return io_message(write({{"x", Tensor::zeros({3, 2})}, {"y", y}}));
  };
  EXPECT_SAYS(said(labels({0, -1, 2})), "got -1 at sample 1");
  EXPECT_SAYS(said(labels({0, std::int64_t{1} << 40, 2})), "at sample 1");
  EXPECT_SAYS(said(labels({0, 1})), "3 integer labels");
  EXPECT_SAYS(said(Tensor::zeros({3})), "f32");
}

TEST_F(Npz, LabelsMayBeAColumn) {
  const Splits splits =
      open_source(write({{"x", Tensor::zeros({3, 2})}, {"y", labels({0, 1, 1}).reshape({3, 1})}}));
  EXPECT_EQ(splits.train.size() + splits.test.size(), 3);
}

TEST_F(Npz, PartsMustBeOfOneKind) {
  EXPECT_SAYS(io_message(write({{"x_train", Tensor::zeros({2, 3})},
                                {"y_train", labels({0, 1})},
                                {"x_test", Tensor::zeros({1, 4})},
                                {"y_test", labels({0})}})),
              "of one kind");
}

TEST_F(Npz, MissingArraysAreNamed) {
  const auto message =
      io_message(write({{"x_train", Tensor::zeros({2, 3})}, {"y_train", labels({0, 1})}}));
  EXPECT_SAYS(message, "x_test and y_test");
  EXPECT_SAYS(message, "got x_train, y_train");
}

TEST_F(Npz, ScalarOrEmptySamplesAreRefused) {
  EXPECT_SAYS(io_message(write({{"x", Tensor::zeros({3})}, {"y", labels({0, 1, 1})}})), "[3]");
  EXPECT_SAYS(io_message(write({{"x", Tensor::zeros({0, 3})}, {"y", labels({})}})), "[0, 3]");
}

}  // namespace
}  // namespace evenkeel::data
