// Is `.env.staging` private, complete, and consistent with itself? Values are never printed.
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { envFile, readEnvFile, root } from "./lib/env.mjs";
import { dropReport, writeReport } from "./lib/report.mjs";

dropReport("env");
if (!existsSync(envFile)) {
  console.error("check:env: there is no .env.staging: npm run env:fill");
  process.exit(1);
}
const wanted = readEnvFile(join(root, ".env.staging.example"));
const values = readEnvFile();
const mode = (statSync(envFile).mode & 0o777).toString(8).padStart(4, "0");
const missing = Object.keys(wanted).filter((key) => !values[key] && wanted[key] !== "");
// Credentials of other services may stay unset on staging; everything of our own may not.
const optional = /^(PLEX|OVERSEERR|UPTIME_KUMA|TMDB|YOUTUBE|JWT_SECRET_ROTATION)/;
const placeholders = Object.keys(values).filter((key) => values[key].includes("CHANGE_ME") && !optional.test(key));
const origins = (values.ALLOWED_ORIGINS ?? "").split(",").map((origin) => origin.trim()).filter(Boolean);

const problems = [];
if (mode !== "0600") problems.push(`its mode is ${mode}, not 0600`);
if (missing.length > 0) problems.push(`keys without a value: ${missing.join(", ")}`);
if (placeholders.length > 0) problems.push(`still placeholders: ${placeholders.join(", ")}`);
if (origins.length === 0 || origins.includes("*")) problems.push("ALLOWED_ORIGINS is empty or a wildcard");
if (!origins.includes(values.FRONTEND_URL)) problems.push("ALLOWED_ORIGINS does not list FRONTEND_URL");
if (portOf(values.FRONTEND_URL) !== (values.FRONTEND_PORT || "3001") && isLocal(values.FRONTEND_URL)) {
  problems.push("FRONTEND_URL does not point to FRONTEND_PORT");
}
if (portOf(values.NEXT_PUBLIC_API_URL) !== (values.PORT || "3000") && isLocal(values.NEXT_PUBLIC_API_URL)) {
  problems.push("NEXT_PUBLIC_API_URL does not point to PORT");
}
writeReport("env", { ok: problems.length === 0, mode, missing, placeholders, problems });
for (const problem of problems) console.error(`check:env: ${problem}`);
if (problems.length > 0) process.exit(1);
console.log(`check:env: ${Object.keys(values).length} keys, mode ${mode}, in order`);

function portOf(url) {
  try {
    return new URL(url).port;
  } catch {
    return "";
  }
}

function isLocal(url) {
  return /^http:\/\/(127\.0\.0\.1|localhost)(:|\/|$)/.test(url ?? "");
}
