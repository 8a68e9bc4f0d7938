import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

export default defineConfig({
  resolve: {
    alias: { "@medianest/shared": fileURLToPath(new URL("shared/src/index.ts", import.meta.url)) },
  },
  test: {
    include: ["{shared,backend,frontend}/test/**/*.test.ts"],
    testTimeout: 5000,
    coverage: {
      provider: "v8",
      include: ["{shared,backend,frontend}/src/**/*.ts"],
      reporter: ["text", "json-summary"],
      reportsDirectory: "coverage",
      thresholds: { lines: 65 },
    },
  },
});
