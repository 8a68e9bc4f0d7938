// Known vulnerabilities of what is installed, as `npm audit` tells them.
//   node scripts/security.mjs                what the npm registry says now
//   node scripts/security.mjs --from FILE    a report that `npm audit --json` wrote elsewhere, at most a week old
// SECURITY_REPORT, in the environment or the env file, names such a report too.
// Exit: 0 no critical or high, 1 some, 3 inconclusive (nobody answered; this is not a pass).
import { spawnSync } from "node:child_process";
import { readFileSync, statSync } from "node:fs";
import { resolve } from "node:path";
import { root, setting } from "./lib/env.mjs";
import { INCONCLUSIVE, dropReport, writeReport } from "./lib/report.mjs";

const LEVELS = ["critical", "high", "moderate", "low"];
const WEEK_MS = 7 * 86_400_000;

dropReport("security");
const at = process.argv.indexOf("--from");
const recorded = at === -1 ? setting("SECURITY_REPORT") : (process.argv[at + 1] ?? "");
const source = recorded === "" ? "registry" : recorded;
const text = recorded === "" ? askRegistry() : readRecorded(resolve(root, recorded));
const counts = countsIn(text);

if (counts === undefined) {
  const reason = reasonIn(text);
  writeReport("security", { outcome: "inconclusive", critical: null, high: null, moderate: null, low: null, source, reason });
  console.error(`security: inconclusive, the audit could not be made: ${reason}`);
  process.exit(INCONCLUSIVE);
}
const bad = counts.critical + counts.high > 0;
writeReport("security", { outcome: bad ? "findings" : "clean", ...counts, source, reason: null });
console.log(`security: ${LEVELS.map((level) => `${counts[level]} ${level}`).join(", ")}`);
process.exit(bad ? 1 : 0);

/** A recorded report; one that is missing or old says nothing about today. */
function readRecorded(path) {
  try {
    const old = Date.now() - statSync(path).mtimeMs > WEEK_MS;
    return old ? JSON.stringify({ message: "the recorded report is older than a week" }) : readFileSync(path, "utf8");
  } catch (error) {
    return JSON.stringify({ message: `the recorded report cannot be read: ${error.code ?? error.message}` });
  }
}

function askRegistry() {
  const done = spawnSync("npm", ["audit", "--json"], { cwd: root, encoding: "utf8", timeout: 60_000, maxBuffer: 64 << 20 });
  return done.stdout ?? "";
}

/** The number of findings per level; undefined when the text is no complete audit. */
function countsIn(report) {
  try {
    const found = JSON.parse(report).metadata.vulnerabilities;
    const numbers = Object.fromEntries(LEVELS.map((level) => [level, found[level]]));
    return Object.values(numbers).every(Number.isInteger) ? numbers : undefined;
  } catch {
    return undefined;
  }
}

function reasonIn(report) {
  try {
    const { error, message, statusCode } = JSON.parse(report);
    return String(error?.summary || message || (statusCode ? `the registry answered ${statusCode}` : "the answer was no audit")).slice(0, 200);
  } catch {
    return "there was no answer";
  }
}
