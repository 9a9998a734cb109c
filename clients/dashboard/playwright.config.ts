// Journeys in a real browser against a real server, which tests/server.ts starts for the run.
import { defineConfig } from "@playwright/test";

export default defineConfig({
  testDir: "tests",
  // What is measured by hand, see tests/large.ts.
  testMatch: process.env.CITA_LARGE ? "large.ts" : "*.spec.ts",
  globalSetup: "./tests/server.ts",
  fullyParallel: true,
  workers: 2,
  // A test that fails once has failed: what is flaky is a bug to find.
  retries: 0,
  forbidOnly: true,
  timeout: 60_000,
  expect: { timeout: 10_000 },
  reporter: [["list"]],
  outputDir: "../node_modules/.cache/playwright",
  use: {
    launchOptions: { executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] },
    locale: "es-CO",
    timezoneId: "America/Bogota",
    reducedMotion: "reduce",
    trace: "off",
  },
});
