// Builds `shared` with tsc, then bundles backend and frontend into files that need no node_modules.
//   node scripts/build.mjs [--production]
import { spawnSync } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";
import { sourceDigest } from "./lib/digest.mjs";
import { root } from "./lib/env.mjs";

const production = process.argv.includes("--production");
// knex asks for these only when another database is configured.
const otherDatabases = ["better-sqlite3", "mysql", "mysql2", "oracledb", "pg-native", "pg-query-stream", "sqlite3", "tedious"];

rmSync(join(root, "shared", "dist"), { recursive: true, force: true });
const tsc = spawnSync(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "--build", "shared"], { cwd: root, stdio: "inherit" });
if (tsc.status !== 0) process.exit(tsc.status ?? 1);

for (const [part, entries] of [["backend", ["server", "db"]], ["frontend", ["server"]]]) {
  const dist = join(root, part, "dist");
  rmSync(dist, { recursive: true, force: true });
  mkdirSync(dist, { recursive: true });
  await build({
    absWorkingDir: root,
    entryPoints: entries.map((entry) => `${part}/src/${entry}.ts`),
    outdir: dist,
    outExtension: { ".js": ".cjs" },
    bundle: true,
    platform: "node",
    format: "cjs",
    target: "node18",
    minify: production,
    keepNames: true,
    sourcemap: production ? false : "inline",
    external: otherDatabases,
    logLevel: "warning",
  });
  // Written last: a build that stopped half way has no mark and is refused.
  writeFileSync(join(dist, "source.sha256"), `${sourceDigest(root, part)}\n`);
}
console.log(`build: shared, backend and frontend${production ? " for production" : ""}`);
