import { defineConfig } from "vitest/config";

export default defineConfig({
  test: { include: ["backend/e2e/**/*.e2e.ts"], testTimeout: 10_000, fileParallelism: false },
});
