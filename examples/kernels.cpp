// Batch norm on plain arrays: the kernels alone, without tensors or networks. Links evenkeel::norm.
#include <evenkeel/norm/batch_norm.h>

#include <cstdio>
#include <vector>

int main() {
  namespace norm = evenkeel::norm;

  // Two samples of three channels of four positions, channels first.
  const std::vector<float> x{1, 2, 3, 4, 10, 20, 30, 40, 5, 5, 5, 5,
                             5, 6, 7, 8, 50, 60, 70, 80, 5, 5, 5, 5};
  std::vector<float> y(x.size());
  const norm::ConstChannelView in{x.data(), evenkeel::DType::f32,
                                  evenkeel::Layout::channels_first, 2, 3, 4};
  const norm::ChannelView out{y.data(), in.dtype, in.layout, in.n, in.c, in.s};

  const std::vector<float> gamma{1, 1, 2}, beta{0, 1, -1};
  const norm::Affine affine{std::span<const float>(gamma), std::span<const float>(beta)};
  const norm::Epilogue epilogue{.activation = norm::Activation::relu, .add = {}};

  std::vector<double> mean(3, 0.0), var(3, 1.0);
  std::int64_t batches = 0;
  norm::RunningStats running{mean, var, &batches};

  // The caller owns all memory.
  std::vector<std::byte> state_memory(norm::state_size(in, epilogue));
  std::vector<std::byte> workspace(norm::workspace_size(in));
  norm::BatchNormState state = norm::bind_state(state_memory, in, epilogue);
  norm::forward_train(in, affine, 1e-5, &running, epilogue, out, state, workspace);

  for (std::size_t c = 0; c < 3; ++c) {
    std::printf("channel %zu: mean %5.2f  variance %7.2f  running mean %5.2f  y[0] %5.2f\n", c,
                state.mean[c], state.var[c], mean[c], static_cast<double>(y[c * 4]));
  }
  return y[8] == 0.0F && batches == 1 ? 0 : 1;  // a constant channel becomes relu(β)
}
