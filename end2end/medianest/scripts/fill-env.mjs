// Writes `.env.staging` from the example with fresh secrets, for this user only. Never overwrites one.
//   npm run env:fill -- [--port 3000] [--frontend-port 3001] [--https-port 3443]
//     [--prometheus-port 9090] [--alertmanager-port 9093] [--project medianest] [--bind 127.0.0.1]
import { randomBytes } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { envFile, root } from "./lib/env.mjs";

const { values: flags } = parseArgs({
  options: {
    port: { type: "string", default: "3000" },
    "frontend-port": { type: "string", default: "3001" },
    "https-port": { type: "string", default: "3443" },
    "prometheus-port": { type: "string", default: "9090" },
    "alertmanager-port": { type: "string", default: "9093" },
    project: { type: "string", default: "medianest" },
    bind: { type: "string", default: "127.0.0.1" },
  },
});
const ports = [flags.port, ...["frontend", "https", "prometheus", "alertmanager"].map((name) => flags[`${name}-port`])];
for (const port of ports) {
  if (!/^\d+$/.test(port) || Number(port) < 1 || Number(port) > 65535) fail(`"${port}" is no port`);
}
if (new Set(ports).size < ports.length) fail("every port is wanted once only");
if (!/^[a-z0-9][a-z0-9_-]*$/.test(flags.project)) fail(`"${flags.project}" is no Compose project name`);
if (existsSync(envFile)) fail(".env.staging exists; remove it first if it may go");

const secret = () => randomBytes(24).toString("hex");
const databasePassword = secret();
const frontend = `http://127.0.0.1:${flags["frontend-port"]}`;
const known = {
  COMPOSE_PROJECT_NAME: flags.project,
  BIND_ADDRESS: flags.bind,
  PORT: flags.port,
  FRONTEND_PORT: flags["frontend-port"],
  HTTPS_PORT: flags["https-port"],
  PROMETHEUS_PORT: flags["prometheus-port"],
  ALERTMANAGER_PORT: flags["alertmanager-port"],
  ALLOWED_ORIGINS: `${frontend},https://127.0.0.1:${flags["https-port"]}`,
  FRONTEND_URL: frontend,
  NEXT_PUBLIC_API_URL: `http://127.0.0.1:${flags.port}`,
  POSTGRES_PASSWORD: databasePassword,
  DATABASE_URL: `postgres://medianest:${databasePassword}@db:5432/medianest`,
};
// These belong to services that only their owners can give access to.
const foreign = /^(PLEX|OVERSEERR|UPTIME_KUMA|TMDB|YOUTUBE)_/;
const lines = readFileSync(join(root, ".env.staging.example"), "utf8").split("\n").map((line) => {
  const [, key, value] = /^([A-Z][A-Z0-9_]*)=(.*)$/.exec(line) ?? [];
  if (key === undefined) return line;
  if (known[key] !== undefined) return `${key}=${known[key]}`;
  return value.includes("CHANGE_ME") && !foreign.test(key) ? `${key}=${secret()}` : line;
});
writeFileSync(envFile, lines.join("\n"), { mode: 0o600, flag: "wx" });
console.log(`env:fill: .env.staging written (mode 0600), project ${flags.project}, ports ${ports.join(", ")}`);

function fail(message) {
  console.error(`env:fill: ${message}`);
  process.exit(1);
}
