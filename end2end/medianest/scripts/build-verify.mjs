// Verifies the build: made from these sources, loadable, and one version everywhere.
import { spawnSync } from "node:child_process";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { distProblem } from "./lib/digest.mjs";
import { root } from "./lib/env.mjs";
import { dropReport, writeReport } from "./lib/report.mjs";

dropReport("build-verify");
const problems = [];
const files = {};
for (const [part, bundles] of [["backend", ["server.cjs", "db.cjs"]], ["frontend", ["server.cjs"]]]) {
  const problem = distProblem(root, part);
  if (problem !== undefined) {
    problems.push(problem);
    continue;
  }
  for (const bundle of bundles) {
    const path = join(root, part, "dist", bundle);
    files[`${part}/dist/${bundle}`] = statSync(path).size;
    if (spawnSync(process.execPath, ["--check", path]).status !== 0) problems.push(`${part}/dist/${bundle} does not parse`);
  }
}
const versionOf = (path) => JSON.parse(readFileSync(join(root, path), "utf8")).version;
const version = versionOf("release.json");
for (const path of ["package.json", "shared/package.json", "backend/package.json", "frontend/package.json"]) {
  if (versionOf(path) !== version) problems.push(`${path} says ${versionOf(path)}, release.json says ${version}`);
}
writeReport("build-verify", { ok: problems.length === 0, version, files, problems });
for (const problem of problems) console.error(`build:verify: ${problem}`);
if (problems.length > 0) process.exit(1);
console.log(`build:verify: version ${version}, ${Object.keys(files).length} bundles in order`);
