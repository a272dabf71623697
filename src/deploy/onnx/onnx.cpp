#include <algorithm>

#include "deploy/onnx/importer.h"
#include <evenkeel/deploy/onnx.h>

namespace evenkeel::deploy {
namespace {

/// The input's extents, empty where the batch is free.
struct Extents {
  std::optional<std::int64_t> batch;
  Shape sample;

  Shape with_batch(std::int64_t n) const {
    std::vector<std::int64_t> dims{n};
    dims.insert(dims.end(), sample.dims().begin(), sample.dims().end());
    return Shape(std::span<const std::int64_t>(dims));
  }
};

Extents extents_of(const OnnxValue& input, const ImportOptions& options, const io::Origin& origin) {
  const io::Origin place = origin.part("input", input.name);
  std::vector<std::optional<std::int64_t>> dims;
  if (options.input_shape) {
    const auto given = options.input_shape->dims();
    if (input.dims && input.dims->size() != given.size()) {
      place.refuse("it has {} dimensions, but the shape {} was given", input.dims->size(),
                   options.input_shape->str());
    }
    for (std::size_t i = 0; i < given.size(); ++i) {
      const auto said = input.dims ? (*input.dims)[i] : std::nullopt;
      if (i > 0 && said && *said != given[i]) {
        place.refuse("its dimension {} is {}, but the shape {} was given", i, *said,
                     options.input_shape->str());
      }
      dims.emplace_back(i == 0 ? said : given[i]);
    }
  } else if (input.dims) {
    dims = *input.dims;
  } else {
    place.refuse("the model does not say its shape; give one (--input or ImportOptions)");
  }
  if (dims.empty()) place.refuse("it is a scalar; a network takes batches");
  for (const auto& dim : dims) {
    constexpr std::int64_t kLargest = std::int64_t{1} << 40;
    if (dim && *dim > kLargest) place.refuse("its extent {} is too large", *dim);
  }
  std::vector<std::int64_t> sample;
  for (std::size_t i = 1; i < dims.size(); ++i) {
    if (!dims[i]) {
      place.refuse(
          "the model leaves its dimension {} open; give the whole shape (--input or ImportOptions)",
          i);
    }
    sample.push_back(*dims[i]);
  }
  try {
    return {dims[0], Shape(std::span<const std::int64_t>(sample))};
  } catch (const Error& error) {
    place.refuse("{}", error.what());
  }
}

void check_interface(const OnnxModel& model, const io::Origin& origin) {
  if (model.outputs.empty()) origin.refuse("it has no output");
  if (model.inputs.empty()) origin.refuse("it has no input");
  if (model.inputs.size() > 1) {
    origin.refuse("it has {} inputs, {} and {} among them; networks here have one",
                  model.inputs.size(), io::quote(model.inputs[0].name),
                  io::quote(model.inputs[1].name));
  }
  const OnnxValue& input = model.inputs.front();
  const auto dtype = held_as(input.type);
  if (dtype != DType::f32 && dtype != DType::f64) {
    origin.part("input", input.name)
        .refuse("elements of type {} are not supported; networks here take float or double",
                name_of(input.type));
  }
}

}  // namespace

ImportedModel import_onnx(const std::filesystem::path& path, const ImportOptions& options) {
  const io::Origin origin("onnx", path);
  OnnxModel model = read_onnx(path);
  check_interface(model, origin);
  join_layer_norms(model);
  ImportedModel result;
  result.input = model.inputs.front().name;
  result.output = options.output.empty() ? model.outputs.front().name : options.output;
  bool known = false;
  for (const OnnxValue& output : model.outputs) {
    known = known || output.name == result.output;
    if (output.name != result.output) result.other_outputs.push_back(output.name);
  }
  if (!known) {
    origin.refuse("it has no output {}{}", io::quote(result.output),
                  did_you_mean(result.output, result.other_outputs));
  }
  const Extents extents = extents_of(model.inputs.front(), options, origin);
  result.sample = extents.sample;
  result.opset = model.opset;
  result.producer = model.producer;
  result.metadata = model.metadata;

  Importer importer(origin, model);
  // Where the model fixes its batch, networks mostly take any other all the same. Extents of 1
  // repeat in sums and products, so that a free batch is not tried with 1.
  const std::int64_t first = extents.batch.value_or(2);
  const auto built = [&](std::int64_t one, std::int64_t other) {
    return importer.build({extents.with_batch(one), extents.with_batch(other)}, result.output);
  };
  try {
    result.network = built(first, first + 1);
  } catch (const IoError&) {
    if (!extents.batch) throw;
    result.batch = extents.batch;
    result.network = built(first, first);
  } catch (const ShapeError& error) {
    origin.part("input", result.input).refuse("{}", error.what());
  }
  result.dtype = importer.dtype();
  result.training_norms = importer.training_norms();
  return result;
}

}  // namespace evenkeel::deploy
