#include <algorithm>
#include <atomic>
#include <limits>
#include <new>
#include <set>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "data/support.h"
#include <evenkeel/core/memory.h>
#include <evenkeel/core/parallel.h>
#include <evenkeel/data/loader.h>

namespace evenkeel::data {
namespace {

std::vector<std::int64_t> sizes_of(const std::vector<Batch>& batches) {
  std::vector<std::int64_t> result;
  for (const Batch& batch : batches) result.push_back(batch.size());
  return result;
}

TEST(Loader, WithoutShuffleKeepsTheOrder) {
  Loader loader(numbered_rows(10), {.batch_size = 4});
  EXPECT_EQ(labels_of(collect(loader, 3)),
            (std::vector<std::int32_t>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}));
}

TEST(Loader, LabelsStayWithTheirSamples) {
  Loader loader(numbered_rows(100), {.batch_size = 7, .shuffle = true});
  for (const Batch& batch : collect(loader, 0)) {
    ASSERT_EQ(batch.x.shape(), Shape({batch.size(), 1}));
    for (std::int64_t i = 0; i < batch.size(); ++i) {
      EXPECT_EQ(batch.x.data<float>()[i],
                static_cast<float>(batch.labels[static_cast<std::size_t>(i)]));
    }
  }
}

RC_GTEST_PROP(Loader, ShuffleVisitsEverySampleOnce, ()) {
  const auto n = *rc::gen::inRange<std::int64_t>(0, 200);
  LoaderOptions options{.batch_size = *rc::gen::inRange<std::int64_t>(1, 50), .shuffle = true};
  options.seed = *rc::gen::arbitrary<std::uint64_t>();
  Loader loader(numbered_rows(n), options);
  auto labels = labels_of(collect(loader, *rc::gen::inRange<std::int64_t>(0, 1000)));
  std::sort(labels.begin(), labels.end());
  RC_ASSERT(labels == numbered_rows(n).labels);
}

TEST(Loader, OrderDependsOnSeedAndEpoch) {
  const Dataset data = numbered_rows(100);
  std::set<std::vector<std::int32_t>> orders;
  for (const std::uint64_t seed : {1u, 2u}) {
    Loader loader(data, {.shuffle = true, .seed = seed});
    for (std::int64_t epoch = 0; epoch < 3; ++epoch)
      orders.insert(labels_of(collect(loader, epoch)));
  }
  EXPECT_EQ(orders.size(), 6U);
}

TEST(Loader, EpochIsTheSameWheneverItIsAsked) {
  const Dataset data = numbered_rows(50);
  Loader first(data, {.batch_size = 8, .shuffle = true, .seed = 4});
  Loader second(data, {.batch_size = 8, .shuffle = true, .seed = 4});
  (void)collect(first, 0);
  (void)collect(first, 1);
  EXPECT_TRUE(same(collect(first, 2), collect(second, 2)));
}

RC_GTEST_PROP(Loader, StartInsideAnEpochGivesExactlyItsTail, ()) {
  const auto n = *rc::gen::inRange<std::int64_t>(1, 60);
  LoaderOptions options{.batch_size = *rc::gen::inRange<std::int64_t>(1, 9), .shuffle = true};
  options.augment = {.flip = true, .crop = 1};
  options.last = *rc::gen::element(LastBatch::keep, LastBatch::drop, LastBatch::keep_all);
  options.prefetch = *rc::gen::arbitrary<bool>();
  Loader loader(counting_bytes({n, 1, 3, 3}), options);
  const auto whole = collect(loader, 5);
  const auto first = *rc::gen::inRange<std::int64_t>(0, loader.batches_per_epoch() + 1);
  const auto tail = collect(loader, 5, first);
  RC_ASSERT(same(tail, {whole.begin() + first, whole.end()}));
}

TEST(Loader, KeepAllKeepsASingleLastSample) {
  Loader loader(numbered_rows(9), {.batch_size = 4, .last = LastBatch::keep_all});
  EXPECT_EQ(loader.batches_per_epoch(), 3);
  EXPECT_EQ(sizes_of(collect(loader, 0)), (std::vector<std::int64_t>{4, 4, 1}));
}

TEST(Loader, KeepDropsASingleLastSampleOnly) {
  Loader nine(numbered_rows(9), {.batch_size = 4, .last = LastBatch::keep});
  EXPECT_EQ(nine.batches_per_epoch(), 2);
  EXPECT_EQ(sizes_of(collect(nine, 0)), (std::vector<std::int64_t>{4, 4}));
  Loader ten(numbered_rows(10), {.batch_size = 4, .last = LastBatch::keep});
  EXPECT_EQ(ten.batches_per_epoch(), 3);
  EXPECT_EQ(sizes_of(collect(ten, 0)), (std::vector<std::int64_t>{4, 4, 2}));
}

TEST(Loader, DropDropsEveryShortBatch) {
  Loader loader(numbered_rows(10), {.batch_size = 4, .last = LastBatch::drop});
  EXPECT_EQ(sizes_of(collect(loader, 0)), (std::vector<std::int64_t>{4, 4}));
  Loader even(numbered_rows(8), {.batch_size = 4, .last = LastBatch::drop});
  EXPECT_EQ(even.batches_per_epoch(), 2);
}

TEST(Loader, BatchesOfOneAreKeptWhereAskedFor) {
  Loader loader(numbered_rows(3), {.batch_size = 1, .last = LastBatch::keep});
  EXPECT_EQ(loader.batches_per_epoch(), 3);
}

TEST(Loader, EmptyDatasetHasNoBatches) {
  Loader loader(numbered_rows(0), {.shuffle = true});
  EXPECT_EQ(loader.batches_per_epoch(), 0);
  EXPECT_TRUE(collect(loader, 0).empty());
}

TEST(Loader, BatchLargerThanTheDatasetIsTheDataset) {
  Loader loader(numbered_rows(3), {.batch_size = std::numeric_limits<std::int64_t>::max()});
  EXPECT_EQ(sizes_of(collect(loader, 0)), (std::vector<std::int64_t>{3}));
}

TEST(Loader, PrefetchAndThreadsDoNotChangeABit) {
  const Dataset data = counting_bytes({40, 3, 8, 8});
  const Normalization normalization = measure_normalization(data);
  const int threads = max_threads();
  std::vector<std::vector<Batch>> runs;
  for (const bool prefetch : {false, true}) {
    for (const int count : {1, 2, 5}) {
      set_max_threads(count);
      Loader loader(data, {.batch_size = 7,
                           .shuffle = true,
                           .augment = {.flip = true, .crop = 2},
                           .normalization = normalization,
                           .layout = Layout::channels_last,
                           .seed = 11,
                           .prefetch = prefetch});
      runs.push_back(collect(loader, 2));
    }
  }
  set_max_threads(threads);
  for (const auto& run : runs) EXPECT_TRUE(same(run, runs.front()));
}

TEST(Loader, BatchOutlivesTheLoader) {
  Batch batch;
  {
    Loader loader(numbered_rows(8), {.batch_size = 4});
    loader.start(0);
    ASSERT_TRUE(loader.next(batch));
  }
  EXPECT_EQ(batch.x.data<float>()[3], 3.0F);
}

TEST(Loader, KeptBatchesAreNotOverwrittenByLaterOnes) {
  Loader loader(numbered_rows(64), {.batch_size = 4});
  const auto batches = collect(loader, 0);
  for (std::size_t i = 0; i < batches.size(); ++i) {
    EXPECT_EQ(batches[i].x.data<float>()[0], static_cast<float>(4 * i));
  }
}

TEST(Loader, StartAgainLeavesTheCurrentEpoch) {
  Loader loader(numbered_rows(100), {.batch_size = 4, .shuffle = true});
  const auto wanted = collect(loader, 7);
  for (int consumed = 0; consumed < 5; ++consumed) {
    loader.start(1);
    Batch batch;
    for (int i = 0; i < consumed; ++i) ASSERT_TRUE(loader.next(batch));
    EXPECT_TRUE(same(collect(loader, 7), wanted));
  }
}

TEST(Loader, GoesAwayInTheMiddleOfAnEpoch) {
  for (int consumed = 0; consumed < 4; ++consumed) {
    Loader loader(numbered_rows(1000), {.batch_size = 4});
    loader.start(0);
    Batch batch;
    for (int i = 0; i < consumed; ++i) ASSERT_TRUE(loader.next(batch));
  }
}

TEST(Loader, StaysAtTheEnd) {
  Loader loader(numbered_rows(4), {.batch_size = 4});
  Batch batch;
  loader.start(0);
  EXPECT_TRUE(loader.next(batch));
  EXPECT_FALSE(loader.next(batch));
  EXPECT_FALSE(loader.next(batch));
}

TEST(Loader, NextBeforeStartIsRefused) {
  Loader loader(numbered_rows(4), {});
  Batch batch;
  EXPECT_SAYS(message_of<StateError>([&] { loader.next(batch); }), "start(epoch)");
}

TEST(Loader, ErrorOfTheOtherThreadComesOutOfNext) {
  Loader loader(numbered_rows(100), {.batch_size = 4});
  std::atomic<int> left = 2;
  set_allocation_hook([&](std::size_t) { return left-- > 0; });
  loader.start(0);
  Batch batch;
  EXPECT_TRUE(loader.next(batch));
  EXPECT_TRUE(loader.next(batch));
  EXPECT_THROW(loader.next(batch), std::bad_alloc);
  EXPECT_THROW(loader.next(batch), std::bad_alloc);
  set_allocation_hook({});
  EXPECT_EQ(collect(loader, 0).size(), 25U) << "and the loader works again";
}

TEST(Loader, ErrorWithoutPrefetchLeavesTheBatchToBeAskedForAgain) {
  Loader loader(numbered_rows(8), {.batch_size = 4, .prefetch = false});
  loader.start(0);
  Batch batch;
  set_allocation_hook([](std::size_t) { return false; });
  EXPECT_THROW(loader.next(batch), std::bad_alloc);
  set_allocation_hook({});
  ASSERT_TRUE(loader.next(batch));
  EXPECT_EQ(batch.labels.front(), 0);
}

TEST(Loader, WarmEpochAsksTheSystemForNoMemory) {
  Loader loader(counting_bytes({64, 3, 8, 8}), {.batch_size = 8, .prefetch = false});
  Batch batch;
  const auto run = [&] {
    loader.start(0);
    while (loader.next(batch)) continue;
  };
  run();
  const std::uint64_t before = memory_stats().system_requests;
  run();
  EXPECT_EQ(memory_stats().system_requests, before);
}

TEST(Loader, OptionsOutOfRangeAreRefused) {
  const Dataset data = numbered_rows(4);
  EXPECT_SAYS(message_of<UsageError>([&] { Loader(data, {.batch_size = 0}); }), "got 0");
  Loader loader(data, {.batch_size = 2});
  EXPECT_SAYS(message_of<UsageError>([&] { loader.start(-1); }), "epoch");
  EXPECT_SAYS(message_of<UsageError>([&] { loader.start(0, 3); }), "from 0 to 2");
  EXPECT_SAYS(message_of<UsageError>([&] { loader.start(0, -1); }), "from 0 to 2");
}

TEST(Loader, LabelsMustMatchSamples) {
  Dataset data = numbered_rows(4);
  data.labels.pop_back();
  EXPECT_SAYS(message_of<ShapeError>([&] { Loader(data, {}); }), "4 samples and 3 labels");
}

TEST(Loader, NormalizationMustMatchChannels) {
  EXPECT_SAYS(message_of<ShapeError>([] {
                Loader(counting_bytes({4, 3, 2, 2}), {.normalization = {{0.5F}, {0.5F}}});
              }),
              "expected 3");
}

TEST(Loader, SamplesOfOtherTypesAreRefused) {
  Dataset data = numbered_rows(4);
  data.samples = data.samples.to(DType::f64);
  EXPECT_SAYS(message_of<ShapeError>([&] { Loader(data, {}); }), "f64");
}

}  // namespace
}  // namespace evenkeel::data
