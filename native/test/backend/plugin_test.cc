#include "conclave/backend/plugin.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/expect_error.h"

namespace conclave {
namespace {

std::string Library(const std::string& name) { return CONCLAVE_TEST_LIBRARIES "/" + name + ".so"; }

TEST(Plugin, OffersItsDevicesAndABackend) {
  const BackendPlugin& plugin = OpenPlugin(Library("small_plugin"));
  const std::vector<DeviceInfo> devices = plugin.devices();
  ASSERT_EQ(devices.size(), 2u);
  EXPECT_EQ(devices[1].name, "Small Two");
  EXPECT_EQ(devices[1].total_bytes, size_t{1} << 21);
  EXPECT_EQ(plugin.free_bytes(1), size_t{1} << 19);
  const std::unique_ptr<Backend> backend = plugin.create(1, 3);
  EXPECT_EQ(backend->pool().threads(), 3);
  EXPECT_EQ(backend->capabilities().name, "reference");
}

TEST(Plugin, IsOpenedOnceHoweverOftenItIsAskedFor) {
  EXPECT_EQ(&OpenPlugin(Library("small_plugin")), &OpenPlugin(Library("small_plugin")));
}

TEST(Plugin, ThrowsErrorsThatKeepTheirCode) {
  ExpectError(ErrorCode::kUnsupported, "no such device",
              [] { OpenPlugin(Library("small_plugin")).create(2, 1); });
  ExpectError(ErrorCode::kUnsupported, "no device: none was plugged in",
              [] { OpenPlugin(Library("no_device_plugin")).devices(); });
}

TEST(Plugin, ThatIsNotThereIsNotBuilt) {
  ExpectError(ErrorCode::kUnsupported, "nowhere.so is not built",
              [] { OpenPlugin(Library("nowhere")); });
}

TEST(Plugin, ThatIsNoLibraryCannotBeOpened) {
  const std::string path = testing::TempDir() + "/text.so";
  std::ofstream(path) << "no library";
  ExpectError(ErrorCode::kUnsupported, "text.so cannot be opened: ", [&] { OpenPlugin(path); });
}

TEST(Plugin, OfOtherSourcesIsRefused) {
  ExpectError(ErrorCode::kUnsupported,
              std::string("other_abi.so is not of this build: expected ") + PluginAbi() +
                  ", got 0123456789abcdef 1.0",
              [] { OpenPlugin(Library("other_abi")); });
}

TEST(Plugin, OfAnotherProgramIsRefused) {
  ExpectError(ErrorCode::kUnsupported, "it has no symbol ConclavePluginAbi",
              [] { OpenPlugin(Library("no_plugin")); });
}

}  // namespace
}  // namespace conclave
