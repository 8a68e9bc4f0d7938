// End-to-end tests of a running API. BASE_URL says where it is; otherwise the stack of this folder is meant.
// Exit: 0 all passed, 1 not, 3 nobody answered. Reports: reports/e2e.json and reports/e2e.junit.xml of the root.
import { spawnSync } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { apiUrl, frontendUrl, root, setting } from "../../scripts/lib/env.mjs";
import { INCONCLUSIVE, dropReport, writeReport } from "../../scripts/lib/report.mjs";

const raw = join(root, "reports", "e2e.raw.json");
const junit = join(root, "reports", "e2e.junit.xml");
dropReport("e2e");
rmSync(junit, { force: true });
const url = apiUrl();
try {
  await fetch(`${url}/health`, { signal: AbortSignal.timeout(5000) });
} catch {
  console.error(`e2e: inconclusive, no API answers at ${url}: start the stack or set BASE_URL`);
  process.exit(INCONCLUSIVE);
}

// Against another host's API, the frontend of this folder's stack is not the one that belongs to it.
const ownStack = process.env.FRONTEND_BASE_URL !== undefined || new URL(url).port === setting("PORT", "3000");
const vitest = join(root, "node_modules", "vitest", "vitest.mjs");
const reporters = ["--reporter=verbose", "--reporter=junit", `--outputFile.junit=${junit}`, "--reporter=json", `--outputFile.json=${raw}`];
const done = spawnSync(process.execPath, [vitest, "run", "--config", "backend/e2e/vitest.config.ts", ...reporters], {
  cwd: root,
  stdio: "inherit",
  env: { ...process.env, E2E_API_URL: url, E2E_FRONTEND_URL: ownStack ? frontendUrl() : "" },
});
const { numPassedTests: passed, numFailedTests: failed } = JSON.parse(readFileSync(raw, "utf8"));
const total = passed + failed;
rmSync(raw);
const passPercent = total === 0 ? null : Number(((passed / total) * 100).toFixed(2));
writeReport("e2e", { ok: done.status === 0 && total > 0, url, total, passed, failed, passPercent });
console.log(`e2e: ${passed} of ${total} passed`);
process.exit(total === 0 ? INCONCLUSIVE : (done.status ?? 1));
