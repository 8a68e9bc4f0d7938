// The running stack as a stranger meets it: metrics token, CORS, rate limits. Exit: 0 all hold, 1 not, 3 nobody answered.
import { randomBytes } from "node:crypto";
import { apiUrl, frontendUrl, setting } from "./lib/env.mjs";
import { INCONCLUSIVE, dropReport, writeReport } from "./lib/report.mjs";

dropReport("runtime");
const url = apiUrl();
const get = (path, headers = {}, method = "GET") => fetch(`${url}${path}`, { method, headers, signal: AbortSignal.timeout(5000) });
const friend = (setting("ALLOWED_ORIGINS").split(",")[0] || frontendUrl()).trim();
const stranger = "https://stranger.example.net";
const token = setting("METRICS_TOKEN");

const checks = {
  healthIs200: async () => (await get("/health")).status === 200,
  frontendAnswers: async () => (await fetch(frontendUrl(), { signal: AbortSignal.timeout(5000) })).status === 200,
  metricsRejectNoBearer: async () => (await get("/metrics")).status === 401,
  metricsRejectWrongBearer: async () => (await get("/metrics", { Authorization: "Bearer wrong" })).status === 401,
  metricsAnswerBearer: async () => {
    const answer = await get("/metrics", { Authorization: `Bearer ${token}` });
    return answer.status === 200 && (await answer.text()).includes("http_request_duration_seconds");
  },
  corsLetsOwnOrigin: async () => (await get("/api/media", { Origin: friend })).headers.get("access-control-allow-origin") === friend,
  corsHidesFromStranger: async () => (await get("/api/media", { Origin: stranger })).headers.get("access-control-allow-origin") === null,
  corsRefusesStrangersPreflight: async () =>
    (await get("/api/requests", { Origin: stranger, "Access-Control-Request-Method": "POST" }, "OPTIONS")).status === 403,
  rateLimitIsAnnounced: async () => Number((await get("/api/features")).headers.get("ratelimit-limit")) > 0,
  rateLimitStopsGuessing: async () => {
    // A made-up account each time, so that repeated checks do not lock out a real one.
    const body = JSON.stringify({ email: `${randomBytes(6).toString("hex")}@example.com`, password: "guess" });
    const statuses = [];
    for (let attempt = 0; attempt < Number(setting("LOGIN_LIMIT", "5")) + 1; attempt += 1) {
      const answer = await fetch(`${url}/api/auth/login`, { method: "POST", headers: { "Content-Type": "application/json" }, body });
      statuses.push(answer.status);
    }
    return statuses[0] === 401 && statuses.at(-1) === 429;
  },
};

try {
  await get("/health");
} catch {
  console.error(`check:runtime: inconclusive, no API answers at ${url}: start the stack or set BASE_URL`);
  process.exit(INCONCLUSIVE);
}
const results = {};
for (const [name, check] of Object.entries(checks)) {
  results[name] = await check().catch(() => false);
  console.log(`${results[name] ? "ok  " : "FAIL"} ${name}`);
}
const failed = Object.values(results).filter((held) => !held).length;
writeReport("runtime", { ok: failed === 0, url, failed, checks: results });
process.exit(failed === 0 ? 0 : 1);
