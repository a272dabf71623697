// The operators around normalization in the networks that are measured as a whole.

#include <functional>
#include <memory>
#include <string>

#include <fmt/format.h>

#include "micro.h"
#include <evenkeel/core/random.h>
#include <evenkeel/ops/activation.h>
#include <evenkeel/ops/conv.h>
#include <evenkeel/ops/elementwise.h>
#include <evenkeel/ops/linear.h>
#include <evenkeel/ops/pool.h>

namespace evenkeel::bench {
namespace {

Tensor random_tensor(const Shape& shape, Layout layout = Layout::channels_first) {
  Tensor tensor = Tensor::empty(shape);
  Random(1, static_cast<std::uint64_t>(shape.numel())).fill_normal(tensor.span<float>(), 0, 1);
  return tensor.to(layout);
}

/// What is measured, made when it is its turn; `bytes` it reads and writes at least, or 0, and
/// `operations` of floating point, or 0.
struct Task {
  std::function<void()> run;
  double bytes = 0, operations = 0;
};

void add_task(const std::string& name, std::function<Task()> make) {
  benchmark::RegisterBenchmark(name.c_str(), [make = std::move(make)](benchmark::State& state) {
    const Task task = make();
    for (auto _ : state) task.run();
    if (task.bytes > 0) count_bytes(state, task.bytes);
    if (task.operations > 0) {
      state.counters["FLOPS"] = benchmark::Counter(
          task.operations * static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
    }
  })->UseRealTime();
}

void add_convolution(std::int64_t n, std::int64_t in, std::int64_t out, std::int64_t extent,
                     std::int64_t kernel, Layout layout) {
  struct Data {
    ops::ConvOptions options;
    Tensor x, weight, y, dx, dweight, no_bias;
  };
  const auto data = [=] {
    auto d = std::make_shared<Data>();
    d->options.padding = {kernel / 2, kernel / 2};
    d->x = random_tensor({n, in, extent, extent}, layout);
    d->weight = random_tensor({out, in, kernel, kernel});
    d->y =
        random_tensor(ops::conv_output_shape(d->x.shape(), d->weight.shape(), d->options), layout);
    d->dx = Tensor::like(d->x);
    d->dweight = Tensor::zeros(d->weight.shape());
    return d;
  };
  const double operations = 2 * static_cast<double>(n * in * out * extent * extent) *
                            static_cast<double>(kernel * kernel);
  const std::string where =
      fmt::format("{}x{}->{}@{}/{}x{}/{}", n, in, out, extent, kernel, kernel, name_of(layout));
  add_task("conv/forward/" + where, [=] {
    const auto d = data();
    return Task{[d] { ops::conv_forward(d->x, d->weight, d->no_bias, d->options, d->y); }, 0,
                operations};
  });
  add_task("conv/backward_data/" + where, [=] {
    const auto d = data();
    return Task{[d] { ops::conv_backward_data(d->y, d->weight, d->options, d->dx); }, 0,
                operations};
  });
  add_task("conv/backward_weight/" + where, [=] {
    const auto d = data();
    return Task{[d] { ops::conv_backward_weight(d->x, d->y, d->options, d->dweight, d->no_bias); },
                0, operations};
  });
}

void add_linear(std::int64_t n, std::int64_t in, std::int64_t out) {
  const double operations = 2 * static_cast<double>(n * in * out);
  const std::string where = fmt::format("{}x{}->{}", n, in, out);
  add_task("linear/forward/" + where, [=] {
    const Tensor x = random_tensor({n, in}), weight = random_tensor({out, in});
    return Task{
        [=, y = Tensor::empty({n, out})]() mutable { ops::linear_forward(x, weight, {}, y); }, 0,
        operations};
  });
  add_task("linear/backward_weight/" + where, [=] {
    const Tensor x = random_tensor({n, in}), dy = random_tensor({n, out});
    return Task{[=, dweight = Tensor::zeros({out, in}), none = Tensor()]() mutable {
                  ops::linear_backward_weight(x, dy, dweight, none);
                },
                0, operations};
  });
}

void add_elementwise(const Shape& shape) {
  const double bytes = 4 * static_cast<double>(shape.numel());
  add_task("relu/forward/" + shape.str(), [=] {
    return Task{[x = random_tensor(shape), y = Tensor::empty(shape)]() mutable {
                  ops::activation_forward(ops::ActivationKind::relu, x, y);
                },
                2 * bytes};
  });
  add_task("add/" + shape.str(), [=] {
    return Task{[a = random_tensor(shape), b = random_tensor(shape),
                 y = Tensor::empty(shape)]() mutable { ops::add(a, b, y); },
                3 * bytes};
  });
}

void add_pooling(const Shape& shape, Layout layout) {
  const double bytes = 4 * static_cast<double>(shape.numel());
  const std::string where = fmt::format("{}/{}", shape.str(), name_of(layout));
  add_task("max_pool_2x2/forward/" + where, [=] {
    const Tensor x = random_tensor(shape, layout);
    Tensor y = Tensor::empty(ops::pool_output_shape(shape, {}), DType::f32, layout);
    return Task{[x, y]() mutable { ops::pool_forward(ops::PoolKind::max, x, {}, y); },
                1.25 * bytes};
  });
  add_task("global_average_pool/forward/" + where, [=] {
    const Tensor x = random_tensor(shape, layout);
    return Task{[x, y = Tensor::empty({shape[0], shape[1]})]() mutable {
                  ops::global_average_pool_forward(x, y);
                },
                bytes};
  });
}

}  // namespace

void add_operator_benchmarks() {
  for (const Layout layout : {Layout::channels_first, Layout::channels_last}) {
    add_convolution(128, 16, 16, 32, 3, layout);  // ResNet-20's three stages
    add_convolution(128, 32, 32, 16, 3, layout);
    add_convolution(128, 64, 64, 8, 3, layout);
    add_convolution(8, 64, 64, 56, 3, layout);  // ResNet-50
    add_convolution(8, 64, 256, 56, 1, layout);
    add_convolution(8, 512, 2048, 7, 1, layout);
    add_pooling({64, 64, 28, 28}, layout);
  }
  for (const std::int64_t n : {16, 64}) {
    add_linear(n, 784, 256);
    add_linear(n, 256, 128);
  }
  add_elementwise({128, 16, 32, 32});
  add_elementwise({32, 256, 56, 56});
}

}  // namespace evenkeel::bench
