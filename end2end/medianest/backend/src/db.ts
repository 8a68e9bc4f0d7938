/** The database commands that run inside the backend container: migrate, seed, rollback, check. */
import { readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type { Knex } from "knex";
import { connect } from "./data/connection.js";
import { migrationSource, type Migration } from "./data/migrations.js";
import { plantSeed, type Seed } from "./data/seed.js";

const commands: Record<string, (db: Knex) => Promise<number>> = { migrate, seed, rollback, check };

async function main(name: string | undefined): Promise<number> {
  const command = name === undefined ? undefined : commands[name];
  if (command === undefined) throw new Error(`unknown command; one of ${Object.keys(commands).join(", ")}`);
  const url = process.env.DATABASE_URL;
  if (!url) throw new Error("DATABASE_URL is missing");
  const db = connect(url);
  try {
    return await command(db);
  } finally {
    await db.destroy();
  }
}

async function load<T>(folder: string, file: string): Promise<T> {
  return (await import(pathToFileURL(resolve(folder, file)).href)) as T;
}

function migrations(): Knex.MigratorConfig {
  const names = readdirSync("migrations").filter((name) => name.endsWith(".mjs")).sort();
  return { migrationSource: migrationSource(names, (name) => load<Migration>("migrations", name)), tableName: "knex_migrations" };
}

async function migrate(db: Knex): Promise<number> {
  const [batch, applied] = (await db.migrate.latest(migrations())) as [number, string[]];
  if (applied.length === 0) console.log("migrate: nothing to do, every migration is applied");
  else console.log(`migrate: batch ${batch} applied ${applied.length}: ${applied.join(", ")}`);
  return 0;
}

async function rollback(db: Knex): Promise<number> {
  const [batch, undone] = (await db.migrate.rollback(migrations())) as [number, string[]];
  if (undone.length === 0) console.log("rollback: nothing to undo");
  else console.log(`rollback: batch ${batch} undone, ${undone.length}: ${undone.join(", ")}`);
  return 0;
}

async function seed(db: Knex): Promise<number> {
  const counts = await plantSeed(db, await load<Seed>("seeds", "library.mjs"), process.env.STAGING_PASSWORD, process.env.ENCRYPTION_KEY);
  console.log(`seed: ${counts.added} rows added, ${counts.present} were there`);
  return 0;
}

/** Proves that migrating again changes nothing and that the seed is there; one JSON line on standard output. */
async function check(db: Knex): Promise<number> {
  const [, pending] = (await db.migrate.list(migrations())) as [unknown[], unknown[]];
  let secondRunApplied: number | null = null;
  let missingSeed: number | null = null;
  const rows: Record<string, number> = {};
  if (pending.length === 0) {
    const [, applied] = (await db.migrate.latest(migrations())) as [number, string[]];
    secondRunApplied = applied.length;
    const { titles } = await load<Seed>("seeds", "library.mjs");
    const present = await db("media").select("title", "year");
    const known = new Set(present.map((row: { title: string; year: number }) => `${row.title}|${row.year}`));
    missingSeed = titles.filter((row) => !known.has(`${row.title}|${row.year}`)).length;
    for (const table of ["media", "accounts", "requests"]) {
      const [{ count }] = (await db(table).count("* as count")) as [{ count: string }];
      rows[table] = Number(count);
    }
  }
  const ok = pending.length === 0 && secondRunApplied === 0 && missingSeed === 0 && (rows.accounts ?? 0) > 0;
  console.log(JSON.stringify({ ok, pending: pending.length, secondRunApplied, missingSeed, rows }));
  return ok ? 0 : 1;
}

main(process.argv[2]).then(
  (code) => process.exit(code),
  (error: Error) => {
    console.error(`${join("db", process.argv[2] ?? "")}: ${error.message}`);
    process.exit(1);
  },
);
