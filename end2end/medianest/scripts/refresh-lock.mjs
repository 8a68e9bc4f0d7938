// Brings package-lock.json up to date with the package.json files, without addresses of a registry in it.
// npm's own omit-lockfile-registry-resolved also drops the entries of other platforms, after which `npm ci` refuses.
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./lib/env.mjs";

const npm = spawnSync("npm", ["install", "--package-lock-only", "--no-omit-lockfile-registry-resolved"], { cwd: root, stdio: "inherit" });
if (npm.status !== 0) process.exit(npm.status ?? 1);
const path = join(root, "package-lock.json");
const lock = JSON.parse(readFileSync(path, "utf8"));
for (const entry of Object.values(lock.packages)) {
  if (entry.resolved?.startsWith("http")) delete entry.resolved;
}
writeFileSync(path, `${JSON.stringify(lock, null, 2)}\n`);
