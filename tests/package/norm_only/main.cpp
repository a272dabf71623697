// Another project's batch norm on plain arrays, which links evenkeel::norm and nothing else of
// evenkeel.
#include <cmath>
#include <cstdio>
#include <vector>

#include <evenkeel/core/error.h>
#include <evenkeel/norm/batch_norm.h>

namespace norm = evenkeel::norm;

namespace {

int failures = 0;

void expect(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "not so: %s\n", what);
  ++failures;
}

norm::ConstChannelView view(const std::vector<float>& x, std::int64_t n, std::int64_t c,
                            std::int64_t s) {
  return {x.data(), evenkeel::DType::f32, evenkeel::Layout::channels_first, n, c, s};
}

void normalizes() {
  // Two samples of two channels of two positions.
  const std::vector<float> x{1, 3, 10, 10, 5, 7, 10, 10};
  std::vector<float> y(x.size());
  const auto in = view(x, 2, 2, 2);
  const norm::ChannelView out{y.data(), in.dtype, in.layout, in.n, in.c, in.s};
  std::vector<double> mean(2, 0.0), var(2, 1.0);
  norm::RunningStats running{.mean = mean, .var = var};
  std::vector<std::byte> memory(norm::state_size(in, {})), workspace(norm::workspace_size(in));
  norm::BatchNormState state = norm::bind_state(memory, in, {});
  norm::forward_train(in, {}, 1e-12, &running, {}, out, state, workspace);

  expect(state.mean[0] == 4.0 && state.var[0] == 5.0,
         "the batch statistics of 1 3 5 7 are 4 and 5");
  expect(std::abs(y[0] + 3 / std::sqrt(5.0F)) < 1e-6F, "y = (x - mean) / sqrt(var)");
  expect(y[2] == 0.0F, "a constant channel becomes zero");
  expect(std::abs(mean[0] - 0.4) < 1e-15, "the running mean follows with momentum 0.1");
}

void refuses() {
  const std::vector<float> x{1, 2};
  std::vector<float> y(2);
  const auto in = view(x, 1, 2, 1);  // one value per channel has no variance
  const norm::ChannelView out{y.data(), in.dtype, in.layout, in.n, in.c, in.s};
  std::vector<std::byte> memory(norm::state_size(in, {})), workspace(norm::workspace_size(in));
  norm::BatchNormState state = norm::bind_state(memory, in, {});
  bool caught = false;
  try {
    norm::forward_train(in, {}, 1e-5, nullptr, {}, out, state, workspace);
  } catch (const evenkeel::ShapeError& error) {
    caught = true;
    std::printf("refused: %s\n", error.what());
  }
  expect(caught, "an error keeps its type on the way out of the library");
}

}  // namespace

int main() {
  normalizes();
  refuses();
  return failures == 0 ? 0 : 1;
}
