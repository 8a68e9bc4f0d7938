// Reports are what a machine reads afterwards. A command removes its old report first, so that nothing stale looks green.
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { root } from "./env.mjs";

/** Exit code of a command that could not find out: neither good nor bad. */
export const INCONCLUSIVE = 3;

export const reportPath = (name) => join(root, "reports", `${name}.json`);

export function dropReport(name) {
  rmSync(reportPath(name), { force: true });
}

/** Keeps a report that another program made, as it is. */
export function keepReport(name, text) {
  const path = reportPath(name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}

export function writeReport(name, facts) {
  const path = reportPath(name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, `${JSON.stringify({ ...facts, finishedAt: new Date().toISOString() }, null, 2)}\n`);
  console.log(`report: reports/${name}.json`);
}
