// Turns the working tree into the next release, to rehearse deploys and rollbacks. Commit the result to release it.
//   node scripts/make-v2.mjs good [--with-migration]   a sound next version (also repairs a bad one)
//   node scripts/make-v2.mjs bad [--with-migration]    a next version whose image answers 503 on /health
//   node scripts/make-v2.mjs reset                     back to 1.0.0
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./lib/env.mjs";

const FIRST = "1.0.0";
const MIGRATION = "20260301080000_add_media_rating.mjs";
const migrationText = `/** A rating from 0 to 10, unknown for most titles. */
export async function up(knex) {
  await knex.schema.alterTable("media", (table) => {
    table.integer("rating");
  });
}

export async function down(knex) {
  await knex.schema.alterTable("media", (table) => {
    table.dropColumn("rating");
  });
}
`;

const [mode, option] = process.argv.slice(2);
if (!["good", "bad", "reset"].includes(mode) || (option !== undefined && option !== "--with-migration")) {
  console.error("usage: node scripts/make-v2.mjs <good|bad|reset> [--with-migration]");
  process.exit(2);
}

const current = readJson("release.json").version;
const version = mode === "reset" ? FIRST : current.replace(/^(\d+)\.(\d+)\..*$/, (_all, major, minor) => `${major}.${Number(minor) + 1}.0`);

edit("release.json", (release) => ({ ...release, version, faults: mode === "bad" ? ["health"] : [] }));
for (const path of ["package.json", "shared/package.json", "backend/package.json", "frontend/package.json"]) {
  edit(path, (pkg) => withVersion(pkg, version));
}
edit("package-lock.json", (lock) => {
  for (const path of ["", "shared", "backend", "frontend"]) lock.packages[path] = withVersion(lock.packages[path], version);
  return { ...lock, version };
});

const migration = join(root, "backend", "migrations", MIGRATION);
if (mode === "reset" && existsSync(migration)) {
  rmSync(migration);
  edit("backend/migrations/lock.json", (lock) => Object.fromEntries(Object.entries(lock).filter(([name]) => name !== MIGRATION)));
}
if (option !== undefined && !existsSync(migration)) {
  writeFileSync(migration, migrationText);
  const { generate } = await import("./lib/migrations.mjs");
  generate();
}
console.log(`make-v2: ${current} -> ${version}${mode === "bad" ? ", /health will answer 503" : ""}`);

function withVersion(pkg, next) {
  const dependencies = pkg.dependencies && { ...pkg.dependencies };
  if (dependencies?.["@medianest/shared"]) dependencies["@medianest/shared"] = next;
  return { ...pkg, version: next, ...(dependencies && { dependencies }) };
}

function readJson(path) {
  return JSON.parse(readFileSync(join(root, path), "utf8"));
}

function edit(path, change) {
  writeFileSync(join(root, path), `${JSON.stringify(change(readJson(path)), null, 2)}\n`);
}
