// Configuration of the browser tests. They use one Docker engine and one browser, so they run one at a time.
import { existsSync } from "node:fs";
import { defineConfig } from "@playwright/test";

const minute = 60_000;

// The distribution's browser; Playwright's own would be another download.
const chromium = [
  process.env.CHROMIUM,
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
  "/snap/bin/chromium",
].find((path) => path && existsSync(path));

if (!chromium) {
  throw new Error("Chromium was not found: run `make install`, or set CHROMIUM to its path.");
}

export default defineConfig({
  testDir: ".",
  testMatch: "*.spec.ts",
  testIgnore: ["medianest/**", "tinystack/**", "node_modules/**"],
  globalSetup: "./support/story-clean-up.ts",
  outputDir: "../target/end2end/results",
  forbidOnly: Boolean(process.env.CI),
  fullyParallel: false,
  workers: 1,
  // Tests that pass only the second time are reported as flaky at the end.
  retries: 1,
  timeout: 15 * minute,
  globalTimeout: 40 * minute,
  expect: { timeout: 10_000 },
  reporter: [["list"], ["html", { open: "never", outputFolder: "../target/end2end/report" }], ["./support/summary.ts"]],
  use: {
    actionTimeout: 40_000,
    navigationTimeout: 30_000,
    viewport: { width: 1280, height: 800 },
    locale: "en-GB",
    timezoneId: "UTC",
    screenshot: "only-on-failure",
    trace: "retain-on-failure",
    launchOptions: {
      executablePath: chromium,
      args: [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
      ],
    },
  },
});
