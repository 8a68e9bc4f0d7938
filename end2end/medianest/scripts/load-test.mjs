// A light load on the API: fifteen requests a second for eight seconds. Exit: 0 within limits, 1 not, 3 nobody answered.
import autocannon from "autocannon";
import { apiUrl } from "./lib/env.mjs";
import { INCONCLUSIVE, dropReport, writeReport } from "./lib/report.mjs";

const P95_MS = 600;
const ERROR_PERCENT = 1;
const SECONDS = 8;
const PER_SECOND = 15;

dropReport("load-test");
const url = apiUrl();
try {
  await fetch(`${url}/health`, { signal: AbortSignal.timeout(5000) });
} catch {
  console.error(`load-test: inconclusive, no API answers at ${url}: start the stack or set BASE_URL`);
  process.exit(INCONCLUSIVE);
}

// The built-in percentiles leave out p95, so every answer is timed here.
const times = [];
let bad = 0;
const run = autocannon({
  url,
  connections: 5,
  duration: SECONDS,
  overallRate: PER_SECOND,
  timeout: 5,
  requests: [{ path: "/api/media" }, { path: "/api/media/1" }, { path: "/api/media?kind=film" }, { path: "/api/features" }],
});
run.on("response", (_client, status, _bytes, milliseconds) => {
  times.push(milliseconds);
  if (status >= 400) bad += 1;
});
const result = await run;

if (times.length === 0) {
  console.error("load-test: inconclusive, not one answer came back");
  process.exit(INCONCLUSIVE);
}
times.sort((left, right) => left - right);
const percentile = (share) => Number(times[Math.min(times.length - 1, Math.ceil(times.length * share) - 1)].toFixed(1));
// autocannon counts time-outs among its errors.
const asked = times.length + result.errors;
const errorPercent = Number((((bad + result.errors) / asked) * 100).toFixed(2));
const latency = { p50: percentile(0.5), p95: percentile(0.95), p99: percentile(0.99), max: percentile(1) };
const ok = latency.p95 < P95_MS && errorPercent < ERROR_PERCENT;
writeReport("load-test", { ok, url, seconds: SECONDS, requests: asked, errors: bad + result.errors, errorPercent, latencyMs: latency });
console.log(`load-test: ${asked} requests, p95 ${latency.p95} ms (limit ${P95_MS}), errors ${errorPercent} % (limit ${ERROR_PERCENT} %)`);
process.exit(ok ? 0 : 1);
