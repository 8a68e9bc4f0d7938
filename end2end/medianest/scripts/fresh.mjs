// Removes reports of an earlier run, so that a run that dies leaves nothing that looks green: node scripts/fresh.mjs <path>...
import { rmSync } from "node:fs";
import { join } from "node:path";
import { root } from "./lib/env.mjs";

for (const path of process.argv.slice(2)) rmSync(join(root, path), { force: true });
