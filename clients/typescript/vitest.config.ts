// How the tests run: against one real server, each with users of its own.

import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["tests/**/*.test.ts"],
    globalSetup: "tests/server.ts",
    testTimeout: 60_000,
    // Tests of a file wait for the server most of the time.
    maxConcurrency: 8,
  },
});
