// The migration files: their order, their shape, and the lock that says whether one was edited after the fact.
import { createHash } from "node:crypto";
import { existsSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { root } from "./env.mjs";

const folder = join(root, "backend", "migrations");
const lockFile = join(folder, "lock.json");

export const migrationNames = () => readdirSync(folder).filter((name) => name.endsWith(".mjs")).sort();

const digest = (name) => createHash("sha256").update(readFileSync(join(folder, name))).digest("hex");
const readLock = () => (existsSync(lockFile) ? JSON.parse(readFileSync(lockFile, "utf8")) : {});

/** Records new migrations. An edited or vanished one is an error: what was applied somewhere must stay as it was. */
export function generate() {
  const lock = readLock();
  const problems = compareWithLock(lock).filter((problem) => !problem.endsWith("is not recorded"));
  if (problems.length > 0) return { problems, added: [] };
  const added = migrationNames().filter((name) => lock[name] === undefined);
  if (added.length > 0) {
    const next = Object.fromEntries(migrationNames().map((name) => [name, digest(name)]));
    writeFileSync(lockFile, `${JSON.stringify(next, null, 2)}\n`);
  }
  return { problems, added };
}

/** Every problem of the files: names, order, missing up or down, difference from the lock. */
export async function validate() {
  const problems = compareWithLock(readLock());
  const stamps = new Set();
  for (const name of migrationNames()) {
    const stamp = /^(\d{14})_[a-z0-9_]+\.mjs$/.exec(name)?.[1];
    if (!stamp) problems.push(`${name} is not named <14 digits>_<words>.mjs`);
    else if (stamps.has(stamp)) problems.push(`${name} has the time of another migration`);
    stamps.add(stamp);
    try {
      const loaded = await import(pathToFileURL(join(folder, name)).href);
      for (const way of ["up", "down"]) {
        if (typeof loaded[way] !== "function") problems.push(`${name} exports no function ${way}`);
      }
    } catch (error) {
      problems.push(`${name} cannot be loaded: ${error.message}`);
    }
  }
  return problems;
}

function compareWithLock(lock) {
  const names = migrationNames();
  const problems = Object.keys(lock).filter((name) => !names.includes(name)).map((name) => `${name} is recorded, but its file is gone`);
  for (const name of names) {
    if (lock[name] === undefined) problems.push(`${name} is not recorded`);
    else if (lock[name] !== digest(name)) problems.push(`${name} was edited after it was recorded`);
  }
  return problems;
}
