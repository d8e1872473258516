#include "conclave/weights/weight_store.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "base/expect_error.h"
#include "conclave/base/message.h"
#include "conclave/model/slicing.h"
#include "conclave/weights/crc32.h"
#include "model/test_model.h"

namespace conclave {
namespace {

TEST(Crc32, MatchesTheCheckValuesOfTheStandard) {
  EXPECT_EQ(Crc32(0, "123456789", 9), 0xCBF43926u);
  const std::vector<uint8_t> zeros(32, 0);
  EXPECT_EQ(Crc32(0, zeros.data(), zeros.size()), 0x190A55ADu);
  EXPECT_EQ(Crc32(0, nullptr, 0), 0u);
}

TEST(Crc32, ContinuesWhereItStopped) {
  const std::string text = "the same bytes in two pieces, of which neither is a multiple of eight";
  for (size_t cut = 0; cut <= text.size(); ++cut) {
    const uint32_t first = Crc32(0, text.data(), cut);
    EXPECT_EQ(Crc32(first, text.data() + cut, text.size() - cut),
              Crc32(0, text.data(), text.size()));
  }
}

TEST(SliceRange, CoversTheWidthWithoutOverlap) {
  for (const int64_t width : {1, 7, 32, 64, 96, 512, 1408, 4864}) {
    for (int64_t parts = 1; parts <= width && parts <= 9; ++parts) {
      int64_t end = 0;
      for (int64_t part = 0; part < parts; ++part) {
        const Range range = SliceRange(width, part, part + 1, parts);
        EXPECT_EQ(range.begin, end);
        EXPECT_GT(range.size(), 0) << width << " in " << parts;
        if (width % 32 == 0 && width / 32 >= parts) {
          EXPECT_EQ(range.begin % 32, 0);
        }
        end = range.end;
      }
      EXPECT_EQ(end, width);
    }
  }
}

class WeightStoreTest : public testing::TestWithParam<std::tuple<SourceType, int>> {
 protected:
  TestModelShape Shape() const {
    TestModelShape shape;
    shape.type = std::get<0>(GetParam());
    shape.misalign = std::get<1>(GetParam());
    shape.biases = true;
    return shape;
  }
};

TEST_P(WeightStoreTest, ReadsVectorsExactly) {
  const TestModel model(Shape());
  const TensorRef& bias = *model.spec().layers[0].Find<GqaSpec>()->q.bias;
  const std::vector<float> part = model.Open()->Vector(bias, {3, 11});
  ASSERT_EQ(part.size(), 8u);
  for (size_t i = 0; i < part.size(); ++i) EXPECT_EQ(part[i], model.Values(bias)[3 + i]);
}

TEST_P(WeightStoreTest, ReadsRectanglesExactly) {
  const TestModel model(Shape());
  const auto store = model.Open();
  const MatrixSpec& matrix = model.spec().layers[1].Find<GqaSpec>()->o.weight;
  const TensorRef& tensor = matrix.data;
  for (const Rectangle& part : {Whole(matrix), Rectangle{{4, 21}, {8, 24}}}) {
    const auto source = store->Matrix(matrix, part);
    ASSERT_EQ(source->type(), tensor.type);
    ASSERT_EQ(source->rows(), part.rows.size());
    ASSERT_EQ(source->cols(), part.cols.size());
    std::vector<float> row(static_cast<size_t>(part.cols.size()));
    for (int64_t r = 0; r < part.rows.size(); ++r) {
      source->Floats(r, row.data());
      const int64_t first = (part.rows.begin + r) * tensor.shape[1] + part.cols.begin;
      for (size_t i = 0; i < row.size(); ++i)
        EXPECT_EQ(row[i], model.Values(tensor)[static_cast<size_t>(first) + i]);
    }
  }
}

// Rows that take turns with others, also of a transposed matrix; elements of a vector that do.
TEST_P(WeightStoreTest, ReadsRegionsExactly) {
  const TestModel model(Shape());
  const auto store = model.Open();
  MatrixSpec matrix = model.spec().layers[1].Find<GqaSpec>()->o.weight;
  const std::vector<int64_t> stored = matrix.data.shape;
  const std::vector<double>& values = model.Values(matrix.data);
  for (const bool transposed : {false, true}) {
    matrix.region = {.rows = 9,
                     .cols = 20,
                     .first_row = 3,
                     .row_step = 2,
                     .first_col = 4,
                     .transposed = transposed};
    for (const Rectangle& part : {Whole(matrix), Rectangle{{2, 7}, {5, 16}}}) {
      const auto source = store->Matrix(matrix, part);
      std::vector<float> row(static_cast<size_t>(part.cols.size()));
      for (int64_t r = 0; r < part.rows.size(); ++r) {
        source->Floats(r, row.data());
        for (size_t c = 0; c < row.size(); ++c) {
          const int64_t at_row = 3 + 2 * (part.rows.begin + r);
          const int64_t at_col = 4 + part.cols.begin + static_cast<int64_t>(c);
          const int64_t at = transposed ? at_col * stored[1] + at_row : at_row * stored[1] + at_col;
          EXPECT_EQ(row[c], values[static_cast<size_t>(at)]);
        }
      }
    }
  }
  LinearSpec linear = model.spec().layers[0].Find<GqaSpec>()->q;
  const std::vector<double>& biases = model.Values(*linear.bias);
  linear.bias_step = 3;
  const std::vector<float> every_third = store->Bias(linear, {2, 6});
  for (size_t i = 0; i < 4; ++i) EXPECT_EQ(every_third[i], biases[(2 + i) * 3]);
  linear.bias_group = 2;
  EXPECT_EQ(store->Bias(linear, {1, 6}),
            std::vector<float>({static_cast<float>(biases[1]), static_cast<float>(biases[3]),
                                static_cast<float>(biases[4]), static_cast<float>(biases[6]),
                                static_cast<float>(biases[7])}));
}

// Groups of rows that lie together.
TEST_P(WeightStoreTest, ReadsRegionsOfGroupsExactly) {
  const TestModel model(Shape());
  const auto store = model.Open();
  MatrixSpec matrix = model.spec().layers[1].Find<GqaSpec>()->o.weight;
  const int64_t width = matrix.data.shape[1];
  const std::vector<double>& values = model.Values(matrix.data);
  for (const bool transposed : {false, true}) {
    matrix.region = {.rows = 6,
                     .cols = width,
                     .first_row = 1,
                     .row_step = 4,
                     .transposed = transposed,
                     .row_group = 3};
    if (transposed) matrix.region->cols = matrix.data.shape[0];
    const int64_t stored[] = {1, 2, 3, 5, 6, 7};
    const auto source = store->Matrix(matrix, {{1, 6}, {0, matrix.cols()}});
    std::vector<float> row(static_cast<size_t>(matrix.cols()));
    for (int64_t r = 0; r < 5; ++r) {
      source->Floats(r, row.data());
      for (size_t c = 0; c < row.size(); ++c) {
        const auto col = static_cast<int64_t>(c);
        const int64_t at = transposed ? col * width + stored[r + 1] : stored[r + 1] * width + col;
        EXPECT_EQ(row[c], values[static_cast<size_t>(at)]);
      }
    }
  }
}

TEST_P(WeightStoreTest, NamesTheTensorThatIsNotFinite) {
  const TestModel model(Shape());
  const MatrixSpec& matrix = model.spec().layers[0].Find<GqaSpec>()->k.weight;
  const TensorRef& vector = *model.spec().final_norm.weight;
  model.Poison(matrix.data, 37);
  model.Poison(vector, 2);
  const auto store = model.Open();
  ExpectError(ErrorCode::kCorruptCheckpoint, "tensor layers.0.k.weight", [&] {
    std::vector<float> row(static_cast<size_t>(matrix.cols()));
    store->Matrix(matrix, Whole(matrix))->Floats(37 / matrix.cols(), row.data());
  });
  ExpectError(ErrorCode::kCorruptCheckpoint, "tensor final_norm: element 2", [&] {
    store->Vector(vector, {0, vector.shape[0]});
  });
}

INSTANTIATE_TEST_SUITE_P(Types, WeightStoreTest,
                         testing::Combine(testing::Values(SourceType::kF32, SourceType::kF16,
                                                          SourceType::kBF16),
                                          testing::Values(0, 1, 2)));

// Reads all of a part; the CRC-32 of its bytes, from `crc` on.
uint32_t ReadAll(const WeightStore& store, const MatrixSpec& matrix, const Rectangle& part,
                 uint32_t crc = 0) {
  const auto source = store.Matrix(matrix, part, &crc);
  std::vector<float> row(static_cast<size_t>(part.cols.size()));
  for (int64_t r = 0; r < source->rows(); ++r) source->Raw(r, row.data());
  return crc;
}

TEST(WeightStore, ChecksumsAreThoseOfTheBytesInTheFile) {
  const TestModel model({});
  const auto store = model.Open();
  const MatrixSpec& matrix = model.spec().layers[0].Find<GqaSpec>()->q.weight;
  const TensorRef& tensor = matrix.data;
  std::vector<uint8_t> file(store->spec().files[0].bytes);
  FILE* stream = std::fopen(model.path().c_str(), "rb");
  ASSERT_EQ(std::fread(file.data(), 1, file.size(), stream), file.size());
  std::fclose(stream);
  EXPECT_EQ(ReadAll(*store, matrix, Whole(matrix), 7),
            Crc32(7, file.data() + tensor.offset, tensor.bytes()));
  uint32_t crc = 0;
  for (int64_t row = 2; row < 5; ++row)
    crc = Crc32(crc, file.data() + tensor.offset + (row * 32 + 8) * 2, 16);
  EXPECT_EQ(ReadAll(*store, matrix, {{2, 5}, {8, 16}}), crc);
}

TEST(WeightStore, RefusesFilesOfAnotherSize) {
  const TestModel model({});
  std::filesystem::resize_file(model.path(), model.spec().files[0].bytes - 1);
  ExpectError(ErrorCode::kCorruptCheckpoint, "weights.bin: expected ", [&] { model.Open(); });
  std::filesystem::remove(model.path());
  ExpectError(ErrorCode::kIo, "weights.bin: No such file or directory", [&] { model.Open(); });
}

TEST(WeightStore, SurvivesAFileThatShrinksWhileItIsOpen) {
  const TestModel model({});
  const auto store = model.Open();
  const MatrixSpec& last = model.spec().head.weight;
  for (const uint64_t left : {last.data.offset + 8, uint64_t{0}}) {
    std::filesystem::resize_file(model.path(), left);
    const std::string part = Message("the file has ", left, " bytes now; it had ");
    for (const Rectangle& rectangle : {Whole(last), Rectangle{{4, 21}, {8, 24}}}) {
      ExpectError(ErrorCode::kCorruptCheckpoint, part, [&] { ReadAll(*store, last, rectangle); });
    }
  }
}

TEST(WeightStore, KeepsReadingAFileThatWasDeletedOrReplaced) {
  const TestModel model({});
  const auto store = model.Open();
  const MatrixSpec& matrix = model.spec().head.weight;
  const uint32_t before = ReadAll(*store, matrix, Whole(matrix));
  std::filesystem::remove(model.path());
  std::filesystem::create_directory(model.path());
  EXPECT_EQ(ReadAll(*store, matrix, Whole(matrix)), before);
}

TEST(WeightStore, StaysInItsFolder) {
  const TestModel model({});
  for (const char* path : {"../weights.bin", "/etc/passwd", "", "a/../../weights.bin"}) {
    ModelSpec spec = model.spec();
    spec.files[0].path = path;
    ExpectError(ErrorCode::kInvalidArgument, "within the checkpoint folder",
                [&] { WeightStore(model.directory(), spec, WeightsFormat::kF32); });
  }
}

// The operator of a kind of a layer.
template <typename Kind>
Kind& Operator(ModelSpec& spec, size_t layer) {
  return const_cast<Kind&>(*spec.layers[layer].Find<Kind>());
}

TEST(ValidateSpec, NamesWhatDoesNotFit) {
  const TestModel model({});
  const auto refuse = [&](ErrorCode code, const std::string& part, const auto& change) {
    ModelSpec spec = model.spec();
    change(spec);
    ExpectError(code, part, [&] { ValidateSpec(spec); });
  };
  EXPECT_NO_THROW(ValidateSpec(model.spec()));
  refuse(ErrorCode::kCorruptCheckpoint,
         "tensor layers.0.q.weight (layers[0].blocks[0].operators[0].gqa.q.weight): expected shape "
         "[32, 32], got [31, 32]",
         [](ModelSpec& spec) { Operator<GqaSpec>(spec, 0).q.weight.data.shape[0] = 31; });
  refuse(ErrorCode::kCorruptCheckpoint, "tensor layers.1.experts.3.down.weight",
         [](ModelSpec& spec) {
           Operator<MoeSpec>(spec, 1).experts.places[2].offsets[3] = uint64_t{1} << 40;
         });
  refuse(ErrorCode::kCorruptCheckpoint, "tensor head.weight: ", [](ModelSpec& spec) {
    spec.head.weight.data.offset = UINT64_MAX - 8;
  });
  refuse(ErrorCode::kInvalidArgument, "file 1 of 1",
         [](ModelSpec& spec) { spec.final_norm.weight->file = 1; });
  refuse(ErrorCode::kInvalidArgument, "gqa.heads: expected a multiple of kvHeads 3",
         [](ModelSpec& spec) { Operator<GqaSpec>(spec, 0).heads.kv_heads = 3; });
  refuse(ErrorCode::kInvalidArgument, "gate.topK: expected 1 to 4, got 5",
         [](ModelSpec& spec) { Operator<MoeSpec>(spec, 0).gate.top_k = 5; });
  refuse(ErrorCode::kInvalidArgument, "gqa.rope: expected an index below 1",
         [](ModelSpec& spec) { Operator<GqaSpec>(spec, 1).rope = 1; });
  refuse(ErrorCode::kInvalidArgument, "hiddenSize: expected 1 to 2^24, got 16777217",
         [](ModelSpec& spec) { spec.hidden_size = (1 << 24) + 1; });
  refuse(ErrorCode::kInvalidArgument, "vocabSize: expected 1 to 2^31 - 1, got 2147483648",
         [](ModelSpec& spec) { spec.vocab_size = int64_t{1} << 31; });
  const auto grow = [](ModelSpec& spec, int experts, int top_k) {
    MoeSpec& moe = Operator<MoeSpec>(spec, 0);
    moe.experts.count = experts;
    for (TensorPlaces& places : moe.experts.places) {
      const auto count = static_cast<size_t>(experts);
      places.files.resize(count);
      places.offsets.resize(count);
      places.types.resize(count);
    }
    moe.gate.linear.weight.data.shape[0] = experts;
    moe.gate.linear.weight.data.offset = 0;
    moe.gate.top_k = top_k;
  };
  refuse(ErrorCode::kUnsupported, "moe.experts: expected 1 to 1024, got 1025",
         [&](ModelSpec& spec) { grow(spec, 1025, 2); });
  refuse(ErrorCode::kUnsupported, "gate.topK: expected 1 to 32, got 33",
         [&](ModelSpec& spec) { grow(spec, 40, 33); });
  refuse(ErrorCode::kInvalidArgument,
         "moe.experts.places: expected places for each of 4 tensors of an expert, got 3",
         [](ModelSpec& spec) {
           Operator<MoeSpec>(spec, 0).experts.expert.up.bias =
               TensorRef{"bias", 0, 0, SourceType::kF32, {64}};
         });
  refuse(ErrorCode::kInvalidArgument,
         "moe.experts.places: expected a place for each of 4 experts, got 3",
         [](ModelSpec& spec) { Operator<MoeSpec>(spec, 0).experts.places[1].files.pop_back(); });
  refuse(ErrorCode::kInvalidArgument, "layers[1].blocks: expected at least one",
         [](ModelSpec& spec) { spec.layers[1].blocks.clear(); });
  refuse(ErrorCode::kInvalidArgument, "blocks[1].operators: expected at least one",
         [](ModelSpec& spec) { spec.layers[1].blocks[1].operators.clear(); });
  refuse(ErrorCode::kUnsupported, "blocks[0].preNorm, postNorm: expected a norm",
         [](ModelSpec& spec) { spec.layers[1].blocks[0].pre_norm.reset(); });
  refuse(ErrorCode::kCorruptCheckpoint, "blocks[1].postNorm.weight): expected shape [32]",
         [](ModelSpec& spec) {
           NormSpec& norm = spec.layers[1].blocks[1].post_norm.emplace(spec.final_norm);
           norm.weight->shape = {31};
         });
  refuse(ErrorCode::kUnsupported, "blocks[1].operators[0].moe: a second operator of its kind",
         [](ModelSpec& spec) {
           std::vector<BlockSpec>& blocks = spec.layers[0].blocks;
           blocks[0].operators.push_back(blocks[1].operators[0]);
         });
  const auto group = [](ModelSpec& spec, const GateGroups& groups) {
    GateSpec& gate = Operator<MoeSpec>(spec, 0).gate;
    gate.scoring = GateScoring::kSigmoid;
    gate.groups = groups;
  };
  refuse(ErrorCode::kInvalidArgument, "gate.groups.count: expected a divisor of the 4 experts",
         [&](ModelSpec& spec) {
           group(spec, {3, 1, true});
         });
  refuse(ErrorCode::kInvalidArgument, "gate.groups.kept: expected up to 2 groups that hold the top",
         [&](ModelSpec& spec) {
           group(spec, {2, 3, true});
         });
  refuse(ErrorCode::kUnsupported, "gate.scoring: with groups, a correction", [](ModelSpec& spec) {
    Operator<MoeSpec>(spec, 0).gate.groups = {2, 1, true};
  });
  refuse(ErrorCode::kInvalidArgument, "gate.weight.region: expected one within [",
         [](ModelSpec& spec) {
           MatrixSpec& gate = Operator<MoeSpec>(spec, 0).gate.linear.weight;
           gate.region = {.rows = gate.rows(), .cols = gate.cols(), .first_row = 1};
         });
  refuse(ErrorCode::kUnsupported, "blocks[2].operators[0].gqa: a second operator of its kind",
         [](ModelSpec& spec) {
           std::vector<BlockSpec>& blocks = spec.layers[0].blocks;
           blocks.push_back(BlockSpec(blocks[0]));
         });
  refuse(ErrorCode::kInvalidArgument, "operators[0].cache: expected the operator's heads",
         [](ModelSpec& spec) {
           std::get<PagedCacheSpec>(*spec.layers[0].blocks[0].operators[0].cache).heads = 1;
         });
  refuse(ErrorCode::kInvalidArgument, "operators[0].cache: expected none", [](ModelSpec& spec) {
    spec.layers[0].blocks[1].operators[0].cache = PagedCacheSpec{2, 8, 8};
  });
}

}  // namespace
}  // namespace conclave
