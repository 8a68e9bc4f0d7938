// Builds both images with the commit baked in, and gives each a second tag, <version>-<commit>, that stays when the
// next build takes the first one.
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { composeRun } from "./lib/compose.mjs";
import { root, setting } from "./lib/env.mjs";

const git = spawnSync("git", ["rev-parse", "--short=12", "HEAD"], { cwd: root, encoding: "utf8" });
const commit = git.status === 0 ? git.stdout.trim() : "";
const { version } = JSON.parse(readFileSync(join(root, "release.json"), "utf8"));
const code = composeRun(["build"], { APP_COMMIT: commit });
if (code !== 0) process.exit(code);

const project = setting("COMPOSE_PROJECT_NAME", "medianest");
for (const part of ["backend", "frontend"]) {
  const image = `${project}/${part}`;
  const tag = `${image}:${version}-${commit || "uncommitted"}`;
  const done = spawnSync("docker", ["tag", `${image}:${setting("TAG", "staging")}`, tag], { stdio: "inherit" });
  if (done.status !== 0) process.exit(done.status ?? 1);
  console.log(`docker:build:optimized: ${tag}`);
}
