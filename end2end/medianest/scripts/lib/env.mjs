// The env file and the folders of the example, wherever it was copied to.
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
export const envFile = join(root, ".env.staging");

/** The keys and values of an env file; an absent file has none. */
export function readEnvFile(path = envFile) {
  const values = {};
  if (!existsSync(path)) return values;
  for (const line of readFileSync(path, "utf8").split(/\r?\n/)) {
    const match = /^([A-Z][A-Z0-9_]*)=(.*)$/.exec(line);
    if (match) values[match[1]] = match[2];
  }
  return values;
}

/** A setting: from the environment, else from the env file, else the fallback. */
export function setting(key, fallback = "") {
  return process.env[key] || readEnvFile()[key] || fallback;
}

/** Where the API and the frontend of this stack answer on this machine. */
export const apiUrl = () => trimmed(process.env.BASE_URL || `http://127.0.0.1:${setting("PORT", "3000")}`);
export const frontendUrl = () => trimmed(process.env.FRONTEND_BASE_URL || `http://127.0.0.1:${setting("FRONTEND_PORT", "3001")}`);
const trimmed = (url) => url.replace(/\/+$/, "");
