#include "train/run_log.h"

#include "train/json_line.h"

namespace evenkeel::train {
namespace {

/// The percentiles of a batch norm under their names, in the order in which they are written.
std::vector<std::pair<std::string, const std::vector<double>*>> parts_of(const NormSummary& norm) {
  return {{"mean_gap", &norm.mean_gap}, {"std_ratio", &norm.std_ratio}, {"gamma", &norm.gamma},
          {"beta", &norm.beta},         {"input", &norm.input},         {"output", &norm.output}};
}

}  // namespace

RunLog::RunLog(const model::RunFolder& folder)
    : metrics_(folder.metrics()), events_(folder.events()) {}

void RunLog::start(const RunInfo& info) {
  const Settings& settings = info.settings;
  if (info.resumed) {
    metrics_.write(JsonLine("resume").add("step", info.resumed->step).str());
    return;
  }
  metrics_.write(JsonLine("run")
                     .add("net", settings.net)
                     .add("data", settings.data)
                     .add("norm", settings.norm)
                     .add("optimizer", settings.optimizer)
                     .add("lr", settings.lr.value_or(0))
                     .add("batch_size", settings.batch_size)
                     .add("epochs", settings.epochs)
                     .add("steps", info.total_steps)
                     .add("seed", static_cast<std::int64_t>(settings.seed))
                     .add("parameters", info.parameters)
                     .add("train_samples", info.train_samples)
                     .add("validation_samples", info.validation_samples)
                     .add("test_samples", info.test_samples)
                     .str());
}

void RunLog::step(std::int64_t step, std::int64_t epoch, double loss, double accuracy, double lr) {
  metrics_.write(JsonLine("step")
                     .add("step", step)
                     .add("epoch", epoch)
                     .add("loss", loss)
                     .add("accuracy", accuracy)
                     .add("lr", lr)
                     .str());
  events_.scalar("step/loss", loss, step);
  events_.scalar("step/lr", lr, step);
}

void RunLog::epoch(const EpochRecord& record, nn::Module& network) {
  JsonLine line("epoch");
  line.add("epoch", record.epoch)
      .add("step", record.step)
      .add("loss", record.loss)
      .add("accuracy", record.accuracy)
      .add("lr", record.lr)
      .add("seconds", record.seconds)
      .add("skipped", record.skipped);
  events_.scalar("train/loss", record.loss, record.step);
  events_.scalar("train/accuracy", record.accuracy, record.step);
  if (record.validation) {
    line.add("validation_loss", record.validation->loss)
        .add("validation_accuracy", record.validation->accuracy);
    events_.scalar("validation/loss", record.validation->loss, record.step);
    events_.scalar("validation/accuracy", record.validation->accuracy, record.step);
  }
  metrics_.write(line.str());
  histograms(network, record.step);
  events_.flush();
}

void RunLog::evaluation(const StepEvaluation& at) {
  metrics_.write(JsonLine("evaluation")
                     .add("step", at.step)
                     .add("loss", at.evaluation.loss)
                     .add("accuracy", at.evaluation.accuracy)
                     .str());
  events_.scalar("evaluation/accuracy", at.evaluation.accuracy, at.step);
}

void RunLog::probe(const ProbeRecord& record) {
  JsonLine gradients, weights, norms;
  for (const GradientNorm& parameter : record.parameters) {
    gradients.add(parameter.name, parameter.gradient);
    weights.add(parameter.name, parameter.weight);
    events_.scalar("gradients/" + parameter.name, parameter.gradient, record.step);
    events_.scalar("weights/" + parameter.name, parameter.weight, record.step);
  }
  for (const NormSummary& norm : record.norms) {
    JsonLine parts;
    for (const auto& [name, values] : parts_of(norm)) {
      parts.add(name, *values);
      for (std::size_t i = 0; i < values->size(); ++i) {
        const std::string tag =
            fmt::format("norms/{}/{}/p{}", norm.path, name, record.percentiles[i]);
        events_.scalar(tag, (*values)[i], record.step);
      }
    }
    norms.add(norm.path, parts);
  }
  metrics_.write(JsonLine("probe")
                     .add("step", record.step)
                     .add("gradients", gradients)
                     .add("weights", weights)
                     .add("norms", norms)
                     .str());
}

void RunLog::end(const TrainResult& result) {
  JsonLine line("end");
  line.add("steps", result.steps)
      .add("seconds", result.seconds)
      .add("samples_per_second", result.samples_per_second)
      .add("skipped", result.skipped)
      .add("signal", static_cast<std::int64_t>(result.signal));
  if (result.test) {
    line.add("test_loss", result.test->loss).add("test_accuracy", result.test->accuracy);
    events_.scalar("test/accuracy", result.test->accuracy, result.steps);
  }
  if (result.ema) line.add("ema_test_accuracy", result.ema->accuracy);
  if (result.swa) line.add("swa_test_accuracy", result.swa->accuracy);
  metrics_.write(line.str());
  events_.flush();
}

void RunLog::warning(const std::string& text) {
  metrics_.write(JsonLine("warning").add("text", text).str());
}

void RunLog::histograms(nn::Module& network, std::int64_t step) {
  for (const auto& [name, buffer] : network.buffers()) {
    if (!name.ends_with("running_mean") && !name.ends_with("running_var")) continue;
    const Tensor values = buffer->value.to(DType::f64);
    const auto span = values.span<double>();
    events_.histogram(name, {span.begin(), span.end()}, step);
  }
}

}  // namespace evenkeel::train
