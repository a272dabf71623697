// The public data sets, where EVENKEEL_DATA names the folder that holds them.
#include <algorithm>
#include <array>
#include <cstdlib>

#include "data/support.h"
#include <evenkeel/data/source.h>

namespace evenkeel::data {
namespace {

class RealData : public testing::Test {
 protected:
  void SetUp() override {
    const char* folder = std::getenv("EVENKEEL_DATA");
    if (folder == nullptr || *folder == '\0') {
      GTEST_SKIP() << "EVENKEEL_DATA is not set: it names the folder with mnist/, fashion-mnist/ "
                      "and cifar10/";
    }
    folder_ = folder;
  }
  Splits open(const std::string& name, const std::string& inside) const {
    return open_source(name + ":" + folder_ + "/" + inside);
  }
  static std::array<int, 10> counts(const Dataset& data) {
    std::array<int, 10> result{};
    for (const std::int32_t label : data.labels) ++result.at(static_cast<std::size_t>(label));
    return result;
  }

  std::string folder_;
};

TEST_F(RealData, Mnist) {
  const Splits splits = open("mnist", "mnist");
  EXPECT_EQ(splits.train.samples.shape(), Shape({60000, 1, 28, 28}));
  EXPECT_EQ(splits.test.samples.shape(), Shape({10000, 1, 28, 28}));
  EXPECT_EQ(splits.train.classes, 10);
  EXPECT_EQ(counts(splits.test),
            (std::array{980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009}));
  const Normalization normalization = measure_normalization(splits.train);
  EXPECT_NEAR(normalization.mean[0], 0.1307, 5e-5);
  EXPECT_NEAR(normalization.stddev[0], 0.3081, 5e-5);
}

TEST_F(RealData, FashionMnist) {
  const Splits splits = open("fashion-mnist", "fashion-mnist");
  EXPECT_EQ(splits.train.samples.shape(), Shape({60000, 1, 28, 28}));
  for (const int count : counts(splits.train)) EXPECT_EQ(count, 6000);
  const Normalization normalization = measure_normalization(splits.train);
  EXPECT_NEAR(normalization.mean[0], 0.2860, 5e-5);
  EXPECT_NEAR(normalization.stddev[0], 0.3530, 5e-5);
}

TEST_F(RealData, Cifar10) {
  const Splits splits = open("cifar10", "cifar10");
  EXPECT_EQ(splits.train.size() % 10000, 0);
  EXPECT_EQ(splits.train.sample_shape(), Shape({3, 32, 32}));
  for (const int count : counts(splits.test)) EXPECT_EQ(count, 1000);
  EXPECT_EQ(open("cifar10", "cifar10/cifar-10-batches-bin").train.size(), splits.train.size());
}

}  // namespace
}  // namespace evenkeel::data
